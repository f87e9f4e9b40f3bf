"""The drill of two regions: load on both, the network between them cut, one of them killed and taken over, and given back.

It writes down when what happened, as callers see it, and ends with what `tests.acceptance.history` makes of everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench.wire import Api
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.acceptance.history import History, Seen, Submission, violations
from tests.acceptance.reader import pages, settled
from tests.acceptance.setup_data import USERS
from tests.acceptance.traffic import Traffic
from tests.acceptance.two_regions import NAMES, Cell, Refused, cell
from tests.servers import kafka
from tests.servers.process import home_for, stop
from tests.vendors.sms_http import json_gateway

CAP = 5
"""Emails of one category to a user in a day."""
CAPPED = "acc-capped"
SENDER = "+12025550199"
CALLERS, PAUSE_S = 2, 0.04
CUTS = 12
"""Of the network between regions, in a year."""
FOUND_S = 60
"""From the loss of a region until somebody is told."""
YEAR_S = 365 * 86_400
FIVE_NINES_S = YEAR_S / 100_000
CALL_S = 1.0
"""A caller that gets no answer for so long tries the other region."""
LEASE_S = 15.0
IN_DOUBT_MS = 5_000
"""How long before the loss the first of two texts may have gone out."""


class TextGateway:
    """A provider of text messages outside: it delivers everything that it is asked to, twice if it is asked twice."""

    def __init__(self) -> None:
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        """When each text went to each number."""

    def answer(self, request: Received) -> Answer:
        """It takes everything."""
        (message,) = request.json["messages"]
        self.times[message["text"], message["to"]].append(time.time())
        return Answer.json(200, {"messages": [{"status": "QUEUED", "id": message["custom"][-12:]}]})


class KafkaNode:
    """A broker of its own for a region."""

    def __init__(self, home: Path) -> None:
        (self._node,) = kafka.nodes(home, 1)
        with (self._node.home / "server.properties").open("a") as settings:
            settings.write("broker.session.timeout.ms=18000\n")  # the machine has much else to do
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """With what it had."""
        self._process = self._node.begin()
        kafka.ready([self._node], [self._process])

    def kill(self) -> None:
        """As when the machine fails."""
        if self._process is not None:
            stop(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def broker(self, prefix: str) -> str:
        """The URL of a broker of Clarion."""
        return kafka.Kafka(f"127.0.0.1:{self._node.port}").broker(prefix)


@dataclass
class Callers:
    """Everybody who sends events for the users of one region."""

    cell: Cell
    traffic: Traffic
    answered: list[float] = field(default_factory=list)
    """When a caller, who asks again and again, got a 202."""
    stopping: bool = False
    sent: int = 0

    @property
    def history(self) -> History:
        """What was sent, and what was answered."""
        return self.traffic.history

    async def run(self) -> None:
        """Until stopped."""
        await asyncio.gather(self.traffic.run(), self._one_by_one())

    async def _one_by_one(self) -> None:
        """A caller who tries the other region when one does not answer, with events of a category that has a cap."""
        apis = [Api(self.cell.api(region).port, self.cell.topology.key) for region in self.cell.order]
        at = 0
        while not self.stopping:
            user = self.cell.users[self.sent % len(self.cell.users)]
            key = f"{self.cell.home}-capped-{self.sent}"
            submission = Submission(key=key, workflow=CAPPED, users=(user,), channels=("email",))
            self.history.submissions[key] = submission
            self.sent += 1
            while not submission.accepted:
                try:
                    answer = await apis[at % 2].call(
                        "POST",
                        f"/v1/workflows/{CAPPED}/trigger",
                        {"recipients": [user], "data": {"n": key}},
                        headers={"idempotency-key": f'"{key}"'},
                        within=CALL_S,
                    )
                    if answer.status == 202:
                        submission.event_ids.append(answer.json()["event_id"])
                        self.answered.append(time.monotonic())
                        break
                except (OSError, TimeoutError):
                    pass
                at += 1
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.04)
        for api in apis:
            api.close()

    async def answered_after(self, since: float, within: float = 60) -> None:
        """Wait for the first answer after that."""
        async with asyncio.timeout(within):
            while not self.answered or self.answered[-1] < since:  # noqa: ASYNC110 - it comes soon, or never
                await asyncio.sleep(0.01)

    def without_answer(self, since: float, until: float) -> float:
        """The longest time between two answers in which a caller got none."""
        times = [since, *[at for at in self.answered if since <= at <= until], until]
        return max(later - earlier for earlier, later in pairwise(times))


class Drill:
    """Two regions, each the home of half of the users."""

    def __init__(self, cells: dict[str, Cell], nodes: dict[str, KafkaNode], texts: TextGateway) -> None:
        self.cells = cells
        self.nodes = nodes
        self.texts = texts
        self.callers: dict[str, Callers] = {}
        self.lines: list[str] = []
        self.seconds: dict[str, float] = {}
        self.lost_at = 0.0

    def note(self, what: str, seconds: float) -> None:
        """A line of the report."""
        self.seconds[what] = seconds
        self.say(f"{what:<74}{seconds:>7.2f} s")

    def say(self, line: str) -> None:
        """As it happens."""
        self.lines.append(line)
        print(line, flush=True)

    async def set_up(self, gateway_url: str) -> None:
        """The same in both cells, as from version control."""
        for seed, (home, one) in enumerate(self.cells.items()):
            api = one.api(home).api
            caps = [{"limit": CAP, "window_s": 86_400, "channel": "email"}]
            await api.put("/v1/categories/acc-capped", {"name": "Capped", "caps": caps})
            steps = [{"key": "send", "template": "acc", "to": {"mode": "all", "channels": ["email"]}}]
            await api.put(f"/v1/workflows/{CAPPED}", {"category": "acc-capped", "steps": steps})
            sms = {
                "channel": "sms",
                "provider": "sms_http",
                "config": {**json_gateway(gateway_url), "sender": SENDER},
            }
            await api.put("/v1/integrations/capture-sms", sms)
            ports = [one.api(region).port for region in one.order]
            history = History()
            traffic = Traffic(ports, one.topology.key, history, seed, callers=CALLERS, pause_s=PAUSE_S)
            self.callers[home] = Callers(one, traffic)
            traffic.only(one.users)

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """On both regions, all the time."""
        async with asyncio.TaskGroup() as group:
            for callers in self.callers.values():
                group.create_task(callers.run())
            try:
                yield
            finally:
                for callers in self.callers.values():
                    callers.stopping = callers.traffic.stopping = True

    async def cut(self, seconds: float) -> dict[str, tuple[str, float]]:
        """The network between the regions is cut for so long, and users opt out meanwhile; whom each cell's opt-out named."""
        began = time.monotonic()
        for one in self.cells.values():
            for line in one.lines.values():
                line.cut()
        left: dict[str, tuple[str, float]] = {}
        await asyncio.sleep(seconds / 2)
        for home, callers in self.callers.items():
            user = callers.cell.users[0]
            api = Api(callers.cell.api(home).port, callers.cell.topology.key)
            asked = time.monotonic()
            await api.put(f"/v1/users/{user}/preferences/categories/acc-normal", {"enabled": False})
            left[home] = user, time.time()
            self.note(
                f"opt-out of a user at home in {home} during the cut, until the answer",
                time.monotonic() - asked,
            )
            api.close()
        await asyncio.sleep(seconds / 2)
        over = time.monotonic()
        for home, callers in self.callers.items():
            self.note(
                f"network cut: longest time without an accepted event in {home}",
                callers.without_answer(began, over),
            )
        for one in self.cells.values():
            for line in one.lines.values():
                line.mend()
        for home, one in self.cells.items():
            await one.mirrored(home)
        self.note("network back: until both regions have everything of both", time.monotonic() - over)
        return left

    async def lose(self, region: str) -> None:
        """Everything in it is killed: databases, broker, processes."""
        for one in self.cells.values():
            one.kill(region)
            one.servers[region].kill()
        if self.nodes:
            self.nodes[region].kill()
        self.lost_at = time.time()

    async def take_over(self, lost: str, other: str) -> None:
        """The other region works on its users."""
        one, began = self.cells[lost], time.monotonic()
        while (await one.status(other))["servers"][1]["is"] != "away":
            pass
        self.note(
            f"region {lost} lost: until `clarion region status` in {other} says so", time.monotonic() - began
        )
        commanded = time.monotonic()
        await one.clarion(other, "takeover", "--complete", "--confirm", lost)
        self.note("`clarion region takeover`, until it is done", time.monotonic() - commanded)
        callers = self.callers[lost]
        await callers.answered_after(commanded)
        self.note("from the command to the first accepted event", callers.answered[-1] - commanded)
        await one.ready(other)
        self.note("from the command until all processes work", time.monotonic() - commanded)
        self.note(
            f"users at home in {lost}: without an accepted event",
            callers.without_answer(began, time.monotonic()),
        )
        its = self.callers[other]
        self.note(
            f"users at home in {other}: longest time without an accepted event",
            its.without_answer(began, time.monotonic()),
        )

    async def come_back(self, region: str, other: str) -> None:
        """The machines run again: the old primary is not used, and becomes a standby."""
        one, began = self.cells[region], time.monotonic()
        if self.nodes:
            await asyncio.to_thread(self.nodes[region].start)
        await asyncio.to_thread(one.servers[region].start)
        await one.launch(region)
        says = (await one.status(region))["advice"]
        self.say(f"the old primary runs again; `clarion region status` there: {says}")
        assert "has taken over" in says, says
        await asyncio.sleep(2)
        assert not await one.api(region).works()
        await asyncio.to_thread(one.servers[region].follow, one.lines[other].port)
        await asyncio.to_thread(self.cells[other].servers[region].start)
        await self.cells[other].launch(region)
        for name, its in self.cells.items():
            await its.mirrored(other)
            assert not await its.api(region).works(), name
        self.note(f"region {region} is back: until it has a copy of everything", time.monotonic() - began)

    async def give_back(self, region: str, other: str) -> None:
        """The users go home."""
        one, callers = self.cells[region], self.callers[region]
        began = time.monotonic()
        await one.clarion(other, "giveback", "--confirm", region)
        self.note("`clarion region giveback`, until it is done", time.monotonic() - began)
        await one.ready(region)
        await callers.answered_after(time.monotonic())
        self.note(
            f"users of {region} given back: without an accepted event",
            callers.without_answer(began, time.monotonic()),
        )
        await asyncio.to_thread(one.servers[other].follow, one.lines[region].port)
        await one.launch(other)
        await one.mirrored(region)

    def availability(self) -> None:
        """What a user can expect of a year, from what was measured and from how often things are assumed to happen."""
        cut = max(seconds for what, seconds in self.seconds.items() if what.startswith("network cut"))
        taken = self.seconds["from the command to the first accepted event"]
        given = next(seconds for what, seconds in self.seconds.items() if "given back" in what)
        rest = CUTS * cut + given
        self.say(
            f"a user's year, with {CUTS} cuts, and one loss of their region that is found in {FOUND_S} s and given back once:"
        )
        for decided in (600, 120, 0):
            down = rest + FOUND_S + decided + taken
            self.say(
                f"  taken over {decided:>3} s after it is found: {down / 60:5.1f} minutes without service, {1 - down / YEAR_S:.4%}"
            )
        self.say(
            f"  five nines are {FIVE_NINES_S / 60:.2f} minutes: {FIVE_NINES_S - rest - FOUND_S - taken:.0f} s are left to decide"
        )

    async def judge(self, left: dict[str, tuple[str, float]]) -> None:
        """Hold both cells to everything that they said."""
        for home, callers in self.callers.items():
            one = self.cells[home]
            await callers.traffic.settle_unanswered()
            api = one.api(home).api
            seen = await settled(api, callers.history, within=120, users=one.users)
            doubled = self._texts(callers.history, seen)
            broken = violations(callers.history, seen)
            promised = {f"I2: message {one} went out 2 times" for one in doubled}
            accepted = len(callers.history.accepted)
            self.say(
                f"{home}: {accepted} events accepted, {len(seen.messages)} messages, answers {dict(callers.history.answers)}; "
                f"lost {sum('missing' in one for one in broken)}, texts sent twice {len(doubled)} (in doubt when {home} was lost)"
            )
            unpromised = [one for one in broken if one not in promised]
            assert unpromised == [], unpromised[:20]
            await self._caps(api, home, seen)
            await self._opt_out(api, *left[home])

    def _texts(self, history: History, seen: Seen) -> list[str]:
        """Count what the gateway outside got; the messages that went out twice, as promised: a crash fell between the call and
        its record."""
        keys = {event: s.key for s in history.accepted for event in s.event_ids}
        numbers = {user: f"+1202555{number:04}" for number, user in enumerate(USERS)}
        doubled = []
        for message in seen.messages:
            if message.channel == "sms":
                times = self.texts.times[f"Number {keys[message.event_id]}", numbers[message.user]]
                seen.captures[message.id] = len(times)
                if len(times) == 2 and 0 <= self.lost_at - times[0] <= IN_DOUBT_MS / 1_000:
                    doubled.append(message.id)
                elif len(times) > 1:
                    self.say(
                        f"text {message.id} went out {[round(at - self.lost_at, 2) for at in times]} s after the loss"
                    )
        return doubled

    async def _caps(self, api: Api, home: str, seen: Seen) -> None:
        sent = Counter(
            [m["user_id"] async for m in pages(api, "/v1/messages", workflow=CAPPED, status="sent,delivered")]
        )
        most = max(sent.values())
        self.say(f"{home}: at most {most} emails of a category with a cap of {CAP} went to one user")
        assert most <= CAP
        assert sum(m.status == "throttled" for m in seen.messages) > 0

    async def _opt_out(self, api: Api, user: str, since: float) -> None:
        after = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since + 1))
        kept = sent = 0
        async for message in pages(api, "/v1/messages", user_id=user):
            if message["category"] == "acc-normal" and message["created_at"] >= after:
                kept += message["status"] == "suppressed"
                sent += message["status"] in ("sent", "delivered")
        self.say(f"opt-out of {user}: {kept} later messages were not sent, {sent} were")
        assert (kept > 0, sent) == (True, 0)


@contextlib.asynccontextmanager
async def drill(folder: Path, *, with_kafka: bool) -> AsyncIterator[Drill]:
    """Both regions with everything running, and the set-up written; accepted events wait in a Kafka of each region, or in the
    database."""
    home = home_for("region-kafka")
    nodes = {}
    texts = TextGateway()
    async with contextlib.AsyncExitStack() as ends:
        ends.callback(shutil.rmtree, home, ignore_errors=True)
        for name in NAMES if with_kafka else ():
            (home / name).mkdir()
            nodes[name] = KafkaNode(home / name)
            ends.callback(nodes[name].kill)
            await asyncio.to_thread(nodes[name].start)
        cells = {
            name: await ends.enter_async_context(
                cell(
                    name,
                    folder / name,
                    lease_s=LEASE_S,
                    brokers={at: node.broker(f"{name}-in-{at}") for at, node in nodes.items()},
                )
            )
            for name in NAMES
        }
        gateway = await ends.enter_async_context(scripted_server(otherwise=texts.answer))
        one = Drill(cells, nodes, texts)
        await one.set_up(gateway.url)
        for name, its in cells.items():
            await its.mirrored(name)
        yield one


__all__ = ["Drill", "Refused", "drill"]

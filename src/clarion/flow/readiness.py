"""Whether the parts of this process work: each loop, queue, store and integration by name.

A part that fails keeps the process from being ready. A warning asks for a person and does not: what others can take
over, and what only some messages wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from clarion.errors import Unavailable
from clarion.flow.coverage import Coverage
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.lanes import LaneQueue, Queues
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.loops import Loops
from clarion.model.channel import Lane
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock
from clarion.rules.cluster import uncovered

log = structlog.get_logger(__name__)

OK = "ok"
EVERY_S = 5.0
ASK_S = 2.0
"""A store or a broker that takes longer to answer does not keep others from being looked at."""
STUCK_S = 60.0
"""A queue from which nothing was taken for so long, although something waits in it, does not work."""


class Readiness:
    """Looks every few seconds, tells the log what changed, and answers at any time."""

    def __init__(
        self,
        ledger: Ledger,
        loops: Loops,
        queues: Queues,
        integrations: Integrations,
        coverage: Coverage,
        lease: WorkerLease,
        broker: Broker | None,
        clock: Clock,
    ) -> None:
        """`broker`: a server of its own, if there is one."""
        self._ledger = ledger
        self._loops = loops
        self._queues = queues
        self._integrations = integrations
        self._coverage = coverage
        self._lease = lease
        self._broker = broker
        self._clock = clock
        self._moved: dict[LaneQueue, tuple[int, float]] = {}
        """How many were taken from a queue, and since when it is so."""
        self._told: dict[str, str] = {}
        self._set_aside = 0
        self._broker_away = ""
        self._others: dict[str, Callable[[], str]] = {}
        if broker is not None:
            self.watch("broker", lambda: self._broker_away)

    def watch(self, part: str, trouble: Callable[[], str]) -> None:
        """Look at this part too. `trouble()` says what a person should do about it, or nothing when it works."""
        self._others[part] = trouble

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.check()
            await self._clock.sleep(EVERY_S)

    async def check(self) -> None:
        """Note which queues move and whether the broker answers, and log what is different now."""
        if self._broker is not None:
            self._broker_away = await self._trouble_of(self._broker)
        now_s = self._clock.monotonic()
        for queue in self._queues:
            known = self._moved.get(queue)
            if known is None or known[0] != queue.taken or not queue.waiting:
                self._moved[queue] = queue.taken, now_s
        warned = await self.warnings()
        parts = await self._parts(warned)
        trouble = {name: state for name, state in parts.items() if state != OK} | warned
        for name in sorted(trouble.keys() - self._told.keys()):
            log.warning("part_in_trouble", part=name, state=trouble[name])
        for name in sorted(self._told.keys() - trouble.keys()):
            log.info("part_recovered", part=name)
        self._told = trouble

    async def parts(self) -> dict[str, str]:
        """Part to `ok`, or what keeps it from working. What is among the warnings is not listed here."""
        return await self._parts(await self.warnings())

    async def _parts(self, warned: Mapping[str, str]) -> dict[str, str]:
        parts = {"store": await self._ledger.health()}
        parts.update((f"loop {name}", state) for name, state in self._loops.states().items())
        parts.update((_name(queue), self._state(queue)) for queue in self._queues)
        parts.update((f"integration {name}", OK) for name in self._integrations.troubles())
        parts.update((part, OK) for part in self._others)
        return {name: state for name, state in parts.items() if name not in warned}

    async def warnings(self) -> dict[str, str]:
        """Part to what a person should look at."""
        found = {
            f"integration {name}": trouble
            for name, trouble in self._integrations.troubles().items()
            if trouble
        }
        found |= {
            _name(queue): _FULL for queue in self._queues if queue.claimable <= 0 and self._state(queue) == OK
        }
        found |= {part: said for part, trouble in self._others.items() if (said := trouble())}
        for tenant in self._ledger.setup.tenants.all():
            if lacking := self._coverage.missing(tenant):
                channels = sorted({channel for each in lacking.values() for channel in each})
                found[f"tenant {tenant}"] = (
                    f"no integration serves {', '.join(channels)}, which {len(lacking)} workflows use: "
                    "`clarion check` names them"
                )
        if self._lease.workers:
            found |= uncovered(self._lease.workers)
        if waiting := await self.set_aside_waiting():
            found["planning"] = f"{waiting:,} events could not be planned: see `clarion dead-letters events`"
        return found

    async def _trouble_of(self, broker: Broker) -> str:
        """Why it cannot be used; nothing when it answers."""
        try:
            async with self._clock.timeout(ASK_S):
                await broker.backlog(Lane.CRITICAL)
        except Unavailable as away:
            why = away.detail
        except TimeoutError:
            why = f"it does not answer within {ASK_S:.0f} s"
        else:
            return ""
        return f"no event is accepted or planned until it is back: {why}"

    async def set_aside_waiting(self) -> int:
        """How many events wait for a person, as of the last time the store could be asked."""
        with suppress(Unavailable, TimeoutError):  # which the store's own part tells
            async with self._clock.timeout(ASK_S):
                self._set_aside = await self._ledger.set_aside.waiting()
        return self._set_aside

    async def stats(self) -> Mapping[str, float]:
        """`part.<name>`: 0 works, 1 warning, 2 fails."""
        warned = await self.warnings()
        parts = await self._parts(warned)
        states = {f"part.{name}": 0.0 if state == OK else 2.0 for name, state in parts.items()}
        return states | {f"part.{name}": 1.0 for name in warned}

    def _state(self, queue: LaneQueue) -> str:
        taken, since_s = self._moved.get(queue, (queue.taken, self._clock.monotonic()))
        stuck_s = self._clock.monotonic() - since_s
        if not queue.waiting or taken != queue.taken or stuck_s < STUCK_S:
            return OK
        return f"{queue.waiting} messages wait, and none was taken for {stuck_s:.0f} s"


_FULL = "it is full: further messages wait in the store until others are sent"


def _name(queue: LaneQueue) -> str:
    return f"queue {queue.lane}/{queue.channel}"

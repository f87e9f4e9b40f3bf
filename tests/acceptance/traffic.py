"""Callers that never give up: they send, repeat, reconnect after every crash, and write down each answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from bench.wire import Answer, Connection, connect, request
from tests.acceptance.history import History, Submission
from tests.acceptance.setup_data import USERS, WORKFLOWS, event_type

BATCH = 6
AGAIN = 0.15
"""Share of requests that repeat an earlier one, answered or not."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent any number of times, and the events it carries."""

    raw: bytes
    submissions: tuple[Submission, ...]

    @property
    def answered(self) -> bool:
        """Whether every event in it was accepted at least once."""
        return all(s.accepted for s in self.submissions)


class Traffic:
    """Load from `callers` connections until `stopping`; of several ports each caller takes the next when one does not
    answer, as behind a proxy."""

    def __init__(
        self,
        port: int | Sequence[int],
        key: str,
        history: History,
        seed: int,
        *,
        callers: int = 6,
        workflows: Sequence[str] = tuple(WORKFLOWS),
        pause_s: float = 0.01,
    ) -> None:
        self.history = history
        self.stopping = False
        self._ports = cycle([port] if isinstance(port, int) else port)
        self._key = key
        self._callers, self._workflows, self._pause_s = callers, tuple(workflows), pause_s
        self._users = USERS
        self._seed = seed
        self._dice = random.Random(seed)
        self._requests: list[Request] = []

    def only(self, users: Sequence[str]) -> None:
        """Send to these users only."""
        self._users = tuple(users)

    async def run(self) -> None:
        """Send until `stopping`."""
        await asyncio.gather(*(self._caller() for _ in range(self._callers)))

    async def settle_unanswered(self, within: float = 60) -> None:
        """Repeat what never got an answer until it gets one: then every event is known."""
        until = time.perf_counter() + within
        for again in [r for r in self._requests if not r.answered]:
            while not again.answered:
                assert time.perf_counter() < until, f"still not accepted: {dict(self.history.answers)}"
                with contextlib.suppress(ConnectionRefusedError):
                    connection = await connect(next(self._ports))
                    await self._send(connection, again)
                    connection.close()

    async def _caller(self) -> None:
        connection: Connection | None = None
        while not self.stopping:
            if connection is None or not connection.open:
                try:
                    connection = await connect(next(self._ports))
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
            if not await self._send(connection, self._next()):
                await asyncio.sleep(0.05)
            await asyncio.sleep(self._dice.uniform(0, 2 * self._pause_s))
        if connection is not None:
            connection.close()

    def _next(self) -> Request:
        if self._requests and self._dice.random() < AGAIN:
            return self._dice.choice(self._requests[-200:])
        fresh = self._batch() if self._dice.random() < 0.2 else self._trigger()
        self._requests.append(fresh)
        self.history.submissions.update((s.key, s) for s in fresh.submissions)
        return fresh

    def _submission(self, users: tuple[str, ...]) -> Submission:
        workflow = self._dice.choice(self._workflows)
        key = f"{self._seed}-{len(self._requests)}-{self._dice.getrandbits(40):x}"
        return Submission(key=key, workflow=workflow, users=users, channels=WORKFLOWS[workflow][1])

    def _trigger(self) -> Request:
        s = self._submission(tuple(self._dice.sample(self._users, self._dice.randint(1, 3))))
        body = json.dumps({"recipients": s.users, "data": {"n": s.key}}).encode()
        path = f"/v1/workflows/{s.workflow}/trigger"
        return Request(
            request("POST", path, body, key=self._key, headers={"idempotency-key": f'"{s.key}"'}), (s,)
        )

    def _batch(self) -> Request:
        submissions = tuple(self._submission((self._dice.choice(self._users),)) for _ in range(BATCH))
        body = "\n".join(json.dumps(_cloudevent(s)) for s in submissions).encode()
        headers = {"content-type": "application/x-ndjson"}
        return Request(request("POST", "/v1/events", body, key=self._key, headers=headers), submissions)

    async def _send(self, connection: Connection, sent: Request) -> bool:
        """Whether it was accepted."""
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        connection.send(sent.raw, answered.set_result)
        answer = await answered
        self.history.answers[answer.status if answer else 0] += 1
        if answer is None or answer.status != 202:
            return False
        for submission, event_id in zip(sent.submissions, event_ids(answer), strict=True):
            if event_id:
                submission.event_ids.append(event_id)
        return True


def _cloudevent(s: Submission) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": s.key,
        "source": "/acceptance",
        "type": event_type(s.workflow),
        "subject": s.users[0],
        "data": {"n": s.key},
    }


def event_ids(answer: Answer) -> list[str | None]:
    """The event a 202 gave each event of the request; None where that one was refused."""
    body = answer.json()
    return [result.get("event_id") for result in body.get("items", [body])]

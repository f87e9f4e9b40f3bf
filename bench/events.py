"""The events of a measurement: numbered, spread over users, built into requests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count, cycle

from bench.tenant import event_type, user_id
from bench.wire import request

LINE = (
    '{{"specversion":"1.0","id":"{run}-{n}","source":"/bench","type":"{type}","subject":"{user}",'
    '"data":{{"n":{n},"place":"Lisbon","order":{{"id":"A-{n}","total":"129.90","currency":"EUR",'
    '"items":[{{"sku":"SKU-1","qty":2}},{{"sku":"SKU-2","qty":1}}]}}}}}}'
)
"""About 300 bytes, as a shop would send it."""


def half_connected(sockets: int) -> list[int]:
    """Users 0 to `sockets` (connected) and as many others, in turn: even numbers go to a connected user."""
    connected, others = list(range(sockets)), list(range(sockets, 2 * sockets))
    random.Random(7).shuffle(connected)
    random.Random(8).shuffle(others)
    return [user for pair in zip(connected, others, strict=True) for user in pair]


class Events:
    """Requests with events for the given users in turn; `n` numbers the events of a whole run."""

    def __init__(self, key: str, users: Sequence[int], run: str) -> None:
        self._users = cycle([user_id(i) for i in users])
        self._key, self._run = key, run
        self._numbers = count()

    def trigger(self, workflow: str) -> tuple[int, bytes]:
        """One event for one user: its number, and the request."""
        n = next(self._numbers)
        body = f'{{"recipients":["{next(self._users)}"],"data":{{"n":{n},"place":"Lisbon"}}}}'
        return n, request("POST", f"/v1/workflows/{workflow}/trigger", body.encode(), key=self._key)

    def batch(self, workflow: str, size: int) -> tuple[range, bytes]:
        """`size` events for as many users: their numbers, and the request (NDJSON)."""
        numbers = [next(self._numbers) for _ in range(size)]
        lines = "\n".join(
            LINE.format(run=self._run, n=n, type=event_type(workflow), user=next(self._users))
            for n in numbers
        )
        headers = {"content-type": "application/x-ndjson"}
        raw = request("POST", "/v1/events", lines.encode(), key=self._key, headers=headers)
        return range(numbers[0], numbers[-1] + 1), raw

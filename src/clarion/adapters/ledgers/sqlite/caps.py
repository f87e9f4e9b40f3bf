"""Frequency caps, counted exactly: a message that goes says since when it counts, and a cap counts the messages
inside its window in the transaction that adds the next one. What was counted lately is kept in memory.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from functools import lru_cache

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.packing import encoded
from clarion.adapters.ledgers.sqlite.routes import Route, Routes
from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.message import Verdict
from clarion.model.plan import CapCharge
from clarion.model.status import Reason

COUNTS_KEPT = 50_000
USES_KEPT = 1_000_000
"""Eight bytes each."""

Key = tuple[UserNo, str, Channel | None]
"""What is counted together: the messages of a user, of one category or all, on one channel or all."""


class _Count:
    """When the messages of one key began to count, sorted; complete after `since`."""

    __slots__ = ("since", "uses")

    def __init__(self, since: int) -> None:
        self.since = since
        self.uses = array("q")


class Caps:
    """Lives as long as the writer, in its thread."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._counts: dict[Key, _Count] = {}
        self._uses = 0

    def forget(self) -> None:
        """The transaction was rolled back, and what it counted with it."""
        self._counts.clear()
        self._uses = 0

    def load(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> None:
        """Before these are judged."""
        if len(self._counts) > COUNTS_KEPT or self._uses > USES_KEPT:
            self.forget()
        counts = self._counts
        missing: dict[Key, _Count] = {}
        for charge in charges:
            key, since = _key(charge), _since(charge)
            known = missing.get(key) or counts.get(key)
            if known is None or known.since > since:
                missing[key] = _Count(since)
        if missing:
            self._read(connection, missing)

    def judge(self, charges: Sequence[CapCharge]) -> tuple[bool, list[Verdict]]:
        """Whether one message stays below all its caps, and the verdicts. Counted only when it does.

        A message is judged once in its life (a replay is known before it comes here), so no use is its own. What
        is over a cap is not counted, so a count never exceeds its limit by more than what was lowered since.
        """
        allowed, verdicts = True, []
        for charge in charges:
            uses = self._counts[_key(charge)].uses
            used = len(uses) - bisect_right(uses, _since(charge))
            allowed = allowed and used < charge.limit
            verdicts.append(_verdict(charge.scope, charge.limit, charge.window_s, used))
        if allowed:
            for key, at in {_key(charge): charge.at for charge in charges}.items():
                insort(self._counts[key].uses, at)
            self._uses += len(charges)
        return allowed, verdicts

    def _read(self, connection: sqlite3.Connection, missing: dict[Key, _Count]) -> None:
        users = list({user for user, _, _ in missing})
        oldest = min(count.since for count in missing.values())
        found: dict[UserNo, list[tuple[Route, int]]] = {}
        for user, route, at in rows(connection, sql.CAPS_USES, (encoded(users), oldest)):
            found.setdefault(user, []).append((self._routes[route], at))
        for key, count in missing.items():
            user, category, channel = key
            count.uses.extend(
                sorted(
                    at
                    for route, at in found.get(user, ())
                    if (not category or route.category == category)
                    and (channel is None or route.channel is channel)
                )
            )
            self._uses += len(count.uses)
        self._counts |= missing


@lru_cache(maxsize=4_096)
def _verdict(scope: str, limit: int, window_s: int, count: int) -> Verdict:
    over = count >= limit
    return Verdict(
        rule="frequency_cap",
        result="stop" if over else "allow",
        reason=Reason.FREQUENCY_CAP.value if over else "below_cap",
        inputs={"scope": scope, "limit": limit, "window_s": window_s, "count": count},
    )


def _key(charge: CapCharge) -> Key:
    return charge.user, charge.category, charge.channel


def _since(charge: CapCharge) -> Instant:
    return Instant(charge.at - charge.window_s * 1000)


def by_message(charges: Iterable[CapCharge]) -> dict[MessageId, list[CapCharge]]:
    """The charges of each message, in order."""
    found: dict[MessageId, list[CapCharge]] = {}
    for charge in charges:
        found.setdefault(charge.message_id, []).append(charge)
    return found

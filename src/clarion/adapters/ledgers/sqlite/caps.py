"""Frequency caps, counted exactly: what was sent counts when it was sent, what is on its way counts in every window,
and a cap counts both in the transaction that lets the next one go. What was counted lately is kept in memory.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.packing import encoded, keys
from clarion.adapters.ledgers.sqlite.routes import Route, Routes
from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.message import Verdict
from clarion.model.plan import CapCharge
from clarion.model.status import SUCCEEDED, Reason
from clarion.ports.ledger import Settlement

COUNTS_KEPT = 50_000
USES_KEPT = 1_000_000
"""Eight bytes each."""

ON_ITS_WAY = Instant(2**62)
"""When a message counts of which nobody knows yet when it will have been sent: in every window."""


class Counted(NamedTuple):
    """What caps look at in a message."""

    user: UserNo
    category: str
    channel: Channel


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

    def judge(self, message: Counted, charges: Sequence[CapCharge]) -> tuple[bool, list[Verdict]]:
        """Whether a message stays below all its caps, and the verdicts. On its way from now on only when it does."""
        allowed, verdicts = True, []
        for charge in charges:
            uses = self._counts[_key(charge)].uses
            used = len(uses) - bisect_right(uses, _since(charge))
            allowed = allowed and used < charge.limit
            verdicts.append(_verdict(charge.scope, charge.limit, charge.window_s, used))
        if allowed:
            self.move(message, None, ON_ITS_WAY)
        return allowed, verdicts

    def move(self, message: Counted, old: Instant | None, new: Instant | None) -> None:
        """The message counted at `old` and counts at `new`; None: not at all."""
        user, category, channel = message
        for key in ((user, "", None), (user, "", channel), (user, category, None), (user, category, channel)):
            count = self._counts.get(key)
            if count is None:
                continue
            uses = count.uses
            if old is not None and (at := bisect_left(uses, old)) < len(uses) and uses[at] == old:
                del uses[at]
                self._uses -= 1
            if new is not None:
                insort(uses, new)
                self._uses += 1

    def settle(self, connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
        """What was on its way was sent, or waits, or ended without having been sent."""
        ids: list[bytes] = []
        moved: list[tuple[Instant | None]] = []
        for s in settlements:
            m = s.message
            if m.charged:
                at = s.at if went_out(s) else None
                ids.append(m.id)
                moved.append((at,))
                self.move(Counted(m.user, m.category, m.channel), ON_ITS_WAY, at)
        if ids:
            connection.execute(sql.COUNTED, (encoded(moved), b"".join(ids), 0))

    def forget_messages(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> None:
        """These count no more, whenever they did."""
        some = keys(ids)
        counted = rows(connection, sql.COUNTED_FIND, some)
        for _, user, route, at in counted:
            self.move(self._counted(user, route), at, None)
        if counted:
            gone = [bytes.fromhex(row[0]) for row in counted]
            connection.execute(sql.COUNTED, (encoded([(None,)] * len(gone)), b"".join(gone), 0))

    def charge(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        """Messages that waited go on now, if they may; those that are over a cap."""
        of_message = by_message(charges)
        self.load(connection, charges)
        going: list[bytes] = []
        over: set[MessageId] = set()
        for id_, user, route, before in rows(connection, sql.CHARGEABLE, keys(of_message)):
            message, number = self._counted(user, route), MessageId(bytes.fromhex(id_))
            self.move(message, before, None)  # It may have been sent before: it counts once.
            if self.judge(message, of_message[number])[0]:
                going.append(number)
            else:
                self.move(message, None, before)
                over.add(number)
        if going:
            connection.execute(sql.COUNTED, (encoded([(ON_ITS_WAY,)] * len(going)), b"".join(going), 1))
        return frozenset(over)

    def _counted(self, user: UserNo, route: int) -> Counted:
        found = self._routes[route]
        return Counted(user, found.category, found.channel)

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


def went_out(settlement: Settlement) -> bool:
    """Whether its person may have got it."""
    return settlement.status in SUCCEEDED or settlement.outcome == "unknown"

"""Reads and stores the counts of frequency caps; recent counts are cached (`rules.exact.Counts`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from clarion.adapters.ledgers.sqlite import check_statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.inbox import InboxItem
from clarion.model.plan import CapCharge
from clarion.model.settlement import Settlement
from clarion.rules.exact import ON_ITS_WAY, Counted, Counts, Waiting, counts_from, recount


class Caps:
    """Lives as long as the writer, in its thread: nobody else changes what counts."""

    def __init__(self, routes: SqliteMessageKinds, recent: RecentMessages) -> None:
        self._routes = routes
        self._recent = recent
        self.counts = Counts()

    def forget(self) -> None:
        """The transaction was rolled back, and what it counted with it."""
        self.counts.forget()

    def load(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> None:
        """Before these are judged."""
        missing = self.counts.missing(charges)
        if missing is not None:
            wanted = (encoded(list(missing.users)), missing.since)
            recent = self._recent.of(connection, missing.users)
            found = rows(connection, sql.CAPS_USES, (*wanted, *recent))
            self.counts.learn(missing, [(self.counted(user, route), at) for user, route, at in found])

    def settle(
        self, connection: sqlite3.Connection, settlements: Iterable[Settlement], *, stored: bool = False
    ) -> None:
        """What was on its way was sent, or waits, or ended without having been sent. `stored`: their rows say so."""
        ids: list[bytes] = []
        moved: list[tuple[Instant | None]] = []
        for s in settlements:
            m = s.message
            if m.charged:
                at = counts_from(s.status, s.outcome, s.at)
                self.counts.move(Counted(m.user, m.category, m.channel), ON_ITS_WAY, at)
                if (
                    not stored and type(s.record) is not InboxItem
                ):  # Those are stored with it, see `SqliteInboxes.add`.
                    ids.append(m.id)
                    moved.append((at,))
        if ids:
            _count(connection, ids, moved)

    def forget_messages(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> None:
        """These count no more, whenever they did."""
        counted = rows(connection, sql.COUNTED_FIND, keys(ids))
        for _, user, route, at in counted:
            self.counts.move(self.counted(user, route), at, None)
        if counted:
            self.uncounted(connection, [bytes.fromhex(row[0]) for row in counted])

    def uncounted(self, connection: sqlite3.Connection, ids: Collection[bytes]) -> None:
        """The rows of these say so too: they were taken out of the counts."""
        connection.execute(sql.CHARGED, (*keys(ids), 0))
        _count(connection, ids, [(None,)] * len(ids))

    def charge(self, connection: sqlite3.Connection, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        """Messages that waited go on now, if they may; those that are over a cap."""
        self.load(connection, charges)
        found = rows(connection, sql.CHARGEABLE, keys(dict.fromkeys(c.message_id for c in charges)))
        waiting = [
            Waiting(MessageId(bytes.fromhex(message)), self.counted(user, route), at)
            for message, user, route, at in found
        ]
        going, over = recount(self.counts, waiting, charges)
        if going:
            connection.execute(sql.CHARGED, (*keys(going), 1))
            _count(connection, going, [(ON_ITS_WAY,)] * len(going))
        return over

    def counted(self, user: UserNo, route: int) -> Counted:
        """What caps look at in a message of this user and route."""
        found = self._routes[route]
        return Counted(user, found.category, found.channel)


def _count(
    connection: sqlite3.Connection, ids: Collection[bytes], times: Sequence[tuple[Instant | None]]
) -> None:
    """Messages count from these times on."""
    for statement in sql.COUNTED:
        connection.execute(statement, (encoded(times), b"".join(ids)))

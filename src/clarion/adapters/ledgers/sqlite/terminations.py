"""Stops messages before they are sent, and releases the messages that waited for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.ledgers.sqlite import message_statements as sql
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.files import changed, one, rows
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.model.ids import Instant, MessageId
from clarion.model.message import Change
from clarion.model.status import Reason, Status

NOT_STARTED = (Status.QUEUED, Status.DEFERRED)


class Terminations:
    """Used by every writer of messages, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, caps: Caps) -> None:
        self._caps = caps
        self.anyone_waits = one(connection, sql.ANYONE_WAITS) is not None
        """Whether a message may be waiting for its turn; most installations never have one."""

    def stop(
        self,
        connection: sqlite3.Connection,
        ids: Iterable[MessageId],
        status: Status,
        reason: Reason,
        at: Instant,
        *,
        only: Sequence[Status] = NOT_STARTED,
    ) -> list[bytes]:
        """End those of `ids` that are still `only`, with a change each; whoever holds one will be refused."""
        codes = encoded([CODES[old] for old in only])
        found = rows(connection, sql.STOPPABLE, (*keys(ids), codes, CODES[status]))
        stopped = [bytes.fromhex(row[0]) for row in found]
        if stopped:
            moves = [
                Change(message_id=MessageId(one), tenant=tenant, at=at, status=status, reason=reason)
                for one, (_, tenant, _) in zip(stopped, found, strict=True)
            ]
            positions = journal.add(connection, moves, [before for *_, before in found])
            moved = encoded([(position,) for position in positions]), b"".join(stopped)
            while self.anyone_waits and changed(connection, sql.GIVE_WAY, keys(stopped)):
                pass
            connection.execute(sql.STOP, (*moved, CODES[status], reason.value, at))
            if Status.QUEUED in only:  # What is deferred is not counted.
                self.uncounted(connection, stopped)
            self.release(connection, stopped, at)
        return stopped

    def uncounted(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> None:
        """Caps count these no more."""
        self._caps.forget_messages(connection, ids)

    def release(self, connection: sqlite3.Connection, finished: Iterable[bytes], at: Instant) -> None:
        """Whoever waits for one of these has its turn now."""
        if self.anyone_waits:
            connection.execute(sql.RELEASE, (*keys(finished), at))

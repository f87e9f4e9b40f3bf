"""Stores what settlements cause beside the new status: records, counts, next ladder steps, next messages of a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from clarion.adapters.ledgers.sqlite import (
    capture_statements,
    deliveries,
    devices,
    message_statements,
    spending,
)
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.inboxes import SqliteInboxes
from clarion.adapters.ledgers.sqlite.row_encoding import BlobTail, encoded, keys
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.model.ids import Instant
from clarion.model.inbox import Captured, InboxChange
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.status import ACTIVE, Reason, Status


class SettlementEffects:
    """Used by every writer of settlements, inside its transaction, when the messages are stored."""

    def __init__(self, caps: Caps, terminations: Terminations, inboxes: SqliteInboxes) -> None:
        self._caps = caps
        self._terminations = terminations
        self._inboxes = inboxes

    def store(
        self,
        connection: sqlite3.Connection,
        batches: Sequence[Sequence[Settlement]],
        *,
        route: Callable[[Message], int] | None = None,
    ) -> list[tuple[InboxChange, ...]]:
        """Everything but suppressions; per batch what to fan out. `route`: the messages are new, and those that become
        inbox items have no row in `user_messages` yet; the others say there already when they count."""
        settlements = [s for batch in batches for s in batch]
        self._caps.settle(connection, settlements, stored=route is not None)
        spending.give_back(connection, settlements)
        self._store_captures(connection, settlements)
        deliveries.store(connection, settlements)
        devices.refused(connection, settlements)
        changes = self._inboxes.add(connection, batches, route=route)
        self._move_on(connection, settlements)
        return changes

    def _store_captures(self, connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
        kept = [copy for s in settlements for copy in (s.record, *s.copies) if type(copy) is Captured]
        if kept:
            tail = BlobTail([c.message_id for c in kept])
            packed = [(c.user, c.integration, c.at, tail.add(c.sealed), len(c.sealed)) for c in kept]
            connection.execute(capture_statements.CAPTURES_ADD, (encoded(packed), tail.joined()))

    def _move_on(self, connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
        """Rungs and turns that follow from these."""
        now = settlements[-1].at if settlements else Instant(0)
        if advanced := [s.advances for s in settlements if s.advances is not None]:
            connection.execute(message_statements.ADVANCE_RUNGS, (*keys(advanced), now))
        if canceled := [rung for s in settlements for rung in s.cancels]:
            self._terminations.stop(connection, canceled, Status.CANCELED, Reason.LADDER_SATISFIED, now)
        if self._terminations.anyone_waits:
            finished = [s.message.id for s in settlements if s.status not in ACTIVE]
            self._terminations.release(connection, finished, now)

"""Stores what settlements cause beside the new status: records, counts, next ladder steps, next messages of a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from clarion.adapters.ledgers.postgresql import captures, checks, deliveries, devices, spending
from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.adapters.ledgers.postgresql.inboxes import PostgresInboxes
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.model.ids import Instant
from clarion.model.inbox import InboxChange, InboxItem
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import counts_from


class PostgresSettlementEffects:
    """Used by every writer of settlements, inside its transaction, when the messages are stored."""

    def __init__(self, terminations: PostgresTerminations, inboxes: PostgresInboxes) -> None:
        self._terminations = terminations
        self._inboxes = inboxes

    async def store(
        self,
        connection: Connection,
        batches: Sequence[Sequence[Settlement]],
        *,
        threaded: Collection[bytes] = (),
        route: Callable[[Message], int] | None = None,
    ) -> list[tuple[InboxChange, ...]]:
        """Everything but suppressions; per batch what to fan out. `threaded`: others may wait for these. `route`: the messages
        are new, and those that become inbox items have no row in `user_messages` yet; the others say there already when they
        count."""
        settlements = [s for batch in batches for s in batch]
        if route is None:
            await self._count(connection, settlements)
        await spending.give_back(connection, settlements)
        await captures.store(connection, settlements)
        await deliveries.store(connection, settlements)
        await devices.refused(connection, settlements)
        changes = await self._inboxes.add(connection, batches, route=route)
        await self._move_on(connection, settlements, threaded)
        return changes

    async def _count(self, connection: Connection, settlements: Sequence[Settlement]) -> None:
        """What was on its way was sent, or waits, or ended without having been sent."""
        moved = [
            (s.message.user, s.message.id, counts_from(s.status, s.outcome, s.at))
            for s in settlements
            if s.message.charged and type(s.record) is not InboxItem  # Those are stored with it.
        ]
        if moved:
            await connection.execute(checks.COUNTED, *zip(*moved, strict=True))

    async def _move_on(
        self, connection: Connection, settlements: Sequence[Settlement], threaded: Collection[bytes]
    ) -> None:
        """Rungs and turns that follow from these."""
        now = settlements[-1].at if settlements else Instant(0)
        if advanced := [s.advances for s in settlements if s.advances is not None]:
            await self._terminations.advance(connection, advanced, now)
        if canceled := [rung for s in settlements for rung in s.cancels]:
            await self._terminations.stop(connection, canceled, Status.CANCELED, Reason.LADDER_SATISFIED, now)
        if threaded:
            finished = [
                s.message.id for s in settlements if s.status not in ACTIVE and s.message.id in threaded
            ]
            await self._terminations.release(connection, finished, now)

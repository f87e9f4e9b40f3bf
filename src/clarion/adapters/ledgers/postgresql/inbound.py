"""What people wrote to us, and the automatic replies to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.inbound_rows import FIELDS, received_of, values_of
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.locks import SENDER, lock, of_hash
from clarion.adapters.ledgers.postgresql.suppressions import PostgresSuppressions
from clarion.model.ids import Instant, TenantId
from clarion.model.inbound import (
    FOR_A_PERSON,
    REPLY_WITHIN_MS,
    InboundFilter,
    InboundStored,
    InboundVerdict,
    ReceivedMessage,
    ReplyStatus,
)
from clarion.rules.exact import lifted_by, needs_reply, suppression_of

NEWEST = 2**62

_COLUMNS = ", ".join(f'"{name}"' for name in FIELDS)
_NEW = ", ".join(f'"{name}"' for name in FIELDS[1:])
_VALUES = ", ".join(f"${place}" for place in range(1, len(FIELDS)))
_THIS = "tenant = $1 AND seq = $2"

ADD = f"INSERT INTO inbound ({_NEW}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
KNOWN = f"SELECT {_COLUMNS} FROM inbound WHERE tenant = $1 AND digest = $2"
GET = f"SELECT {_COLUMNS} FROM inbound WHERE {_THIS}"
REPLIED = """
    SELECT max(at) FROM inbound
    WHERE tenant = $1 AND sender = $2 AND verdict = $3 AND reply IS NOT NULL AND seq <> $4
"""
NO_REPLY = f"UPDATE inbound SET reply = NULL, reply_due_at = NULL WHERE {_THIS}"
REVIEW = f"UPDATE inbound SET verdict = $3, reviewed_at = $4 WHERE {_THIS} RETURNING {_COLUMNS}"
DUE = f"""
    SELECT {_COLUMNS} FROM inbound WHERE reply_due_at IS NOT NULL AND reply_due_at <= $1
    ORDER BY reply_due_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
REPLY = f"UPDATE inbound SET reply = $3, reply_due_at = $4 WHERE {_THIS}"
_MATCHING = """
    tenant = $1 AND seq < $2 AND ($3::text[] = '{}' OR channel = ANY($3)) AND ($4::text[] = '{}' OR verdict = ANY($4))
    AND ($5::bool IS NULL OR (verdict = ANY($6::text[]) AND reviewed_at IS NULL) = $5) AND at >= $7 AND at < $8
"""
PAGE = f"SELECT {_COLUMNS} FROM inbound WHERE {_MATCHING} ORDER BY seq DESC LIMIT $9"
PAGE_OF_USER = f'SELECT {_COLUMNS} FROM inbound WHERE {_MATCHING} AND "user" = $10 ORDER BY seq DESC LIMIT $9'


class PostgresInbound:
    """Implements `ports.ledger.InboundStore`."""

    def __init__(self, database: Database, suppressions: PostgresSuppressions) -> None:
        self._database = database
        self._suppressions = suppressions

    async def take(self, messages: Sequence[ReceivedMessage]) -> Sequence[InboundStored]:
        async def take(connection: Any) -> list[InboundStored]:
            await lock(connection, SENDER, (of_hash(one.sender) for one in messages))
            return [await self._take(connection, one) for one in messages]

        return await self._database.write(take)

    async def get(self, tenant: TenantId, seq: int) -> ReceivedMessage | None:
        row = await self._database.row(GET, tenant, seq)
        return None if row is None else received_of(row)

    async def page(
        self, tenant: TenantId, where: InboundFilter, before: int | None, limit: int
    ) -> Sequence[ReceivedMessage]:
        values = (
            tenant,
            NEWEST if before is None else before,
            [channel.value for channel in where.channels],
            [verdict.value for verdict in where.verdicts],
            where.needs_review,
            [verdict.value for verdict in FOR_A_PERSON],
            where.since or 0,
            NEWEST if where.before is None else where.before,
            limit,
        )
        if where.user is None:
            found = await self._database.lists.rows(PAGE, *values)
        else:
            found = await self._database.lists.rows(PAGE_OF_USER, *values, where.user)
        return [received_of(row) for row in found]

    async def review(
        self, tenant: TenantId, seq: int, verdict: InboundVerdict, at: Instant
    ) -> ReceivedMessage | None:
        async def review(connection: Any) -> ReceivedMessage | None:
            row = await connection.fetchrow(REVIEW, tenant, seq, verdict.value, at)
            if row is None:
                return None
            reviewed = received_of(row)
            await self._carry_out(connection, reviewed)
            return reviewed

        return await self._database.write(review)

    async def claim_replies(self, now: Instant, limit: int) -> Sequence[ReceivedMessage]:
        async def claim(connection: Any) -> list[ReceivedMessage]:
            claimed = []
            for one in map(received_of, await connection.fetch(DUE, now, limit)):
                late = one.at + REPLY_WITHIN_MS <= now
                status = ReplyStatus.FAILED if late else ReplyStatus.SENDING
                await connection.execute(REPLY, one.tenant, one.seq, status.value, None)
                if not late:
                    claimed.append(replace(one, reply=status, reply_due_at=None))
            return claimed

        return await self._database.write(claim)

    async def end_reply(
        self, tenant: TenantId, seq: int, status: ReplyStatus, due_at: Instant | None = None
    ) -> None:
        values = (tenant, seq, status.value, due_at)
        await self._database.write(lambda connection: connection.execute(REPLY, *values))

    # -- in a transaction -------------------------------------------------------------------------------------

    async def _take(self, connection: Any, message: ReceivedMessage) -> InboundStored:
        row = await connection.fetchrow(ADD, *values_of(message))
        if row is None:
            known = await connection.fetchrow(KNOWN, message.tenant, message.digest)
            return InboundStored(inbound=received_of(known), new=False)
        stored = received_of(row)
        changed = await self._carry_out(connection, stored)
        who = (stored.tenant, stored.sender, stored.verdict.value)
        replied_at = await connection.fetchval(REPLIED, *who, stored.seq)
        if stored.reply is not None and not needs_reply(stored, changed=changed, replied_at=replied_at):
            await connection.execute(NO_REPLY, stored.tenant, stored.seq)
            stored = replace(stored, reply=None, reply_due_at=None)
        return InboundStored(inbound=stored, new=True)

    async def _carry_out(self, connection: Any, message: ReceivedMessage) -> bool:
        """Whether its sender was suppressed by it, or no longer is."""
        before = await self._suppressions.of(connection, message.tenant, message.sender)
        suppression = suppression_of(message)
        if suppression is not None:
            await self._suppressions.store(connection, [suppression])
            return before is None
        if before is not None and lifted_by(message, before):
            await self._suppressions.lift(connection, before)
            return True
        return False

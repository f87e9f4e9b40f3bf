"""What people wrote to us, and the automatic replies to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.inbound_rows import FIELDS, received_of, values_of
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.suppressions import Owned, SqliteSuppressions
from clarion.adapters.ledgers.sqlite.writer import Writer
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

_NEWEST = 2**62

_columns = schema.inbound.c
_tenant: Any = bindparam("of_tenant")
_mine = _columns.tenant == _tenant
_this = (_mine, _columns.seq == bindparam("of_seq"))
_all = tuple(_columns[name] for name in FIELDS)

ADD = Command(
    insert(schema.inbound)
    .values({name: bindparam(f"new_{name}") for name in FIELDS[1:]})
    .on_conflict_do_nothing()
)
KNOWN = Query(select(*_all).where(_mine, _columns.digest == bindparam("of_digest")))
GET = Query(select(*_all).where(*_this))
REPLIED = Query(
    select(func.max(_columns.at)).where(
        _mine,
        _columns.sender == bindparam("of_sender"),
        _columns.verdict == bindparam("of_verdict"),
        _columns.reply.is_not(None),
        _columns.seq != bindparam("but"),
    )
)
NO_REPLY = Command(update(schema.inbound).where(*_this).values(reply=None, reply_due_at=None))
REVIEW = Command(
    update(schema.inbound)
    .where(*_this)
    .values(verdict=bindparam("new_verdict"), reviewed_at=bindparam("new_reviewed_at"))
)
DUE = Query(
    select(*_all)
    .where(_columns.reply_due_at.is_not(None), _columns.reply_due_at <= bindparam("now"))
    .order_by(_columns.reply_due_at)
    .limit(bindparam("most"))
)
REPLY = Command(
    update(schema.inbound)
    .where(*_this)
    .values(reply=bindparam("new_reply"), reply_due_at=bindparam("new_due_at"))
)


def _among(names: str, column: Any) -> Any:
    """Whether it is one of the names that this parameter lists, see `_listed`."""
    return func.instr(bindparam(names), "," + column + ",") > 0


def _page(*more: Any) -> Query:
    """A page of what matches the filter and these."""
    needs_review: Any = bindparam("needs_review")
    is_open = and_(_among("for_a_person", _columns.verdict), _columns.reviewed_at.is_(None))
    return Query(
        select(*_all)
        .where(
            _mine,
            _columns.seq < bindparam("before"),
            *more,
            or_(bindparam("of_channels") == "", _among("of_channels", _columns.channel)),
            or_(bindparam("of_verdicts") == "", _among("of_verdicts", _columns.verdict)),
            or_(needs_review.is_(None), is_open == needs_review),
            _columns.at >= bindparam("since"),
            _columns.at < bindparam("until"),
        )
        .order_by(_columns.seq.desc())
        .limit(bindparam("most"))
    )


PAGE = _page()
PAGE_OF_USER = _page(_columns.user == bindparam("of_user"))
"""Through the index of users: most have written little, and their tenant much."""


class _Effects(NamedTuple):
    """What changed about suppressions."""

    suppressed: Owned
    lifted: Owned


class SqliteInbound:
    """Implements `ports.ledger.InboundStore`."""

    def __init__(self, writer: Writer, readers: Readers, suppressions: SqliteSuppressions) -> None:
        self._writer = writer
        self._readers = readers
        self._suppressions = suppressions

    async def take(self, messages: Sequence[ReceivedMessage]) -> Sequence[InboundStored]:
        def take(connection: sqlite3.Connection) -> tuple[list[InboundStored], _Effects]:
            effects = _Effects([], [])
            return [self._take(connection, one, effects) for one in messages], effects

        taken, _ = await self._writer.call(take, rows=len(messages), after=lambda done: self._tell(done[1]))
        return taken

    async def get(self, tenant: TenantId, seq: int) -> ReceivedMessage | None:
        found = await self._readers.call(
            lambda connection: GET.rows(connection, of_tenant=tenant, of_seq=seq)
        )
        return next(map(received_of, found), None)

    async def page(
        self, tenant: TenantId, where: InboundFilter, before: int | None, limit: int
    ) -> Sequence[ReceivedMessage]:
        page = PAGE if where.user is None else PAGE_OF_USER
        found = await self._readers.call(
            lambda connection: page.rows(
                connection,
                of_tenant=tenant,
                before=_NEWEST if before is None else before,
                of_user=where.user,
                of_channels=_listed(where.channels),
                of_verdicts=_listed(where.verdicts),
                needs_review=where.needs_review,
                for_a_person=_listed(FOR_A_PERSON),
                since=where.since or 0,
                until=_NEWEST if where.before is None else where.before,
                most=limit,
            )
        )
        return [received_of(row) for row in found]

    async def review(
        self, tenant: TenantId, seq: int, verdict: InboundVerdict, at: Instant
    ) -> ReceivedMessage | None:
        def review(connection: sqlite3.Connection) -> tuple[ReceivedMessage | None, _Effects]:
            effects = _Effects([], [])
            this = {"of_tenant": tenant, "of_seq": seq}
            if not REVIEW(connection, **this, new_verdict=verdict.value, new_reviewed_at=at):
                return None, effects
            (reviewed,) = map(received_of, GET.rows(connection, **this))
            self._carry_out(connection, reviewed, effects)
            return reviewed, effects

        return (await self._writer.call(review, after=lambda done: self._tell(done[1])))[0]

    async def claim_replies(self, now: Instant, limit: int) -> Sequence[ReceivedMessage]:
        def claim(connection: sqlite3.Connection) -> list[ReceivedMessage]:
            claimed = []
            for one in map(received_of, DUE.rows(connection, now=now, most=limit)):
                late = one.at + REPLY_WITHIN_MS <= now
                status = ReplyStatus.FAILED if late else ReplyStatus.SENDING
                _reply(connection, one.tenant, one.seq, status, None)
                if not late:
                    claimed.append(replace(one, reply=status, reply_due_at=None))
            return claimed

        return await self._writer.call(claim)

    async def end_reply(
        self, tenant: TenantId, seq: int, status: ReplyStatus, due_at: Instant | None = None
    ) -> None:
        await self._writer.call(lambda connection: _reply(connection, tenant, seq, status, due_at))

    # -- in the writer's thread -------------------------------------------------------------------------------

    def _take(
        self, connection: sqlite3.Connection, message: ReceivedMessage, effects: _Effects
    ) -> InboundStored:
        values = zip(FIELDS[1:], values_of(message), strict=True)
        new = ADD(connection, **{f"new_{name}": value for name, value in values})
        (stored,) = map(
            received_of, KNOWN.rows(connection, of_tenant=message.tenant, of_digest=message.digest)
        )
        if not new:
            return InboundStored(inbound=stored, new=False)
        changed = self._carry_out(connection, stored, effects)
        ((replied_at,),) = REPLIED.rows(
            connection,
            of_tenant=stored.tenant,
            of_sender=stored.sender,
            of_verdict=stored.verdict.value,
            but=stored.seq,
        )
        if stored.reply is not None and not needs_reply(stored, changed=changed, replied_at=replied_at):
            NO_REPLY(connection, of_tenant=stored.tenant, of_seq=stored.seq)
            stored = replace(stored, reply=None, reply_due_at=None)
        return InboundStored(inbound=stored, new=True)

    def _carry_out(self, connection: sqlite3.Connection, message: ReceivedMessage, effects: _Effects) -> bool:
        """Whether its sender was suppressed by it, or no longer is."""
        before = self._suppressions.of(connection, message.tenant, message.sender)
        suppression = suppression_of(message)
        if suppression is not None:
            effects.suppressed.extend(self._suppressions.store(connection, [suppression]))
            return before is None
        if before is not None and lifted_by(message, before):
            effects.lifted.extend(self._suppressions.lift(connection, before))
            return True
        return False

    def _tell(self, effects: _Effects) -> None:
        self._suppressions.lifted(effects.lifted)
        self._suppressions.stored(effects.suppressed)


def _reply(
    connection: sqlite3.Connection, tenant: TenantId, seq: int, status: ReplyStatus, due_at: Instant | None
) -> None:
    REPLY(connection, of_tenant=tenant, of_seq=seq, new_reply=status.value, new_due_at=due_at)


def _listed(names: frozenset[Any]) -> str:
    """`,a,b,`; empty for none."""
    return f",{','.join(name.value for name in names)}," if names else ""

"""What was planned and what became of it: one row for each batch, packed column by column and compressed.

A batch says nearly the same of each of its messages, so a column that is equal for all of them is written once, numbers
that grow are written as steps, and explanations that are alike are one. A record is named by its position: the number of
its row and its place in it. Each says where the record before it about the same message lies, and the message knows
the newest: its timeline is a walk backwards, over two or three rows as a rule. A row belongs to one tenant.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Any

import msgspec

from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import journal_statements as sql
from clarion.adapters.ledgers.sqlite.row_encoding import ID_BYTES
from clarion.model.channel import LANES, Channel
from clarion.model.ids import EventId, Instant, MessageId, TenantId, run_id
from clarion.model.message import Change, ChannelDecision, Message, Run, Verdict, packed
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status

PLACES = 1 << 16
"""A position is the number of a row times this, and the place in it."""
RECORDS = 1_000
"""Records of a row, so that reading one of them stays cheap."""
WORTH_COMPRESSING = 200

_STATUS = tuple(Status)
_REASON: dict[str | None, Reason | None] = {reason.value: reason for reason in Reason} | {None: None}
_ZLIB = 0x78
"""How a compressed body begins; one that is not begins as a list."""

Column = Any
"""A value per record as a list, or the one value all of them have."""


class _Runs(msgspec.Struct, array_like=True, frozen=True):
    """The explanations of a batch, column by column: of the runs, then of the channels of all of them."""

    events: bytes
    users: Column
    lane: Column
    _: Column
    """Nothing any more: where a log had the events."""
    workflow: Column
    version: Column
    ats: Column
    channels: Column
    """How many each run has."""
    alike: list[bytes]
    """What was said, each once."""
    said: Column
    """Which of `alike` was said of a channel."""
    due_at: Column
    has_message: Column
    messages: bytes | None
    """The ids of the messages, when they are not just those of the records."""


class _Body(msgspec.Struct, array_like=True, frozen=True):
    """A row: columns of as many records as there are ids."""

    ids: bytes
    before: Column
    at: Column
    status: Column
    reason: Column = None
    attempt: Column = 0
    integration: Column = None
    outcome: Column = None
    provider_id: Column = None
    took_ms: Column = None
    detail: Column = None
    due_at: Column = None
    traceparent: Column = None
    runs: _Runs | None = None
    choice: Column = None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Body).decode
_unpack_said = msgspec.msgpack.Decoder(
    tuple[str, Channel, Status, Reason | None, tuple[bytes | Verdict, ...]]
).decode
"""An earlier version wrote each verdict as it is."""


# ── writing, in a transaction ─────────────────────────────────────────────────────────────────────────────


def add(connection: sqlite3.Connection, said: Sequence[Change], before: Sequence[int]) -> list[int]:
    """A record of each change; the position of each. `before`: that of the newest record about its message so far."""
    return _add(connection, [c.tenant for c in said], [c.message_id for c in said], said, before)


def add_settled(
    connection: sqlite3.Connection, said: Sequence[Settlement], before: Sequence[int]
) -> list[int]:
    """As `add`, of settlements."""
    messages = [s.message for s in said]
    return _add(connection, [m.tenant for m in messages], [m.id for m in messages], said, before)


def _add(
    connection: sqlite3.Connection,
    tenants: Sequence[TenantId],
    ids: Sequence[bytes],
    said: Sequence[Settlement] | Sequence[Change],
    before: Sequence[int],
) -> list[int]:
    positions = [0] * len(ids)
    for tenant, places in _by_tenant(tenants):
        for start in range(0, len(places), RECORDS):
            some = places[start : start + RECORDS]
            what = said if len(some) == len(said) else [said[place] for place in some]
            body = _Body(
                ids=b"".join([ids[place] for place in some]),
                before=_steps([before[place] for place in some]),
                at=_steps([s.at for s in what]),
                status=_column([CODES[s.status] for s in what]),
                reason=_column([s.reason for s in what]),
                attempt=_column([s.attempt for s in what]),
                integration=_column([s.integration for s in what]),
                outcome=_column([s.outcome for s in what]),
                provider_id=_column([_whole(s.provider_id) for s in what]),
                took_ms=_column([s.took_ms for s in what]),
                detail=_column([_whole(s.detail) for s in what]),
                due_at=_column([_shown(s.status, s.due_at) for s in what]),
                traceparent=_column([s.traceparent for s in what]),
                choice=_column([s.choice for s in what]),
            )
            first = _write(connection, tenant, what[0].at, body)
            for place, position in zip(some, range(first, first + len(some)), strict=True):
                positions[place] = position
    return positions


def add_planned(
    connection: sqlite3.Connection, runs: Sequence[Run], messages: Sequence[Message]
) -> tuple[list[int], list[int]]:
    """The first record of each message, with the explanations of the runs they are of.

    The position of each message's record, and the number of the row of each run.
    """
    positions: dict[bytes, int] = {}
    rows: dict[bytes, int] = {}
    for tenant, some, theirs in _planned_rows(runs, messages):
        body = _Body(
            ids=(ids := b"".join([m.id for m in theirs])),
            before=0,
            at=_steps([m.created_at for m in theirs]),
            status=_column([CODES[m.status] for m in theirs]),
            reason=_column([m.reason for m in theirs]),
            due_at=_column([_shown(m.status, m.due_at) for m in theirs]),
            runs=_runs(some, ids),
        )
        first = _write(connection, tenant, some[0].at if some else theirs[0].created_at, body)
        positions.update(zip([m.id for m in theirs], range(first, first + len(theirs)), strict=True))
        rows.update(dict.fromkeys([run.id for run in some], first // PLACES))
    return [positions[m.id] for m in messages], [rows[run.id] for run in runs]


def _write(connection: sqlite3.Connection, tenant: TenantId, at: Instant, body: _Body) -> int:
    """The position of the row's first record."""
    packed = _pack(body)
    if len(packed) > WORTH_COMPRESSING:
        packed = zlib.compress(packed, 1)
    seq = connection.execute(sql.JOURNAL_ADD, (tenant, at, packed)).lastrowid
    assert seq is not None
    return seq * PLACES


def _by_tenant(tenants: Sequence[TenantId]) -> Iterable[tuple[TenantId, list[int]]]:
    """The places of each tenant's records."""
    found: dict[TenantId, list[int]] = {}
    for place, tenant in enumerate(tenants):
        found.setdefault(tenant, []).append(place)
    return found.items()


def _planned_rows(
    runs: Sequence[Run], messages: Sequence[Message]
) -> Iterator[tuple[TenantId, list[Run], list[Message]]]:
    """Which runs and messages share a row: of one tenant, and not many more than `RECORDS`."""
    of_tenant: dict[TenantId, tuple[list[Run], list[Message]]] = {}
    for run in runs:
        of_tenant.setdefault(run.tenant, ([], []))[0].append(run)
    for message in messages:
        of_tenant.setdefault(message.tenant, ([], []))[1].append(message)
    for tenant, (its_runs, its_messages) in of_tenant.items():
        if len(its_runs) <= RECORDS and len(its_messages) <= RECORDS:
            yield tenant, its_runs, its_messages
            continue
        left = {message.id: message for message in its_messages}
        some: list[Run] = []
        theirs: list[Message] = []
        for run in its_runs:
            some.append(run)
            theirs += [left.pop(c.message_id) for c in run.channels if c.message_id in left]
            if len(some) >= RECORDS or len(theirs) >= RECORDS:
                yield tenant, some, theirs
                some, theirs = [], []
        theirs += left.values()
        if some or theirs:
            yield tenant, some, theirs


def _runs(runs: Sequence[Run], ids: bytes) -> _Runs | None:
    if not runs:
        return None
    channels = [channel for run in runs for channel in run.channels]
    alike: dict[bytes, int] = {}
    said = [
        alike.setdefault(_pack((c.step, c.channel, c.status, c.reason, c.said)), len(alike)) for c in channels
    ]
    messages = b"".join([c.message_id for c in channels if c.message_id is not None])
    return _Runs(
        events=b"".join([run.event_id for run in runs]),
        users=_steps([run.user for run in runs]),
        lane=_column([LANES.index(run.lane) for run in runs]),
        _=0,
        workflow=_column([run.workflow for run in runs]),
        version=_column([run.workflow_version for run in runs]),
        ats=_steps([run.at for run in runs]),
        channels=_column([len(run.channels) for run in runs]),
        alike=list(alike),
        said=_column(said),
        due_at=_column([c.due_at for c in channels]),
        has_message=_column([c.message_id is not None for c in channels]),
        messages=None if messages == ids else messages,
    )


def _column(values: list[Any]) -> Column:
    return values[0] if values and values.count(values[0]) == len(values) else values


def _steps(values: list[int]) -> Column:
    """Each number as what it is above the one before it."""
    if not values or values.count(values[0]) == len(values):
        return values[0] if values else values
    return [values[0], *[after - before for before, after in pairwise(values)]]


def _shown(status: Status, due_at: Instant | None) -> Instant | None:
    """When a message that waits goes on: how long a lease lasts is nobody's business."""
    return due_at if status is Status.DEFERRED else None


def _whole(text: str | None) -> str | None:
    """Without half surrogate pairs, which somebody else's error text may have."""
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


class JournalRow:
    """A row, read."""

    def __init__(self, seq: int, tenant: TenantId, body: bytes) -> None:
        self.seq = seq
        self.tenant = tenant
        self._body = _unpack(zlib.decompress(body) if body[0] == _ZLIB else body)
        self._count = len(self._body.ids) // ID_BYTES
        self._before = _numbers(self._body.before, self._count)
        self._at = _numbers(self._body.at, self._count)

    @property
    def entries(self) -> int:
        """How many records it has."""
        return self._count

    @property
    def explanations(self) -> int:
        """How many runs it has."""
        return 0 if self._body.runs is None else len(self._body.runs.events) // ID_BYTES

    def before(self, place: int) -> int:
        """The position of the record before it about the same message; 0: it is the first."""
        return self._before[place]

    def change(self, place: int) -> Change:
        """One record."""
        body = self._body
        return Change(
            seq=self.seq * PLACES + place,
            message_id=MessageId(_id(body.ids, place)),
            tenant=self.tenant,
            at=Instant(self._at[place]),
            status=_STATUS[_one(body.status, place)],
            # A newer version may know more of them.
            reason=_REASON.get(_one(body.reason, place), Reason.INTERNAL_ERROR),
            attempt=_one(body.attempt, place),
            integration=_one(body.integration, place),
            outcome=_one(body.outcome, place),
            provider_id=_one(body.provider_id, place),
            took_ms=_one(body.took_ms, place),
            detail=_one(body.detail, place),
            due_at=_one(body.due_at, place),
            traceparent=_one(body.traceparent, place),
            choice=_one(body.choice, place),
        )

    def places(self, behind: int = -1) -> range:
        """The places of its records at higher positions."""
        return range(max(0, behind + 1 - self.seq * PLACES), self._count)

    def runs(self) -> list[Run]:
        """The runs that were planned with it, with their explanations."""
        packed = self._body.runs
        if packed is None:
            return []
        count = len(packed.events) // ID_BYTES
        channels = self._channels(packed)
        users, ats = _numbers(packed.users, count), _numbers(packed.ats, count)
        runs = []
        for place in range(count):
            event = EventId(_id(packed.events, place))
            workflow: str = _one(packed.workflow, place)
            runs.append(
                Run(
                    id=run_id(event, workflow, users[place]),  # type: ignore[arg-type]
                    tenant=self.tenant,
                    user=users[place],  # type: ignore[arg-type]
                    event_id=event,
                    lane=LANES[_one(packed.lane, place)],
                    workflow=workflow,
                    workflow_version=_one(packed.version, place),
                    at=Instant(ats[place]),
                    channels=tuple([next(channels) for _ in range(_one(packed.channels, place))]),
                )
            )
        return runs

    def _channels(self, runs: _Runs) -> Iterator[ChannelDecision]:
        ids = self._body.ids if runs.messages is None else runs.messages
        explained = [_unpack_said(one) for one in runs.alike]
        place = with_message = 0
        while True:
            step, channel, status, reason, verdicts = explained[_one(runs.said, place)]
            message_id = None
            if _one(runs.has_message, place):
                message_id = MessageId(_id(ids, with_message))
                with_message += 1
            yield ChannelDecision(
                step=step,
                channel=channel,
                status=status,
                reason=reason,
                due_at=_one(runs.due_at, place),
                message_id=message_id,
                said=_said(verdicts),
            )
            place += 1


def _said(verdicts: Iterable[bytes | Verdict]) -> tuple[bytes, ...]:
    older = [one for one in verdicts if isinstance(one, Verdict)]
    return tuple(one for one in verdicts if isinstance(one, bytes)) + packed(*older)


def timeline(connection: sqlite3.Connection, tenant: TenantId, message_id: MessageId) -> list[Change]:
    """Everything about one message, oldest first."""
    found = connection.execute(sql.JOURNAL_OF, (message_id,)).fetchone()
    position: int = found[0] if found else 0
    changes: list[Change] = []
    row: JournalRow | None = None
    while position:
        seq, place = divmod(position, PLACES)
        if row is None or row.seq != seq:
            row = _read(connection, seq)
        if row is None or row.tenant != tenant:  # What came before is not kept any more, or is not theirs.
            break
        changes.append(row.change(place))
        position = row.before(place)
    return changes[::-1]


def tail(connection: sqlite3.Connection, tenant: TenantId, after: int, limit: int) -> list[Change]:
    """The records of a tenant behind a position, in order; -1: the newest ones."""
    if after < 0:
        newest = (
            row.change(place)
            for seq, body in connection.execute(sql.JOURNAL_NEWEST, (tenant,))
            for row in (JournalRow(seq, tenant, body),)
            for place in reversed(row.places())
        )
        return list(islice(newest, limit))[::-1]
    behind = (
        row.change(place)
        for seq, body in connection.execute(sql.JOURNAL_BEHIND, (after // PLACES, tenant))
        for row in (JournalRow(seq, tenant, body),)
        for place in row.places(after)
    )
    return list(islice(behind, limit))


def rows_of(connection: sqlite3.Connection, seqs: Iterable[int]) -> Iterator[JournalRow]:
    """The rows with these numbers, once each, that are still kept."""
    for seq in dict.fromkeys(seqs):
        row = _read(connection, seq)
        if row is not None:
            yield row


def _read(connection: sqlite3.Connection, seq: int) -> JournalRow | None:
    found = connection.execute(sql.JOURNAL_ROW, (seq,)).fetchone()
    return JournalRow(seq, *found) if found else None


def _one(column: Column, place: int) -> Any:
    return column[place] if type(column) is list else column


def _numbers(column: Column, count: int) -> list[int]:
    return list(accumulate(column)) if type(column) is list else [column] * count


def _id(joined: bytes, place: int) -> bytes:
    return joined[place * ID_BYTES : (place + 1) * ID_BYTES]

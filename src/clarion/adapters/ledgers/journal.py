"""What was planned and what became of it: one row for each batch, packed column by column and compressed.

A batch says nearly the same of each of its messages, so a column that is equal for all of them is written once, numbers
that grow are written as steps, and explanations that are alike are one. A record is named by its position: the number of
its row and its place in it. Each says where the record before it about the same message lies, and the message knows
the newest: its timeline is a walk backwards, over two or three rows as a rule. A row belongs to one tenant.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec

from clarion.adapters.ledgers.joined_ids import ID_BYTES
from clarion.adapters.ledgers.schema import CODES
from clarion.model.channel import LANES, Channel
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo, part_id, run_id
from clarion.model.message import Change, ChannelDecision, Message, Run, StepTrace, Verdict, packed
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.model.user_change import JournalPage, UserChange, UserChangeKind

PLACES = 1 << 16
"""A position is the number of a row times this, and the place in it."""
RECORDS = 1_000
"""Records of a row, so that reading one of them stays cheap."""
WORTH_COMPRESSING = 200
ROWS_LOOKED_AT = 1_000
"""In search of the records that name an integration."""

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
    parts: Column = 0
    """How often each run had waited."""
    steps: Column = None
    """What the steps of each did, packed; None where the workflow only sends."""


class _People(msgspec.Struct, array_like=True, frozen=True):
    """What became of users, column by column."""

    count: int
    users: Column
    ats: Column
    kinds: Column
    ids: Column
    """Of those who were erased: sealed; else empty."""
    segments: Column = ""
    """That were entered or left; else empty."""
    campaigns: Column = b""
    """The ids of those it is about; else empty."""


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
    people: _People | None = None
    """Then there are no records of messages: a version that does not know this finds an empty row."""


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Body).decode
_unpack_said = msgspec.msgpack.Decoder(
    tuple[str, Channel, Status, Reason | None, tuple[bytes | Verdict, ...]]
).decode
"""An earlier version wrote each verdict as it is."""
_unpack_steps = msgspec.msgpack.Decoder(tuple[StepTrace, ...]).decode


# ── packing ───────────────────────────────────────────────────────────────────────────────────────────────


class PackedRow(NamedTuple):
    """A row to be stored; its number is the store's to give."""

    tenant: TenantId
    at: Instant
    body: bytes
    records: Sequence[int]
    """Which of all that was given its records are of, by their places."""
    runs: Sequence[int] = ()
    """Which runs it has, likewise."""


def packed_changes(said: Sequence[Change], before: Sequence[int]) -> list[PackedRow]:
    """A record of each change. `before`: the position of the newest record about its message so far."""
    return _packed([c.tenant for c in said], [c.message_id for c in said], said, before)


def packed_settlements(said: Sequence[Settlement], before: Sequence[int]) -> list[PackedRow]:
    """As `packed_changes`, of settlements."""
    messages = [s.message for s in said]
    return _packed([m.tenant for m in messages], [m.id for m in messages], said, before)


def packed_plans(runs: Sequence[Run], messages: Sequence[Message]) -> list[PackedRow]:
    """The first record of each message, with the explanations of the runs they are of."""
    rows = []
    for tenant, places, theirs in _planned_rows(runs, messages):
        some, its = [runs[place] for place in places], [messages[place] for place in theirs]
        body = _Body(
            ids=(ids := b"".join([m.id for m in its])),
            before=0,
            at=_steps([m.created_at for m in its]),
            status=_column([CODES[m.status] for m in its]),
            reason=_column([m.reason for m in its]),
            due_at=_column([_shown(m.status, m.due_at) for m in its]),
            runs=_runs(some, ids),
        )
        at = some[0].at if some else its[0].created_at
        rows.append(PackedRow(tenant, at, _compressed(body), theirs, places))
    return rows


def packed_user_changes(said: Sequence[UserChange]) -> list[PackedRow]:
    """A record of each."""
    rows = []
    for tenant, places in _by_tenant([one.tenant for one in said]):
        for start in range(0, len(places), RECORDS):
            some = [said[place] for place in places[start : start + RECORDS]]
            people = _People(
                count=len(some),
                users=_steps([one.user for one in some]),
                ats=_steps([one.at for one in some]),
                kinds=_column([one.kind.value for one in some]),
                ids=_column([one.sealed_id for one in some]),
                segments=_column([one.segment for one in some]),
                campaigns=_column([one.campaign for one in some]),
            )
            body = _Body(ids=b"", before=0, at=0, status=0, people=people)
            rows.append(PackedRow(tenant, some[0].at, _compressed(body), ()))
    return rows


def positions(rows: Sequence[PackedRow], seqs: Iterable[int]) -> list[int]:
    """The position of each record of these rows, which were stored under these numbers, by its place."""
    found = [0] * sum(len(row.records) for row in rows)
    for row, seq in zip(rows, seqs, strict=True):
        for position, place in enumerate(row.records, seq * PLACES):
            found[place] = position
    return found


def rows_of_runs(rows: Sequence[PackedRow], seqs: Iterable[int]) -> list[int]:
    """The number of the row of each run, by its place."""
    found = [0] * sum(len(row.runs) for row in rows)
    for row, seq in zip(rows, seqs, strict=True):
        for place in row.runs:
            found[place] = seq
    return found


def _packed(
    tenants: Sequence[TenantId],
    ids: Sequence[bytes],
    said: Sequence[Settlement] | Sequence[Change],
    before: Sequence[int],
) -> list[PackedRow]:
    rows = []
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
            rows.append(PackedRow(tenant, what[0].at, _compressed(body), some))
    return rows


def _compressed(body: _Body) -> bytes:
    packed = _pack(body)
    return zlib.compress(packed, 1) if len(packed) > WORTH_COMPRESSING else packed


def _by_tenant(tenants: Sequence[TenantId]) -> Iterable[tuple[TenantId, list[int]]]:
    """The places of each tenant's records."""
    found: dict[TenantId, list[int]] = {}
    for place, tenant in enumerate(tenants):
        found.setdefault(tenant, []).append(place)
    return found.items()


def _planned_rows(
    runs: Sequence[Run], messages: Sequence[Message]
) -> Iterator[tuple[TenantId, list[int], list[int]]]:
    """Which runs and messages share a row, by their places: of one tenant, and not many more than `RECORDS`."""
    its_runs = dict(_by_tenant([run.tenant for run in runs]))
    its_messages = dict(_by_tenant([message.tenant for message in messages]))
    for tenant in {**its_runs, **its_messages}:
        places, theirs = its_runs.get(tenant, []), its_messages.get(tenant, [])
        if len(places) <= RECORDS and len(theirs) <= RECORDS:
            yield tenant, places, theirs
            continue
        left = {messages[place].id: place for place in theirs}
        some: list[int] = []
        of_some: list[int] = []
        for place in places:
            some.append(place)
            of_some += [left.pop(c.message_id) for c in runs[place].channels if c.message_id in left]
            if len(some) >= RECORDS or len(of_some) >= RECORDS:
                yield tenant, some, of_some
                some, of_some = [], []
        of_some += left.values()
        if some or of_some:
            yield tenant, some, of_some


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
        parts=_column([run.part for run in runs]),
        steps=_column([_pack(run.steps) if run.steps else None for run in runs]),
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

    def names(self, integration: str) -> bool:
        """Whether any of its records names this integration."""
        column = self._body.integration
        return integration in column if type(column) is list else column == integration

    def places(self, behind: int = -1) -> range:
        """The places of its records at higher positions."""
        return range(max(0, behind + 1 - self.seq * PLACES), self._count)

    def user_changes(self, behind: int) -> list[UserChange]:
        """The records about users at higher positions."""
        people = self._body.people
        if people is None:
            return []
        count = people.count
        users, ats = _numbers(people.users, count), _numbers(people.ats, count)
        first = self.seq * PLACES
        return [
            UserChange(
                seq=first + place,
                tenant=self.tenant,
                user=UserNo(users[place]),
                at=Instant(ats[place]),
                kind=UserChangeKind(_one(people.kinds, place)),
                sealed_id=_one(people.ids, place),
                segment=_one(people.segments, place),
                campaign=_one(people.campaigns, place),
            )
            for place in range(max(0, behind + 1 - first), count)
        ]

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
            part, steps = _one(packed.parts, place), _one(packed.steps, place)
            runs.append(
                Run(
                    id=part_id(run_id(event, workflow, UserNo(users[place])), part),
                    tenant=self.tenant,
                    user=users[place],  # type: ignore[arg-type]
                    event_id=event,
                    lane=LANES[_one(packed.lane, place)],
                    workflow=workflow,
                    workflow_version=_one(packed.version, place),
                    at=Instant(ats[place]),
                    channels=tuple([next(channels) for _ in range(_one(packed.channels, place))]),
                    part=part,
                    steps=() if steps is None else _unpack_steps(steps),
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


class JournalTail:
    """Collects records behind a position, from rows in order, until there are enough."""

    def __init__(
        self, after: int, limit: int, integration: str | None = None, *, users: bool = False
    ) -> None:
        """`integration`: only records that name it, and the last one of all. `users`: those about users, too."""
        self._after = after
        self._limit = limit
        self._integration = integration
        self._users = users
        self._found: list[Change] = []
        self._of_users: list[UserChange] = []
        self._last: Change | None = None
        self._rows = 0

    @property
    def is_full(self) -> bool:
        """Whether no more is to be added."""
        return self._room <= 0 or self._rows >= ROWS_LOOKED_AT

    def rows_wanted(self, most: int) -> int:
        """How many rows to read at once: each has a record at least."""
        return min(most, self._limit) if self._integration is None else most

    @property
    def _room(self) -> int:
        return self._limit - len(self._found) - len(self._of_users)

    def add(self, row: JournalRow) -> None:
        """The next row."""
        if self._users:
            self._of_users += row.user_changes(self._after)[: self._room]
        places = row.places(self._after)
        if not places:
            return
        if self._integration is None:
            self._found += map(row.change, places[: self._room])
            return
        self._rows += 1
        if row.names(self._integration):
            for change in map(row.change, places):
                if change.integration == self._integration:
                    self._found.append(change)
                    if self.is_full:
                        self._last = None
                        return
        self._last = row.change(places[-1])

    def page(self) -> JournalPage:
        """What was found about messages and users."""
        return JournalPage(changes=tuple(self._found), users=tuple(self._of_users))

    def changes(self) -> list[Change]:
        """What was found about messages."""
        last = self._last
        beside = last is not None and (not self._found or self._found[-1].seq != last.seq)
        return [*self._found, last] if beside and last is not None else self._found


def _said(verdicts: Iterable[bytes | Verdict]) -> tuple[bytes, ...]:
    older = [one for one in verdicts if isinstance(one, Verdict)]
    return tuple(one for one in verdicts if isinstance(one, bytes)) + packed(*older)


def _one(column: Column, place: int) -> Any:
    return column[place] if type(column) is list else column


def _numbers(column: Column, count: int) -> list[int]:
    return list(accumulate(column)) if type(column) is list else [column] * count


def _id(joined: bytes, place: int) -> bytes:
    return joined[place * ID_BYTES : (place + 1) * ID_BYTES]

"""Reads the topics, queues and streams of tenants: each record starts a workflow, is passed over, or waits as a dead letter.

A record is done when what it starts is durable; only then the position moves. So a crash repeats records and never loses
one, and a repeat is recognised by the place of its record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import ClarionError, ConfigError, InvalidInput, NotFound
from clarion.flow.intake.record_mapping import RecordMapping
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.channel import Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.message import Run
from clarion.model.reading import (
    WHOLE,
    DeadRecord,
    DeadRecordKind,
    Reading,
    ReadingKind,
    ReadingPlace,
)
from clarion.model.source import Source, StartAt
from clarion.model.submission import Submission
from clarion.ports import terms
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import Decoded, FormatPlugin, RecordFormat
from clarion.ports.source import Position, RecordReader, SourcePlugin, SourceRecord
from clarion.rules import shares
from clarion.services.dead_records import DeadRecordKeeper, Refused
from clarion.services.dry_runs import DryRuns
from clarion.services.reading_loops import ReadingLoops, Turn, TurnLost

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Records that are handled together."""
CHUNK = 32
"""Records between two looks at more urgent work."""
LAG_EVERY_S = 2.0
"""How often it is looked what waits, and who reads what."""
UNREADABLE = "unreadable_record"
NOT_MAPPED = "mapping_failed"


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(SourceRecord).decode


class RecordTested(msgspec.Struct, frozen=True, kw_only=True):
    """What a record would start."""

    record: SourceRecord
    decoded: Decoded | None = None
    submission: Submission | None = None
    runs: Sequence[tuple[str, Run]] = ()
    """Whose, and what is decided about their messages."""
    refused: Refused | None = None
    """None, and no submission: the condition is false."""


class SourceService:
    """Reads sources, tries them out, and does their dead letters again."""

    def __init__(
        self,
        ledger: Ledger,
        pipeline: Pipeline,
        dry_runs: DryRuns,
        kinds: Mapping[str, SourcePlugin],
        formats: Mapping[str, FormatPlugin],
        tools: ProviderTools,
    ) -> None:
        self.kinds = kinds
        self.formats = formats
        self._ledger = ledger
        self._submit = pipeline.submit
        self._priority = pipeline.priority
        self._dry_runs = dry_runs
        self.tools = tools
        self._clock = tools.clock
        self.dead = DeadRecordKeeper(DeadRecordKind.SOURCE_RECORD, ledger, tools.vault, self._clock)
        self.loops = ReadingLoops(
            ReadingKind.SOURCE,
            ledger.setup.sources,
            self._read,
            ledger,
            pipeline.lease,
            self._clock,
            self.competing,
        )
        self.records: Counter[str] = Counter()
        """What became of records; read by metrics."""

    def competing(self, source: Source) -> bool:
        """Whether its server hands each record to one of those who read."""
        kind = self.kinds.get(source.kind)
        return kind is not None and kind.competing

    async def readings(self, tenant: TenantId) -> Mapping[str, Mapping[str, Reading]]:
        """How far the sources of a tenant have come, by key and partition."""
        return await self._ledger.readings.of(tenant, ReadingKind.SOURCE)

    async def pause(self, tenant: TenantId, key: str, *, paused: bool) -> Source:
        """Stop reading, or go on where it stopped. Records that are already fetched are still done."""
        sources = self._ledger.setup.sources
        source = self._source(tenant, key)
        if source.paused == paused:
            return source
        return await sources.put(tenant, replace(source, paused=paused), before=source)

    async def delete(self, tenant: TenantId, key: str) -> None:
        """With its position. Its dead letters stay."""
        self._source(tenant, key)
        await self._ledger.setup.sources.delete(tenant, key)
        await self.forget(tenant, key)

    async def forget(self, tenant: TenantId, key: str) -> None:
        """The position of a source that is gone."""
        await self._ledger.readings.forget(_place(tenant, key))

    async def test(self, tenant: TenantId, source: Source, limit: int) -> Sequence[RecordTested]:
        """What its last records would start. Nothing is taken or stored."""
        async with self._opened(source) as (reader, format_):
            records = await reader.peek(limit)
            mapping = RecordMapping(source)
            await format_.prepare(records)
            return [await self._tested(tenant, one, format_, mapping) for one in records]

    async def rewind(
        self, tenant: TenantId, key: str, to: StartAt | Instant | Position, *, repeat: bool
    ) -> Position:
        """Read on from there. `repeat`: records that were done are done again."""
        source = self._source(tenant, key)
        kind = self.kinds.get(source.kind)
        if kind is not None and not kind.rewinds:
            raise InvalidInput(f"{kind.title} forgets what was taken: the source cannot be rewound.")
        async with self._opened(source) as (reader, _):
            try:
                position = await reader.seek(to)
            except ValueError:
                raise InvalidInput("an offset is none of this topic.", pointer="#/position") from None
        if isinstance(to, Mapping) and (missing := sorted(to.keys() - position.keys())):
            raise InvalidInput(f"there is no partition {missing[0]!r}.", pointer="#/position")
        await self._ledger.readings.rewind(
            _place(tenant, key), _by_partition(position), self._clock.now(), repeat=repeat
        )
        return position

    async def retry(self, dead: DeadRecord) -> Refused | None:
        """Do a dead letter again, as its source is set up by now; why it is refused again, or None: it is done."""
        source = self._source(dead.tenant, dead.origin)
        record = _unpack(self.dead.opened(dead))
        mapping = RecordMapping(source)
        format_ = self._format(source)
        try:
            await format_.prepare([record])
            outcome = _mapped(record, format_, mapping, 0)
        finally:
            await format_.close()
        if isinstance(outcome, Submission) and terms.dry_running():
            await self._dry_runs.runs(dead.tenant, outcome)
            outcome = None
        if isinstance(outcome, Submission):
            (answer,) = await self._submit(dead.tenant, [outcome])
            if isinstance(answer, ClarionError):
                return _refused_by_intake(answer)
            outcome = None
        return outcome

    # -- reading ----------------------------------------------------------------------------------------------

    async def _read(self, turn: Turn[Source]) -> None:
        """Until cancelled, or something is in the way."""
        source = turn.document
        mapping = RecordMapping(source)
        async with self._opened(source) as (reader, format_):
            read = await self._begin(turn, reader)
            looked_s = float("-inf")
            while True:
                if self._clock.monotonic() - looked_s >= LAG_EVERY_S:
                    await self.dead.require_room(turn.place)
                    await self._share(turn, await reader.lag())
                    looked_s = self._clock.monotonic()
                if turn.fences != read:
                    await reader.seek(turn.position or source.start_at)
                    read = turn.fences
                records = await reader.fetch(AT_ONCE)
                if records:
                    await self._take(turn, records, format_, mapping)
                    await reader.done(records)

    async def _begin(self, turn: Turn[Source], reader: RecordReader) -> Mapping[str, int]:
        """Go where reading stopped, or begins: `latest` is the same place after a restart. The fences of what is read now."""
        begun = any(one.position for one in turn.known.values())
        found = await reader.seek(turn.position if begun else turn.document.start_at)
        if begun or not found:
            return turn.fences
        if WHOLE in found:
            await turn.move({WHOLE: found})
            return turn.fences
        await turn.take(dict.fromkeys(found), _by_partition(found))
        return {}

    async def _share(self, turn: Turn[Source], lags: Mapping[str, int | None]) -> None:
        """Store what waits, and read what falls to this process by now. Raises TurnLost when that is nothing."""
        if self.competing(turn.document):
            await turn.tell(dict.fromkeys(turn.held, lags.get(WHOLE)))
            return
        if turn.held:
            await turn.tell(lags)
        await turn.look()
        new = [partition for partition in lags if partition not in turn.known]
        readers = dict.fromkeys(new) | {partition: one.reader for partition, one in turn.known.items()}
        wanted = shares.partitions_for(turn.worker, readers)
        await turn.take(wanted, _by_partition(dict.fromkeys(new, "")))
        if not turn.held:
            raise TurnLost

    async def _take(
        self,
        turn: Turn[Source],
        records: Sequence[SourceRecord],
        format_: RecordFormat,
        mapping: RecordMapping,
    ) -> None:
        """Everything is durable when this returns, with the position."""
        tenant = turn.place.tenant
        await format_.prepare(records)
        starting: list[tuple[SourceRecord, Submission]] = []
        dead: list[tuple[str, bytes, Refused]] = []
        passed = 0
        for place, record in enumerate(records):
            outcome = _mapped(record, format_, mapping, turn.repeat)
            if isinstance(outcome, Submission):
                starting.append((record, outcome))
            elif outcome is not None:
                dead.append(_kept(record, outcome))
            else:
                passed += 1
            if place % CHUNK == CHUNK - 1:
                await self._priority.turn(Lane.NORMAL)
        repeated = 0
        if starting:
            answers = await self._submit(tenant, [submission for _, submission in starting])
            for (record, _), answer in zip(starting, answers, strict=True):
                if isinstance(answer, ClarionError):
                    dead.append(_kept(record, _refused_by_intake(answer)))
                else:
                    repeated += answer.repeated
        await self.dead.keep(turn.place, dead)
        offsets = {record.partition: record.offset for record in records if record.offset}
        await turn.move(_by_partition(offsets) or {seat: {} for seat in turn.held})
        self.records.update(
            started=len(records) - passed - len(dead) - repeated,
            repeated=repeated,
            passed_over=passed,
            dead=len(dead),
        )

    async def _tested(
        self, tenant: TenantId, record: SourceRecord, format_: RecordFormat, mapping: RecordMapping
    ) -> RecordTested:
        outcome = _mapped(record, format_, mapping, 0)
        decoded = None
        if not isinstance(outcome, Refused) or outcome.reason != UNREADABLE:
            decoded = format_.decode(record)
        if not isinstance(outcome, Submission):
            return RecordTested(record=record, decoded=decoded, refused=outcome)
        try:
            runs = await self._dry_runs.runs(tenant, outcome)
        except InvalidInput as wrong:
            refused = _refused_by_intake(wrong)
            return RecordTested(record=record, decoded=decoded, submission=outcome, refused=refused)
        return RecordTested(record=record, decoded=decoded, submission=outcome, runs=runs)

    # -- opening ----------------------------------------------------------------------------------------------

    def _source(self, tenant: TenantId, key: str) -> Source:
        source = self._ledger.setup.sources.all(tenant).get(key)
        if source is None:
            raise NotFound(f"There is no source {key!r}.")
        return source

    def _opened(self, source: Source) -> _Opened:
        kind = self.kinds.get(source.kind)
        if kind is None:
            raise ConfigError(f"no package that is installed reads `{source.kind}`")
        config = msgspec.convert(source.connection, kind.config)
        return _Opened(kind.open(config, self.tools), self._format(source))

    def _format(self, source: Source) -> RecordFormat:
        format_ = self.formats.get(source.format)
        if format_ is None:
            raise ConfigError(f"no package that is installed reads records in `{source.format}`")
        return format_.open(msgspec.convert(source.schema_registry, format_.config), self.tools)


class _Opened:
    """A reader and a format, closed at the end."""

    def __init__(self, reader: RecordReader, format_: RecordFormat) -> None:
        self._both = reader, format_

    async def __aenter__(self) -> tuple[RecordReader, RecordFormat]:
        return self._both

    async def __aexit__(self, *fault: object) -> None:
        for one in self._both:
            await one.close()


def _mapped(
    record: SourceRecord, format_: RecordFormat, mapping: RecordMapping, repeat: int
) -> Submission | Refused | None:
    """What a record starts; None: its condition is false."""
    try:
        decoded = format_.decode(record)
    except InvalidInput as wrong:
        return Refused(reason=UNREADABLE, detail=wrong.detail)
    try:
        return mapping.submission(record, decoded, repeat)
    except InvalidInput as wrong:
        return Refused(reason=NOT_MAPPED, detail=_placed(wrong), pointer=wrong.pointer)


def _kept(record: SourceRecord, why: Refused) -> tuple[str, bytes, Refused]:
    return record.place, _pack(replace(record, receipt=None)), why


def _placed(wrong: InvalidInput) -> str:
    """With the field whose expression it is."""
    place = (wrong.pointer or "").removeprefix("#/").replace("/", ".")
    return f"{place}: {wrong.detail}" if place else wrong.detail


def _refused_by_intake(wrong: ClarionError) -> Refused:
    return Refused(reason=wrong.code, detail=wrong.detail, pointer=wrong.pointer)


def _by_partition(position: Position) -> Mapping[str, Position]:
    """The position of each partition by itself."""
    return {partition: {partition: offset} for partition, offset in position.items()}


def _place(tenant: TenantId, key: str) -> ReadingPlace:
    return ReadingPlace(tenant=tenant, kind=ReadingKind.SOURCE, key=key)

"""Tells topics, queues and URLs of tenants what becomes of their messages.

Every change of a message stands in the journal, and every change of a user if a sink wants to be told. A sink follows it:
it writes the events of a page, then its position moves. So a crash writes some again, with the same ids, and leaves none out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import ConfigError, InvalidInput, NotFound, UnknownName, UnknownReference
from clarion.flow.campaign_states import opened_campaign
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.ids import Instant, TenantId, id_text
from clarion.model.message import Change
from clarion.model.reading import (
    FOLLOWED,
    USERS,
    WHOLE,
    DeadRecord,
    DeadRecordKind,
    Reading,
    ReadingKind,
    ReadingPlace,
)
from clarion.model.sink import Sink
from clarion.model.source import StartAt
from clarion.model.user_change import JournalPage, UserChange
from clarion.ports import terms
from clarion.ports.provider import ProviderTools
from clarion.ports.sink import EventWriter, OutEvent, SinkPlugin
from clarion.rules import match, out_events
from clarion.rules.expressions import Expression, ExpressionError, compiled
from clarion.services.dead_records import DeadRecordKeeper, Refused
from clarion.services.reading_loops import ReadingLoops, Turn
from clarion.services.run_listeners import KEPT_MS, RUNS, EverySink, RunListeners

log = structlog.get_logger(__name__)

PAGE = 500
"""Changes that are read at once."""
TELL_EVERY_S = 2.0
"""How often its lag is stored, which also shows whether a person moved the position."""
LOOK_EVERY_S = 0.5
"""How often it is looked for more when there is none."""
REFUSED = "refused_by_receiver"
CONDITION_FAILED = "condition_failed"
JOURNAL, SINCE = "journal", "since"
"""In the position of a sink: behind which change it is, and before what time changes are passed over."""
BEFORE_ALL = "0"

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(OutEvent).decode


class EventFilter:
    """Which events a sink gets. Raises InvalidInput or UnknownReference for what cannot be."""

    def __init__(self, sink: Sink) -> None:
        self._types = sink.types
        self._where: Expression | None = None
        for place, pattern in enumerate(sink.types):
            if (wrong := match.check_pattern(pattern)) is not None:
                raise InvalidInput(f"{wrong}.", pointer=f"#/types/{place}")
        unknown = [
            UnknownName("event type", one, f"#/types/{place}", "", match.closest(one, out_events.TYPES))
            for place, one in enumerate(sink.types)
            if not any(match.matches(one, known) for known in out_events.TYPES)
        ]
        if unknown:
            raise UnknownReference(unknown)
        if sink.where is not None:
            try:
                self._where = compiled(sink.where, ("data", "event"))
            except ExpressionError as wrong:
                raise InvalidInput(f"{wrong}.", pointer="#/where") from None

    @property
    def position(self) -> Mapping[str, str]:
        """What its position says beside the place: whether what becomes of users is recorded for it."""
        return {USERS: FOLLOWED if out_events.tells_of_users(self._types) else ""}

    def of_type(self, change: Change | UserChange) -> bool:
        """Whether events of its type are wanted."""
        if isinstance(change, UserChange):
            return out_events.is_chosen(self._types, out_events.type_of_user_event(change))
        return out_events.is_chosen(self._types, out_events.type_of(change))

    def holds(self, attributes: Mapping[str, str], data: Mapping[str, object]) -> bool:
        """Whether the condition is true. Raises ExpressionError."""
        if self._where is None:
            return True
        found = self._where.value({"event": dict(attributes), "data": dict(data)})
        if not isinstance(found, bool):
            raise ExpressionError("a condition is true or false: compare with `==`")
        return found


class SinkService:
    """Follows the journal for every sink, and shows what a sink would get."""

    def __init__(
        self,
        ledger: Ledger,
        pipeline: Pipeline,
        kinds: Mapping[str, SinkPlugin],
        every: EverySink,
        tools: ProviderTools,
    ) -> None:
        self.kinds = kinds
        self.tools = tools
        self._ledger = ledger
        self._clock = tools.clock
        self._submit = pipeline.submit
        self.dead = DeadRecordKeeper(DeadRecordKind.SINK_EVENT, ledger, tools.vault, self._clock)
        self.loops = ReadingLoops(ReadingKind.SINK, every, self._follow, ledger, pipeline.lease, self._clock)
        self.events: Counter[str] = Counter()
        """What became of events; read by metrics."""

    async def readings(self, tenant: TenantId) -> Mapping[str, Mapping[str, Reading]]:
        """How far the sinks of a tenant have come, by key; they have no partitions."""
        return await self._ledger.readings.of(tenant, ReadingKind.SINK)

    async def pause(self, tenant: TenantId, key: str, *, paused: bool) -> Sink:
        """Write no more, or go on where it stopped."""
        sink = self._sink(tenant, key)
        if sink.paused == paused:
            return sink
        return await self._ledger.setup.sinks.put(tenant, replace(sink, paused=paused), before=sink)

    async def delete(self, tenant: TenantId, key: str) -> None:
        """With its position. Its dead letters stay."""
        self._sink(tenant, key)
        await self._ledger.setup.sinks.delete(tenant, key)
        await self.forget(tenant, key)

    async def forget(self, tenant: TenantId, key: str) -> None:
        """The position of a sink that is gone."""
        await self._ledger.readings.forget(_place(tenant, key))

    async def test(self, tenant: TenantId, sink: Sink, limit: int) -> Sequence[OutEvent]:
        """Reach the receiver, and show what it would have got of late. Nothing is written."""
        writer = self._opened(sink)
        try:
            await writer.ping()
        finally:
            await writer.close()
        newest = await self._ledger.records.tail(tenant, -1, PAGE)
        after = newest[0].seq - 1 if newest else 0
        page = await self._ledger.journal.page(tenant, after, PAGE)
        events, _ = await self._events(tenant, page, EventFilter(sink))
        return events[-limit:]

    async def rewind(self, tenant: TenantId, key: str, to: StartAt | Instant) -> None:
        """Go on from there. Events that were written are written again, with the same ids."""
        position = dict(EventFilter(self._sink(tenant, key)).position)
        if to is StartAt.LATEST:
            position |= await self._latest(tenant)
        elif to is StartAt.EARLIEST:
            position |= {JOURNAL: BEFORE_ALL}
        else:
            position |= {JOURNAL: BEFORE_ALL, SINCE: str(int(to))}
        await self._ledger.readings.rewind(
            _place(tenant, key), {WHOLE: position}, self._clock.now(), repeat=False
        )

    async def retry(self, dead: DeadRecord) -> str | None:
        """Write a dead letter again; why it is refused again, or None."""
        if terms.dry_running():
            return None
        event = _unpack(self.dead.opened(dead))
        writer = self._opened(self._sink(dead.tenant, dead.origin))
        try:
            (refused,) = await writer.write([event])
        finally:
            await writer.close()
        return refused

    # -- following ----------------------------------------------------------------------------------------------

    async def _follow(self, turn: Turn[Sink]) -> None:
        """Until cancelled, or something is in the way."""
        tenant = turn.place.tenant
        wanted = EventFilter(turn.document)
        ours = turn.document.kind == RUNS
        writer = RunListeners(tenant, self._submit) if ours else self._opened(turn.document)
        try:
            if JOURNAL not in turn.position:
                await turn.move({WHOLE: {**await self._latest(tenant), **wanted.position}})
            elif turn.position.get(USERS, "") != wanted.position[USERS]:
                await turn.move({WHOLE: wanted.position})
            await self.dead.require_room(turn.place)
            told_s = self._clock.monotonic()
            while True:
                after = int(turn.position[JOURNAL])
                page = await self._ledger.journal.page(tenant, after, PAGE)
                if page.last is not None:
                    await self._write(turn, page, page.last, wanted, writer)
                if self._clock.monotonic() - told_s >= TELL_EVERY_S:
                    told_s = self._clock.monotonic()
                    whole = page.size == PAGE and page.last is not None
                    behind = self._clock.now() - page.last.at if whole and page.last is not None else 0
                    await self.dead.require_room(turn.place)
                    await turn.tell({WHOLE: behind // 1_000})
                if page.size < PAGE:
                    await self._clock.sleep(LOOK_EVERY_S)
        finally:
            await writer.close()

    async def _write(
        self,
        turn: Turn[Sink],
        page: JournalPage,
        last: Change | UserChange,
        wanted: EventFilter,
        writer: EventWriter,
    ) -> None:
        """Written or kept when this returns, with the position."""
        since = int(turn.position.get(SINCE, 0))
        if turn.document.kind == RUNS:
            since = self._clock.now() - KEPT_MS
        events, dead = await self._events(turn.place.tenant, page, wanted, since)
        kept = [_kept(event, CONDITION_FAILED, why) for event, why in dead]
        if events:
            answers = await writer.write(events)
            kept += [
                _kept(event, REFUSED, why)
                for event, why in zip(events, answers, strict=True)
                if why is not None
            ]
        await self.dead.keep(turn.place, kept)
        await turn.move({WHOLE: {JOURNAL: str(last.seq)}})
        self.events.update(written=len(events) + len(dead) - len(kept), dead=len(kept))

    async def _events(
        self, tenant: TenantId, page: JournalPage, wanted: EventFilter, since: int = 0
    ) -> tuple[list[OutEvent], list[tuple[OutEvent, str]]]:
        """The events about these changes in order, and those whose condition has no value, with the reason."""
        changes = [one for one in page.changes if one.at >= since and wanted.of_type(one)]
        others = [one for one in page.users if one.at >= since and wanted.of_type(one)]
        of_users = [one for one in others if not one.campaign]
        of_campaigns = [one for one in others if one.campaign]
        messages = (
            await self._ledger.receipts.messages(list({one.message_id for one in changes})) if changes else {}
        )
        numbers = {one.user for one in messages.values()} | {one.user for one in of_users}
        users = await self._ledger.users.get(list(numbers)) if numbers else {}
        ids = {no: user.id for no, user in users.items()}
        source = f"/tenants/{self._ledger.setup.tenants.all()[tenant].key}/environments/production"
        made: dict[int, tuple[dict[str, str], Mapping[str, object]]] = {}
        for change in changes:
            message = messages.get(change.message_id)
            user_id = None if message is None else ids.get(message.user)
            attributes = out_events.attributes_of(change, source)
            made[change.seq] = attributes, out_events.data_of(change, message, user_id)
        for one in of_users:
            user_id = self._opened_id(tenant, one) if one.sealed_id else ids.get(one.user)
            if user_id is not None:  # Else the person was erased since, which is told by an event of its own.
                attributes = out_events.attributes_of_user_event(one, source, user_id)
                made[one.seq] = attributes, out_events.data_of_user_event(one, user_id)
        for one in of_campaigns:
            attributes = out_events.attributes_of_campaign_event(one, source)
            made[one.seq] = attributes, await self._of_campaign(tenant, one.campaign)
        events: list[OutEvent] = []
        dead: list[tuple[OutEvent, str]] = []
        for _, (attributes, data) in sorted(made.items()):
            event = OutEvent(
                id=attributes["id"],
                type=attributes["type"],
                subject=attributes["subject"],
                time=attributes["time"],
                data=_encode(data),
                body=_encode({**attributes, "data": data}),
            )
            try:
                if wanted.holds(attributes, data):
                    events.append(event)
            except ExpressionError as wrong:
                dead.append((event, f"where: {wrong}"))
        return events, dead

    async def _of_campaign(self, tenant: TenantId, id: bytes) -> Mapping[str, object]:
        """What is said of a campaign: as it is by now, and its messages by their status. Nothing but its id, once it was deleted."""
        row = await self._ledger.campaigns.get(tenant, id)
        if row is None or row.event_id is None:
            return {"campaign_id": id_text(id)}
        asked = opened_campaign(row, self.tools.vault).campaign
        counts = (await self._ledger.events.counts([row.event_id])).get(row.event_id, {})
        return {
            "campaign_id": id_text(id),
            "name": asked.name or None,
            "workflow": asked.workflow,
            "event_id": id_text(row.event_id),
            "members_planned": row.rank,
            "messages": {status.value: count for status, count in counts.items()},
        }

    def _opened_id(self, tenant: TenantId, change: UserChange) -> str:
        vault = self.tools.vault
        return vault.open(vault.tenant_key(tenant), change.sealed_id).decode(errors="surrogatepass")

    async def _latest(self, tenant: TenantId) -> Mapping[str, str]:
        newest = await self._ledger.records.tail(tenant, -1, 1)
        after = newest[-1].seq if newest else int(BEFORE_ALL)
        while (last := (await self._ledger.journal.page(tenant, after, PAGE)).last) is not None:
            after = last.seq
        return {JOURNAL: str(after)}

    def _sink(self, tenant: TenantId, key: str) -> Sink:
        sink = self._ledger.setup.sinks.all(tenant).get(key)
        if sink is None:
            raise NotFound(f"There is no sink {key!r}.")
        return sink

    def _opened(self, sink: Sink) -> EventWriter:
        kind = self.kinds.get(sink.kind)
        if kind is None:
            raise ConfigError(f"no package that is installed writes to `{sink.kind}`")
        return kind.open(msgspec.convert(sink.connection, kind.config), self.tools)


def _kept(event: OutEvent, reason: str, why: str) -> tuple[str, bytes, Refused]:
    return event.id, _pack(event), Refused(reason=reason, detail=why)


def _place(tenant: TenantId, key: str) -> ReadingPlace:
    return ReadingPlace(tenant=tenant, kind=ReadingKind.SINK, key=key)

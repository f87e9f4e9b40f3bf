"""Campaigns: one workflow for a whole audience. People start, pause and cancel them; planning its members is the flow's work."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from hashlib import blake2b
from heapq import nsmallest
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import Busy, Conflict, InvalidInput, NotFound, Unavailable, UnknownName, UnknownReference
from clarion.flow.campaign_states import opened_campaign, sealed_campaign
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.groups import Groups
from clarion.flow.intake.recipients import (
    CREATE_OBJECT,
    CREATE_SEGMENT,
    CREATE_TOPIC,
    CREATE_USER,
    WorkflowTrigger,
)
from clarion.flow.intake.schemas import Schemas
from clarion.flow.ledger import Ledger
from clarion.flow.plan.campaigns import audience_after
from clarion.flow.sealing import sealed_entry
from clarion.model.campaign import GOING, OVER, Campaign, CampaignRow, CampaignState, CampaignStatus
from clarion.model.event import Event
from clarion.model.ids import (
    NO_USER,
    EventId,
    Instant,
    TenantId,
    UserNo,
    new_event_id,
)
from clarion.model.message import MessageFilter
from clarion.model.operation import Operation, OperationKind
from clarion.model.setup import Workflow
from clarion.model.status import ACTIVE, FAILED_FOR_GOOD, Reason, Status
from clarion.model.submission import Submission
from clarion.model.user_change import UserChange, UserChangeKind
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules import schedule
from clarion.rules.match import closest, nearest
from clarion.services.cancellations import Cancellations
from clarion.services.dry_runs import DryRuns
from clarion.services.operations import OperationRunner

log = structlog.get_logger(__name__)

EVERY_S = 1.0
AT_ONCE = 100
TRIES = 20
TOLD = {
    CampaignStatus.TESTING: UserChangeKind.STARTED,
    CampaignStatus.TESTED: UserChangeKind.TESTED,
    CampaignStatus.RUNNING: UserChangeKind.STARTED,
    CampaignStatus.PAUSED: UserChangeKind.PAUSED,
    CampaignStatus.CANCELED: UserChangeKind.CANCELED,
    CampaignStatus.DONE: UserChangeKind.FINISHED,
}
"""What is told when a campaign comes to a status."""
MOST_KEPT = 1_000
"""Campaigns whose counts are remembered."""
READ = 10_000
"""People of an audience that are read at once to count them."""
SAMPLE = 200
"""People of an audience that a preview plans."""
COUNTED_FOR_S = 20.0
"""Counting may take this part of the time: what took a second is counted every 20 seconds."""


class CampaignCounts(NamedTuple):
    """What became of the messages of a campaign."""

    statuses: Mapping[Status, int]
    as_of: Instant

    def of(self, *statuses: Status) -> int:
        """How many have one of these."""
        return sum(self.statuses.get(status, 0) for status in statuses)

    @property
    def active(self) -> int:
        """Those that are not finished."""
        return self.of(*ACTIVE)


class FoundCampaign(NamedTuple):
    """A campaign as it is now."""

    row: CampaignRow
    state: CampaignState


class CampaignPreview(NamedTuple):
    """How many people a campaign reaches, and what some of them would get."""

    people: int
    sampled: int
    channels: Mapping[str, int]
    """Messages to them, by channel."""
    not_sent: Mapping[Reason, int]
    """What would not be sent to them, by reason."""


class CampaignService:
    """Keeps campaigns, and says when they are over."""

    def __init__(
        self,
        ledger: Ledger,
        groups: Groups,
        schemas: Schemas,
        dry_runs: DryRuns,
        cancellations: Cancellations,
        operations: OperationRunner,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._groups = groups
        self._campaigns = ledger.campaigns
        self._schemas = schemas
        self._dry_runs = dry_runs
        self._cancellations = cancellations
        self._operations = operations
        self._vault = vault
        self._clock = clock
        self._random = random
        self._counts: dict[EventId, tuple[float, CampaignCounts]] = {}
        """Until when (by the monotonic clock) they are not counted again."""

    # -- reading ---------------------------------------------------------------------------------------------

    async def get(self, tenant: TenantId, id: bytes) -> FoundCampaign:
        """The campaign as it is now. Raises NotFound."""
        row = await self._campaigns.get(tenant, id)
        if row is None:
            raise NotFound("There is no such campaign.")
        return FoundCampaign(row, opened_campaign(row, self._vault))

    async def page(
        self, tenant: TenantId, status: CampaignStatus | None, before: bytes | None, limit: int
    ) -> tuple[list[FoundCampaign], bytes | None]:
        """Newest first, and where the next page begins; None: that was all."""
        statuses = frozenset() if status is None else frozenset({status})
        rows = await self._campaigns.page(tenant, statuses, before, limit)
        found = [FoundCampaign(row, opened_campaign(row, self._vault)) for row in rows]
        return found, rows[-1].id if len(rows) == limit else None

    async def counts(self, rows: Sequence[CampaignRow]) -> Mapping[bytes, CampaignCounts]:
        """What became of the messages of each, by its id. Of a large campaign they are some seconds old."""
        now_s, now = self._clock.monotonic(), self._clock.now()
        events = {row.event_id for row in rows if row.event_id is not None}
        old = [one for one in events if one not in self._counts or self._counts[one][0] <= now_s]
        if old:
            await self._count(old)
        nothing = CampaignCounts({}, now)
        return {row.id: nothing if row.event_id is None else self._counts[row.event_id][1] for row in rows}

    async def _count(self, events: Sequence[EventId]) -> None:
        began_s, as_of = self._clock.monotonic(), self._clock.now()
        found = await self._ledger.events.counts(events)
        now_s = self._clock.monotonic()
        if len(self._counts) > MOST_KEPT:
            self._counts.clear()
        until_s = now_s + (now_s - began_s) * COUNTED_FOR_S
        self._counts |= {one: (until_s, CampaignCounts(found.get(one, {}), as_of)) for one in events}

    async def preview(self, tenant: TenantId, id: bytes) -> CampaignPreview:
        """Count its audience, and plan a fair sample of it. Nothing is stored."""
        _, state = await self.get(tenant, id)
        people = 0
        places: list[tuple[bytes, UserNo]] = []
        async for read in self._audience(tenant, state):
            people += len(read)
            places = nsmallest(SAMPLE, [*places, *((_place(id, no), no) for no in read)])
        users = await self._ledger.users.get([no for _, no in places])
        names = tuple([user.id for user in users.values()])
        runs = await self._dry_runs.runs(tenant, _submission(state.campaign, names)) if names else ()
        channels: Counter[str] = Counter()
        not_sent: Counter[Reason] = Counter()
        for _, run in runs:
            for decided in run.channels:
                if decided.message_id is None:
                    continue
                if decided.status in ACTIVE:
                    channels[decided.channel.value] += 1
                else:
                    not_sent[decided.reason or Reason.INTERNAL_ERROR] += 1
        return CampaignPreview(people, len(names), channels, not_sent)

    async def size(self, tenant: TenantId, state: CampaignState) -> int | None:
        """How many people its audience has now; None: its topic or object is gone."""
        audience = state.campaign.audience
        if audience.segment is not None:
            return (await self._ledger.segments.counts(tenant, [audience.segment])).get(audience.segment, 0)
        if audience.topic_key is None:
            return len(state.members)
        return await self._groups.subscribers(tenant, audience.topic_key)

    async def _audience(self, tenant: TenantId, state: CampaignState) -> AsyncIterator[Sequence[UserNo]]:
        after = NO_USER
        while True:
            read = await audience_after(self._groups, tenant, state, after, READ)
            if read is None:
                raise Busy("The members of the segment are still being found: try again in a moment.")
            yield read
            if len(read) < READ:
                return
            after = read[-1]

    # -- what people do ----------------------------------------------------------------------------------------

    async def create(self, tenant: TenantId, campaign: Campaign) -> FoundCampaign:
        """A draft. Raises InvalidInput and UnknownReference with the field that is wrong."""
        members = await self._check(tenant, campaign)
        now = self._clock.now()
        state = CampaignState(campaign=campaign, created_at=now, updated_at=now, members=members)
        row = CampaignRow(
            id=new_event_id(now, self._random.bytes(10)),
            tenant=tenant,
            status=CampaignStatus.DRAFT,
            lane=campaign.lane,
            revision=1,
            sealed=sealed_campaign(tenant, state, self._vault),
        )
        await self._campaigns.put(row, None)
        return FoundCampaign(row, state)

    async def change(
        self, tenant: TenantId, id: bytes, before: Campaign, campaign: Campaign
    ) -> FoundCampaign:
        """Replace what `before` said: all of a draft; name, rate and `keep_open` until it is over."""
        members = await self._check(tenant, campaign)

        def changed(row: CampaignRow, state: CampaignState, now: Instant) -> FoundCampaign:
            if state.campaign != before:
                raise Conflict("The campaign was changed meanwhile: read it, and make your change again.")
            if row.status is not CampaignStatus.DRAFT and (
                row.status in OVER or _fixed(campaign) != _fixed(before)
            ):
                raise Conflict(
                    f"The campaign is {row.status}: only `name`, `rate_per_s` and `keep_open` can be changed, until it is over."
                )
            fresh = row.status is CampaignStatus.DRAFT
            state = replace(state, campaign=campaign, members=members if fresh else state.members)
            return FoundCampaign(replace(row, lane=campaign.lane, pace_at=max(now, row.pace_at)), state)

        return await self._change(tenant, id, changed)

    async def delete(self, tenant: TenantId, id: bytes) -> None:
        """Delete a draft, or one that is over; its messages stay. Raises NotFound and Conflict."""
        row, _ = await self.get(tenant, id)
        if row.status is not CampaignStatus.DRAFT and row.status not in OVER:
            raise Conflict(f"The campaign is {row.status}: cancel it first.")
        await self._campaigns.drop(tenant, id)

    async def start(self, tenant: TenantId, id: bytes) -> FoundCampaign:
        """Start a draft: its test share first, if it has one. Start the rest of one that is tested."""
        revision = self._ledger.setup.revision
        event_id = new_event_id(self._clock.now(), self._random.bytes(10))

        def started(row: CampaignRow, state: CampaignState, now: Instant) -> FoundCampaign:
            if row.status is CampaignStatus.TESTED:
                due = max(now, _begins(state.campaign, now))
                return FoundCampaign(
                    replace(row, status=CampaignStatus.RUNNING, due_at=due, pace_at=due), state
                )
            if row.status is not CampaignStatus.DRAFT:
                raise Conflict(
                    f"The campaign is {row.status}: only a draft, or one that is tested, can be started."
                )
            asked = state.campaign
            schedule.send_at(_submission(asked, ()), now)
            entry = sealed_entry(_event(tenant, asked, event_id, now), None, self._vault, revision)
            due = max(now, _begins(asked, now))
            testing = asked.test_share is not None
            status = CampaignStatus.TESTING if testing else CampaignStatus.RUNNING
            return FoundCampaign(
                replace(row, status=status, due_at=due, pace_at=due, event_id=event_id),
                replace(state, event=entry.sealed, setup_revision=revision, started_at=now),
            )

        _, state = await self.get(tenant, id)
        await self._check(tenant, state.campaign)
        return await self._change(tenant, id, started, again=True)

    async def pause(self, tenant: TenantId, id: bytes) -> FoundCampaign:
        """No member is planned from the answer on, and what is planned is not sent. Raises NotFound and Conflict."""

        def paused(row: CampaignRow, state: CampaignState, now: Instant) -> FoundCampaign:
            if row.status is CampaignStatus.PAUSED:
                return FoundCampaign(row, state)
            if row.status not in GOING:
                raise Conflict(f"The campaign is {row.status}: only one that runs can be paused.")
            kept = replace(state, paused=row.status, paused_at=now, resumes_at=row.due_at)
            return FoundCampaign(replace(row, status=CampaignStatus.PAUSED, due_at=None), kept)

        return await self._change(tenant, id, paused)

    async def resume(self, tenant: TenantId, id: bytes) -> FoundCampaign:
        """Go on where it was paused; the rate counts from now. Raises NotFound and Conflict."""

        def resumed(row: CampaignRow, state: CampaignState, now: Instant) -> FoundCampaign:
            if row.status is not CampaignStatus.PAUSED or state.paused is None:
                raise Conflict(f"The campaign is {row.status}: only one that is paused can be resumed.")
            due = None if state.resumes_at is None else max(now, state.resumes_at)
            going = replace(state, paused=None, paused_at=None, resumes_at=None)
            return FoundCampaign(replace(row, status=state.paused, due_at=due, pace_at=due or now), going)

        return await self._change(tenant, id, resumed)

    async def cancel(self, tenant: TenantId, id: bytes) -> FoundCampaign:
        """Plan nothing more, and cancel every message that is not being sent yet. Raises NotFound and Conflict."""

        def canceled(row: CampaignRow, state: CampaignState, now: Instant) -> FoundCampaign:
            if row.status is CampaignStatus.DONE:
                raise Conflict("The campaign is done.")
            if row.status is CampaignStatus.CANCELED:
                return FoundCampaign(row, state)
            over = replace(state, finished_at=now)
            return FoundCampaign(replace(row, status=CampaignStatus.CANCELED, due_at=None), over)

        found = await self._change(tenant, id, canceled)
        if found.row.event_id is not None and not terms.dry_running():
            await self._cancellations.event(tenant, found.row.event_id)
            self._counts.pop(found.row.event_id, None)
        return found

    async def retry_failed(self, tenant: TenantId, id: bytes) -> Operation:
        """Send again what failed: the same messages. Raises NotFound, Conflict and Busy."""
        row, _ = await self.get(tenant, id)
        if row.event_id is None:
            raise Conflict("The campaign was never started.")
        where = MessageFilter(event_id=row.event_id)
        return await self._operations.start(tenant, OperationKind.RETRY_MESSAGES, where)

    # -- the loop ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Say which campaigns are over, until cancelled."""
        while True:
            try:
                await self.sweep()
            except (Busy, Unavailable):
                log.warning("campaigns_wait")
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Those whose members are all planned, and whose messages are all finished, are tested or done."""
        before: bytes | None = None
        while True:
            rows = await self._campaigns.page(None, GOING, before, AT_ONCE)
            planned = [row for row in rows if row.due_at is None and not row.ranges]
            counts = await self.counts(planned)
            for row in planned:
                if not counts[row.id].active and not await self._active(row):
                    await self._end(row)
            if len(rows) < AT_ONCE:
                return
            before = rows[-1].id

    async def _active(self, row: CampaignRow) -> int:
        """Messages that are not finished now. What is known may be older than its last page."""
        assert row.event_id is not None
        await self._count([row.event_id])
        return self._counted(row).active

    def _counted(self, row: CampaignRow) -> CampaignCounts:
        assert row.event_id is not None
        return self._counts[row.event_id][1]

    async def _end(self, row: CampaignRow) -> None:
        state, now = opened_campaign(row, self._vault), self._clock.now()
        tested = row.status is CampaignStatus.TESTING
        status = CampaignStatus.TESTED if tested else CampaignStatus.DONE
        over = state if tested else replace(state, finished_at=now)
        kind = TOLD[status]
        if status is CampaignStatus.DONE and self._counted(row).of(*FAILED_FOR_GOOD):
            kind = UserChangeKind.PARTLY_FAILED
        await self._store(replace(row, status=status), over, said=[_told(row, kind, now)])

    # -- storing -----------------------------------------------------------------------------------------------

    async def _change(
        self,
        tenant: TenantId,
        id: bytes,
        changed: Callable[[CampaignRow, CampaignState, Instant], FoundCampaign],
        *,
        again: bool = False,
    ) -> FoundCampaign:
        async def change() -> FoundCampaign:
            row, state = await self.get(tenant, id)
            now = self._clock.now()
            after = changed(row, state, now)
            if after == (row, state):
                return after
            after = after._replace(state=replace(after.state, updated_at=now))
            rate = state.campaign.rate_per_s
            said = _said(row.status, after.row.status, after.row, now)
            stored = await self._store(*after, again=again, rate_per_s=rate, said=said)
            if not stored and not terms.dry_running():
                raise Conflict("The campaign was changed meanwhile: try again.")
            return after

        return await repeat_on_conflict(change, TRIES)

    async def _store(
        self,
        row: CampaignRow,
        state: CampaignState,
        *,
        said: Sequence[UserChange],
        again: bool = False,
        rate_per_s: int | None = None,
    ) -> bool:
        sealed = sealed_campaign(row.tenant, state, self._vault)
        new = replace(row, revision=row.revision + 1, sealed=sealed)
        return await self._campaigns.put(new, row.revision, again=again, rate_per_s=rate_per_s, said=said)

    async def _check(self, tenant: TenantId, campaign: Campaign) -> tuple[UserNo, ...]:
        """The numbers of an audience that is a list."""
        workflow = self._workflow(tenant, campaign)
        trigger = WorkflowTrigger.of(workflow, (), "", listed=True)
        self._schemas.check(tenant, (trigger,), _data(campaign))
        topic, user_ids, segment, named = (
            campaign.audience.topic,
            campaign.audience.user_ids,
            campaign.audience.segment,
            campaign.audience.object,
        )
        if segment is not None:
            known = self._groups.segments(tenant)
            if segment not in known:
                near = closest(segment, known)
                pointer = "#/audience/segment"
                raise UnknownReference([UnknownName("segment", segment, pointer, CREATE_SEGMENT, near)])
            return ()
        if topic is not None:
            if not await self._ledger.directory.topics(tenant, [topic]):
                raise UnknownReference([UnknownName("topic", topic, "#/audience/topic", CREATE_TOPIC)])
            return ()
        if named is not None:
            if not await self._ledger.directory.topics(tenant, [named.key]):
                pointer = "#/audience/object"
                raise UnknownReference([UnknownName("object", str(named), pointer, CREATE_OBJECT)])
            return ()
        users = await self._ledger.users.find(tenant, user_ids or ())
        unknown = [
            UnknownName("user", one, f"#/audience/user_ids/{place}", CREATE_USER)
            for place, one in enumerate(user_ids or ())
            if one not in users
        ]
        if unknown:
            raise UnknownReference(unknown)
        return tuple(sorted({user.no for user in users.values()}))

    def _workflow(self, tenant: TenantId, campaign: Campaign) -> Workflow:
        workflows = self._ledger.setup.workflows.all(tenant)
        if campaign.workflow not in workflows:
            detail = f"There is no workflow {campaign.workflow!r}. {nearest(campaign.workflow, workflows)}"
            raise InvalidInput(detail.rstrip(), pointer="#/workflow")
        return workflows[campaign.workflow]


def _said(
    before: CampaignStatus, after: CampaignStatus, row: CampaignRow, now: Instant
) -> Sequence[UserChange]:
    """What is told of a change that people made."""
    if before is after:
        return ()
    resumed = before is CampaignStatus.PAUSED and after in GOING
    return [_told(row, UserChangeKind.RESUMED if resumed else TOLD[after], now)]


def _told(row: CampaignRow, kind: UserChangeKind, now: Instant) -> UserChange:
    return UserChange(tenant=row.tenant, user=NO_USER, at=now, kind=kind, campaign=row.id)


def _event(tenant: TenantId, campaign: Campaign, event_id: EventId, now: Instant) -> Event:
    return Event(
        id=event_id,
        tenant=tenant,
        lane=campaign.lane,
        workflow=campaign.workflow,
        at=now,
        data=_data(campaign),
        expires_at=campaign.expires_at,
        send_at=campaign.send_at,
        send_at_local=campaign.send_at_local,
        source="/campaigns",
        campaign=True,
    )


def _begins(campaign: Campaign, now: Instant) -> Instant:
    """When its first member may be due."""
    if campaign.send_at_local is not None:
        return schedule.first_instant(campaign.send_at_local)
    return now if campaign.send_at is None else campaign.send_at


def _fixed(campaign: Campaign) -> Campaign:
    """What cannot be changed any more once it was started."""
    return replace(campaign, name="", rate_per_s=None, keep_open=False)


def _data(campaign: Campaign) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(campaign.data))


def _submission(campaign: Campaign, recipients: tuple[str, ...]) -> Submission:
    return Submission(
        workflow=campaign.workflow,
        recipients=recipients,
        data=_data(campaign),
        expires_at=campaign.expires_at,
        send_at=campaign.send_at,
        send_at_local=campaign.send_at_local,
    )


def _place(campaign: bytes, user: UserNo) -> bytes:
    return blake2b(campaign + user.to_bytes(8, "big"), digest_size=8).digest()

"""Schedules: starts workflows at their times, each occurrence once.

An occurrence is decided in one write, which stores with it that its event is to come, and only then submitted, under an id
that follows from schedule and occurrence. Whoever finds it stored submits it again. So it survives a crash at any point,
and several processes may look at the same schedule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import (
    Busy,
    ClarionError,
    Conflict,
    InvalidInput,
    NotFound,
    SealBroken,
    Unavailable,
    UnknownReference,
)
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.intake.recipients import WorkflowIndex, resolve
from clarion.flow.intake.schemas import Schemas
from clarion.flow.ledger import Ledger
from clarion.model.ids import EventId, Instant, TenantId, new_event_id
from clarion.model.schedule import Occurrence, Outcome, Schedule, ScheduleRow, ScheduleState
from clarion.model.submission import Acceptance, Submission
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules.recurrence import check, following, nearest
from clarion.rules.schedules import after_pause, due, paused, without

log = structlog.get_logger(__name__)

EVERY_S = 0.5
AT_ONCE = 100
TRIES = 20
"""How often a change is made again when others come at the same time."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ScheduleState).decode

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]


class ScheduleService:
    """Keeps schedules, and starts what they say."""

    def __init__(
        self, ledger: Ledger, schemas: Schemas, submit: Submit, vault: Vault, clock: Clock, random: Random
    ) -> None:
        self._schedules = ledger.schedules
        self._ledger = ledger
        self._schemas = schemas
        self._submit = submit
        self._vault = vault
        self._clock = clock
        self._random = random
        self.fired = 0

    def over(self, ledger: Ledger) -> ScheduleService:
        """The same over another ledger: what a schedule refers to is looked for there."""
        return ScheduleService(
            ledger, Schemas(ledger.setup), self._submit, self._vault, self._clock, self._random
        )

    async def get(self, tenant: TenantId, key: str) -> ScheduleState | None:
        """The schedule as it is now."""
        row = await self._schedules.get(tenant, key)
        return None if row is None else self._opened(row)

    async def page(
        self, tenant: TenantId, after: str, limit: int
    ) -> tuple[Sequence[ScheduleState], str | None]:
        """By key, and where the next page begins; None: that was all."""
        rows = await self._schedules.page(tenant, after, limit)
        return [self._opened(row) for row in rows], rows[-1].key if len(rows) == limit else None

    async def put(
        self, tenant: TenantId, schedule: Schedule, before: Schedule | None = None
    ) -> ScheduleState:
        """Create or replace it. `before`: what it was made from; Conflict when it is another one by now. Occurrences that were
        decided still fire. Raises InvalidInput with the field that is wrong."""
        check(schedule)
        await self._check_event(tenant, schedule)

        def changed(state: ScheduleState | None, now: Instant) -> ScheduleState:
            if before is not None and (state is None or state.schedule != before):
                raise Conflict("The schedule was changed meanwhile: read it, and make your change again.")
            if state is None:
                state = ScheduleState(schedule=schedule, created_at=now, updated_at=now)
            # What is due and not decided yet occurs by the new schedule.
            since = now if state.next is None else min(now, Instant(state.next.at - 1))
            new = replace(state, schedule=schedule, updated_at=now)
            if new.paused_at is None:
                found = following(schedule, self._zone(tenant), state.created_at, since)
                new = replace(new, next=found)
            if new.next is None and new.paused_at is None:
                raise InvalidInput("it never occurs from now on: nothing was stored.", pointer="#")
            return new

        return await self._change(tenant, schedule.key, changed)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """Whether it was there. Events that it made stay."""
        return await self._schedules.drop(tenant, key)

    async def pause(self, tenant: TenantId, key: str) -> ScheduleState:
        """Nothing occurs from the answer on. Raises NotFound."""

        def stopped(state: ScheduleState, now: Instant) -> ScheduleState:
            if state.paused_at is not None:
                return state
            return replace(paused(state, self._zone(tenant), now), updated_at=now)

        return await self._change(tenant, key, _of_existing(key, stopped))

    async def resume(self, tenant: TenantId, key: str, *, catch_up: bool) -> ScheduleState:
        """Go on. `catch_up`: the schedule's `catch_up` decides about the occurrences of the pause, else they do not fire.
        Raises NotFound."""

        def resumed(state: ScheduleState, now: Instant) -> ScheduleState:
            if state.paused_at is None:
                return state
            return replace(after_pause(state, self._zone(tenant), now, catch_up=catch_up), updated_at=now)

        return await self._change(tenant, key, _of_existing(key, resumed))

    async def skip(self, tenant: TenantId, key: str, at: Instant | None) -> ScheduleState:
        """Leave out an occurrence to come; None: the next one. Raises NotFound, and InvalidInput when there is none then."""

        def skipped(state: ScheduleState, now: Instant) -> ScheduleState:
            return without(state, self._zone(tenant), now, at)

        return await self._change(tenant, key, _of_existing(key, skipped))

    async def start(self, tenant: TenantId, key: str) -> Acceptance | None:
        """Start the workflow now, beside the occurrences; None in a dry run. Raises NotFound, and what the event is refused
        with."""
        state = await self.get(tenant, key)
        if state is None:
            raise _missing(key)
        if terms.dry_running():
            await self._check_event(tenant, state.schedule)
            return None
        (answer,) = await self._submit(tenant, [_submission(state.schedule, None, None)])
        if isinstance(answer, ClarionError):
            raise answer
        return answer

    def to_come(self, tenant: TenantId, state: ScheduleState, after: Instant, most: int) -> list[Occurrence]:
        """The next occurrences behind `after`; those that are left out say so."""
        found = nearest(state.schedule, self._zone(tenant), state.created_at, after, most)
        return [replace(one, outcome=Outcome.SKIPPED) if one.at in state.skipped else one for one in found]

    # -- the loop --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look after what is due, until cancelled."""
        while True:
            busy = False
            try:
                busy = await self.sweep()
            except (Busy, Unavailable):
                log.warning("schedules_wait")
            if not busy:
                await self._clock.sleep(EVERY_S)

    async def sweep(self) -> bool:
        """Fire what is due; whether there may be more."""
        rows = await self._schedules.due(self._clock.now(), AT_ONCE)
        for row in rows:
            try:
                await self._look_at(row)
            except (Busy, Unavailable):
                raise
            except Exception as fault:
                log.exception("schedule_failed", error=type(fault).__name__)
        return len(rows) == AT_ONCE

    async def _look_at(self, row: ScheduleRow) -> None:
        try:
            state = self._opened(row)
        except (SealBroken, msgspec.DecodeError) as fault:
            log.error("schedule_unreadable", error=type(fault).__name__)
            await self._schedules.put(replace(row, revision=row.revision + 1, due_at=None), row.revision)
            return
        if state.firing:  # by whoever did not come to its end
            state = await self._fire(row, state)
            row = replace(row, revision=row.revision + 1)
        now = self._clock.now()
        decided = due(state, self._zone(row.tenant), now, lambda one: _event_id(row.id, one))
        if decided is state:
            return
        following_row = self._row(row.tenant, row.key, row.id, row.revision + 1, decided, now)
        # Where this is not stored, somebody changed it, or decided the same.
        if await self._schedules.put(following_row, row.revision) and decided.firing:
            await self._fire(following_row, decided)

    async def _fire(self, row: ScheduleRow, state: ScheduleState) -> ScheduleState:
        """Submit what was decided, which may have been done before, and note what became of it."""
        ended = {one.at: one for one in state.firing}
        wanted = [_submission(state.schedule, one, f"{row.id.hex()}/{one.at}") for one in state.firing]
        for occurrence, answer in zip(state.firing, await self._submit(row.tenant, wanted), strict=True):
            if isinstance(answer, Busy | Unavailable):
                raise answer
            if isinstance(answer, ClarionError):
                log.warning("occurrence_refused", tenant=row.tenant, error=answer.code)
                ended[occurrence.at] = replace(
                    occurrence, outcome=Outcome.FAILED, event_id=None, error=answer.code
                )
            else:
                self.fired += not answer.repeated
        past = tuple([ended.get(one.at, one) for one in state.past])
        done = replace(state, firing=(), past=past)
        now = self._clock.now()
        # Where this is not stored, somebody changed it meanwhile: then it is submitted again, to no effect.
        await self._schedules.put(
            self._row(row.tenant, row.key, row.id, row.revision + 1, done, now), row.revision
        )
        return done

    # -- storing ---------------------------------------------------------------------------------------------

    async def _change(
        self,
        tenant: TenantId,
        key: str,
        changed: Callable[[ScheduleState | None, Instant], ScheduleState],
    ) -> ScheduleState:
        async def change() -> ScheduleState:
            row, now = await self._schedules.get(tenant, key), self._clock.now()
            before = None if row is None else self._opened(row)
            after = changed(before, now)
            if after is before:
                return after
            id_ = new_event_id(now, self._random.bytes(10)) if row is None else row.id
            revision = 0 if row is None else row.revision
            new = self._row(tenant, key, id_, revision + 1, after, now)
            if (
                not await self._schedules.put(new, None if row is None else revision)
                and not terms.dry_running()
            ):
                raise Conflict("The schedule was changed meanwhile: try again.")
            return after

        return await repeat_on_conflict(change, TRIES)

    async def _check_event(self, tenant: TenantId, schedule: Schedule) -> None:
        """Refuse what its events would be refused for now."""
        submission = _submission(schedule, None, None)
        workflows = self._ledger.setup.workflows.all(tenant)
        try:
            targets = resolve(WorkflowIndex(workflows), submission, self._clock.now())
        except NotFound as wrong:  # The workflow stands in the body, not in the path.
            raise InvalidInput(wrong.detail, pointer="#/workflow") from None
        self._schemas.check(tenant, targets, submission.data)
        for target in targets:
            users = await self._ledger.users.find(tenant, target.users)
            topics = await self._ledger.directory.topics(tenant, target.topics) if target.topics else ()
            segments = self._ledger.setup.segments.all(tenant)
            if unknown := list(dict.fromkeys(target.unknown(users, topics, segments))):
                raise UnknownReference(unknown)

    def _zone(self, tenant: TenantId) -> str:
        found = self._ledger.setup.tenants.all().get(tenant)
        return "UTC" if found is None else found.timezone

    def _row(
        self, tenant: TenantId, key: str, id_: bytes, revision: int, state: ScheduleState, now: Instant
    ) -> ScheduleRow:
        return ScheduleRow(
            tenant=tenant,
            key=key,
            id=id_,
            revision=revision,
            sealed=self._vault.seal(self._vault.tenant_key(tenant), _encode(state)),
            due_at=now if state.firing else state.next.at if state.next is not None else None,
        )

    def _opened(self, row: ScheduleRow) -> ScheduleState:
        return _decode(self._vault.open(self._vault.tenant_key(row.tenant), row.sealed))


def _of_existing(
    key: str, changed: Callable[[ScheduleState, Instant], ScheduleState]
) -> Callable[[ScheduleState | None, Instant], ScheduleState]:
    def change(state: ScheduleState | None, now: Instant) -> ScheduleState:
        if state is None:
            raise _missing(key)
        return changed(state, now)

    return change


def _missing(key: str) -> NotFound:
    return NotFound(f"There is no schedule {key!r}.")


def _event_id(schedule: bytes, occurrence: Occurrence) -> EventId:
    """Of the event of an occurrence: always the same."""
    derived = blake2b(schedule + b"%d" % occurrence.at, digest_size=10).digest()
    return new_event_id(max(occurrence.at, Instant(0)), derived)


def _submission(schedule: Schedule, occurrence: Occurrence | None, claim: str | None) -> Submission:
    """`claim`: under which a repeat is known."""
    return Submission(
        workflow=schedule.workflow,
        recipients=schedule.recipients,
        data=msgspec.Raw(msgspec.json.encode(schedule.data)),
        lane=schedule.lane,
        send_at_local=None if occurrence is None else occurrence.local,
        source=f"/schedules/{schedule.key}",
        event_key=claim or "",
        event_id=None if occurrence is None else occurrence.event_id,
    )

"""Live resources: stores their states, and announces each as an event that goes the way of all others.

A state is stored first, and due until its events are accepted: whoever finds it due announces it again, under the same
idempotency keys. So no state is lost, and none is announced twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence, Set

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import Busy, ClarionError, Conflict, NotFound, Unavailable, UnknownReference
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.intake.recipients import WorkflowIndex, resolve
from clarion.flow.intake.schemas import Schemas
from clarion.flow.ledger import Ledger
from clarion.flow.live_states import LiveStates, update_of
from clarion.model.device import ActivityAddress, Device
from clarion.model.device_address import read_device_address
from clarion.model.ids import Instant, TenantId, new_event_id
from clarion.model.live import Live, LiveRow
from clarion.model.live_update import LiveEvent
from clarion.model.submission import Acceptance, Recipient, Submission
from clarion.model.user import User
from clarion.ports import terms
from clarion.ports.clock import Clock, Random

log = structlog.get_logger(__name__)

APART_MS = 1_000
"""Between two states that go out; those between them are left out."""
SOON_MS = 200
"""A state that goes out so soon may be on its way: the next one does not take its turn."""
KEPT_MS = 30 * 86_400_000
"""How long a live resource can be read after its end."""
OVER_MS = 3_600_000
"""By then its end has been sent."""
EVERY_S = 1.0
AT_ONCE = 100
TRIES = 20
"""How often a state is put on top of others that come at the same time."""

Recipients = Sequence[str | Recipient]
Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]


class OlderSequence(Conflict):
    """The state is not newer than the one that is there."""

    code = "older_sequence"


class LiveEnded(Conflict):
    """The live resource has ended."""

    code = "live_ended"


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says of a live resource: all of it."""

    workflow: str
    recipients: tuple[str | Recipient, ...]
    state: msgspec.Raw
    sequence: int | None = None
    """None: the next one."""
    stale_at: Instant | None = None


class LiveService:
    """Starts, updates and ends live resources."""

    def __init__(
        self,
        ledger: Ledger,
        states: LiveStates,
        schemas: Schemas,
        submit: Submit,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._states = states
        self._schemas = schemas
        self._submit = submit
        self._clock = clock
        self._random = random

    async def get(self, tenant: TenantId, key: str) -> Live | None:
        """The live resource as it is now."""
        found = await self._states.newest(tenant, [key])
        return next(iter(found.values()), None)

    async def page(
        self, tenant: TenantId, ended: bool | None, after: str, limit: int
    ) -> tuple[Sequence[Live], str]:
        """By key, and where the next page begins; empty: there is none."""
        rows = await self._ledger.lives.page(tenant, ended, after, limit)
        opened = await self._states.opened(rows)
        found = [opened[row.id] for row in rows if row.id in opened]
        return found, rows[-1].key if len(rows) == limit else ""

    async def put(self, tenant: TenantId, key: str, given: LiveState) -> Live:
        """The first state starts it, the others update it. The same state again changes nothing.

        Raises OlderSequence, LiveEnded, UnknownReference and whatever the workflow says against the state.
        """

        async def following(old: Live | None, now: Instant) -> Live:
            new = self._first(tenant, key, given, now) if old is None else self._next(old, given, now)
            await self._check(new)
            return new

        return await self._change(tenant, key, following, lambda old: _says(old, given))

    async def end(
        self,
        tenant: TenantId,
        key: str,
        *,
        state: msgspec.Raw | None = None,
        sequence: int | None = None,
        dismiss_at: Instant | None = None,
    ) -> Live:
        """End it, with a last state if there is one. What has ended stays as it is. Raises NotFound and OlderSequence."""

        async def ended(old: Live | None, now: Instant) -> Live:
            if old is None:
                raise NotFound(f"There is no live resource {key!r}.")
            return self._ended(old, now, state=state, sequence=sequence, dismiss_at=dismiss_at)

        return await self._change(tenant, key, ended, lambda old: old.ended_at is not None)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """End it, take it off all screens, and forget it. Whether it was there."""
        live = await self.get(tenant, key)
        if live is None:
            return False
        if live.ended_at is None:
            await self.end(tenant, key, dismiss_at=self._clock.now())
        return await self._ledger.lives.drop(tenant, key, live.id)

    async def add_device(self, live: Live, user: User, device_id: str, address: str) -> None:
        """A device of the user shows it in a Live Activity from now on: it gets the state at once. Addresses of Live
        Activities that ended are forgotten. Raises NotFound."""

        async def add() -> None:
            owner = (await self._ledger.users.get([user.no])).get(user.no)
            before = None if owner is None else owner.profile.device(device_id)
            if before is None:
                raise NotFound(f"The user {user.id!r} has no device {device_id!r}.", pointer="#/device_id")
            ended = await self._ended_among(live.tenant, before)
            kept = [
                one for one in before.activities if (key := _live_key(one)) not in ended and key != live.key
            ]
            device = replace(before, activities=(*kept, ActivityAddress(address=address)))
            await self._ledger.devices.put(live.tenant, user.no, device, self._clock.now(), before=before)

        await repeat_on_conflict(add, TRIES)
        if not terms.dry_running():
            key = f"{live.id.hex()}/{live.sequence}/{device_id}/{self._clock.now()}"
            await self._send(live, [_submission(live, LiveEvent.UPDATE, (user.id,), key)])

    async def _ended_among(self, tenant: TenantId, device: Device) -> Set[str]:
        """The keys of what the device shows and is over, so that nothing is sent to it any more."""
        keys = {key for one in device.activities if (key := _live_key(one))}
        rows = await self._ledger.lives.get(tenant, list(keys))
        late = self._clock.now() - OVER_MS
        ended = {key for key, row in rows.items() if row.ended_at is not None and row.ended_at <= late}
        return ended | keys - rows.keys()

    async def run(self) -> None:
        """Look after what is due, until cancelled."""
        while True:
            try:
                await self.sweep()
            except (Busy, Unavailable):
                log.warning("live_resources_wait")
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Announce what was not announced, end what is stale, and forget what ended long ago."""
        rows = await self._ledger.lives.due(self._clock.now(), AT_ONCE)
        opened = await self._states.opened(rows)
        for row in rows:
            try:
                await self._look_at(row, opened.get(row.id))
            except (Busy, Unavailable):
                raise
            except Exception as fault:
                log.exception("live_resource_failed", error=type(fault).__name__)

    async def _look_at(self, row: LiveRow, live: Live | None) -> None:
        now = self._clock.now()
        if live is None or (live.ended_at is not None and live.ended_at + KEPT_MS <= now):
            await self._ledger.lives.drop(row.tenant, row.key, row.id)
        elif live.ended_at is None and live.stale_at is not None and live.stale_at <= now:
            ended = self._ended(live, now)
            if await self._store(ended, live.sequence):
                await self._announce(ended)
        else:
            await self._announce(live)

    async def _change(
        self,
        tenant: TenantId,
        key: str,
        following: Callable[[Live | None, Instant], Awaitable[Live]],
        is_there: Callable[[Live], bool],
    ) -> Live:
        for _ in range(TRIES):
            old = await self.get(tenant, key)
            if old is not None and is_there(old):
                await self._announce(old)
                return old
            new = await following(old, self._clock.now())
            if await self._store(new, None if old is None else old.sequence):
                await self._announce(new)
                return new
        raise Busy("The same live resource is being changed by many calls at once.")

    def _first(self, tenant: TenantId, key: str, given: LiveState, now: Instant) -> Live:
        return Live(
            tenant=tenant,
            key=key,
            id=new_event_id(now, self._random.bytes(10)),
            workflow=given.workflow,
            recipients=given.recipients,
            state=given.state,
            sequence=1 if given.sequence is None else given.sequence,
            created_at=now,
            updated_at=now,
            goes_at=now,
            stale_at=given.stale_at,
            joined=given.recipients,
        )

    def _next(self, old: Live, given: LiveState, now: Instant) -> Live:
        if old.ended_at is not None:
            raise LiveEnded("It has ended: use another key, or delete it first.")
        if given.workflow != old.workflow:
            raise Conflict(
                f"It goes through the workflow {old.workflow!r}: end it, and use another key.",
                pointer="#/workflow",
            )
        return replace(
            _later(old, given.sequence, now),
            recipients=given.recipients,
            state=given.state,
            stale_at=given.stale_at,
            joined=_without(given.recipients, old.recipients),
            left=_without(old.recipients, given.recipients),
        )

    def _ended(
        self,
        old: Live,
        now: Instant,
        *,
        state: msgspec.Raw | None = None,
        sequence: int | None = None,
        dismiss_at: Instant | None = None,
    ) -> Live:
        return replace(
            _later(old, sequence, now),
            state=old.state if state is None else state,
            stale_at=None,
            ended_at=now,
            dismiss_at=dismiss_at,
            joined=(),
            left=(),
        )

    async def _check(self, live: Live) -> None:
        """Refuse what its events would be refused for, before anything is stored."""
        submission = Submission(workflow=live.workflow, recipients=live.recipients, data=live.state)
        workflows = self._ledger.setup.workflows.all(live.tenant)
        targets = resolve(WorkflowIndex(workflows), submission, live.updated_at)
        self._schemas.check(live.tenant, targets, live.state)
        segments = self._ledger.setup.segments.all(live.tenant)
        for target in targets if live.joined else ():
            users = await self._ledger.users.find(live.tenant, target.users)
            topics = await self._ledger.directory.topics(live.tenant, target.topics) if target.topics else ()
            if unknown := list(dict.fromkeys(target.unknown(users, topics, segments))):
                raise UnknownReference(unknown)

    async def _store(self, live: Live, after: int | None) -> bool:
        sole = None
        if len(live.recipients) == 1 and (user_id := _user_id(live.recipients[0])) is not None:
            sole = (await self._ledger.users.find(live.tenant, [user_id])).get(user_id)
        return await self._ledger.lives.put(self._states.sealed(live, sole, live.updated_at), after)

    async def _announce(self, live: Live) -> None:
        """Each event once, however often this is done."""
        if terms.dry_running():
            return
        await self._send(live, list(_events(live)))
        due_at = live.stale_at if live.ended_at is None else Instant(live.ended_at + KEPT_MS)
        await self._ledger.lives.looked_at(live.tenant, live.key, live.id, live.sequence, due_at)

    async def _send(self, live: Live, submissions: Sequence[Submission]) -> None:
        for answer in await self._submit(live.tenant, submissions):
            if isinstance(answer, Busy | Unavailable):
                raise answer
            if isinstance(answer, ClarionError):  # A recipient or the workflow went meanwhile.
                log.warning("live_event_refused", tenant=live.tenant, error=answer.code)


def _later(old: Live, sequence: int | None, now: Instant) -> Live:
    """The next state, still without anything new in it."""
    if sequence is not None and sequence <= old.sequence:
        raise OlderSequence(
            f"`sequence` is {sequence}, and the state with {old.sequence} is there already: nothing was changed.",
            pointer="#/sequence",
        )
    waits = old.goes_at > now + SOON_MS
    return replace(
        old,
        sequence=old.sequence + 1 if sequence is None else sequence,
        updated_at=now,
        goes_at=old.goes_at if waits else max(now, Instant(old.goes_at + APART_MS)),
    )


def _says(old: Live, given: LiveState) -> bool:
    """Whether it is this state already."""
    return (
        old.sequence == given.sequence
        and old.ended_at is None
        and (old.workflow, old.recipients, old.stale_at) == (given.workflow, given.recipients, given.stale_at)
        and bytes(old.state) == bytes(given.state)
    )


def _events(live: Live) -> Iterator[Submission]:
    """What is to be told of a state, and whom."""
    if live.ended_at is not None:
        groups: dict[LiveEvent, Recipients] = {LiveEvent.END: live.recipients}
    else:
        groups = {
            LiveEvent.START: live.joined,
            LiveEvent.UPDATE: _without(live.recipients, live.joined),
            LiveEvent.END: live.left,
        }
    for event, recipients in groups.items():
        if recipients:
            yield _submission(live, event, recipients, f"{live.id.hex()}/{live.sequence}/{event}")


def _submission(live: Live, event: LiveEvent, recipients: Recipients, key: str) -> Submission:
    later = live.goes_at > live.updated_at and event is not LiveEvent.START
    return Submission(
        workflow=live.workflow,
        recipients=tuple(recipients),
        data=live.state,
        send_at=live.goes_at if later else None,
        expires_at=live.stale_at,
        idempotency_key=f"clarion.live/{key}",
        live=update_of(live, event),
    )


def _without(these: Recipients, those: Recipients) -> tuple[str | Recipient, ...]:
    known = {_name(one) for one in those}
    return tuple(one for one in these if _name(one) not in known)


def _name(one: str | Recipient) -> tuple[str | None, str | None, str | None]:
    return (one, None, None) if isinstance(one, str) else (one.user_id, one.topic_key, one.segment)


def _live_key(one: ActivityAddress) -> str:
    """What a Live Activity shows; empty: the address starts any."""
    return read_device_address(one.address).live


def _user_id(one: str | Recipient) -> str | None:
    return _name(one)[0]

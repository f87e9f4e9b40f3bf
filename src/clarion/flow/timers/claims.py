"""Stage 5, timers: claims due messages: retries, ended quiet hours, ladder timers, messages of a crashed process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import structlog
from msgspec import DecodeError
from msgspec.structs import replace

from clarion.errors import SealBroken, Unavailable
from clarion.flow.lanes import InFlight, LaneQueue, Queues, Settle
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import reason_of, setup_of
from clarion.flow.priority import PriorityGate
from clarion.flow.sealing import opened
from clarion.flow.sweeping import SWEEP_S, sweep_forever
from clarion.model.channel import Channel, Lane
from clarion.model.event import Event, EventKey
from clarion.model.ids import Instant, MessageId, TenantId, UserNo, WorkerId
from clarion.model.message import Message
from clarion.model.plan import CapCharge
from clarion.model.settlement import Settlement
from clarion.model.setup import UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules import caps
from clarion.rules.live import is_counted
from clarion.rules.outcomes import settle_in_doubt, settle_unsent

log = structlog.get_logger(__name__)

TRIES = 3
"""How often a message that cannot be read is looked at before it is given up."""
PAUSE_MS = 1_000
"""Between two tries, times their number."""
CLAIM = 256
"""Messages claimed per queue in one go."""


class Claimer:
    """Claims due messages, as many as the queues have room for, and prepares them for the dispatcher."""

    def __init__(
        self,
        ledger: Ledger,
        lease: WorkerLease,
        queues: Queues,
        settle: Settle,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._queues = queues
        self._settle = settle
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self._found: Sequence[tuple[Lane, Channel]] = ()
        self._look_again_s = float("-inf")
        self.claimed = 0

    async def run(self, lane: Lane) -> None:
        """Sweep a lane until cancelled; without pause while there is more than one claim takes."""
        await sweep_forever(lane, self.sweep, "sweep_waits", self._priority, self._clock)

    async def sweep(self, lane: Lane) -> bool:
        """Claim once from every queue of the lane that has something due; whether any had more to give."""
        more = False
        for due_lane, channel in await self._due():
            if due_lane is lane:
                more |= await self._claim(self._queues.of(lane, channel), channel)
        return more

    async def _due(self) -> Sequence[tuple[Lane, Channel]]:
        """One look serves all lanes that ask at about the same time."""
        now_s = self._clock.monotonic()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + SWEEP_S / 2
            self._found = await self._ledger.messages.due(self._clock.now())
        return self._found

    async def _claim(self, queue: LaneQueue, channel: Channel) -> bool:
        limit, but = queue.claimable, frozenset[TenantId]()
        if limit <= 0 and (but := queue.crowding):
            limit = queue.room // 2  # of the kept slots, which are not for these
        limit = min(CLAIM, limit)
        if limit <= 0 or self._clock.monotonic() < queue.rests_until_s:
            return False
        queue.hold(limit)
        claimed: Sequence[Message] = ()
        unused = limit
        try:
            worker, now = await self._lease.lasting(), self._clock.now()
            claimed = await self._ledger.messages.claim(worker, queue.lane, channel, limit, now, but=but)
            try:
                in_flight, settlements = await self._prepared(claimed, worker, now)
            except BaseException:
                self._lease.drop(claimed)
                raise
            unused = limit - len(in_flight)
            for item in in_flight:
                queue.put(item)
        finally:
            queue.release(unused)
        self.claimed += len(claimed)
        if settlements:
            await self._settle(settlements)
        return len(claimed) == limit

    async def _prepared(
        self, claimed: Sequence[Message], worker: WorkerId, now: Instant
    ) -> tuple[list[InFlight], list[Settlement]]:
        """As `_prepare`; when that fails, one by one, so that a message that cannot be read stops no other."""
        try:
            return await self._prepare(claimed, worker, now)
        except Unavailable:
            raise
        except Exception as fault:
            log.exception("claimed_not_prepared", error=type(fault).__name__)
        in_flight: list[InFlight] = []
        settlements: list[Settlement] = []
        for message in claimed:
            try:
                its_in_flight, its_settlements = await self._prepare([message], worker, now)
            except Unavailable:
                raise
            except Exception as fault:
                log.exception("message_failed", workflow=message.workflow, error=type(fault).__name__)
                settlements.append(_failed(message, fault, now))
            else:
                in_flight += its_in_flight
                settlements += its_settlements
        return in_flight, settlements

    async def _prepare(
        self, claimed: Sequence[Message], worker: WorkerId, now: Instant
    ) -> tuple[list[InFlight], list[Settlement]]:
        """What can be sent, and what is settled without a call."""
        users = await self._ledger.users.get([m.user for m in claimed])
        events, faults = await self._events(claimed, users)
        counted, over_cap = await self._count(
            [one for one in claimed if _is_counted(events.get((one.event_id, one.workflow)))], users, now
        )
        in_flight: list[InFlight] = []
        settlements: list[Settlement] = []
        for message in claimed:
            user = users.get(message.user)
            key = (message.event_id, message.workflow)
            event = events.get(key)
            if user is None or (event is None and key not in faults):
                settlements.append(settle_unsent(message, Status.SUPPRESSED, Reason.USER_DELETED, now))
            elif message.status is Status.SENDING:
                # Its last holder died between the call and the record.
                settlements.append(settle_in_doubt(message, self._unknown_policy(message), now))
            elif event is None:
                settlements.append(_failed(message, faults[key], now))
            elif message.id in over_cap:
                settlements.append(settle_unsent(message, Status.THROTTLED, Reason.FREQUENCY_CAP, now))
            else:
                going = replace(message, charged=True) if message.id in counted else message
                in_flight.append(InFlight(going, event, user, None, worker, now))
        return in_flight, settlements

    def _unknown_policy(self, message: Message) -> UnknownPolicy:
        category = self._ledger.setup.categories.all(message.tenant).get(message.category)
        return category.unknown_policy if category is not None else UnknownPolicy.DO_NOT_SEND

    async def _events(
        self, claimed: Sequence[Message], users: Mapping[UserNo, User]
    ) -> tuple[dict[EventKey, Event], dict[EventKey, Exception]]:
        """The events that can be opened, and why others cannot."""
        events: dict[EventKey, Event] = {}
        faults: dict[EventKey, Exception] = {}
        wanted = dict.fromkeys((message.event_id, message.workflow) for message in claimed)
        for key, entry in (await self._ledger.events.bodies(list(wanted))).items():
            try:
                event = opened(entry, users, self._vault)
            except (SealBroken, DecodeError) as fault:
                log.error("event_unreadable", workflow=entry.workflow, error=type(fault).__name__)
                faults[key] = fault
                continue
            if event is not None:
                events[key] = event
        return events, faults

    async def _count(
        self, claimed: Sequence[Message], users: Mapping[UserNo, User], now: Instant
    ) -> tuple[Set[MessageId], Set[MessageId]]:
        """What waited is counted by caps now that it goes on: those that are, and those over a cap."""
        charges: list[CapCharge] = []
        for message in claimed:
            if message.charged or message.user not in users:
                continue
            setup = setup_of(self._ledger.setup, message.tenant, message.workflow)
            if setup is not None:
                tenant, _, category = setup
                charges += caps.charges(
                    tenant=tenant,
                    category=category,
                    preferences=users[message.user].profile.preferences,
                    channel=message.channel,
                    user=message.user,
                    message_id=message.id,
                    at=now,
                )
        over = await self._ledger.plans.charge(charges) if charges else frozenset()
        return {charge.message_id for charge in charges} - over, over


def _is_counted(event: Event | None) -> bool:
    return event is None or is_counted(event.live)


def _failed(message: Message, fault: Exception, now: Instant) -> Settlement:
    """A message that cannot be prepared: a few tries, then it lies with the dead letters."""
    tries, detail = message.attempt + 1, type(fault).__name__
    if tries >= TRIES:
        given_up = settle_unsent(message, Status.DEAD_LETTERED, reason_of(fault), now, detail=detail)
        return replace(given_up, attempt=tries)
    due = Instant(now + tries * PAUSE_MS)
    again = settle_unsent(message, Status.DEFERRED, Reason.RETRY, now, due_at=due, detail=detail)
    return replace(again, attempt=tries)

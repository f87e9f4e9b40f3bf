"""Stage 3, dispatch: look once more, render late, choose the integration, send in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

import structlog

from clarion.errors import ContentError
from clarion.flow.catalog import setup_of
from clarion.flow.integrations import Closed, Integrations, LiveIntegration, Usable
from clarion.flow.pacing import Pacer
from clarion.flow.patience import ended, until_stored
from clarion.flow.queues import Held, LaneQueue, Queues
from clarion.flow.rendering import Rendering
from clarion.flow.settlement import Attempt, Settle, decided_settlement, settlement_of
from clarion.flow.unsubscribe import Unsubscribing
from clarion.model.channel import Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.setup import UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger, Settlement
from clarion.ports.provider import Outgoing
from clarion.rules.endpoints import addresses
from clarion.rules.gate import Gate, gate
from clarion.rules.keys import KeyedHash, Keys

log = structlog.get_logger(__name__)

BATCH = {Lane.CRITICAL: 64, Lane.HIGH: 128, Lane.NORMAL: 128, Lane.BULK: 64}
"""Messages looked at in one go; between two goes more urgent lanes have their turn."""
LEASE_MARGIN_MS = 5_000
CANCEL_S = 0.5
"""For a cancelled call to let go of its connection."""
LONGEST_REST_S = 5.0
"""How long a queue whose messages cannot be sent is left alone before the next look."""
SLOT_WAIT_S = 1.0
"""How long a batch waits for a slot of its integration before it is put off."""


class Dispatcher:
    """Sends what the queues hold. One loop per lane and channel; one task per batch, none per message."""

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        integrations: Integrations,
        settle: Settle,
        rendering: Rendering,
        unsubscribing: Unsubscribing,
        hash: KeyedHash,
        pacer: Pacer,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._integrations = integrations
        self._store = settle
        self._rendering = rendering
        self._unsubscribing = unsubscribing
        self._hash = hash
        self._pacer = pacer
        self._clock = clock
        self._entropy = entropy
        self._under_way: set[asyncio.Task[None]] = set()
        self._slot_free = {(q.lane, q.channel): asyncio.Event() for q in queues}
        self.attempts = 0
        self.unknown_outcomes = 0

    async def run(self, queue: LaneQueue) -> None:
        """Work on one queue until cancelled."""
        while True:
            await queue.ready.wait()
            batch = queue.take(BATCH[queue.lane])
            self._pacer.begin(queue.lane)
            try:
                await self._dispatch(queue, batch)
            finally:
                self._pacer.end(queue.lane)
            await self._pacer.turn(queue.lane)

    async def drain(self, timeout_s: float) -> None:
        """Wait for the calls under way; what does not answer in time is cancelled and recovered at the next start."""
        late = await ended(self._under_way, timeout_s, self._clock)
        for task in late:
            task.cancel()
        await ended(late, CANCEL_S, self._clock)

    async def _dispatch(self, queue: LaneQueue, batch: Sequence[Held]) -> None:
        now = self._clock.now()
        done: list[Settlement] = []
        groups: dict[LiveIntegration, list[Held]] = {}
        choices: dict[TenantId, Usable | Closed] = {}
        stale = 0
        closed_s = 0.0
        try:
            await self._refresh_users(batch)
        except BaseException:
            queue.release(len(batch))  # The lease brings them back.
            raise
        for held in batch:
            if held.lease_until - LEASE_MARGIN_MS <= now:
                stale += 1  # Not ours any more: whoever claims it next sends it.
                continue
            try:
                stop = self._look_again(held, now)
            except Exception as fault:
                log.exception("decision_failed", workflow=held.message.workflow, error=type(fault).__name__)
                stop = decided_settlement(held.message, Status.FAILED, Reason.INTERNAL_ERROR, now)
            if stop is not None:
                done.append(stop)
                continue
            tenant = held.message.tenant
            usable = choices.get(tenant)
            if usable is None:
                usable = choices[tenant] = self._integrations.usable(
                    tenant, queue.channel, queue.lane, self._clock.monotonic()
                )
            chosen = usable.choose(held.message, held.gate.contact if held.gate is not None else None)
            if isinstance(chosen, Closed):
                done.append(self._put_off(held.message, chosen.reason, chosen.wait_s, now))
                closed_s = max(closed_s, chosen.wait_s)
            else:
                groups.setdefault(chosen, []).append(held)
        if not groups and closed_s:
            self._rest(queue, closed_s)
        if stale:
            queue.release(stale)
        if done:
            self._spawn(self._settle(queue, done, [s.message for s in done]))
        for live, group in groups.items():
            await self._start(queue, live, group)

    async def _refresh_users(self, batch: Sequence[Held]) -> None:
        """Users as of the last committed write, so that an opt-out binds whatever is queued (I8)."""
        current = self._ledger.users.current
        missing = [held for held in batch if current(held.user.no) is None]
        if missing:
            await self._ledger.users.get([held.user.no for held in missing])

    def _look_again(self, held: Held, now: Instant) -> Settlement | None:
        """The verdict right before the call; None when it still says send."""
        message = held.message
        user = self._ledger.users.current(message.user)
        if user is None:
            return decided_settlement(message, Status.SUPPRESSED, Reason.USER_DELETED, now)
        verdict = held.gate
        if verdict is None or user is not held.user or now >= verdict.valid_until:
            verdict = self._gate(message, user, now)
            held.user, held.gate = user, verdict
        if verdict is None:
            return decided_settlement(
                message, Status.CANCELED, Reason.CANCELED_BY_CALLER, now, detail="its workflow was deleted"
            )
        if verdict.verdict == "send":
            return None
        return decided_settlement(
            message, verdict.status, verdict.reason or Reason.INTERNAL_ERROR, now, due_at=verdict.due_at
        )

    def _gate(self, message: Message, user: User, now: Instant) -> Gate | None:
        setup = setup_of(self._ledger.setup, message.tenant, message.workflow)
        if setup is None:
            return None
        tenant, workflow, category = setup
        return gate(
            tenant=tenant,
            category=category,
            workflow=workflow,
            user=user,
            channel=message.channel,
            now=now,
            expires_at=message.expires_at,
            addresses=addresses(message, user),
        )

    def _put_off(self, message: Message, reason: Reason, wait_s: float, now: Instant) -> Settlement:
        due = Instant(now + max(50, round(wait_s * 1000 * (1.0 + 0.2 * self._entropy.uniform()))))
        if message.expires_at is not None and due >= message.expires_at:
            return decided_settlement(message, Status.EXPIRED, Reason.EXPIRED, now)
        return decided_settlement(message, Status.DEFERRED, reason, now, due_at=due)

    async def _start(self, queue: LaneQueue, live: LiveIntegration, group: list[Held]) -> None:
        """Start the calls of one integration; waits for a slot, which holds back this queue only."""
        size = live.plugin.batch
        free = self._slot_free[queue.lane, queue.channel]
        for at in range(0, len(group), size):
            part = group[at : at + size]
            waited = 0.0
            while not live.has_slot(queue.lane, self._clock.monotonic()):
                free.clear()
                began = self._clock.monotonic()
                # Waiting for others is no work that lower lanes must step aside for.
                self._pacer.end(queue.lane)
                try:
                    async with self._clock.timeout(SLOT_WAIT_S):
                        await free.wait()
                except TimeoutError:
                    pass
                finally:
                    self._pacer.begin(queue.lane)
                waited += self._clock.monotonic() - began
                if waited >= SLOT_WAIT_S:
                    self._put_off_all(queue, group[at:], Reason.INTEGRATION_BUSY, SLOT_WAIT_S, 0.0)
                    return
            granted, wait_s = live.grant(queue.lane, len(part), self._clock.monotonic())
            if granted < len(part):
                # Each in its turn, so that they do not all come back for the next token.
                self._put_off_all(queue, part[granted:], Reason.RATE_LIMITED, wait_s, live.seconds_each)
                part = part[:granted]
            if part:
                live.begin(queue.lane)
                self._spawn(self._send(queue, live, part))

    def _put_off_all(
        self, queue: LaneQueue, group: Sequence[Held], reason: Reason, wait_s: float, apart_s: float
    ) -> None:
        self._rest(queue, wait_s + len(group) * apart_s)
        now = self._clock.now()
        messages = [held.message for held in group]
        put_off = [self._put_off(m, reason, wait_s + i * apart_s, now) for i, m in enumerate(messages)]
        self._spawn(self._settle(queue, put_off, messages))

    def _rest(self, queue: LaneQueue, wait_s: float) -> None:
        """Claim nothing for a while: a long backlog must not be fetched and put back over and over."""
        queue.rests_until_s = self._clock.monotonic() + min(wait_s, LONGEST_REST_S)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # The messages stay leased and come back when the lease runs out.
            log.error("batch_failed", error=type(fault).__name__, exc_info=fault)

    async def _settle(
        self, queue: LaneQueue, settlements: list[Settlement], messages: Sequence[Message]
    ) -> None:
        try:
            await self._store(settlements)
        finally:
            queue.release(len(messages))

    async def _send(self, queue: LaneQueue, live: LiveIntegration, group: list[Held]) -> None:
        try:
            settlements = await self._attempt(queue, live, group)
        except BaseException:
            queue.release(len(group))  # Cancelled by a drain: the lease brings them back.
            raise
        finally:
            await live.end(queue.lane)
            self._slot_free[queue.lane, queue.channel].set()
        self._pacer.begin(queue.lane)
        try:
            await self._settle(queue, settlements, [held.message for held in group])
        finally:
            self._pacer.end(queue.lane)

    async def _attempt(self, queue: LaneQueue, live: LiveIntegration, group: list[Held]) -> list[Settlement]:
        settlements: list[Settlement] = []
        ready: list[tuple[Held, Outgoing]] = []
        await self._rendering.prepare(group)
        for held in group:
            try:
                ready.append((held, self._outgoing(held)))
            except ContentError as wrong:
                settlements.append(
                    decided_settlement(
                        held.message,
                        Status.FAILED,
                        Reason.TEMPLATE_ERROR,
                        self._clock.now(),
                        detail=wrong.detail,
                    )
                )
        if ready and not live.plugin.idempotent:
            ready = await self._marked(ready, settlements)
        if not ready:
            return settlements
        started = self._clock.monotonic()
        outcomes = await self._call(live, [outgoing for _, outgoing in ready])
        ended = self._clock.monotonic()
        self.attempts += len(ready)
        self._judge(live, outcomes, ended)
        attempt = Attempt(
            integration=live.key,
            idempotent=live.plugin.idempotent,
            alternatives=self._integrations.alternatives(group[0].message.tenant, live),
            took_ms=round((ended - started) * 1000),
            wait_s=live.closed_for_s(ended),
        )
        now = self._clock.now()
        for (held, outgoing), outcome in zip(ready, outcomes, strict=True):
            settlements.append(
                settlement_of(
                    outgoing,
                    outcome,
                    attempt,
                    on_unknown=self._unknown_policy(held.message),
                    now=now,
                    uniform=self._entropy.uniform(),
                )
            )
        return settlements

    async def _marked(
        self, ready: list[tuple[Held, Outgoing]], settlements: list[Settlement]
    ) -> list[tuple[Held, Outgoing]]:
        """Durably note that the calls are about to start, then look once more: the note took time."""
        messages = [held.message for held, _ in ready]
        refused = await until_stored(
            "mark_sending",
            lambda: self._ledger.messages.mark_sending(messages, self._clock.now()),
            self._clock,
        )
        now = self._clock.now()
        going: list[tuple[Held, Outgoing]] = []
        for held, outgoing in ready:
            if held.message.id in refused:
                continue
            stop = self._look_again(held, now)
            if stop is None:
                going.append((held, outgoing))
            else:
                settlements.append(stop)
        return going

    async def _call(self, live: LiveIntegration, batch: list[Outgoing]) -> Sequence[Outcome]:
        """One outcome per message, whatever the provider does."""
        try:
            async with self._clock.timeout(live.integration.limits.timeout_s):
                outcomes = await live.provider.send(batch)
        except TimeoutError:
            self.unknown_outcomes += 0 if live.plugin.idempotent else len(batch)
            late: Outcome = (
                Retry(reason=Reason.PROVIDER_TIMEOUT, detail="no answer in time")
                if live.plugin.idempotent
                else Unknown(reason=Reason.PROVIDER_TIMEOUT, detail="no answer in time")
            )
            return [late] * len(batch)
        except Exception as surprise:
            log.exception("provider_raised", integration=live.key, error=type(surprise).__name__)
            return [Retry(reason=Reason.INTERNAL_ERROR, detail=type(surprise).__name__)] * len(batch)
        if len(outcomes) != len(batch):
            log.error("provider_outcomes_missing", integration=live.key, want=len(batch), got=len(outcomes))
            return [Unknown(detail="the provider did not report on every message")] * len(batch)
        return outcomes

    def _judge(self, live: LiveIntegration, outcomes: Sequence[Outcome], now_s: float) -> None:
        """Feed the circuit breaker: rejections are the message's fault, not the provider's."""
        ok = sum(1 for o in outcomes if isinstance(o, Accepted | Rejected))
        failed = sum(1 for o in outcomes if isinstance(o, Retry | Unknown) and not o.of_address)
        if any(isinstance(o, Misconfigured) for o in outcomes):
            live.trip(now_s)
        elif ok or failed:
            live.record(now_s, ok=ok, failed=failed)

    def _unknown_policy(self, message: Message) -> UnknownPolicy:
        category = self._ledger.setup.categories.all(message.tenant).get(message.category)
        return category.unknown_policy if category is not None else UnknownPolicy.DO_NOT_SEND

    def _outgoing(self, held: Held) -> Outgoing:
        message = held.message
        unsubscribe_url = self._unsubscribing.url(message)
        return Outgoing(
            message=message,
            user=held.user,
            contact=held.gate.contact if held.gate is not None else None,
            content=self._rendering.content(held, unsubscribe_url),
            traceparent=held.event.traceparent,
            unsubscribe_url=unsubscribe_url,
            collapse_key=self._collapse_key(held),
        )

    def _collapse_key(self, held: Held) -> bytes:
        """For providers that replace what has not arrived yet; the planner has replaced what was still here."""
        message = held.message
        workflow = self._ledger.setup.workflows.all(message.tenant).get(message.workflow)
        if workflow is None or workflow.collapse_key is None:
            return b""
        keys = Keys(held.event, workflow, message.user, self._hash)
        if not keys.found(workflow.collapse_key):
            return b""
        return keys.of_message("collapse", workflow.collapse_key, message.channel, within_workflow=True)

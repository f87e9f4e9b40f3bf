"""One attempt for a group of messages: build the content, record the start, call the provider, decide the outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from itertools import chain, groupby

import structlog
from msgspec.structs import replace

from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.dispatch.call_reports import CallReport, Marks
from clarion.flow.dispatch.direct_calls import Unrecorded
from clarion.flow.dispatch.editions import STAYS, Editions
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.dispatch.outgoing import OutgoingBuilder
from clarion.flow.dispatch.payments import Payments
from clarion.flow.dispatch.provider_calls import ProviderCalls
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.dispatch.targets import Permits, ReadyCall, SendTarget
from clarion.flow.lanes import InFlight
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.ids import Instant, MessageId
from clarion.model.message import Message
from clarion.model.outcome import Gone, Outcome, Rejected
from clarion.model.settlement import Settlement
from clarion.model.setup import UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.user import Contact
from clarion.ports.clock import Clock, Random
from clarion.rules.devices import DeviceAnswer, settle_devices
from clarion.rules.outcomes import (
    AttemptContext,
    bounded_detail,
    settle_in_doubt,
    settle_outcome,
    settle_unsent,
)

log = structlog.get_logger(__name__)

Called = tuple[Sequence[ReadyCall], Sequence[Outcome], AttemptContext]
"""One call: what went out, an outcome for each, and the circumstances."""


Record = Callable[[Sequence[Settlement]], None]
"""Stores settlements while the batch they belong to is still under way."""


class _Attempt:
    """What is known of an attempt while its calls are under way."""

    __slots__ = ("marks", "record", "recorded", "stopped")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.recorded: set[InFlight] = set()
        """Their settlements are being stored already."""
        self.stopped: dict[InFlight, Settlement | None] = {}
        """Stopped at the last moment; None: somebody else holds it by now."""
        self.marks: Marks


class Attempts:
    """Makes attempts. It stores only that they start."""

    def __init__(
        self,
        ledger: Ledger,
        lease: WorkerLease,
        integrations: Integrations,
        recheck: Recheck,
        editions: Editions,
        outgoing: OutgoingBuilder,
        payments: Payments,
        calls: ProviderCalls,
        guard: CancellationGuard,
        clock: Clock,
        random: Random,
    ) -> None:
        self._messages = ledger.messages
        self._lease = lease
        self._categories = ledger.setup.categories
        self._integrations = integrations
        self._recheck = recheck
        self._editions = editions
        self._outgoing = outgoing
        self._payments = payments
        self._calls = calls
        self._guard = guard
        self._clock = clock
        self._random = random

    async def run(
        self, route: SendTarget, group: Sequence[InFlight], slots: Permits, record: Record
    ) -> list[Settlement]:
        """What became of each; none for messages that somebody else holds by now, and for those that went to `record`
        while others of the batch still took their time."""
        await self._editions.find(route, group)
        ready, settlements = await self._outgoing.build(route, group)
        going = self._guard.begin(dict.fromkeys(map(_held, ready)))
        ready, stopped, paid = await self._payments.pay([one for one in ready if one[0] in going])
        settlements += stopped
        late = route.marks_late and not any(in_flight.devices for in_flight, _, _ in ready)
        if ready and not late:
            ready = await self._checked(route, ready, settlements)
        if ready:
            attempt = _Attempt(lambda told: record(_paid(told, paid)))
            contacts = {in_flight: outgoing.contact for in_flight, _, outgoing in ready}
            attempt.marks = Marks(partial(self._mark_late, route.first.key, attempt.stopped, contacts))
            settlements += self._interpret(await self._called(ready, slots, attempt), attempt)
        return _paid(settlements, paid)

    def recorded(self, messages: Iterable[MessageId]) -> None:
        """The results of this attempt for these messages are stored, or there are none."""
        self._guard.end(messages)

    async def _checked(
        self, route: SendTarget, ready: list[ReadyCall], stopped: list[Settlement]
    ) -> list[ReadyCall]:
        """Durably note that the calls are about to start, where a repeated one had a second effect. Then check again
        what was checked too long ago: waiting for a slot, rendering and the note took time."""
        batch = list(dict.fromkeys(map(_held, ready)))
        refused: Set[MessageId] = frozenset()
        if not route.idempotent:
            refused = await self._begin(_by_first_integration(ready))
        elif self._recheck.is_fresh(batch):
            return ready
        stops = await self._recheck.again(batch)
        going: list[ReadyCall] = []
        for in_flight, its in groupby(ready, key=_held):
            if in_flight.message.id in refused:
                continue
            stop = stops.get(in_flight)
            if stop is None:
                still = [one for one in its if _is_used(in_flight, one[2].contact)]
                going += still
                stop = None if still else self._again(in_flight.message)
            if stop is not None:
                stopped.append(stop)
        return going

    async def _mark_late(
        self,
        integration: str,
        stopped: dict[InFlight, Settlement | None],
        contacts: Mapping[InFlight, Contact | None],
        batch: Sequence[InFlight],
    ) -> list[bool]:
        """The same for messages whose provider asks right before they go; whether each may."""
        refused = await self._begin({integration: [in_flight.message for in_flight in batch]})
        stops = await self._recheck.again(batch)
        for in_flight in batch:
            if in_flight.message.id in refused:
                stopped[in_flight] = None
            elif in_flight in stops:
                stopped[in_flight] = stops[in_flight]
            elif not _is_used(in_flight, contacts[in_flight]):
                stopped[in_flight] = self._again(in_flight.message)
        return [in_flight not in stopped for in_flight in batch]

    async def _begin(self, batches: Mapping[str, Sequence[Message]]) -> frozenset[MessageId]:
        """Durably note which messages are about to be called, by integration; those that somebody else holds."""
        return await retry_until_stored(
            "begin_calls",
            lambda: self._messages.begin_calls(self._lease.worker, batches, self._clock.now()),
            self._clock,
        )

    def _again(self, message: Message) -> Settlement:
        """Its contacts are others by now: it goes to them, by the integrations that fit them."""
        now = self._clock.now()
        return settle_unsent(message, Status.DEFERRED, Reason.RETRY, now, due_at=now)

    async def _called(self, ready: Sequence[ReadyCall], slots: Permits, attempt: _Attempt) -> list[Called]:
        """All calls of a batch at once: one, unless its people have devices of several kinds or very many."""
        by_live = _by_live(ready)
        if len(by_live) == 1:
            ((live, its),) = by_live.items()
            return await self._call_all(live, its, attempt)
        called = await asyncio.gather(*[self._call_apart(*one, slots, attempt) for one in by_live.items()])
        return list(chain.from_iterable(called))

    async def _call_apart(
        self, live: LiveIntegration, ready: Sequence[ReadyCall], slots: Permits, attempt: _Attempt
    ) -> list[Called]:
        try:
            return await self._call_all(live, ready, attempt)
        finally:
            await slots.release(live)

    async def _call_all(
        self, live: LiveIntegration, ready: Sequence[ReadyCall], attempt: _Attempt
    ) -> list[Called]:
        size = live.plugin.batch
        if len(ready) <= size:
            return [await self._call(live, ready, attempt)]
        parts = [ready[at : at + size] for at in range(0, len(ready), size)]
        return await asyncio.gather(*[self._call(live, part, attempt) for part in parts])

    async def _call(self, live: LiveIntegration, ready: Sequence[ReadyCall], attempt: _Attempt) -> Called:
        started = self._clock.monotonic()

        def store(told: Sequence[tuple[int, Outcome]]) -> None:
            its = [ready[index] for index, _ in told]
            circumstances = self._circumstances(live, started, its[0][0].message)
            called: Called = its, [outcome for _, outcome in told], circumstances
            settlements = self._interpret([called], attempt)
            attempt.recorded.update(in_flight for in_flight, _, _ in its)
            attempt.record(settlements)

        report = CallReport([in_flight for in_flight, _, _ in ready], attempt.marks, store, self._clock)
        try:
            outcomes = await self._outcomes(live, ready, report)
        finally:
            report.close()
        return ready, outcomes, self._circumstances(live, started, ready[0][0].message)

    async def _outcomes(
        self, live: LiveIntegration, ready: Sequence[ReadyCall], report: CallReport
    ) -> Sequence[Outcome]:
        """What cannot change the message that is out is sent as a new one, in the same attempt."""
        batch = [outgoing for _, _, outgoing in ready]
        if not any(outgoing.replaces for outgoing in batch):
            return await self._calls.invoke(live, batch, report)
        outcomes = list(await self._calls.invoke(live, batch, Unrecorded()))
        anew = [
            place
            for place, one in enumerate(outcomes)
            if batch[place].replaces and isinstance(one, Rejected | Gone)
        ]
        for place in anew:
            said = getattr(outcomes[place], "detail", None)
            ready[place][0].note = f"{STAYS}: {said}" if said else STAYS
        if anew:
            again = [replace(batch[place], replaces="") for place in anew]
            for place, one in zip(anew, await self._calls.invoke(live, again, Unrecorded()), strict=True):
                outcomes[place] = one
        return outcomes

    def _interpret(self, called: Sequence[Called], under_way: _Attempt) -> list[Settlement]:
        now, uniform = self._clock.now(), self._random.uniform
        settlements: list[Settlement] = []
        answers: dict[InFlight, list[DeviceAnswer]] = {}
        for ready, outcomes, attempt in called:
            for (in_flight, _, outgoing), outcome in zip(ready, outcomes, strict=True):
                answers.setdefault(in_flight, []).append(DeviceAnswer(outgoing, outcome, attempt))
        for in_flight, its in answers.items():
            if in_flight in under_way.recorded:
                continue
            if in_flight in under_way.stopped:
                if (stop := under_way.stopped[in_flight]) is not None:
                    settlements.append(stop)
                continue
            try:
                settled = self._settlement(in_flight, its, now, uniform())
                if in_flight.choice:
                    settled = replace(settled, choice=in_flight.choice)
                settlements.append(_with_note(settled, in_flight.note) if in_flight.note else settled)
            except Exception as fault:
                # It was called, and nobody can tell what came of it: in doubt, and nobody else's trouble.
                log.exception("outcome_not_understood", error=type(fault).__name__)
                policy, attempt = self._unknown_policy(in_flight.message), its[0].attempt
                settlements.append(settle_in_doubt(in_flight.message, policy, now, attempt=attempt))
        return settlements

    def _settlement(
        self, in_flight: InFlight, answers: Sequence[DeviceAnswer], now: Instant, uniform: float
    ) -> Settlement:
        policy = self._unknown_policy(in_flight.message)
        if in_flight.devices:
            return settle_devices(answers, _devices(in_flight), on_unknown=policy, now=now, uniform=uniform)
        ((outgoing, outcome, attempt),) = answers
        return settle_outcome(outgoing, outcome, attempt, on_unknown=policy, now=now, uniform=uniform)

    def _circumstances(self, live: LiveIntegration, started: float, one: Message) -> AttemptContext:
        ended = self._clock.monotonic()
        return AttemptContext(
            integration=live.key,
            idempotent=live.plugin.idempotent,
            alternatives=self._integrations.alternatives(one.tenant, live),
            took_ms=round((ended - started) * 1000),
            wait_s=live.closed_for_s(ended),
            receipt_within_s=live.integration.receipt_within_s,
        )

    def _unknown_policy(self, message: Message) -> UnknownPolicy:
        category = self._categories.all(message.tenant).get(message.category)
        return category.unknown_policy if category is not None else UnknownPolicy.DO_NOT_SEND


def _paid(settlements: Sequence[Settlement], paid: Set[MessageId]) -> list[Settlement]:
    """They say which of their calls were paid for."""
    return [replace(one, paid=True) if one.message.id in paid else one for one in settlements]


def _with_note(settled: Settlement, note: str) -> Settlement:
    """Its timeline says so, beside what the provider says."""
    return replace(settled, detail=bounded_detail(f"{note}; {settled.detail}" if settled.detail else note))


def _held(ready: ReadyCall) -> InFlight:
    return ready[0]


def _by_first_integration(ready: Sequence[ReadyCall]) -> dict[str, list[Message]]:
    """Each message once: by the first of the integrations that take it to its devices."""
    batches: dict[str, list[Message]] = {}
    for in_flight, its in groupby(ready, key=_held):
        _, live, _ = next(its)
        batches.setdefault(live.key, []).append(in_flight.message)
    return batches


def _is_used(in_flight: InFlight, contact: Contact | None) -> bool:
    """Whether the last look still says that the message goes there."""
    verdict = in_flight.decision
    return verdict is None or contact == verdict.contact or contact in verdict.others


def _devices(in_flight: InFlight) -> int:
    """How many of the person's devices are meant, reached or not."""
    return (
        len(in_flight.devices)
        if in_flight.decision is None
        else max(len(in_flight.devices), 1 + len(in_flight.decision.others))
    )


def _by_live(ready: Sequence[ReadyCall]) -> dict[LiveIntegration, list[ReadyCall]]:
    by_live: dict[LiveIntegration, list[ReadyCall]] = {}
    for one in ready:
        by_live.setdefault(one[1], []).append(one)
    return by_live

"""Dedupe, caps, collapse and thread order, in this order, then digests. Each message sees the decisions about the messages
before it. What does not go now is told what else stands in its way, and counts nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.model.ids import Instant, MessageId, RunId, id_text
from clarion.model.message import ChannelDecision, Message, Run, StepTrace, Verdict, packed
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, PlanCommit, PlanResult
from clarion.model.run import RunRow
from clarion.model.settlement import Settlement
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact.counts import ON_ITS_WAY, by_message, counted
from clarion.rules.exact.digests import Arrival, Slots
from clarion.rules.exact.values import Decisions, DedupeHolder, KeyHolder, Stored
from clarion.rules.time_format import rfc3339

NOT_STARTED = (Status.QUEUED, Status.DEFERRED)


def needed(plan: PlanCommit) -> bool:
    """Whether a plan asks for any exact check."""
    return bool(plan.charges or plan.dedupes or plan.collapses or plan.turns or plan.items)


def decide(plans: Sequence[PlanCommit], stored: Stored) -> Decisions:
    """All checks of these plans, message by message, as if each message had been planned and stored alone."""
    checks = _Checks(plans, stored)
    checks.cancel()
    for plan in plans:
        checks.decide(plan)
    return checks.decisions(plans)


def delivered(settled: Sequence[Settlement], result: PlanResult) -> Sequence[Settlement]:
    """Of what was settled with a plan, that whose messages went in as they were planned."""
    if not result.changed and not result.known:
        return settled
    return [s for s in settled if s.message.id not in result.changed and s.message.id not in result.known]


class _Checks:
    """The checks of all plans of one transaction."""

    def __init__(self, plans: Sequence[PlanCommit], stored: Stored) -> None:
        known = stored.known
        self._stored = stored
        self._new = {m.id: m for plan in plans for m in plan.messages if m.id not in known}
        self._moved: set[MessageId] = set()
        self._on_its_way: set[MessageId] = set()
        self._verdicts: dict[MessageId, list[Verdict]] = {}
        self._grown: dict[RunId, Run] = {}
        self._superseded: dict[MessageId, Instant] = {}
        self._threaded: set[MessageId] = set()
        self._waiter: dict[MessageId, MessageId] = {}
        self._ended: dict[MessageId, MessageId | None] = {}
        """What ended just now, and what each waited for."""
        self._claims: dict[bytes, DedupeClaim] = {}
        self._duplicates: set[RunId] = set()
        self._latest: dict[bytes, MessageId] = {}
        self._last: dict[bytes, MessageId] = {}
        self._digests = Slots(stored.digests)
        self._taken: dict[RunId, Arrival] = {}

    def cancel(self) -> None:
        """Nothing of a canceled event is sent, and nothing of it is counted. Before all other checks."""
        events = self._stored.canceled
        for message in [m for m in self._new.values() if events and m.event_id in events]:
            if message.status in ACTIVE:
                self._end(message, Status.CANCELED, Reason.CANCELED_BY_CALLER)
                self._say(message, _verdict("cancellation", Reason.CANCELED_BY_CALLER))

    def decide(self, plan: PlanCommit) -> None:
        """All checks of one plan."""
        self._of_messages(plan)
        for item in plan.items:
            canceled = item.event_id in self._stored.canceled
            if not canceled and item.part not in self._stored.known and item.part not in self._duplicates:
                self._taken[item.part] = self._digests.take(item)

    def _of_messages(self, plan: PlanCommit) -> None:
        charges = by_message(plan.charges)
        if not (plan.dedupes or plan.collapses or plan.turns):
            for message_id, its in charges.items():
                self._count(message_id, its)
            return
        claims = {claim.run_id: claim for claim in plan.dedupes}
        runs = {c.message_id: run for run in plan.runs for c in run.channels} if claims else {}
        for silent in plan.runs if claims else ():
            if silent.id in claims and not any(c.message_id for c in silent.channels):
                self._dedupe(claims.pop(silent.id), ())  # It waits before it sends anything.
        collapses = {collapse.message_id: collapse for collapse in plan.collapses}
        turns = {turn.message_id: turn.key for turn in plan.turns}
        for message_id in (m.id for m in plan.messages):
            run = runs.get(message_id)
            if run is not None and (claim := claims.pop(run.id, None)) is not None:
                ids = [c.message_id for c in run.channels if c.message_id]
                self._dedupe(claim, [self._new[one] for one in ids if one in self._new])
            if message_id in charges:
                self._count(message_id, charges[message_id])
            if message_id in collapses and (message := self._going(message_id)):
                self._collapse(message, collapses[message_id])
            if message_id in turns:
                self._take_turn(message_id, turns[message_id])

    def decisions(self, plans: Sequence[PlanCommit]) -> Decisions:
        """What came of it, when all plans are decided."""
        known = self._stored.known
        return Decisions(
            results=list(map(self._result, plans)),
            runs=[self._explained(run) for plan in plans for run in plan.runs if run.id not in known],
            messages=[self._new[m.id] for plan in plans for m in plan.messages if m.id in self._new],
            dedupes=self._claims,
            collapses=self._latest,
            threads=self._last,
            threaded=self._threaded,
            superseded=self._superseded,
            run_rows=[
                *(row for plan in plans for row in plan.run_rows if self._goes_on(row)),
                *self._digests.opened.values(),
            ],
            digests=self._digests,
            digest_totals=[one for plan in plans for one in plan.digest_totals if one.run not in known],
            waits=bool(self._waiter),
        )

    def _goes_on(self, row: RunRow) -> bool:
        """Whether what became of a run is stored."""
        if row.id in self._stored.known:
            return False
        return bool(row.fence) or (
            row.id not in self._duplicates and row.event_id not in self._stored.canceled
        )

    # -- one check each ---------------------------------------------------------------------------------------

    def _dedupe(self, claim: DedupeClaim, messages: Sequence[Message]) -> None:
        holder = self._claimed(claim.key)
        going = [message for message in messages if message.status in ACTIVE]
        if holder is not None and holder.run_id != claim.run_id and holder.expires_at > claim.at:
            until = rfc3339(holder.expires_at)
            said = _verdict("dedupe", Reason.DUPLICATE, first_run=id_text(holder.run_id), until=until)
            self._duplicates.add(claim.run_id)
            for message in messages:
                self._say(message, said)
            for message in going:
                self._end(message, Status.MERGED, Reason.DUPLICATE)
        elif claim.holds:
            self._claims[claim.key] = claim
            for message in going:
                self._say(message, _verdict("dedupe", "first_in_window"))

    def _claimed(self, key: bytes) -> DedupeHolder | DedupeClaim | None:
        return self._claims.get(key) or self._stored.dedupes.get(key)

    def _count(self, message_id: MessageId, charges: Sequence[CapCharge]) -> None:
        message = self._new.get(message_id)
        if message is None:
            return
        if message.status is not Status.QUEUED:
            self._say(message, *self._stored.counts.reached(charges))
            return
        allowed, verdicts = self._stored.counts.judge(counted(message), charges)
        if allowed:
            self._on_its_way.add(message.id)
            if not message.charged:
                self._new[message.id] = replace(message, charged=True)
        else:
            self._end(message, Status.THROTTLED, Reason.FREQUENCY_CAP)
        self._say(message, *verdicts)

    def _not_counted(self, message: Message) -> None:
        """It does not go now."""
        if message.id in self._on_its_way:
            self._on_its_way.remove(message.id)
            self._stored.counts.move(counted(message), ON_ITS_WAY, None)

    def _collapse(self, message: Message, collapse: Collapse) -> None:
        key = collapse.key
        older = self._latest.get(key)
        holder = None if older is not None else self._stored.collapses.get(key)
        self._latest[key] = message.id
        if older is not None and older != message.id and self._new[older].status in NOT_STARTED:
            ours = self._new[older]
            self._end(ours, Status.MERGED, Reason.SUPERSEDED)
            self._say(ours, _verdict("collapse", Reason.SUPERSEDED, replaced_by=id_text(message.id)))
        elif holder is not None and holder.id != message.id and self._status(holder) in NOT_STARTED:
            older = holder.id
            self._superseded[older] = message.created_at
            self._ended[older] = holder.waits_for
            self._stored.counts.move(holder.counted, holder.counted_at, None)
        else:
            before = older if older is not None else holder.id if holder is not None else None
            named = collapse.edits and before is not None and before != message.id
            inputs = {"follows": id_text(before)} if named and before is not None else {}
            self._say(message, _verdict("collapse", "newest", **inputs))
            return
        self._release(older, message.created_at)
        self._say(message, _verdict("collapse", "newest", replaced=id_text(older)))

    def _release(self, finished: MessageId, at: Instant) -> None:
        """Who waited for it has its turn, or waits for what it waited for itself."""
        waiter = self._waiter.pop(finished, None)
        if waiter is None or waiter in self._ended:
            return
        ahead = self._ahead(finished)
        if ahead is None:
            self._new[waiter] = replace(self._new[waiter], waits_for=None, due_at=at)
        else:
            self._wait(waiter, ahead)
            self._new[waiter] = replace(self._new[waiter], waits_for=ahead)

    def _ahead(self, last: MessageId | None) -> MessageId | None:
        """The last of a thread that has not ended."""
        while last in self._ended:
            last = self._ended[last]
        return last

    def _wait(self, waiter: MessageId, ahead: MessageId) -> None:
        self._waiter[ahead] = waiter
        ours = self._new.get(ahead)
        if ours is None:
            self._threaded.add(ahead)
        else:
            self._new[ahead] = replace(ours, threaded=True)

    def _take_turn(self, message_id: MessageId, key: bytes) -> None:
        message = self._new.get(message_id)
        if message is None:
            return
        holder = self._stored.threads.get(key)
        last = self._last.get(key)
        if last is None and holder is not None and holder.status in ACTIVE:
            last = holder.id
        last = self._ahead(last)
        if message.status not in ACTIVE:
            if last is not None:
                self._say(message, _waits_for(last))
            return
        self._last[key] = message.id
        if last is None or last == message.id:
            self._say(message, _verdict("thread", "its_turn"))
            return
        self._wait(message.id, last)
        self._not_counted(message)
        self._moved.add(message.id)
        self._new[message.id] = replace(
            message,
            status=Status.DEFERRED,
            reason=Reason.WAITING_FOR_TURN,
            due_at=None,
            fence=0,
            charged=False,
            waits_for=last,
        )
        self._say(message, _waits_for(last))

    # -- what is known and said -------------------------------------------------------------------------------

    def _going(self, message_id: MessageId | None) -> Message | None:
        """A new message that is still to be sent."""
        message = self._new.get(message_id) if message_id else None
        return message if message is not None and message.status in ACTIVE else None

    def _status(self, holder: KeyHolder) -> Status:
        return Status.MERGED if holder.id in self._superseded else holder.status

    def _end(self, message: Message, status: Status, reason: Reason) -> None:
        self._not_counted(message)
        self._moved.add(message.id)
        self._ended[message.id] = message.waits_for
        self._new[message.id] = replace(message, status=status, reason=reason, due_at=None, charged=False)

    def _say(self, message: Message, *verdicts: Verdict) -> None:
        self._verdicts.setdefault(message.id, []).extend(verdicts)

    def _result(self, plan: PlanCommit) -> PlanResult:
        changed: dict[MessageId, tuple[Status, Reason]] = {}
        for message in plan.messages if self._moved else ():
            if message.id in self._moved:
                now = self._new[message.id]
                changed[message.id] = (now.status, now.reason)  # type: ignore[assignment]  # every end has one
        known = self._stored.known
        return PlanResult(
            changed=changed,
            known=frozenset(m.id for m in plan.messages if m.id in known) if known else frozenset(),
            runs=tuple(grown for run in plan.runs if (grown := self._explained(run)) is not run),
        )

    def _explained(self, run: Run) -> Run:
        """The run with what the checks said; the same object when they said nothing."""
        grown = self._grown.get(run.id)
        if grown is None:
            channels = tuple(map(self._with_verdicts, run.channels))
            changed = any(new is not old for new, old in zip(channels, run.channels, strict=True))
            grown = replace(run, channels=channels) if changed else run
            if (taken := self._taken.get(run.id)) is not None:
                grown = replace(grown, steps=(*run.steps[:-1], _collected(run.steps[-1], taken)))
            if run.steps and (why := self._ended_at_once(run)) is not None:
                grown = replace(
                    grown, steps=(*run.steps, replace(run.steps[-1], result="ended", inputs={"reason": why}))
                )
            self._grown[run.id] = grown
        return grown

    def _ended_at_once(self, run: Run) -> Reason | None:
        """Why a run that would wait does not go on."""
        if run.id in self._duplicates:
            return Reason.DUPLICATE
        return Reason.CANCELED_BY_CALLER if run.event_id in self._stored.canceled else None

    def _with_verdicts(self, plan: ChannelDecision) -> ChannelDecision:
        said = self._verdicts.get(plan.message_id) if plan.message_id else None
        if not said or plan.message_id is None:
            return plan
        both = plan.said + packed(*said)
        if plan.message_id not in self._moved:
            return replace(plan, said=both)
        message = self._new[plan.message_id]
        return replace(plan, status=message.status, reason=message.reason, due_at=message.due_at, said=both)


def _collected(step: StepTrace, taken: Arrival) -> StepTrace:
    inputs = {**step.inputs, **taken.inputs}
    return replace(step, result=taken.result, due_at=taken.closes_at, inputs=inputs)


def _waits_for(last: MessageId) -> Verdict:
    return _verdict("thread", Reason.WAITING_FOR_TURN, "defer", waits_for=id_text(last))


def _verdict(rule: str, reason: str, result: str | None = None, **inputs: str) -> Verdict:
    stops = isinstance(reason, Reason)
    return Verdict(
        rule=rule, result=result or ("stop" if stops else "allow"), reason=str(reason), inputs=dict(inputs)
    )

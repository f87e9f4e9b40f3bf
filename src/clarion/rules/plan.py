"""Plans one workflow for one recipient of one event: messages to send, and reasons for those that are not sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from clarion.model.channel import Channel
from clarion.model.digest import DigestTold
from clarion.model.event import Event
from clarion.model.ids import Instant, MessageId, UserNo, id_text, message_id, part_id, run_id
from clarion.model.message import ChannelDecision, Message, Run, Verdict, packed
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, ThreadSlot
from clarion.model.recipient_object import OnDuty
from clarion.model.run import CallResult, RunRow, RunState, StepAnswer, Wake
from clarion.model.setup import (
    ATTENTION,
    Category,
    SendAll,
    SendFirst,
    SendLadder,
    Step,
    Template,
    Tenant,
    Workflow,
)
from clarion.model.status import ACTIVE, Reason, Status
from clarion.model.user import Contact, User
from clarion.rules import caps, endpoints, live, places, schedule
from clarion.rules.eligibility import Decision, Verdicts, evaluate, unserved
from clarion.rules.interpreter import advance
from clarion.rules.keys import EventKeys, KeyedHash, cancellation_key, digest_slot
from clarion.rules.match import MISSING, resolve
from clarion.rules.preferences import Topics, channel_order, in_order
from clarion.rules.programs import compiled
from clarion.rules.steps.program import Program
from clarion.rules.steps.walk import Advance, Collected, Facts
from clarion.rules.time_format import rfc3339


class Planned(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one run writes."""

    run: Run
    messages: tuple[Message, ...]
    decisions: tuple[Decision, ...]
    """The decision behind each message, in the same order."""
    charges: tuple[CapCharge, ...] = ()
    """Also of what does not go now: the store says which caps it has reached, and counts nothing."""
    dedupe: DedupeClaim | None = None
    collapses: tuple[Collapse, ...] = ()
    turns: tuple[ThreadSlot, ...] = ()
    advance: Advance | None = None
    """Where the run has come to; None: its workflow only sends, so that it is over."""
    cancellation_key: bytes | None = None
    """Of a run that waits."""
    slot: bytes | None = None
    """Of a run that ends in a digest: what is collected together."""


class Waited(NamedTuple):
    """A run that goes on."""

    row: RunRow
    state: RunState
    messages: Mapping[MessageId, Message] = {}
    """Those of its earlier parts as they are now, where its conditions ask for them."""
    result: CallResult | None = None
    """What came of the call it waits for."""
    digest: DigestTold | None = None
    """It has collected until now."""
    wakes: Sequence[tuple[Wake, Event | None]] = ()
    """What has come for it, with the events that can still be read."""
    planned_until: Instant | None = None
    """Every event that was accepted before has been planned; None: all have."""
    answers: Mapping[str, StepAnswer] = {}
    """To its questions, by step."""


_NONE: Mapping[str, Template] = MappingProxyType({})


def plan_run(
    *,
    event: Event,
    workflow: Workflow,
    category: Category,
    tenant: Tenant,
    user: User,
    now: Instant,
    hash: KeyedHash,
    held: bool = False,
    templates: Mapping[str, Template] = _NONE,
    served: frozenset[Channel] | None = None,
    program: Program | None = None,
    waited: Waited | None = None,
) -> Planned:
    """Decide everything about one recipient, until the run waits or is over. The same inputs give the same plan.

    `held`: messages that are due are born held by the caller (`fence=1`, no due time).
    `templates` are the live ones: every message keeps the version it was planned with. `served`: the channels that
    have an integration; None: all. `program`: that of the workflow, where it is compiled already. `waited`:
    the run goes on from there.
    """
    program = program or compiled(workflow)
    draft = _Draft(event, workflow, category, tenant, user, now, held, hash, templates, served, waited)
    if program.sends_only:
        for step in workflow.steps:
            draft.add(step)
        return draft.finished()
    return draft.advanced(program)


def expiry(event: Event, workflow: Workflow, start: Instant | None = None) -> Instant | None:
    """After which instant nothing of the event may be sent: the sender's limit or the workflow's, the earlier.

    The workflow's counts from the event, or from the later time (`start`) it was scheduled for.
    """
    if workflow.expires_after_s is None:
        return event.expires_at
    limit = Instant(max(event.at, start or event.at) + workflow.expires_after_s * 1_000)
    return limit if event.expires_at is None else min(limit, event.expires_at)


def topics_for(event: Event, user: UserNo) -> Topics:
    """The topics by which an event comes to a user; none when it names them."""
    return () if user in event.users else event.topics


class _Draft:
    """A plan in the making."""

    __slots__ = (
        "_category",
        "_channels",
        "_charges",
        "_decisions",
        "_event",
        "_expires_at",
        "_hash",
        "_held",
        "_keys",
        "_messages",
        "_name",
        "_now",
        "_part",
        "_places",
        "_remarks",
        "_run",
        "_scheduled",
        "_served",
        "_start",
        "_templates",
        "_tenant",
        "_topics",
        "_user",
        "_waited",
        "_workflow",
    )  # fmt: skip

    def __init__(
        self,
        event: Event,
        workflow: Workflow,
        category: Category,
        tenant: Tenant,
        user: User,
        now: Instant,
        held: bool,
        hash: KeyedHash,
        templates: Mapping[str, Template],
        served: frozenset[Channel] | None,
        waited: Waited | None,
    ) -> None:
        self._waited = waited
        self._part = 0 if waited is None else waited.row.part
        self._event = event
        self._workflow = workflow
        self._category = category
        self._tenant = tenant
        self._user = user
        self._topics = topics_for(event, user.no)
        self._now = now
        self._held = held
        self._name = ""
        """Of the step that is planned, where that is not its key."""
        self._templates = templates
        self._served = served
        scheduled = schedule.start(event, user, tenant)
        self._start = now if scheduled is None else max(now, scheduled)
        self._scheduled = _scheduled(event, self._start, user, tenant) if self._start > now else ()
        self._expires_at = expiry(event, workflow, scheduled)
        self._run = run_id(event.id, workflow.key, user.no)
        self._hash = hash
        self._keys = None if _keyless(workflow) else EventKeys(event, workflow, user.no, hash)
        self._remarks: Verdicts = () if self._keys is None else _remarks(workflow, self._keys)
        if event.on_duty is not None:
            self._remarks = (*self._remarks, _turn(event.on_duty))
        self._channels: list[ChannelDecision] = []
        self._messages: list[Message] = []
        self._places: dict[MessageId, str] = {}
        self._decisions: list[Decision] = []
        self._charges: list[CapCharge] = []

    # -- from step to step -------------------------------------------------------------------------------

    def advanced(self, program: Program) -> Planned:
        """The plan of a workflow that does more than send, as far as it goes now."""
        waited = self._waited
        facts = Facts(
            run=self._run,
            event=self._event,
            category=self._category,
            tenant=self._tenant,
            user=self._user,
            start=self._start,
            expires_at=self._expires_at,
            templates={key: self._version(key) for key in self._workflow.templates()}
            if waited is None
            else waited.state.templates,
            messages={} if waited is None else waited.messages,
            result=None if waited is None else waited.result,
            digest=None if waited is None else waited.digest,
            wakes=() if waited is None else waited.wakes,
            answers={} if waited is None else waited.answers,
            passes=waited is not None and waited.row.passes,
            planned_until=None if waited is None else waited.planned_until,
            hash=self._hash,
        )
        came_to = advance(program, None if waited is None else waited.state, facts, self._now, self._sent)
        planned = self.finished()
        collected = came_to.collected
        waits = came_to.state is not None or collected is not None or came_to.failed is not None
        return msgspec.structs.replace(
            planned,
            run=msgspec.structs.replace(planned.run, steps=came_to.steps),
            advance=came_to,
            cancellation_key=self._cancellation_key() if waits else None,
            dedupe=self._dedupe(self._keys) if waits and self._keys is not None else planned.dedupe,
            slot=None if collected is None else self._slot(collected),
        )

    def _slot(self, collected: Collected) -> bytes:
        step = collected.step
        return digest_slot(
            self._event.tenant,
            self._user.no,
            self._workflow.key,
            step.key,
            step.by or "",
            collected.key,
            self._hash,
        )

    def _sent(self, step: Step, name: str, until: Instant | None) -> list[Message]:
        """Nothing of it is sent from `until` on, or after everything else of the event has expired."""
        before, expires_at = len(self._messages), self._expires_at
        self._name = name
        self._expires_at = min(filter(None, (until, expires_at)), default=None)
        self.add(step)
        self._expires_at = expires_at
        return self._messages[before:]

    def _id(self, step: Step, place: str) -> MessageId:
        return message_id(self._run, self._name or step.key, place)

    def _cancellation_key(self) -> bytes | None:
        pointer = self._workflow.cancellation_key
        if pointer is None:
            return None
        value = resolve(msgspec.json.decode(self._event.data), pointer)
        if value is MISSING:
            return None
        return cancellation_key(self._event.tenant, self._workflow.key, value, self._hash)

    # -- the three ways to choose channels -------------------------------------------------------------

    def add(self, step: Step) -> None:
        """Plan one step."""
        to = step.to
        if isinstance(to, SendAll):
            for channel in dict.fromkeys(to.channels):
                if channel is Channel.WEBHOOK and self._user.profile.endpoints:
                    self._webhooks(step)
                else:
                    self._message(step, channel, self._decide(channel))
        elif isinstance(to, SendFirst):
            self._first(step, in_order(dict.fromkeys(to.channels), self._order()))
        elif isinstance(to, SendLadder):
            self._ladder(step, to)

    def _order(self) -> tuple[Channel, ...]:
        return channel_order(self._tenant, self._user.profile.preferences)

    def _webhooks(self, step: Step) -> None:
        """One message to each webhook address that hears of the event: endpoints succeed and fail on their own."""
        addresses = self._listeners()
        for address in addresses:
            self._message(
                step, Channel.WEBHOOK, self._decide(Channel.WEBHOOK, addresses=(address,)), to=address
            )
        if not addresses:
            self._message(step, Channel.WEBHOOK, self._decide(Channel.WEBHOOK))

    def _first(self, step: Step, channels: list[Channel]) -> None:
        """The first channel that is not stopped and has an integration; where none has, the message waits for one.
        When all are stopped, the first one is listed with its reason."""
        decisions: dict[Channel, Decision] = {}
        for channel in channels:
            decided = decisions[channel] = self._decide(channel)
            if decided.verdict != "stop" and self._serves(channel):
                break
        else:
            open_ = [channel for channel, one in decisions.items() if one.verdict != "stop"]
            if not open_:
                self._refused(step, decisions)
                return
            channel, decided = open_[0], decisions[open_[0]]
        for other in channels:
            if other is channel:
                self._message(step, channel, decided, _FIRST_AVAILABLE)
            elif other in decisions and decisions[other].verdict != "stop":
                self._not_chosen(step, other, channel, decisions[other].verdicts)
            elif other in decisions:
                self._skip(step, other, decisions[other], _NOT_AVAILABLE)
            else:
                self._not_chosen(step, other, channel)

    def _ladder(self, step: Step, to: SendLadder) -> None:
        """Rungs one after another, each due when the wait of the one before may be over; the others at once."""
        waits = {rung.channel: rung.wait_s for rung in reversed(to.channels)}
        rungs = {one: self._decide(one) for one in in_order(reversed(waits), self._order())}
        always = {channel: self._decide(channel) for channel in to.always if channel not in rungs}
        reached = [channel for channel, decided in rungs.items() if decided.verdict != "stop"]
        beside = [channel for channel, decided in always.items() if decided.verdict != "stop"]
        watched = beside if to.until in ATTENTION else []
        climbing: tuple[MessageId, ...] = ()
        if reached or beside:
            climbing = self._climb(step, to, rungs, reached, waits, watched)
        else:
            self._refused(step, rungs)
        for channel, decided in always.items():
            stops: tuple[MessageId, ...] = ()
            if climbing and channel in watched:
                number = self._id(step, self._place(channel, decided.contact))
                stops = (number, *climbing)
            self._message(step, channel, decided, _ALWAYS, rungs=stops)

    def _climb(
        self,
        step: Step,
        to: SendLadder,
        rungs: dict[Channel, Decision],
        reached: list[Channel],
        waits: dict[Channel, int],
        beside: Sequence[Channel],
    ) -> tuple[MessageId, ...]:
        """`beside`: the channels outside the ladder whose success is its success too. The ids of the rungs."""
        ids = tuple([self._id(step, self._place(c, rungs[c].contact)) for c in reached])
        until = to.until.value
        starts = self._start
        place = 0
        for channel, ready in rungs.items():
            if ready.verdict == "stop":
                self._skip(step, channel, ready, _RUNG_SKIPPED)
                continue
            decided = ready
            if place:
                before = reached[place - 1]
                decided = self._waiting(channel, ready, Instant(starts + waits[before] * 1_000))
                remark = _rung(place + 1, before.value, waits[before], until, tuple(beside))
            else:
                remark = _rung(1, "", 0, until)
            place += 1
            self._message(step, channel, decided, remark, until, ids[place - 1 :])
            starts = decided.due_at if decided.due_at is not None else starts
        return ids

    def _waiting(self, channel: Channel, decided: Decision, at: Instant) -> Decision:
        """The decision for a rung that is not tried before `at`, unless the one before it fails sooner."""
        if at >= decided.valid_until:
            later = self._decide(channel, at)
            if later.verdict == "stop":  # It can only go sooner; then it is decided again.
                at = at if self._expires_at is None else min(at, self._expires_at)
            else:
                decided = later
        due_at = at if decided.due_at is None else max(at, decided.due_at)
        return Decision(
            verdict="defer",
            status=Status.DEFERRED,
            reason=Reason.WAITING_FOR_EARLIER_CHANNEL,
            due_at=due_at,
            valid_until=due_at,
            verdicts=decided.verdicts,
            contact=decided.contact,
            others=decided.others,
        )

    # -- what becomes of a channel ---------------------------------------------------------------------

    def _decide(
        self, channel: Channel, at: Instant | None = None, addresses: tuple[Contact, ...] | None = None
    ) -> Decision:
        """The decision at the given instant; without one at the time it is scheduled for, else now."""
        at = self._start if at is None else at
        decided = self._gate_at(channel, at, addresses)
        if self._scheduled and decided.verdict != "stop":
            decided = msgspec.structs.replace(
                decided,
                verdict="defer",
                status=Status.DEFERRED,
                reason=Reason.SCHEDULED,
                due_at=decided.due_at or self._start,
                verdicts=self._scheduled + decided.verdicts,
            )
        return decided if self._serves(channel) else unserved(decided, channel, at, self._expires_at)

    def _gate_at(self, channel: Channel, at: Instant, addresses: tuple[Contact, ...] | None) -> Decision:
        if channel is Channel.WEBHOOK and addresses is None and self._user.profile.endpoints:
            addresses = self._listeners()
        return evaluate(
            tenant=self._tenant,
            category=self._category,
            workflow=self._workflow,
            user=self._user,
            channel=channel,
            now=at,
            expires_at=self._expires_at,
            addresses=addresses,
            live=self._event.live,
            topics=self._topics,
        )

    def _serves(self, channel: Channel) -> bool:
        return self._served is None or channel in self._served

    def _listeners(self) -> tuple[Contact, ...]:
        return endpoints.listeners(self._user, endpoints.event_type(self._event, self._workflow))

    def _place(self, channel: Channel, contact: Contact | None) -> str:
        """What ids and keys are made with: a webhook belongs to its endpoint, anything else to its channel."""
        return channel if channel is not Channel.WEBHOOK else endpoints.place_of(self._user, contact)

    def _message(
        self,
        step: Step,
        channel: Channel,
        decided: Decision,
        remark: Verdicts = (),
        until: str = "",
        rungs: tuple[MessageId, ...] = (),
        to: Contact | None = None,
    ) -> None:
        """`rungs`: the ids of this message and of the rungs it may stop. `to`: for whom, also where it cannot go."""
        event, workflow, now = self._event, self._workflow, self._now
        place = self._place(channel, to or decided.contact)
        number = rungs[0] if rungs else self._id(step, place)
        if place != channel:
            self._places[number] = place
            remark = remark + _endpoint(place)
        status = decided.status
        due = status is Status.QUEUED
        held = due and self._held
        threaded = decided.verdict != "stop" and workflow.thread is not None and _is_asked_now(decided)
        charges: Sequence[CapCharge] = ()
        if _is_asked_now(decided) and live.is_counted(event.live):
            charges = caps.charges(
                tenant=self._tenant,
                category=self._category,
                preferences=self._user.profile.preferences,
                channel=channel,
                user=self._user.no,
                message_id=number,
                at=now,
            )
            self._charges += charges
        self._messages.append(
            Message(
                id=number,
                tenant=event.tenant,
                user=self._user.no,
                event_id=event.id,
                workflow=workflow.key,
                workflow_version=workflow.version,
                category=workflow.category,
                step=step.key,
                template=step.template or "",
                template_version=self._version(step.template or ""),
                channel=channel,
                lane=event.lane,
                status=status,
                created_at=now,
                reason=decided.reason,
                due_at=(None if held else now) if due else decided.due_at,
                expires_at=self._expires_at,
                fence=1 if held else 0,
                until=until,
                later_rungs=rungs[1:],
                threaded=threaded,
                charged=due and bool(charges),
                updated_at=now,
            )
        )
        self._decisions.append(decided)
        if decided.verdict != "stop":
            remark = remark + self._remarks
        self._channels.append(
            ChannelDecision(
                step=step.key,
                channel=channel,
                status=status,
                reason=decided.reason,
                due_at=now if due else decided.due_at,
                message_id=number,
                said=packed(*decided.verdicts, *remark),
            )
        )

    def _version(self, template: str) -> int:
        """The version that is sent: the live one, or the one that was live when the run started."""
        if self._waited is not None:
            return self._waited.state.templates.get(template, 0)
        found = self._templates.get(template)
        return found.version if found is not None else 0

    def _refused(self, step: Step, decisions: dict[Channel, Decision]) -> None:
        """No channel remains: the first one is listed as a message that was not sent, the others are explained."""
        for at, (channel, decided) in enumerate(decisions.items()):
            if at:
                self._skip(step, channel, decided, _NOT_AVAILABLE)
            else:
                self._message(step, channel, decided)

    def _skip(self, step: Step, channel: Channel, decided: Decision, remark: Verdicts) -> None:
        self._channels.append(
            ChannelDecision(
                step=step.key,
                channel=channel,
                status=decided.status,
                reason=decided.reason,
                said=packed(*decided.verdicts, *remark),
            )
        )

    def _not_chosen(self, step: Step, channel: Channel, chosen: Channel, verdicts: Verdicts = ()) -> None:
        self._channels.append(
            ChannelDecision(
                step=step.key,
                channel=channel,
                status=Status.CANCELED,
                reason=Reason.NOT_CHOSEN,
                said=packed(*verdicts, *_not_chosen(chosen.value)),
            )
        )

    # -- the whole -------------------------------------------------------------------------------------

    def finished(self) -> Planned:
        """The plan."""
        event, workflow = self._event, self._workflow
        run = Run(
            id=part_id(self._run, self._part),
            tenant=event.tenant,
            user=self._user.no,
            event_id=event.id,
            lane=event.lane,
            workflow=workflow.key,
            workflow_version=workflow.version,
            at=self._now,
            channels=tuple(self._channels),
            part=self._part,
        )
        messages, decisions = tuple(self._messages), tuple(self._decisions)
        if self._keys is None and event.live is None:
            return Planned(run=run, messages=messages, decisions=decisions, charges=tuple(self._charges))
        going = [
            message for message, decided in zip(messages, decisions, strict=True) if decided.verdict != "stop"
        ]
        return Planned(
            run=run,
            messages=messages,
            decisions=decisions,
            charges=tuple(self._charges),
            dedupe=self._dedupe(self._keys, bool(going))
            if self._keys is not None and messages and event.live is None
            else None,
            collapses=self._collapses(going),
            turns=self._turns(self._keys, messages) if self._keys is not None else (),
        )

    def _dedupe(self, keys: EventKeys, holds: bool = True) -> DedupeClaim | None:
        dedupe = self._workflow.dedupe
        if dedupe is None or self._part:
            return None  # A run that goes on has its key.
        at = self._event.at  # When it happened, so that a long queue neither makes nor hides duplicates.
        return DedupeClaim(
            run_id=self._run,
            key=keys.of_run("dedupe", dedupe.key),
            expires_at=Instant(at + dedupe.window_s * 1_000),
            at=at,
            holds=holds,
        )

    def _collapses(self, going: list[Message]) -> tuple[Collapse, ...]:
        """A state of a live resource replaces the one before; what else replaces what, the workflow says."""
        shown, pointer, keys = self._event.live, self._workflow.collapse_key, self._keys
        if shown is not None:
            return tuple(
                Collapse(
                    message_id=message.id,
                    key=live.replacement_key(
                        self._hash, message, shown, self._place_of(message), waiting=True
                    ),
                )
                for message in going
            )
        if keys is None:
            return ()
        if self._workflow.supersedes:
            return tuple(
                Collapse(message_id=message.id, key=key, edits=True)
                for message in going
                if (key := self._thread_key(keys, message)) is not None
            )
        if pointer is None:
            return ()
        return tuple(
            Collapse(
                message_id=message.id,
                key=keys.of_message("collapse", pointer, self._place_of(message), within_workflow=True),
            )
            for message in going
        )

    def _thread_key(self, keys: EventKeys, message: Message) -> bytes | None:
        """None: the data name no thread, so that nothing takes another's place."""
        pointer = self._workflow.thread
        if pointer is None or not keys.found(pointer):
            return None
        return keys.of_message("thread", pointer, self._place_of(message), within_workflow=False)

    def _turns(self, keys: EventKeys, messages: Sequence[Message]) -> tuple[ThreadSlot, ...]:
        pointer = self._workflow.thread
        if pointer is None:
            return ()
        return tuple(
            ThreadSlot(
                message_id=message.id,
                key=keys.of_message("thread", pointer, self._place_of(message), within_workflow=False),
            )
            for message in messages
            if message.threaded or message.status not in ACTIVE
        )

    def _place_of(self, message: Message) -> str:
        return self._places.get(message.id, message.channel)


def _is_asked_now(decided: Decision) -> bool:
    """Whether caps and threads are asked at planning. What waits for an earlier channel keeps no place in the thread (most never
    start), nor does what is sent later: who comes meanwhile would have to wait for it."""
    return decided.reason not in (Reason.WAITING_FOR_EARLIER_CHANNEL, Reason.SCHEDULED)


# -- remarks: what the explanation says about the choice of channels, shared by all plans ------------------------

_FIRST_AVAILABLE: Verdicts = (Verdict(rule="channel_choice", result="allow", reason="first_available"),)
_NOT_AVAILABLE: Verdicts = (Verdict(rule="channel_choice", result="skip", reason="not_available"),)
_RUNG_SKIPPED: Verdicts = (Verdict(rule="ladder", result="skip", reason="not_available"),)
_ALWAYS: Verdicts = (Verdict(rule="ladder", result="allow", reason="always"),)


def _scheduled(event: Event, start: Instant, user: User, tenant: Tenant) -> Verdicts:
    inputs = {"send_at": rfc3339(start)}
    if event.send_at_local is not None:
        inputs |= {"send_at_local": event.send_at_local, "timezone": places.zone_of(user, tenant)}
    return (Verdict(rule="schedule", result="defer", reason=Reason.SCHEDULED.value, inputs=inputs),)


@lru_cache(maxsize=1_024)
def _endpoint(place: str) -> Verdicts:
    inputs = {"endpoint": id_text(bytes.fromhex(place.partition("/")[2]))}
    return (Verdict(rule="endpoint", result="allow", reason="hears", inputs=inputs),)


@lru_cache(maxsize=64)
def _not_chosen(chosen: str) -> Verdicts:
    inputs = {"chosen": chosen}
    return (Verdict(rule="channel_choice", result="skip", reason=Reason.NOT_CHOSEN.value, inputs=inputs),)


@lru_cache(maxsize=1_024)
def _rung(place: int, before: str, wait_s: int, until: str, beside: tuple[Channel, ...] = ()) -> Verdicts:
    if place == 1:
        return (Verdict(rule="ladder", result="allow", reason="first_channel", inputs={"until": until}),)
    inputs: dict[str, object] = {"place": place, "after": before, "wait_s": wait_s, "until": until}
    if beside:
        inputs["beside"] = [channel.value for channel in beside]
    return (
        Verdict(
            rule="ladder", result="defer", reason=Reason.WAITING_FOR_EARLIER_CHANNEL.value, inputs=inputs
        ),
    )


def _keyless(workflow: Workflow) -> bool:
    return workflow.dedupe is None and workflow.collapse_key is None and workflow.thread is None


def _remarks(workflow: Workflow, keys: EventKeys) -> Verdicts:
    """Which keys the messages carry; never the values behind them."""
    dedupe = workflow.dedupe
    pointers = (
        ("dedupe", dedupe.key if dedupe else None, dedupe.window_s if dedupe else 0),
        ("collapse", workflow.collapse_key, 0),
        ("thread", workflow.thread, 0),
    )
    return tuple(
        _keyed(rule, pointer, window_s, keys.found(pointer))
        for rule, pointer, window_s in pointers
        if pointer is not None
    )


def _turn(on_duty: OnDuty) -> Verdict:
    """Why the event came to this user and no other member of the rota."""
    inputs: dict[str, object] = {
        "object": str(on_duty.object),
        "until": rfc3339(on_duty.until),
        "override": on_duty.override,
    }
    return Verdict(rule="rota", result="allow", reason="on_duty", inputs=inputs)


@lru_cache(maxsize=1_024)
def _keyed(rule: str, pointer: str, window_s: int, found: bool) -> Verdict:
    inputs: dict[str, object] = {"pointer": pointer} if pointer else {}
    if window_s:
        inputs["window_s"] = window_s
    reason = ("keyed" if found else "key_missing") if pointer else "whole_workflow"
    return Verdict(rule=rule, result="allow", reason=reason, inputs=inputs)

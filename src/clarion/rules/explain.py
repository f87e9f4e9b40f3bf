"""The explanation of a run, in one form for dry runs, the API, the command line and the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.digest import DigestClose
from clarion.model.ids import EventId, MessageId, UserNo, id_text, run_id
from clarion.model.message import ChannelDecision, Run, StepTrace, Verdict
from clarion.model.setup import Money, StepType
from clarion.model.status import Reason, Status
from clarion.rules.time_format import rfc3339

NAMES: dict[Channel, str] = {
    Channel.IN_APP: "in-app",
    Channel.EMAIL: "email",
    Channel.SMS: "SMS",
    Channel.PUSH: "push",
    Channel.CHAT: "chat",
    Channel.WEBHOOK: "webhook",
    Channel.VOICE: "voice",
    Channel.WHATSAPP: "WhatsApp",
}
"""Channels inside a sentence."""


class VerdictExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one rule, with its inputs."""

    rule: str
    result: str
    """`allow`, `defer`, `stop` or `skip`."""
    reason: str
    inputs: dict[str, Any]
    lifted_by: str | None
    """What would have to change, or when, before the rule no longer stands in the way. Null where it does not stand in the
    way, or nothing can be done."""


class ChannelExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for one channel of one step."""

    step: str
    channel: Channel
    status: Status
    reason: Reason | None
    due_at: str | None
    message_id: str | None
    """Null if there is no message on this channel."""
    stopped: Reason | None
    """Why it was stopped right before it was sent, after it was planned."""
    cost: Money | None
    """What it has cost so far; null: nothing that is counted."""
    text: str
    """The decision in one sentence."""
    verdicts: list[VerdictExplanation]


class StepExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a step did."""

    step: str
    type: StepType
    result: str
    """`sent`, `skipped`, `waits`, `over`, `matched`, `timed_out`, `case`, `no_case`, `assigned`, `unassigned`, `held_out`,
    `expired`, `calls`, `done`, `asks`, `answered`, `no_answer`, `not_asked`, `round`, `repeated`, `counted`, `allowed`, `throttled`, `critical`,
    `collected`, `joined`, `opened`, `passed`, `closed`, `failed`, `ended` or `error`."""
    at: str
    due_at: str | None
    """When a wait ends."""
    inputs: dict[str, Any]
    text: str
    """The same in one sentence."""


class RunExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a workflow notifies a user of an event, or not."""

    event_id: str
    run_id: str
    user_id: str | None
    """Null once the user was deleted."""
    workflow: str
    workflow_version: int
    decided_at: str
    text: str
    """The whole run in one sentence."""
    channels: list[ChannelExplanation]
    steps: list[StepExplanation]
    """Step by step, for a workflow that does more than send all its messages at once."""


def explanation(
    run: Run,
    user_id: str | None,
    reasons: Mapping[MessageId, Reason | None] = {},
    costs: Mapping[MessageId, Money] = {},
) -> RunExplanation:
    """Everything that was decided about a run, ready for JSON. `reasons` and `costs`: those of its messages by now."""
    channels = [_channel(plan, reasons, costs) for plan in run.channels]
    later = [channel.text for channel in channels if channel.stopped is not None]
    steps = [_step(trace) for trace in run.steps]
    if run.steps and run.steps[-1].result in _OPEN_ENDS:
        later.append(steps[-1].text)
    return RunExplanation(
        event_id=id_text(run.event_id),
        run_id=id_text(run_id(run.event_id, run.workflow, run.user)),
        user_id=user_id,
        workflow=run.workflow,
        workflow_version=run.workflow_version,
        decided_at=rfc3339(run.at),
        text=" ".join([_summary(run.channels, run.steps), *later]),
        channels=channels,
        steps=steps,
    )


def merged(runs: Iterable[Run]) -> list[Run]:
    """The runs, those that waited with all their parts in one."""
    found: dict[tuple[EventId, str, UserNo], Run] = {}
    for run in runs:
        key = run.event_id, run.workflow, run.user
        first = found.setdefault(key, run)
        if first is not run:
            both = {"channels": first.channels + run.channels, "steps": first.steps + run.steps}
            found[key] = replace(first, **both)
    return list(found.values())


_OPEN_ENDS = frozenset(
    {
        "waits",
        "calls",
        "asks",
        "queues",
        "repeats",
        "held_out",
        "expired",
        "failed",
        "ended",
        "joined",
        "opened",
        "passed",
    }
)
"""Results behind which nothing else happens, or not yet."""


def _step(trace: StepTrace) -> StepExplanation:
    return StepExplanation(
        step=trace.step,
        type=trace.type,
        result=trace.result,
        at=rfc3339(trace.at),
        due_at=None if trace.due_at is None else rfc3339(trace.due_at),
        inputs=trace.inputs,
        text=f"Step {trace.step!r}: {_told(trace)}.",
    )


_TOLD = {
    "skipped": "is skipped because {when} is false",
    "round": "begins round {round} of at most {of}",
    "repeated": "is over after {rounds} rounds: {by}",
    "calls": "goes on once it is done",
    "queues": "waits for a free place of the connection {connection}",
    "asks": "asks, and waits for an answer until {until}",
    "not_asked": "has nobody to ask{because}",
    "answered": "is answered on {channel}: {answer}",
    "no_answer": "goes on because nobody answered in time",
    "over": "the wait is over",
    "counted": "is counted",
    "allowed": "is one of {limit} in {per_s} seconds",
    "throttled": "is not one of {limit} in {per_s} seconds",
    "critical": "lets it through because the category is critical",
    "matched": "the event it listens for came",
    "timed_out": "the wait is over because nothing came in time",
    "no_case": "no case is true",
    "assigned": "is in the arm {arm}",
    "unassigned": "is in the arm {arm} because there is nothing to assign it by",
    "held_out": "is in the arm {arm}, in which the run ends",
}
"""What a step did, as the rest of a sentence, where its inputs are all that varies."""


def _told(trace: StepTrace) -> str:
    """What a step did, as the rest of a sentence."""
    said = trace.inputs
    until = "" if trace.due_at is None else rfc3339(trace.due_at)
    match trace.result:
        case "sent":
            return "sends" if said.get("messages") else "has nobody to send to"
        case "waits":
            event = f"for {said['event_type']}, " if "event_type" in said else ""
            return f"waits {event}until {until}{_on_the_wall(said)}"
        case "done":
            return _done(trace)
        case "case":
            return f"takes case {said['case'] + 1}" + (
                f" because {said['when']} is true" if said["when"] else ""
            )
        case "opened" | "joined" | "passed" | "closed":
            return _of_digest(trace.result, said, until)
        case "expired":
            return f"ends the run because it would wait until {until}, when everything behind it has expired"
        case "failed":
            why = f": {said['error']}" if "error" in said else ""
            return f"cannot be done{_because(Reason(said['reason']))}{why}"
        case "repeats":
            return f"asks {said['connection']} again at {until} because {said['error']}"
        case "fallback":
            why = f": {said['error']}" if "error" in said else ""
            return f"goes on with its fallback{_because(Reason(said['reason']))}{why}"
        case "ended":
            reason = Reason(said["reason"])
            return f"the run goes on no more because {_OBSTACLES.get(reason, _because(reason).removeprefix(' because '))}"
        case "error":
            return f"{said.get('when', said.get('by'))} has no value: {said['error']}"
        case _:
            because = _because(Reason(said["reason"])) if said.get("reason") else ""
            return _TOLD[trace.result].format_map({**said, "until": until, "because": because})


def _on_the_wall(said: Mapping[str, Any]) -> str:
    return f" ({said['local']} in {said['timezone']})" if "timezone" in said else ""


def _done(trace: StepTrace) -> str:
    """Likewise of a step that had something done."""
    said = trace.inputs
    if trace.type is StepType.GENERATE:
        return _generated(said)
    if trace.type is StepType.FETCH:
        return _fetched(said)
    if trace.type is StepType.TRIGGER:
        return f"starts the workflow {said['workflow']} for {said['recipients']}: event {said['event_id']}"
    changed = [*(f"sets {name}" for name in said["set"]), *(f"removes {name}" for name in said["unset"])]
    return ", ".join(changed)


def _fetched(said: Mapping[str, Any]) -> str:
    """What a service was asked, as the rest of a sentence."""
    asked = f"{said['method']} of {said['connection']}"
    if "path" in said:
        return f"would ask {said['method']} {said['path']} of {said['connection']}"
    if said.get("cached"):
        return f"has the answer to {asked} that another run got"
    return f"{asked} answered {said['status']} after {said['ms']} ms, in attempt {said['attempts']}"


def _generated(said: Mapping[str, Any]) -> str:
    """Who wrote, as the rest of a sentence."""
    if said.get("assumed"):
        return f"would have {said['connection']} write, with {said['replaced']} personal data replaced"
    return f"{said['connection']} wrote in {said['ms']} ms, for {said['tokens']} tokens, with {said['replaced']} personal data replaced"


def _of_digest(result: str, said: Mapping[str, Any], until: str) -> str:
    """What became of an item, or of the digest, as the rest of a sentence."""
    ends = f"which collects until {until}" if until else f"which {_closed_by(said)}"
    if result == "opened":
        return f"opens a digest, {ends}"
    if result == "joined":
        return f"joins a digest as its item {said['items']}, {ends}"
    if result == "passed":
        return f"goes on as a digest of its own, {ends}"
    left = " and ".join(f"{said[one]} {one}" for one in ("withdrawn", "expired") if said[one])
    without = f", without {left} of its {said['items']} items" if left else ""
    return f"the digest {_closed_by(said)}, and tells of {said['total']} events{without}"


def _closed_by(said: Mapping[str, Any]) -> str:
    """Why a digest is closed, as the rest of a sentence."""
    return _CLOSED[DigestClose(said["closed_by"])]


_CLOSED = {
    DigestClose.TIME: "closed at its time",
    DigestClose.FLUSH: "closed at once because the item does not wait",
    DigestClose.MAX_ITEMS: "closed because it was full",
    DigestClose.LOOK_BACK: "closed at once because none had closed shortly before",
    DigestClose.ALONE: "is closed because the item does not wait for others",
    DigestClose.CRITICAL: "is closed because the category is critical",
    DigestClose.CANCELED: "was canceled",
}


def _channel(
    plan: ChannelDecision, reasons: Mapping[MessageId, Reason | None], costs: Mapping[MessageId, Money]
) -> ChannelExplanation:
    now = reasons.get(plan.message_id) if plan.message_id is not None else None
    stopped = now if now in _STOPPED and now is not plan.reason else None
    return ChannelExplanation(
        step=plan.step,
        channel=plan.channel,
        status=plan.status,
        reason=plan.reason,
        due_at=None if plan.due_at is None else rfc3339(plan.due_at),
        message_id=None if plan.message_id is None else id_text(plan.message_id),
        stopped=stopped,
        cost=None if plan.message_id is None else costs.get(plan.message_id),
        text=sentence(plan) if stopped is None else _stopped(plan, stopped),
        verdicts=[
            VerdictExplanation(
                rule=v.rule, result=v.result, reason=v.reason, inputs=v.inputs, lifted_by=lifted_by(v)
            )
            for v in plan.verdicts
        ],
    )


def sentence(plan: ChannelDecision) -> str:
    """What happens on one channel, and why, in one sentence."""
    name = NAMES[plan.channel]
    shown = name[0].upper() + name[1:]
    if plan.status is Status.QUEUED:
        return f"{shown}: sent at once{_devices(plan)}{_favour(plan)}."
    if plan.status is Status.DEFERRED:
        when = f"will be sent at {rfc3339(plan.due_at)}" if plan.due_at is not None else "will be sent later"
        return f"{shown}: {when}{_delay(plan)}."
    return f"{shown}: {_ENDED.get(plan.status, 'not sent')}{_obstacle(plan, name)}."


_ENDED = {
    Status.MERGED: "not sent separately",
    Status.CANCELED: "not sent",
    Status.FAILED: "failed",
    Status.DEAD_LETTERED: "failed",
}
_OPT_OUT = {
    "user_category_channel": "the user turned off {channel} for this category",
    "user_category": "the user opted out of this category",
    "user_workflow_channel": "the user turned off {channel} for this workflow",
    "user_workflow": "the user opted out of this workflow",
    "user_topic_channel": "the user turned off {channel} for this topic",
    "user_topic": "the user opted out of this topic",
    "user_channel": "the user turned off {channel}",
    "workflow_channel": "{channel} is off for this workflow and the user has not turned it on",
    "workflow_default": "this workflow is opt-in and the user has not opted in",
    "topic_channel": "{channel} is off for this topic and the user has not turned it on",
    "topic_default": "this topic is opt-in and the user has not opted in",
    "category_channel": "{channel} is off for this category and the user has not turned it on",
    "category_default": "this category is opt-in and the user has not opted in",
    "tenant_channel": "{channel} is off by default and the user has not turned it on",
}
_OBSTACLES = {
    Reason.NO_CONTACT: "the user has no {channel} contact",
    Reason.SUPPRESSED_ADDRESS: "every {channel} contact of the user is suppressed",
    Reason.ENDPOINT_DISABLED: "the endpoint is disabled",
    Reason.USER_DELETED: "the user was deleted",
    Reason.DUPLICATE: "it repeats an earlier one inside the dedupe window",
    Reason.SUPERSEDED: "a newer one replaced it",
    Reason.CANCELED_BY_CALLER: "it was canceled",
    Reason.WORKFLOW_DELETED: "its workflow was deleted",
    Reason.SUCCESS_EVENT: "the event came that it was to bring about",
    Reason.STOP_EVENT: "an event came that stops it",
    Reason.WITHDRAWN: "it was withdrawn",
    Reason.ANSWERED: "its question was answered",
    Reason.ACKNOWLEDGED: "somebody acknowledged it",
    Reason.LADDER_SATISFIED: "an earlier channel of the ladder succeeded",
}


_STOPPED = {
    Reason.BUDGET_EXCEEDED: "a budget that covers it had too little left",
    Reason.RANGE_BLOCKED: "numbers like this one got many codes that nobody entered, and are blocked",
    Reason.COUNTRY_NOT_ALLOWED: "its country is not among the allowed ones",
    Reason.SENDER_NOT_ALLOWED: "no sender of its integration may write to its country",
    Reason.NO_PRICE: "a budget covers it and there is no price to count",
}
"""What is only known when a message is about to be sent."""


def _stopped(plan: ChannelDecision, reason: Reason) -> str:
    name = NAMES[plan.channel]
    return f"{name[0].upper() + name[1:]}: stopped before it was sent because {_STOPPED[reason]}."


def _devices(plan: ChannelDecision) -> str:
    several = _said(plan, "contact", "devices")
    return "" if several is None else f" to {several.inputs['devices']} devices"


def _favour(plan: ChannelDecision) -> str:
    """Why it may go, where that is worth saying."""
    if _said(plan, "preferences", "critical"):
        return " because the category is critical"
    if _said(plan, "channel_choice", "first_available"):
        return " as the first channel that is available"
    if _said(plan, "ladder", "first_channel"):
        return " as the first channel of the ladder"
    if _said(plan, "ladder", "always"):
        return " outside the ladder"
    return ""


def _delay(plan: ChannelDecision) -> str:
    if plan.reason is Reason.WAITING_FOR_EARLIER_CHANNEL:
        rung = _said(plan, "ladder", Reason.WAITING_FOR_EARLIER_CHANNEL)
        if rung is not None:
            before = NAMES[Channel(rung.inputs["after"])]
            stops = " or ".join([before, *(NAMES[Channel(one)] for one in rung.inputs.get("beside", ()))])
            return f" unless {stops} has been {rung.inputs['until']} by then, or sooner if {before} fails"
    if plan.reason is Reason.NO_INTEGRATION:
        return f" if an integration serves {NAMES[plan.channel]} by then; none does yet"
    if plan.reason is Reason.WAITING_FOR_TURN:
        return " because an earlier message of its thread is still under way"
    if plan.reason is Reason.SCHEDULED:
        return _scheduled(plan) + _unserved(plan)
    return (_hours(plan) or _because(plan.reason)) + _unserved(plan)


def _unserved(plan: ChannelDecision) -> str:
    if not _said(plan, "integration", Reason.NO_INTEGRATION):
        return ""
    return f", once an integration serves {NAMES[plan.channel]}"


def _scheduled(plan: ChannelDecision) -> str:
    asked = _said(plan, "schedule", Reason.SCHEDULED)
    closed = _closed(plan)
    if asked is None or closed is None:
        return " as scheduled"
    return f" because of {_shown(closed)}; it is scheduled for {asked.inputs['send_at']}"


def _obstacle(plan: ChannelDecision, name: str) -> str:
    if plan.reason is Reason.OPTED_OUT:
        off = next((v.reason for v in plan.verdicts if v.rule == "preferences" and v.result == "stop"), "")
        return f" because {_OPT_OUT.get(off, 'the user opted out').format(channel=name)}"
    if plan.reason is Reason.NO_CONSENT:
        return _no_consent(plan)
    if plan.reason is Reason.EXPIRED:
        return _expiry(plan)
    if plan.reason is Reason.NOT_CHOSEN:
        choice = _said(plan, "channel_choice", Reason.NOT_CHOSEN)
        chosen = NAMES[Channel(choice.inputs["chosen"])] if choice is not None else "another channel"
        if _said(plan, "integration", Reason.NO_INTEGRATION):
            return f" because no integration serves {name}; {chosen} was chosen"
        return f" because {chosen} was chosen"
    if plan.reason is Reason.FREQUENCY_CAP:
        return _cap(plan)
    if plan.reason in _OBSTACLES:
        return f" because {_OBSTACLES[plan.reason].format(channel=name)}"
    return _hours(plan) or _because(plan.reason)


def _no_consent(plan: ChannelDecision) -> str:
    asked = next((v for v in plan.verdicts if v.rule == "consent"), None)
    if asked is None:
        return " because the user has not consented"
    if asked.reason == "withdrawn":
        return (
            f" because the user withdrew the consent for {asked.inputs['purpose']!r} at {asked.inputs['at']}"
        )
    return f" because the user never consented to {asked.inputs['purpose']!r} ({asked.inputs['source']})"


def _cap(plan: ChannelDecision) -> str:
    cap = next((v for v in plan.verdicts if v.rule == "frequency_cap" and v.result == "stop"), None)
    if cap is None or not {"scope", "limit", "window_s"} <= cap.inputs.keys():
        return " because a frequency cap was reached"
    return " because the cap {scope} of {limit} in {window_s} seconds was reached".format(**cap.inputs)


def _expiry(plan: ChannelDecision) -> str:
    limit = _said(plan, "expiry", "expired")
    if limit is None:
        return " because it expired"
    held = _closed(plan, before=limit)
    if held is None or "until" not in held.inputs:
        return f" because it expired at {limit.inputs['expires_at']}"
    return (
        f" because it expires at {limit.inputs['expires_at']}, before {_shown(held)} "
        f"would let it go at {held.inputs['until']}"
    )


def _hours(plan: ChannelDecision) -> str:
    closed = _closed(plan)
    if closed is None:
        return ""
    state = {
        ("legal_window", "closed"): "is closed",
        ("legal_window", "never_open"): "is never open for it",
        ("snooze", "snoozed"): "until {until}",
        ("quiet_hours", "inside"): "are on",
        ("quiet_hours", "never_over"): "never leave room for it",
        ("send_window", "closed"): "is closed",
        ("send_window", "never_open"): "is never open for it",
    }
    how = state.get((closed.rule, closed.reason), "say so").format(until=closed.inputs.get("until", ""))
    return f" because {_shown(closed)} {how}"


def _shown(closed: Verdict) -> str:
    if closed.rule == "snooze":
        return "the user wants no messages"
    windows = ", ".join(closed.inputs.get("windows", ()))
    name = {"quiet_hours": "quiet hours", "legal_window": f"the window of {closed.inputs.get('law')},"}
    return f"{name.get(closed.rule, 'the send window')} {windows} ({closed.inputs.get('timezone', 'UTC')})"


_HOURS = frozenset({"legal_window", "snooze", "quiet_hours", "send_window"})


def _closed(plan: ChannelDecision, before: Verdict | None = None) -> Verdict | None:
    """The hours that hold it back. `before`: only those that are named before this verdict."""
    for verdict in plan.verdicts:
        if verdict is before:
            return None
        if verdict.rule in _HOURS and verdict.result != "allow":
            return verdict
    return None


_LIFTED_BY_TIME = {
    ("frequency_cap", "frequency_cap"): "Waiting until {until}, or a higher cap.",
    ("dedupe", "duplicate"): "Waiting until {until}, or another key.",
}
"""Where it is known when time alone does."""
_LIFTED_BY = {
    ("contact", "no_contact"): "A contact of the user on this channel.",
    ("suppression", "suppressed_address"): "The end of the suppression of the address.",
    ("suppression", "endpoint_disabled"): "Enabling the endpoint.",
    ("preferences", "user_category_channel"): "The user turns this channel on for the category.",
    ("preferences", "user_category"): "The user turns the category on.",
    ("preferences", "user_workflow_channel"): "The user turns this channel on for the workflow.",
    ("preferences", "user_workflow"): "The user turns the workflow on.",
    ("preferences", "user_topic_channel"): "The user turns this channel on for the topic.",
    ("preferences", "user_topic"): "The user turns the topic on.",
    ("preferences", "user_channel"): "The user turns this channel on, as a whole or for the category.",
    ("preferences", "workflow_channel"): "The user turns this channel on, or the tenant changes its default.",
    ("preferences", "workflow_default"): "The user turns the workflow on, or the tenant changes its default.",
    ("preferences", "topic_channel"): "The user turns this channel on, or the tenant changes its default.",
    ("preferences", "topic_default"): "The user turns the topic on, or the tenant changes its default.",
    (
        "preferences",
        "category_channel",
    ): "The user turns this channel on, or the category changes its default.",
    ("preferences", "category_default"): "The user turns the category on.",
    ("preferences", "tenant_channel"): "The user turns this channel on, or the tenant changes its default.",
    ("consent", "withdrawn"): "The user consents again.",
    ("consent", "never_granted"): "The user consents.",
    ("legal_window", "closed"): "Waiting until {until}.",
    ("snooze", "snoozed"): "Waiting until {until}, or the user ends the snooze.",
    ("quiet_hours", "inside"): "Waiting until {until}, or the user changes the quiet hours.",
    ("quiet_hours", "never_over"): "The user changes the quiet hours.",
    ("send_window", "closed"): "Waiting until {until}, or another send window.",
    ("send_window", "never_open"): "Another send window.",
    ("legal_window", "never_open"): "Another send window.",
    ("schedule", "scheduled"): "Waiting until {send_at}.",
    ("expiry", "expired"): "Sending the event again with a later `expires_at`.",
    (
        "frequency_cap",
        "frequency_cap",
    ): "Fewer than {limit} messages within {window_s} seconds, or a higher cap.",
    ("dedupe", "duplicate"): "Another key, or sending it after the dedupe window.",
    ("thread", "waiting_for_turn"): "The end of the earlier message of its thread.",
    ("integration", "no_integration"): "An integration that serves this channel.",
    ("ladder", "waiting_for_earlier_channel"): "The earlier channel fails, or its {wait_s} seconds pass.",
}


def lifted_by(verdict: Verdict) -> str | None:
    """What would lift a rule that stands in the way, and when."""
    if verdict.result not in ("stop", "defer"):
        return None
    place = verdict.rule, verdict.reason
    for said in (_LIFTED_BY_TIME.get(place), _LIFTED_BY.get(place)):
        try:
            if said is not None:
                return said.format(**verdict.inputs)
        except KeyError:  # Nobody knows when, or an older version said less.
            continue
    return None


def _said(plan: ChannelDecision, rule: str, reason: str) -> Verdict | None:
    return next((v for v in plan.verdicts if v.rule == rule and v.reason == reason), None)


def _because(reason: Reason | None) -> str:
    return f" because of {reason.value.replace('_', ' ')}" if reason else ""


def _summary(channels: tuple[ChannelDecision, ...], steps: tuple[StepTrace, ...]) -> str:
    """The whole run in one sentence."""
    at_once = [plan for plan in channels if plan.status is Status.QUEUED]
    later = [plan for plan in channels if plan.status is Status.DEFERRED and not _unserved(plan)]
    waiting = [plan for plan in channels if plan.status is Status.DEFERRED and _unserved(plan)]
    never = [plan for plan in channels if plan.status not in {Status.QUEUED, Status.DEFERRED}]
    if not channels:
        return "Nothing is sent: the workflow has no channel." if not steps else "Nothing is sent so far."
    if not at_once and not later and not waiting:
        return f"Nothing is sent, not by {_listed(never, 'or')}."
    parts = []
    if at_once:
        parts.append(f"by {_listed(at_once, 'and')} at once")
    if later:
        parts.append(f"by {_listed(later, 'and')} later")
    if waiting:
        parts.append(f"by {_listed(waiting, 'and')} once an integration serves it")
    if never:
        parts.append(f"not by {_listed(never, 'or')}")
    return f"Goes out {', '.join(parts)}."


def _listed(plans: list[ChannelDecision], word: str) -> str:
    names = list(dict.fromkeys(NAMES[plan.channel] for plan in plans))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"

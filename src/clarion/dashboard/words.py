"""Statuses, reasons and verdicts in plain words, for people who meet Clarion for the first time."""

from __future__ import annotations

from typing import Any

from clarion.flow.catalog import TRIAL
from clarion.model.setup import Workflow
from clarion.model.status import FAILED_FOR_GOOD, SUCCEEDED, Reason, Status

STATUS_NAMES = {
    Status.QUEUED: "On its way",
    Status.DEFERRED: "Waiting",
    Status.SENDING: "Sending",
    Status.SENT: "Sent",
    Status.DELIVERED: "Delivered",
    Status.BOUNCED: "Bounced",
    Status.REJECTED: "Rejected",
    Status.UNDELIVERED: "Undelivered",
    Status.FAILED: "Failed",
    Status.DEAD_LETTERED: "Given up",
    Status.SUPPRESSED: "Not sent",
    Status.THROTTLED: "Held back",
    Status.MERGED: "Merged",
    Status.CANCELED: "Canceled",
    Status.EXPIRED: "Expired",
}

BECAUSE = {
    Reason.SCHEDULED: "scheduled for later",
    Reason.QUIET_HOURS: "quiet hours",
    Reason.SEND_WINDOW: "outside the hours for sending",
    Reason.RETRY: "trying again after a failure",
    Reason.RATE_LIMITED: "the provider's rate limit",
    Reason.CIRCUIT_OPEN: "the provider is failing and gets a rest",
    Reason.INTEGRATION_BUSY: "the provider is busy",
    Reason.WAITING_FOR_EARLIER_CHANNEL: "only if the channel before it does not get through",
    Reason.WAITING_FOR_TURN: "its turn comes after the message before it",
    Reason.NO_INTEGRATION: "no provider is set up for this channel",
    Reason.OPTED_OUT: "they opted out",
    Reason.SUPPRESSED_ADDRESS: "the address must not be used",
    Reason.ENDPOINT_DISABLED: "the endpoint is disabled",
    Reason.NO_CONTACT: "no address on this channel",
    Reason.USER_DELETED: "the user was deleted",
    Reason.NOT_CHOSEN: "another channel was chosen",
    Reason.FREQUENCY_CAP: "they had enough of these",
    Reason.DUPLICATE: "it repeats an earlier one",
    Reason.SUPERSEDED: "a newer one replaced it",
    Reason.CANCELED_BY_CALLER: "canceled by hand",
    Reason.WORKFLOW_DELETED: "the workflow was deleted",
    Reason.LADDER_SATISFIED: "not needed, the channel before it got through",
    Reason.EXPIRED: "too late to be useful",
    Reason.TEMPLATE_ERROR: "the template could not be filled in",
    Reason.RENDER_LIMIT: "its content takes too much memory or time",
    Reason.PROVIDER_REJECTED: "the provider refused it",
    Reason.ADDRESS_GONE: "the address does not exist any more",
    Reason.SOFT_BOUNCE: "it came back, though the address is good",
    Reason.BLOCKED: "the other side blocked it",
    Reason.PROVIDER_ERROR: "the provider had an error",
    Reason.PROVIDER_TIMEOUT: "the provider did not answer in time",
    Reason.MISCONFIGURED: "the provider's settings are wrong",
    Reason.OUTCOME_UNKNOWN: "nobody knows whether it arrived, and it must not go twice",
    Reason.ATTEMPTS_EXHAUSTED: "every attempt failed",
    Reason.TOO_OLD: "it was tried for too long",
    Reason.INTERNAL_ERROR: "a fault in Clarion",
    Reason.UNREADABLE: "what is stored of the event cannot be read",
    Reason.RETRIED: "sent again by hand",
}

VERDICTS = {
    ("contact", "inbox"): "Everyone has an inbox",
    ("contact", "found"): "There is an address to use",
    ("contact", "devices"): "Each of their {devices} devices gets it",
    ("contact", "no_contact"): "There is no address on this channel",
    ("suppression", "suppressed_address"): "An address is blocked after a bounce, a complaint or a STOP",
    ("suppression", "endpoint_disabled"): "The endpoint is disabled",
    ("endpoint", "hears"): "This endpoint wants to hear of it",
    ("preferences", "critical"): "Critical: nobody can opt out",
    ("preferences", "user_category_channel"): "Their own choice for this category and channel",
    ("preferences", "user_category"): "Their own choice for this category",
    ("preferences", "user_channel"): "Their own choice for this channel",
    ("preferences", "category_channel"): "The category decides for this channel",
    ("preferences", "category_default"): "This category is opt-in",
    ("preferences", "tenant_channel"): "The default for this channel",
    ("preferences", "default"): "Nobody chose otherwise",
    ("quiet_hours", "outside"): "Outside their quiet hours",
    ("quiet_hours", "inside"): "It is {local_time} for them, inside their quiet hours",
    ("quiet_hours", "never_over"): "Their quiet hours leave no gap",
    ("quiet_hours", "critical"): "Critical: passes their quiet hours",
    ("quiet_hours", "in_app_is_silent"): "An inbox makes no noise, so quiet hours do not matter",
    ("send_window", "open"): "Inside the hours for sending",
    ("send_window", "closed"): "It is {local_time} for them, outside the hours for sending",
    ("send_window", "never_open"): "The hours for sending never come",
    ("send_window", "critical"): "Critical: passes the hours for sending",
    ("schedule", "scheduled"): "To be sent at {send_at}",
    ("cancellation", "canceled_by_caller"): "Canceled before it was planned",
    ("expiry", "expired"): "It would come too late",
    ("channel_choice", "first_available"): "The first channel that is available",
    ("channel_choice", "not_available"): "Not available, so the next channel is tried",
    ("channel_choice", "not_chosen"): "A channel before it was chosen",
    ("ladder", "first_channel"): "The first channel of the ladder",
    ("ladder", "waiting_for_earlier_channel"): "Next, if it is not {until} within {wait_s} s",
    ("ladder", "not_available"): "This channel cannot be used and is skipped",
    ("ladder", "ladder_satisfied"): "The channel before it succeeded",
    ("ladder", "always"): "Always sent, beside the ladder",
    ("frequency_cap", "below_cap"): "Below the limit: {count} of {limit} so far",
    ("frequency_cap", "frequency_cap"): "The limit of {limit} is reached",
    ("dedupe", "keyed"): "Looked for an earlier one with the same key",
    ("dedupe", "key_missing"): "The data has no key to find duplicates by",
    ("dedupe", "whole_workflow"): "Looked for an earlier one of this workflow",
    ("dedupe", "first_in_window"): "The first of its kind",
    ("dedupe", "duplicate"): "An earlier one says the same",
    ("collapse", "keyed"): "Replaces an older one with the same key that still waits",
    ("collapse", "key_missing"): "The data has no key to replace older ones by",
    ("collapse", "whole_workflow"): "Replaces an older one of this workflow that still waits",
    ("collapse", "newest"): "The newest of its kind",
    ("collapse", "superseded"): "A newer one replaced it",
    ("thread", "keyed"): "Keeps its place among messages of its thread",
    ("thread", "key_missing"): "The data has no thread, so it need not wait for others",
    ("thread", "whole_workflow"): "Keeps its place among messages of this workflow",
    ("thread", "its_turn"): "No earlier message of its thread is under way",
    ("thread", "waiting_for_turn"): "Waits for the message before it",
}


def status_name(status: Status) -> str:
    """A status for a chip."""
    return STATUS_NAMES[status]


def workflow_name(workflow: Workflow | None, key: str) -> str:
    """As its people call it; what authors send themselves is called by its template."""
    if workflow is not None and workflow.name:
        return workflow.name
    if key.startswith(TRIAL):
        return f"Test of {key.removeprefix(TRIAL).rsplit(':', 2)[0]}"
    return key


def because(reason: Reason | None) -> str:
    """A reason as half a sentence; nothing for none."""
    return "" if reason is None else BECAUSE[reason]


def tone(status: Status) -> str:
    """How a status feels: good, wait, bad, or nothing in particular."""
    if status in SUCCEEDED:
        return "good"
    if status in FAILED_FOR_GOOD:
        return "bad"
    return "" if status.is_terminal else "wait"


def verdict(rule: str, reason: str, inputs: dict[str, Any]) -> str:
    """What one rule said. A rule newer than this page speaks in its own words."""
    words = VERDICTS.get((rule, reason)) or f"{rule}: {reason}".replace("_", " ")
    try:
        return words.format_map(inputs)
    except KeyError:
        return words

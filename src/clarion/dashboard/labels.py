"""Labels for statuses, reasons and verdicts."""

from __future__ import annotations

from typing import Any

from clarion.flow.lookups import TEST_SEND
from clarion.flow.verification_workflow import VERIFICATION
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
    Reason.CAMPAIGN_PAUSED: "its campaign is paused",
    Reason.LEGAL_WINDOW: "outside the hours that the law allows",
    Reason.SNOOZED: "the user wants no messages for now",
    Reason.QUIET_HOURS: "quiet hours",
    Reason.SEND_WINDOW: "outside the send window",
    Reason.RETRY: "waiting for a retry after a failure",
    Reason.RATE_LIMITED: "the provider's rate limit",
    Reason.DAILY_QUOTA: "the provider's quota of the day is used up",
    Reason.CIRCUIT_OPEN: "the provider keeps failing, so calls to it are paused",
    Reason.INTEGRATION_BUSY: "the provider is busy",
    Reason.WAITING_FOR_RECEIPT: "goes once more unless its provider reports it",
    Reason.WAITING_FOR_EARLIER_CHANNEL: "sent only if the earlier channel does not succeed",
    Reason.WAITING_FOR_TURN: "waiting for an earlier message of the same thread",
    Reason.NO_INTEGRATION: "no provider is set up for this channel",
    Reason.OPTED_OUT: "the user opted out",
    Reason.NO_CONSENT: "the user has not consented",
    Reason.SUPPRESSED_ADDRESS: "the address is suppressed",
    Reason.ENDPOINT_DISABLED: "the endpoint is disabled",
    Reason.WINDOW_CLOSED: "the person has not written within 24 hours",
    Reason.TEMPLATE_NOT_APPROVED: "WhatsApp has not approved the template",
    Reason.RANGE_BLOCKED: "the range of phone numbers is blocked",
    Reason.COUNTRY_NOT_ALLOWED: "one-time codes do not go to this country",
    Reason.SENDER_NOT_ALLOWED: "its sender may not write to this country",
    Reason.NO_CONTACT: "no address on this channel",
    Reason.USER_DELETED: "the user was deleted",
    Reason.NOT_CHOSEN: "another channel was chosen",
    Reason.FREQUENCY_CAP: "frequency cap reached",
    Reason.BUDGET_EXCEEDED: "the budget of the day is used up",
    Reason.NO_PRICE: "a budget covers it, and there is no price for it",
    Reason.DUPLICATE: "it repeats an earlier message",
    Reason.SUPERSEDED: "a newer message replaced it",
    Reason.CANCELED_BY_CALLER: "canceled by hand",
    Reason.WORKFLOW_DELETED: "the workflow was deleted",
    Reason.ANSWERED: "not needed, its question was answered",
    Reason.ACKNOWLEDGED: "not needed, somebody acknowledged it",
    Reason.LADDER_SATISFIED: "not needed, an earlier channel succeeded",
    Reason.EXPIRED: "its expiry time has passed",
    Reason.TEMPLATE_ERROR: "the template could not be rendered",
    Reason.RENDER_LIMIT: "rendering it takes too much memory or time",
    Reason.PROVIDER_REJECTED: "the provider refused it",
    Reason.ADDRESS_GONE: "the address does not exist any more",
    Reason.ANSWERING_MACHINE: "an answering machine took the call",
    Reason.SOFT_BOUNCE: "it bounced for a temporary reason",
    Reason.BLOCKED: "the receiving server blocked it",
    Reason.PROVIDER_ERROR: "the provider had an error",
    Reason.PROVIDER_TIMEOUT: "the provider did not answer in time",
    Reason.MISCONFIGURED: "the provider's settings are wrong",
    Reason.OUTCOME_UNKNOWN: "it may have been sent, so it is not sent again",
    Reason.ATTEMPTS_EXHAUSTED: "every attempt failed",
    Reason.TOO_OLD: "the time for retries is over",
    Reason.INTERNAL_ERROR: "a bug in Clarion",
    Reason.MERGED_INTO_DIGEST: "it is part of a digest",
    Reason.EMPTY_DIGEST: "nothing was left to tell",
    Reason.UNREADABLE: "the stored event cannot be read",
    Reason.EXPRESSION_ERROR: "an expression of a step has no value",
    Reason.NEVER: "the time that a step waits for never comes",
    Reason.STEP_FAILED: "a step could not be done",
    Reason.FETCH_FAILED: "a service did not answer as a step needs it",
    Reason.TRIGGER_DEPTH: "too many workflows started one another",
    Reason.KEY_MISSING: "an expression that tells what belongs together has no value",
    Reason.WORKFLOW_THROTTLE: "enough runs have passed a throttle of the workflow",
    Reason.SUCCESS_EVENT: "the event came that it was to bring about",
    Reason.STOP_EVENT: "an event came that stops it",
    Reason.WITHDRAWN: "it was withdrawn",
    Reason.RETRIED: "retried by hand",
}

VERDICTS = {
    ("contact", "inbox"): "Everyone has an inbox",
    ("contact", "found"): "There is an address to use",
    ("contact", "devices"): "Sent to each of the user's {devices} devices",
    ("contact", "no_contact"): "There is no address on this channel",
    ("suppression", "suppressed_address"): "The address is suppressed after a bounce, a complaint or a STOP",
    ("suppression", "endpoint_disabled"): "The endpoint is disabled",
    ("endpoint", "hears"): "The endpoint's filter includes this event type",
    ("preferences", "critical"): "Critical: users cannot opt out",
    ("preferences", "user_category_channel"): "The user's choice for this category and channel",
    ("preferences", "user_category"): "The user's choice for this category",
    ("preferences", "user_workflow_channel"): "The user's choice for this workflow and channel",
    ("preferences", "user_workflow"): "The user's choice for this workflow",
    ("preferences", "user_topic_channel"): "The user's choice for this topic and channel",
    ("preferences", "user_topic"): "The user's choice for this topic",
    ("preferences", "user_channel"): "The user's choice for this channel",
    ("preferences", "workflow_channel"): "The workflow's default for this channel",
    ("preferences", "workflow_default"): "The workflow's default",
    ("preferences", "topic_channel"): "The topic's default for this channel",
    ("preferences", "topic_default"): "The topic's default",
    ("preferences", "category_channel"): "The category's default for this channel",
    ("preferences", "category_default"): "The category is opt-in",
    ("preferences", "tenant_channel"): "The tenant's default for this channel",
    ("preferences", "default"): "On by default",
    ("legal_window", "open"): "Inside the hours that {law} allows",
    ("legal_window", "closed"): "It is {local_time} for the user, outside the hours that {law} allows",
    ("legal_window", "never_open"): "No time fits both the hours that {law} allows and the others",
    ("snooze", "snoozed"): "The user wants no messages until {until}",
    ("snooze", "critical"): "Critical: ignores that the user wants no messages for now",
    ("snooze", "in_app_is_silent"): "In-app messages come although the user wants no others for now",
    ("quiet_hours", "outside"): "Outside the user's quiet hours",
    ("quiet_hours", "inside"): "It is {local_time} for the user, inside their quiet hours",
    ("quiet_hours", "never_over"): "The user's quiet hours never end",
    ("quiet_hours", "critical"): "Critical: ignores quiet hours",
    ("quiet_hours", "in_app_is_silent"): "In-app messages ignore quiet hours",
    ("send_window", "open"): "Inside the send window",
    ("send_window", "closed"): "It is {local_time} for the user, outside the send window",
    ("send_window", "never_open"): "The send window never opens",
    ("send_window", "critical"): "Critical: ignores the send window",
    ("schedule", "scheduled"): "Scheduled for {send_at}",
    ("cancellation", "canceled_by_caller"): "Canceled before it was planned",
    ("expiry", "expired"): "Its expiry time comes first",
    ("channel_choice", "first_available"): "The first channel that is available",
    ("channel_choice", "not_available"): "Not available: the next channel is tried",
    ("channel_choice", "not_chosen"): "An earlier channel was chosen",
    ("ladder", "first_channel"): "The first channel of the ladder",
    ("ladder", "waiting_for_earlier_channel"): "Sent if the earlier channel is not {until} within {wait_s} s",
    ("ladder", "not_available"): "This channel cannot be used and is skipped",
    ("ladder", "ladder_satisfied"): "An earlier channel succeeded",
    ("ladder", "always"): "Always sent, outside the ladder",
    ("frequency_cap", "below_cap"): "Below the frequency cap: {count} of {limit}",
    ("frequency_cap", "frequency_cap"): "Frequency cap reached ({limit})",
    ("rota", "on_duty"): "On duty by the rota of {object} until {until}",
    ("dedupe", "keyed"): "Looked for an earlier message with the same key",
    ("dedupe", "key_missing"): "The data has no key to find duplicates by",
    ("dedupe", "whole_workflow"): "Looked for an earlier message of this workflow",
    ("dedupe", "first_in_window"): "No earlier message in the dedupe window",
    ("dedupe", "duplicate"): "An earlier message has the same key",
    ("collapse", "keyed"): "Replaces an older waiting message with the same key",
    ("collapse", "key_missing"): "The data has no key to replace older messages by",
    ("collapse", "whole_workflow"): "Replaces an older waiting message of this workflow",
    ("collapse", "newest"): "The newest message with this key",
    ("collapse", "superseded"): "A newer message replaced it",
    ("thread", "keyed"): "Messages of this thread keep their order",
    ("thread", "key_missing"): "The data has no thread, so the message does not wait for others",
    ("thread", "whole_workflow"): "Messages of this workflow keep their order",
    ("thread", "its_turn"): "No earlier message of the thread is under way",
    ("thread", "waiting_for_turn"): "Waits for an earlier message of the thread",
}


def status_name(status: Status) -> str:
    """A status for a chip."""
    return STATUS_NAMES[status]


def workflow_name(workflow: Workflow | None, key: str) -> str:
    """As its people call it; what authors send themselves is called by its template."""
    if workflow is not None and workflow.name:
        return workflow.name
    if key.startswith(VERIFICATION):
        return "One-time code"
    if key.startswith(TEST_SEND):
        return f"Test of {key.removeprefix(TEST_SEND).partition('/')[0].rsplit(':', 2)[0]}"
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

"""The life of a message as one table: statuses, closed reasons, and which move may follow which.

`STATUS_DOC` and `MOVES` are the single source for the SQL guards, the drawn diagram and the documentation
(each is tested against them).
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a message. docs/reference/statuses.md explains each one."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    DEAD_LETTERED = "dead_lettered"
    SUPPRESSED = "suppressed"
    THROTTLED = "throttled"
    MERGED = "merged"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """No worker will touch the message again (a receipt may still move `sent` forward)."""
        return self not in ACTIVE

    @property
    def needs_reason(self) -> bool:
        """Failed for good, or decided not to send: always carries a closed `Reason`."""
        return self in FAILED_FOR_GOOD or self in NOT_SENT


ACTIVE = frozenset({Status.QUEUED, Status.DEFERRED, Status.SENDING})
SUCCEEDED = frozenset({Status.SENT, Status.DELIVERED})
FAILED_FOR_GOOD = frozenset(
    {Status.BOUNCED, Status.REJECTED, Status.UNDELIVERED, Status.FAILED, Status.DEAD_LETTERED}
)
NOT_SENT = frozenset({Status.SUPPRESSED, Status.THROTTLED, Status.MERGED, Status.CANCELED, Status.EXPIRED})

STATUS_DOC: dict[Status, str] = {
    Status.QUEUED: "Planned and due: it will be sent next.",
    Status.DEFERRED: "Waiting until `due_at`: for the end of quiet hours, a retry, the wait time of a ladder, a receipt, or an earlier message.",
    Status.SENDING: "Handed to a provider that cannot deduplicate; no answer recorded yet.",
    Status.SENT: "The provider accepted it. Final unless a delivery receipt follows.",
    Status.DELIVERED: "A receipt confirms the delivery (in-app: stored in the inbox).",
    Status.BOUNCED: "Accepted, then permanently refused by the receiving server.",
    Status.REJECTED: "The provider permanently refused this message.",
    Status.UNDELIVERED: "The provider could not deliver it and gave up.",
    Status.FAILED: "Its content could not be rendered, or the outcome of its attempt is unknown. A delivery receipt settles an unknown outcome.",
    Status.DEAD_LETTERED: "Every attempt failed. It is kept for inspection and retry.",
    Status.SUPPRESSED: "Not sent: the user opted out, the address is suppressed or blocked, the user has no address, or WhatsApp does not allow it now.",
    Status.THROTTLED: "Not sent: a frequency cap or a budget was reached.",
    Status.MERGED: "A duplicate, or replaced by a newer message.",
    Status.CANCELED: "Canceled by a caller, or not needed because another channel succeeded.",
    Status.EXPIRED: "Its `expires_at` passed before it could be sent.",
}

_STOPS = NOT_SENT | {Status.FAILED, Status.DEAD_LETTERED}
_RESULTS = SUCCEEDED | FAILED_FOR_GOOD

MOVES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.DEFERRED, Status.SENDING}) | _STOPS | _RESULTS,
    Status.DEFERRED: frozenset({Status.QUEUED, Status.DEFERRED, Status.SENDING}) | _STOPS | _RESULTS,
    Status.SENDING: frozenset({Status.DEFERRED, Status.QUEUED}) | _RESULTS | _STOPS,
    Status.SENT: frozenset({Status.DELIVERED, Status.BOUNCED, Status.UNDELIVERED}),
    Status.DELIVERED: frozenset({Status.BOUNCED}),
    # A person may retry what failed, and what was suppressed when the cause is gone; nothing else leaves these.
    Status.DEAD_LETTERED: frozenset({Status.QUEUED}),
    # A provider reports about a message whose outcome was unknown: it had taken it after all.
    Status.FAILED: frozenset({Status.QUEUED, Status.DELIVERED, Status.BOUNCED, Status.UNDELIVERED}),
    Status.REJECTED: frozenset({Status.QUEUED}),
    Status.UNDELIVERED: frozenset({Status.QUEUED}),
    Status.BOUNCED: frozenset({Status.QUEUED}),
    Status.SUPPRESSED: frozenset({Status.QUEUED}),
    Status.THROTTLED: frozenset(),
    Status.MERGED: frozenset(),
    Status.CANCELED: frozenset(),
    Status.EXPIRED: frozenset(),
}
RETRYABLE_BY_HAND = frozenset(s for s, moves in MOVES.items() if Status.QUEUED in moves and s not in ACTIVE)


def may_move(old: Status, new: Status) -> bool:
    """Whether a message may go from `old` to `new`."""
    return new in MOVES[old]


class Reason(StrEnum):
    """Why a message has its status. The list is closed; metrics use the same labels."""

    # deferred
    SCHEDULED = "scheduled"
    CAMPAIGN_PAUSED = "campaign_paused"
    LEGAL_WINDOW = "legal_window"
    SNOOZED = "snoozed"
    QUIET_HOURS = "quiet_hours"
    SEND_WINDOW = "send_window"
    RETRY = "retry"
    RATE_LIMITED = "rate_limited"
    DAILY_QUOTA = "daily_quota"
    CIRCUIT_OPEN = "circuit_open"
    INTEGRATION_BUSY = "integration_busy"
    WAITING_FOR_EARLIER_CHANNEL = "waiting_for_earlier_channel"
    WAITING_FOR_RECEIPT = "waiting_for_receipt"
    WAITING_FOR_TURN = "waiting_for_turn"
    NO_INTEGRATION = "no_integration"
    # suppressed
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    SUPPRESSED_ADDRESS = "suppressed_address"
    ENDPOINT_DISABLED = "endpoint_disabled"
    WINDOW_CLOSED = "window_closed"
    TEMPLATE_NOT_APPROVED = "template_not_approved"
    NO_CONTACT = "no_contact"
    USER_DELETED = "user_deleted"
    RANGE_BLOCKED = "range_blocked"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    # throttled, merged, canceled, expired
    FREQUENCY_CAP = "frequency_cap"
    BUDGET_EXCEEDED = "budget_exceeded"
    NO_PRICE = "no_price"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    NOT_CHOSEN = "not_chosen"
    CANCELED_BY_CALLER = "canceled_by_caller"
    WORKFLOW_DELETED = "workflow_deleted"
    WORKFLOW_THROTTLE = "workflow_throttle"
    SUCCESS_EVENT = "success_event"
    STOP_EVENT = "stop_event"
    WITHDRAWN = "withdrawn"
    LADDER_SATISFIED = "ladder_satisfied"
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"
    # runs
    MERGED_INTO_DIGEST = "merged_into_digest"
    EMPTY_DIGEST = "empty_digest"
    KEY_MISSING = "key_missing"
    # failures
    TEMPLATE_ERROR = "template_error"
    RENDER_LIMIT = "render_limit"
    PROVIDER_REJECTED = "provider_rejected"
    ADDRESS_GONE = "address_gone"
    SOFT_BOUNCE = "soft_bounce"
    ANSWERING_MACHINE = "answering_machine"
    BLOCKED = "blocked"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_TIMEOUT = "provider_timeout"
    MISCONFIGURED = "misconfigured"
    OUTCOME_UNKNOWN = "outcome_unknown"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    TOO_OLD = "too_old"
    INTERNAL_ERROR = "internal_error"
    UNREADABLE = "unreadable"
    EXPRESSION_ERROR = "expression_error"
    NEVER = "never"
    STEP_FAILED = "step_failed"
    TRIGGER_DEPTH = "trigger_depth"
    FETCH_FAILED = "fetch_failed"
    # moved by hand
    RETRIED = "retried"

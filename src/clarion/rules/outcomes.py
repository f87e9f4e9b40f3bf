"""Decides what an outcome means for a message: its next status, reason and due time."""

from __future__ import annotations

import msgspec

from clarion.model.channel import Channel
from clarion.model.device import DeviceRefusal
from clarion.model.endpoint import Delivery
from clarion.model.ids import Instant
from clarion.model.inbox import Captured, InboxCard, InboxItem
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.settlement import Settlement
from clarion.model.setup import UnknownPolicy
from clarion.model.status import NOT_SENT, Reason, Status
from clarion.model.suppression import BY_PROVIDER, Suppression
from clarion.rules import ladder, retry

DETAIL_LIMIT = 500


MAX_UNKNOWNS = 1
"""A message whose outcome was unknown is sent again at most this often: one possible duplicate, no more."""


class AttemptContext(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of one provider call, the same for every message of its batch."""

    integration: str
    idempotent: bool
    alternatives: int
    """Other integrations of the channel that could take over."""
    took_ms: int
    wait_s: float = 0.0
    """Misconfigured: how long the circuit stays open."""
    receipt_within_s: int | None = None
    """Accepted: when a receipt is missed, and another integration takes over."""


def settle_outcome(
    outgoing: Outgoing,
    outcome: Outcome,
    attempt: AttemptContext,
    *,
    on_unknown: UnknownPolicy,
    now: Instant,
    uniform: float,
) -> Settlement:
    """What the outcome of a call means for its message. `uniform` in [0, 1) is the jitter of a retry."""
    settlement = _of_outcome(outgoing, outcome, attempt, on_unknown, now, uniform)
    if not outgoing.traceparent:
        return settlement
    return msgspec.structs.replace(settlement, traceparent=outgoing.traceparent)


def _of_outcome(
    outgoing: Outgoing,
    outcome: Outcome,
    attempt: AttemptContext,
    on_unknown: UnknownPolicy,
    now: Instant,
    uniform: float,
) -> Settlement:
    message = outgoing.message
    if type(outcome) is Accepted:
        missed_at = None if outcome.delivered else _receipt_missed_at(message, attempt, now)
        if missed_at is not None:
            return _settle(
                message,
                Status.DEFERRED,
                Reason.WAITING_FOR_RECEIPT,
                attempt,
                outcome,
                now,
                due_at=missed_at,
                provider_id=outcome.provider_id,
                means=Status.SENT,
            )
        return _settle(
            message,
            Status.DELIVERED if outcome.delivered else Status.SENT,
            None,
            attempt,
            outcome,
            now,
            provider_id=outcome.provider_id,
        )
    if isinstance(outcome, Unknown) and not attempt.idempotent:
        return settle_in_doubt(message, on_unknown, now, attempt=attempt, outcome=outcome)
    if isinstance(outcome, Rejected):
        return _settle(
            message,
            Status.REJECTED,
            outcome.reason,
            attempt,
            outcome,
            now,
            device_refusals=device_refusals_of(outgoing, outcome),
        )
    if isinstance(outcome, Gone):
        return _settle(
            message,
            Status.BOUNCED,
            outcome.reason,
            attempt,
            outcome,
            now,
            suppressions=suppressions_of(outgoing, outcome, attempt, now),
            device_refusals=device_refusals_of(outgoing, outcome),
        )
    if isinstance(outcome, Misconfigured):
        return _wait_for_repair(message, outcome, attempt, now)
    return _try_again(message, outcome, attempt, now, uniform)


def _receipt_missed_at(message: Message, attempt: AttemptContext, now: Instant) -> Instant | None:
    """When it goes once more unless a receipt comes; None: it does not. Nothing goes a third time."""
    if attempt.receipt_within_s is None or not attempt.alternatives or message.sent_at is not None:
        return None
    at = Instant(now + attempt.receipt_within_s * 1_000)
    too_late = message.expires_at is not None and at >= message.expires_at
    last = message.attempt + 1 >= retry.policy(message.lane, message.channel).max_attempts
    return None if too_late or last else at


_NOT_AGAIN = NOT_SENT | {Status.REJECTED, Status.FAILED, Status.DEAD_LETTERED}


def _after_acceptance(message: Message, status: Status) -> bool:
    """Whether it was sent, whatever kept it from being sent once more when its receipt was missed."""
    return message.sent_at is not None and status in _NOT_AGAIN


def suppressions_of(
    outgoing: Outgoing, outcome: Gone, attempt: AttemptContext, now: Instant
) -> tuple[Suppression, ...]:
    """The address is not used again, unless its device registers it again after its service saw it gone."""
    if outgoing.contact is None:
        return ()
    message = outgoing.message
    began_at = Instant(now - attempt.took_ms)
    gone = Suppression(
        tenant=message.tenant,
        channel=message.channel,
        hash=outgoing.contact.hash,
        reason=outcome.reason.value,
        source=BY_PROVIDER,
        at=now,
        registered_before=began_at if outcome.since is None else min(outcome.since, began_at),
    )
    return (gone,)


def device_refusals_of(outgoing: Outgoing, outcome: Gone | Rejected) -> tuple[DeviceRefusal, ...]:
    """What the page of the device says about it."""
    if outgoing.contact is None or outgoing.message.channel is not Channel.PUSH:
        return ()
    refused = DeviceRefusal(
        hash=outgoing.contact.hash, reason=outcome.reason.value, detail=bounded_detail(outcome.detail)
    )
    return (refused,)


def settle_in_doubt(
    message: Message,
    policy: UnknownPolicy,
    now: Instant,
    *,
    attempt: AttemptContext | None = None,
    outcome: Outcome | None = None,
) -> Settlement:
    """It may have gone out: send again once when the category says so, else end here, counted."""
    again = policy is UnknownPolicy.SEND_AGAIN and message.unknowns < MAX_UNKNOWNS
    return _settle(
        message,
        Status.DEFERRED if again else Status.FAILED,
        Reason.RETRY if again else Reason.OUTCOME_UNKNOWN,
        attempt,
        outcome or Unknown(),
        now,
        due_at=now if again else None,
        unknowns=message.unknowns + 1,
    )


def _wait_for_repair(
    message: Message, outcome: Misconfigured, attempt: AttemptContext, now: Instant
) -> Settlement:
    """Not the message's fault: another integration at once, else when the circuit may close again."""
    wait_s = 0.0 if attempt.alternatives else attempt.wait_s
    policy = retry.policy(message.lane, message.channel)
    if now - (message.tried_at or now) >= policy.max_age_s * 1000:
        return _settle(message, Status.DEAD_LETTERED, Reason.MISCONFIGURED, attempt, outcome, now)
    return _settle(
        message,
        Status.DEFERRED,
        Reason.MISCONFIGURED,
        attempt,
        outcome,
        now,
        due_at=Instant(now + round(wait_s * 1000)),
        calls=message.attempt,
    )


def _try_again(
    message: Message,
    outcome: Retry | Unknown | Outcome,
    attempt: AttemptContext,
    now: Instant,
    uniform: float,
) -> Settlement:
    after_s = outcome.after_s if isinstance(outcome, Retry) else None
    put_off = outcome if isinstance(outcome, Retry) and not outcome.called else None
    calls = message.attempt + (put_off is None)
    due = retry.next_attempt(
        retry.policy(message.lane, message.channel),
        attempt=calls if put_off is None else 1,
        tried_at=message.tried_at or now,
        now=now,
        uniform=uniform,
        after_s=after_s,
        expires_at=message.expires_at,
    )
    if isinstance(due, Reason):
        status = Status.EXPIRED if due is Reason.EXPIRED else Status.DEAD_LETTERED
        return _settle(message, status, due, attempt, outcome, now)
    if put_off is not None:
        return _settle(
            message, Status.DEFERRED, put_off.reason, attempt, put_off, now, due_at=due, calls=calls
        )
    if calls <= attempt.alternatives:
        due = now  # Fail over at once while there is an integration that has not been tried.
    return _settle(message, Status.DEFERRED, Reason.RETRY, attempt, outcome, now, due_at=due)


def bounded_detail(words: str | None) -> str | None:
    """What others said, bounded, and in characters that can be stored: half of a surrogate pair is none."""
    return words[:DETAIL_LIMIT].encode("utf-8", "replace").decode() if words else None


def _settle(
    message: Message,
    status: Status,
    reason: Reason | None,
    attempt: AttemptContext | None,
    outcome: Outcome,
    now: Instant,
    *,
    due_at: Instant | None = None,
    unknowns: int | None = None,
    calls: int | None = None,
    provider_id: str | None = None,
    suppressions: tuple[Suppression, ...] = (),
    device_refusals: tuple[DeviceRefusal, ...] = (),
    means: Status | None = None,
) -> Settlement:
    """`means`: what a ladder makes of it, where that is another status."""
    detail = getattr(outcome, "detail", None)
    if _after_acceptance(message, status):
        detail = f"{_not_again(status, reason)}: {detail}" if detail else _not_again(status, reason)
        status, reason = Status.SENT, None
    cancels, advances = ladder.after(message, means or status) if message.later_rungs else ((), None)
    record: InboxItem | InboxCard | Captured | Delivery | None = getattr(outcome, "record", None)
    return Settlement(
        message=message,
        status=status,
        reason=reason,
        at=now,
        due_at=due_at,
        attempt=message.attempt + 1 if calls is None else calls,
        unknowns=message.unknowns if unknowns is None else unknowns,
        integration=attempt.integration if attempt else message.integration,
        outcome=type(outcome).__name__.lower(),
        provider_id=bounded_detail(provider_id),
        took_ms=attempt.took_ms if attempt else None,
        detail=bounded_detail(detail),
        record=record,
        content=outcome.content if isinstance(outcome, Accepted) else b"",
        cancels=cancels,
        advances=advances,
        suppressions=suppressions,
        device_refusals=device_refusals,
    )


def _not_again(status: Status, reason: Reason | None) -> str:
    return f"not sent once more ({reason or status})"


def without_extras(settlement: Settlement) -> Settlement:
    """The same without what was brought along: for one that cannot be stored as it is."""
    return msgspec.structs.replace(
        settlement,
        provider_id=None,
        detail="what the provider said could not be stored",
        record=None,
        copies=(),
        device_refusals=(),
        traceparent=None,
    )


def settle_unsent(
    message: Message,
    status: Status,
    reason: Reason | None,
    now: Instant,
    *,
    due_at: Instant | None = None,
    detail: str = "",
) -> Settlement:
    """A settlement without a provider call: put off, suppressed, expired, not renderable."""
    if _after_acceptance(message, status):
        return settle_unsent(message, Status.SENT, None, now, detail=_not_again(status, reason))
    cancels, advances = ladder.after(message, status) if message.later_rungs else ((), None)
    return Settlement(
        message=message,
        status=status,
        reason=reason,
        at=now,
        due_at=due_at,
        attempt=message.attempt,
        unknowns=message.unknowns,
        integration=message.integration,
        detail=bounded_detail(detail),
        cancels=cancels,
        advances=advances,
    )

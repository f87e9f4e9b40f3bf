"""What can be done about a message that somebody takes back, and what the answers of its provider mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId
from clarion.model.message import Change, Message
from clarion.model.outcome import Accepted, Gone, Outcome, Rejected, Retry
from clarion.model.receipt import ReceiptKind
from clarion.model.status import FAILED_FOR_GOOD, SUCCEEDED, Reason, Status
from clarion.model.withdrawal import Withdrawal
from clarion.rules import retry

_ASKED = "the devices were asked to remove it"
"""Push services remove nothing by themselves."""


class Result(NamedTuple):
    """What became of a withdrawal or an edit."""

    kind: ReceiptKind
    detail: str = ""
    """Why not, or what the receiver still has to do."""


def is_out(message: Message) -> bool:
    """Whether somebody has it, or will in a moment. What waits to be sent once more is out as well."""
    if message.status is Status.SENDING or message.status in SUCCEEDED:
        return True
    return message.sent_at is not None and message.status not in FAILED_FOR_GOOD


def asked(messages: Iterable[Message], at: Instant, begun: Set[MessageId]) -> list[Withdrawal]:
    """What is to be taken back of these, as they were before any was canceled. `begun`: calls of these are under way."""
    return [
        Withdrawal(tenant=one.tenant, user=one.user, message_id=one.id, asked_at=at, due_at=at)
        for one in messages
        if one.id in begun or is_out(one)
    ]


def after(
    withdrawal: Withdrawal, message: Message, answers: Sequence[Outcome], now: Instant, uniform: float
) -> Result | Withdrawal:
    """What the answers mean, one for each device: the end, or another call later. `uniform` in [0, 1) is the jitter."""
    if any(not isinstance(one, Accepted | Rejected | Gone) for one in answers):
        return _again(withdrawal, message, answers, now, uniform)
    if any(isinstance(one, Accepted) for one in answers):
        if withdrawal.sealed is not None:
            return Result(ReceiptKind.EDITED)
        return Result(ReceiptKind.WITHDRAWN, _ASKED if message.channel is Channel.PUSH else "")
    why = next((one.detail for one in answers if isinstance(one, Rejected) and one.detail), None)
    return Result(ReceiptKind.NOT_WITHDRAWN, why or "nothing that was sent can be reached any more")


def _again(
    withdrawal: Withdrawal, message: Message, answers: Sequence[Outcome], now: Instant, uniform: float
) -> Result | Withdrawal:
    called = any(not isinstance(one, Retry) or one.called for one in answers)
    attempt = withdrawal.attempt + called
    due = retry.next_attempt(
        retry.policy(message.lane, message.channel),
        attempt=max(1, attempt) if called else 1,
        tried_at=withdrawal.asked_at,
        now=now,
        uniform=uniform,
        after_s=max((one.after_s or 0.0 for one in answers if isinstance(one, Retry)), default=0.0),
    )
    if isinstance(due, Reason):
        said = next((one.detail for one in answers if not isinstance(one, Accepted) and one.detail), "")
        times = "once" if attempt == 1 else f"{attempt} times"
        return Result(ReceiptKind.NOT_WITHDRAWN, f"given up, tried {times}{f': {said}' if said else ''}")
    return Withdrawal(
        tenant=withdrawal.tenant,
        user=withdrawal.user,
        message_id=withdrawal.message_id,
        asked_at=withdrawal.asked_at,
        due_at=due,
        attempt=attempt,
        sealed=withdrawal.sealed,
    )


_SAID = {
    ReceiptKind.WITHDRAWN: "It was withdrawn",
    ReceiptKind.EDITED: "It was changed after it was sent",
    ReceiptKind.NOT_WITHDRAWN: "It cannot be withdrawn or changed",
}


def result(timeline: Iterable[Change]) -> Change | None:
    """The last that came of taking a message back; None: nobody did."""
    return next((one for one in reversed([*timeline]) if one.outcome in _SAID), None)


def in_words(change: Change) -> str:
    """The same for people."""
    said = _SAID[ReceiptKind(change.outcome or "")]
    return f"{said}: {change.detail}." if change.detail else f"{said}."

"""Combines the outcomes of one push on several devices into one outcome for the message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from clarion.model.ids import Instant
from clarion.model.inbox import Captured
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.settlement import Settlement
from clarion.model.setup import UnknownPolicy
from clarion.rules.outcomes import (
    AttemptContext,
    bounded_detail,
    device_refusals_of,
    settle_outcome,
    suppressions_of,
)


class DeviceAnswer(NamedTuple):
    """What came of one device."""

    outgoing: Outgoing
    outcome: Outcome
    attempt: AttemptContext


_WORDS: dict[type[Outcome], str] = {
    Gone: "gone",
    Rejected: "refused",
    Retry: "not now",
    Misconfigured: "misconfigured",
    Unknown: "in doubt",
}


def settle_devices(
    answers: Sequence[DeviceAnswer],
    devices: int,
    *,
    on_unknown: UnknownPolicy,
    now: Instant,
    uniform: float,
) -> Settlement:
    """Sent as soon as one device took it: then it is never sent again, so that no device gets it twice.

    Else the most hopeful answer decides as it would for a single contact: in doubt, tried again (when all of them may
    be), refused, gone. `devices`: how many the person has, also those that could not be tried. What several devices took
    has several ids, so it is shown with none of them.
    """
    decisive = min(answers, key=_hopelessness)
    outcome, attempt = decisive.outcome, replace(decisive.attempt, receipt_within_s=None)
    if isinstance(outcome, Retry):
        outcome = replace(outcome, after_s=_longest_wait(answers))
    found = settle_outcome(
        decisive.outgoing, outcome, attempt, on_unknown=on_unknown, now=now, uniform=uniform
    )
    took = sum(isinstance(one.outcome, Accepted) for one in answers)
    return replace(
        found,
        provider_id=found.provider_id if took == 1 else None,
        detail=bounded_detail(_detail(answers, devices, found.detail)),
        copies=tuple(
            one.outcome.record
            for one in answers
            if one is not decisive
            and isinstance(one.outcome, Accepted)
            and isinstance(one.outcome.record, Captured)
        ),
        suppressions=tuple(
            gone
            for one in answers
            if isinstance(one.outcome, Gone)
            for gone in suppressions_of(one.outgoing, one.outcome, one.attempt, now)
        ),
        device_refusals=tuple(
            refusal
            for one in answers
            if isinstance(one.outcome, Gone | Rejected)
            for refusal in device_refusals_of(one.outgoing, one.outcome)
        ),
    )


def _hopelessness(answer: DeviceAnswer) -> int:
    match answer.outcome:
        case Accepted():
            return 0
        case Unknown():
            return 2 if answer.attempt.idempotent else 1
        case Retry(called=called):
            return 3 if called else 4
        case Misconfigured():
            return 5
        case Rejected():
            return 6
    return 7


def _longest_wait(answers: Sequence[DeviceAnswer]) -> float | None:
    """All devices are tried again together: not before the last of them may be."""
    waits = [one.outcome.after_s for one in answers if isinstance(one.outcome, Retry)]
    return max((wait for wait in waits if wait is not None), default=None)


def _detail(answers: Sequence[DeviceAnswer], devices: int, said: str | None) -> str:
    """`1 of 3 devices took it (1 gone, 1 not reached)`; without any, also what the decisive one said."""
    kinds = Counter(type(one.outcome) for one in answers)
    took = kinds[Accepted]
    others = [f"{kinds[kind]} {word}" for kind, word in _WORDS.items() if kinds[kind]]
    if len(answers) < devices:
        others.append(f"{devices - len(answers)} not reached")
    text = f"{took} of {devices} devices took it"
    if others:
        text += f" ({', '.join(others)})"
    return text if took or not said else f"{text}: {said}"

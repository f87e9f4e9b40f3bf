"""`ask`: a question with buttons. The first answer on any channel continues the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from clarion.model.ids import Instant
from clarion.model.run import RunState, StepAnswer
from clarion.model.setup import Step, StepType, every
from clarion.model.status import Status
from clarion.rules.steps.kind import StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk
from clarion.rules.time_format import rfc3339

OTHER = "other"
"""The answer of somebody who answers in their own words."""
LONGEST_S = 90 * 86_400
"""How long an answer is waited for, unless the step says it."""
FEWEST, MOST = 2, 10
LONGEST_LABEL = 80
LONGEST_TEXT = 2_000
"""Characters of an answer in a person's own words."""
NO_ANSWER: Mapping[str, Any] = {"answer": "", "text": "", "channel": "", "at": "", "by": "", "reason": ""}

_KEY = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_GOING = frozenset({Status.QUEUED, Status.DEFERRED})


class AskStep(StepKind):
    """Sends a question, and stops the run until somebody answers."""

    repeatable = False
    fields = ("template", "to", "options", "other", "timeout_s")
    needs = ("template", "to", "options")
    output = NO_ANSWER

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """Too few or too many options, or one that cannot be chosen."""
        if not FEWEST <= len(step.options) <= MOST:
            yield StepFault(f"{at}/options", f"a question has {FEWEST} to {MOST} options.")
        seen: dict[str, str] = {}
        for key, given in step.options.items():
            if not _KEY.fullmatch(key):
                detail = f"the key of an option is written like `yes` or `call-me`, not {key!r}."
                yield StepFault(f"{at}/options/{key}", detail)
            if step.other and key == OTHER:
                yield StepFault(f"{at}/options/{key}", "with `other` no option may have the key `other`.")
            labels = [given] if isinstance(given, str) else [*given.values()]
            if not labels or not all(0 < len(label.strip()) <= LONGEST_LABEL for label in labels):
                detail = f"what stands on a button has 1 to {LONGEST_LABEL} characters."
                yield StepFault(f"{at}/options/{key}", detail)
            for label in labels:
                if seen.setdefault(label.strip().casefold(), key) != key:
                    yield StepFault(f"{at}/options/{key}", f"two options say {label!r}.")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """Where no message can go, there is nobody to wait for."""
        until = Instant(walk.anchor + (step.timeout_s or LONGEST_S) * 1_000)
        expires_at = walk.facts.expires_at
        if expires_at is not None and walk.now < expires_at <= until:
            until = Instant(expires_at - 1)
        messages = list(walk.send(step, walk.name(step), until))
        if not any(one.status in _GOING for one in messages):
            reason = next((one.reason.value for one in messages if one.reason is not None), "")
            walk.outputs[step.key] = {**NO_ANSWER, "reason": reason}
            walk.say(step, "not_asked", reason=reason)
            return None
        walk.outputs[step.key] = {**NO_ANSWER, "reason": "timeout"}
        asked = tuple(one.id for one in messages)
        return walk.wait(step, until, said="asks", anchor=walk.anchor, asked=asked, messages=len(messages))

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """An answer was stored before its time was over, or never."""
        answer = walk.facts.answers.get(step.key)
        if answer is not None:
            walk.outputs[step.key] = answered(answer)
            after_ms = answer.at - (state.anchor or answer.at)
            walk.say(step, "answered", answer=answer.answer, channel=answer.channel, after_ms=after_ms)
            return None
        if walk.now < state.due_at:
            return walk.still(state)
        walk.say(step, "no_answer", late_ms=walk.now - state.due_at)
        return None


def questions(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps that ask, also those inside branches."""
    return (step for step in every(steps) if step.type is StepType.ASK)


def answered(answer: StepAnswer) -> Mapping[str, Any]:
    """What expressions see of an answer."""
    return {
        "answer": answer.answer,
        "text": answer.text,
        "channel": answer.channel,
        "at": rfc3339(answer.at),
        "by": answer.by,
        "reason": "",
    }

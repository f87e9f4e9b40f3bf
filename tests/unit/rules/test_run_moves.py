"""Runs that move to another version of their workflow, and those that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.ids import EventId, Instant, MessageId
from clarion.model.run import RunState, StepCall
from clarion.model.setup import SendAll, Step, StepType, Workflow
from clarion.rules.programs import compiled
from clarion.rules.run_moves import moved

NOW = Instant(1_800_000_000_000)
PAUSE = Step(key="pause", type=StepType.WAIT, for_s=60)
HELLO = Step(key="hello", template="note", to=SendAll(channels=(Channel.SMS,)))
READS = Step(key="end", template="note", to=HELLO.to, when="steps.hello.status == 'sent'")
WAITS = RunState(step="pause", due_at=NOW, messages={"hello": (MessageId(b"m" * 16),)})
CALLS = StepCall(id=EventId(b"c" * 16), type=StepType.TRIGGER, request={})
EVERY: dict[str, Any] = {"every_s": 60, "at_most": 2, "until": "acknowledged"}


def program(*steps: Step, version: int = 1):
    """Of a workflow with these steps."""
    return compiled(Workflow(key="w", category="news", version=version, steps=steps))


@pytest.mark.parametrize(
    "after",
    [
        (HELLO, PAUSE, READS),
        (PAUSE, Step(key="other", template="note", to=HELLO.to)),
        (Step(key="pause", type=StepType.WAIT, until="09:00"), HELLO, READS),
        (PAUSE, Step(key="fork", type=StepType.WAIT, for_s=5), HELLO),
    ],
)
def test_a_run_moves_where_its_step_is_and_nothing_is_missing(after):
    """What comes behind may be anything else; its time is computed again."""
    state = moved(WAITS, program(HELLO, PAUSE), program(*after, version=2))
    assert (state.step, state.recount, state.messages) == ("pause", True, WAITS.messages)


@pytest.mark.parametrize(
    ("state", "before", "after", "why"),
    [
        (WAITS, (HELLO, PAUSE), (HELLO,), "There is no step 'pause' in version 2."),
        (
            WAITS,
            (PAUSE,),
            (Step(key="pause", type=StepType.THROTTLE, limit=1, per_s=9),),
            "is of type `throttle`",
        ),
        (RunState(step="pause", due_at=NOW, call=CALLS), (PAUSE,), (PAUSE,), "at this moment: try again"),
        (RunState(step="pause", due_at=NOW), (PAUSE,), (HELLO, PAUSE, READS), "'end' asks what 'hello' left"),
        (
            WAITS,
            (Step(key="hello", type=StepType.WAIT, for_s=1), PAUSE),
            (HELLO, PAUSE, READS),
            "'hello' left",
        ),
        (
            WAITS,
            (PAUSE,),
            (Step(key="r", type=StepType.REPEAT, steps=(PAUSE, HELLO), **EVERY),),
            "is repeated in one",
        ),
        (
            WAITS,
            (Step(key="pause", type=StepType.DIGEST, window_s=60),),
            (Step(key="pause", type=StepType.DIGEST, window_s=90),),
            "closes as it was opened",
        ),
    ],
)
def test_a_run_that_could_not_go_on_stays(state, before, after, why):
    """And is told why."""
    with pytest.raises(Conflict, match=why):
        moved(state, program(*before), program(*after, version=2))

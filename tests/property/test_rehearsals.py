"""Dry runs that skip the waits: what they say is what then happens."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import Tables
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.message import Run
from clarion.model.setup import Case, SendAll, Step, StepType, Workflow
from clarion.model.submission import Submission
from clarion.rules.explain import merged
from clarion.testing.ports import ManualClock
from tests.engine import engine, workflow
from tests.needs import DEEP

CONDITIONS = (
    None,
    "data.n > 3",
    "user.attributes.seen == data.n",
    "steps.first.status == 'sent'",
    "data.missing",
)
DATA = st.integers(0, 6).map(lambda n: msgspec.Raw(b'{"text": "hello", "n": %d}' % n))


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """What waits, chooses, repeats and has something done."""
    numbers = count()

    def step(depth: int) -> Step:
        key, when = f"s{next(numbers)}", draw(st.sampled_from(CONDITIONS))
        kinds = [StepType.SEND, StepType.WAIT, StepType.UPDATE_USER, StepType.TRIGGER, StepType.EXPERIMENT]
        kind = draw(st.sampled_from([*kinds, StepType.BRANCH, StepType.REPEAT] if depth else kinds))
        fields: dict[str, Any] = {}
        match kind:
            case StepType.SEND:
                channel = draw(st.sampled_from([Channel.SMS, Channel.EMAIL]))
                fields = {"template": "note", "to": SendAll(channels=(channel,))}
            case StepType.WAIT:
                fields = {"for_s": draw(st.integers(5, 90))}
            case StepType.UPDATE_USER:
                fields = {"set_": {"seen": draw(st.sampled_from(["data.n", "data.missing"]))}}
            case StepType.TRIGGER:
                fields = {"workflow": "other"}
            case StepType.EXPERIMENT:
                fields = {"arms": {"a": 1, "b": 1}, "holdout": draw(st.sampled_from([None, "b"]))}
            case StepType.BRANCH:
                fields = {"cases": (Case(when="data.n > 2", steps=steps(0)), Case(steps=steps(0)))}
            case _:
                until = draw(st.sampled_from(["acknowledged", "read", "data.n > 3"]))
                fields = {
                    "every_s": 30,
                    "at_most": draw(st.integers(1, 3)),
                    "until": until,
                    "steps": steps(0),
                }
        return Step(key=key, type=kind, when=when, **fields)

    def steps(depth: int) -> tuple[Step, ...]:
        return tuple(step(depth) for _ in range(draw(st.integers(1, 3))))

    first = Step(key="first", template="note", to=SendAll(channels=(Channel.SMS,)))
    return workflow("w", steps=(first, *steps(1)))


def told(run: Run) -> list[Any]:
    """What a run did, but for how exactly in time its process was."""
    steps = [
        (one.step, one.result, {k: v for k, v in one.inputs.items() if k not in ("late_ms", "event_id")})
        for one in run.steps
    ]
    channels = [(one.step, one.channel, one.status, one.reason) for one in run.channels]
    return [steps, channels]


@settings(deadline=None, max_examples=300 if DEEP else 8)
@given(workflows(), DATA)
async def test_a_rehearsal_says_what_then_happens(made, data):
    """Each step, each channel, and when."""
    async with engine(Tables(), clock=ManualClock()) as clarion:
        await clarion.create_setup(made, workflow("other", channel=Channel.EMAIL))
        await clarion.put_user("ada")
        asked = Submission(workflow="w", recipients=("ada",), data=data)
        begun = clarion.clock.now()
        ((_, dry),) = await clarion.services.dry_runs.runs(clarion.tenant, asked, skip_waits=True)
        assert (await clarion.messages()) == {}
        accepted = await clarion.trigger("w", "ada", data=data)
        for _ in range(80):
            await clarion.pass_time(9.4)
        parts = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
        (real,) = merged(parts)
        assert told(dry) == told(real), id_text(real.id)
        for said, was in zip(dry.steps, real.steps, strict=True):
            assert abs((was.at - begun) - (said.at - dry.steps[0].at)) < 11_000 * len(parts)

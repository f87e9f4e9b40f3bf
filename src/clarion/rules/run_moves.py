"""Moves a run that waits to another version of its workflow, where it can go on there."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.run import RunState
from clarion.model.setup import Step, StepType
from clarion.rules.steps.faults import steps_read
from clarion.rules.steps.kinds import expressions
from clarion.rules.steps.program import Program


def moved(state: RunState, before: Program, after: Program) -> RunState:
    """The state with which the run waits in the other version, where its time is computed again from when it began to wait.
    Raises Conflict, which says why it stays."""
    old, new = _step(before, state.step), _step(after, state.step)
    if new is None:
        raise Conflict(f"There is no step {state.step!r} in version {after.workflow.version}.")
    if old is None or old.type is not new.type:
        raise Conflict(f"The step {new.key!r} is of type `{new.type}` in version {after.workflow.version}.")
    if state.call is not None:
        raise Conflict(f"The step {new.key!r} is doing something at this moment: try again.")
    if new.type is StepType.DIGEST:
        raise Conflict(f"The digest {new.key!r} is open, and closes as it was opened.")
    if new.type is StepType.ASK:
        raise Conflict(f"The question {new.key!r} was asked with the options of its version.")
    if _repeat(before, new.key) != _repeat(after, new.key):
        raise Conflict(f"The step {new.key!r} is repeated in one of the versions only.")
    left = {*state.outputs, *state.messages}
    coming = _from(after, new.key)
    for step in coming.values():
        for name in {name for asked in expressions(step) for name in steps_read(asked.source)}:
            if name in coming:
                continue
            read, was = _step(after, name), _step(before, name)
            if name not in left or read is None or was is None or was.type is not read.type:
                detail = f"The step {step.key!r} asks what {name!r} left, which the run does not have."
                raise Conflict(detail)
    return replace(state, recount=True)


def _step(program: Program, key: str) -> Step | None:
    place = program.places.get(key)
    return None if place is None else program.instructions[place].step


def _repeat(program: Program, key: str) -> str | None:
    repeat = program.repeats.get(key)
    return None if repeat is None else repeat.key


def _from(program: Program, key: str) -> dict[str, Step]:
    """The steps that a run which waits at this one may still come to, by key: of a repetition, all that it repeats."""
    begin = program.places[key]
    repeat = program.repeats.get(key)
    if repeat is not None:
        begin = program.instructions[program.places[repeat.key]].targets[0]
    steps = (one.step for one in program.instructions[begin:])
    return {step.key: step for step in steps if step is not None}

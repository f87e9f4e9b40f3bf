"""Executes a program for one run, until it waits or ends. The same inputs give the same result."""

from __future__ import annotations

from clarion.model.ids import Instant
from clarion.model.run import RunState
from clarion.model.setup import Step
from clarion.rules.steps import listening
from clarion.rules.steps.kinds import KINDS
from clarion.rules.steps.program import Program
from clarion.rules.steps.repeat import is_over
from clarion.rules.steps.send import output_of
from clarion.rules.steps.walk import Advance, Facts, Send, Walk


def advance(program: Program, state: RunState | None, facts: Facts, now: Instant, send: Send) -> Advance:
    """Execute from the beginning, or from where `state` waits. Before its time a run goes on waiting as it was."""
    walk = Walk(program, state, facts, now, send)
    if state is not None:
        for key, ids in state.messages.items():
            walk.outputs[key] = output_of([facts.messages[one] for one in ids if one in facts.messages])
    came_to = None if state is None else _resumed(walk, state)
    came_to = came_to or _walked(walk)
    if came_to.state is None:
        return came_to
    return came_to._replace(waits=listening.waits(walk, came_to.state))


def _resumed(walk: Walk, state: RunState) -> Advance | None:
    """Where the run stops again at the step it stopped at; None: it goes on behind it."""
    ended = listening.heard(walk, state)
    if ended is not None or state.failed:
        return ended
    step = walk.program.instructions[walk.at - 1].step
    assert step is not None  # a jump never waits
    return None if is_over(walk, step) else KINDS[step.type].resume(walk, step, state)


def _walked(walk: Walk) -> Advance:
    """To the next wait, or to the end."""
    instructions, last = walk.program.instructions, ""
    while walk.at < len(instructions):
        step, targets, back = instructions[walk.at]
        walk.at += 1
        if step is None:
            (walk.at,) = targets
            continue
        last = step.key
        if step.when is not None and not back and not walk.is_true(step, step.when):
            _skip(walk, step, targets)
            continue
        stopped = KINDS[step.type].enter(walk, step, targets)
        if stopped is not None:
            return stopped
    return walk.end(last)


def _skip(walk: Walk, step: Step, targets: tuple[int, ...]) -> None:
    walk.say(step, "skipped", when=step.when)
    if targets:
        walk.at = targets[-1]
    output = KINDS[step.type].output
    if output is not None:
        walk.outputs[step.key] = output

"""Compiles the steps of a workflow into a flat list of instructions with jumps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from clarion.model.setup import Step, StepType, Workflow, every


class Instruction(NamedTuple):
    """One step, or a jump behind the end of a case."""

    step: Step | None
    """None: a jump."""
    targets: tuple[int, ...]
    """Where it leads: the jump; of a branch, the beginning of each case, and last where no case is true."""


class Program(NamedTuple):
    """What runs of one version of a workflow execute. Jumps lead forward only, so every run comes to its end."""

    workflow: Workflow
    instructions: tuple[Instruction, ...]
    places: Mapping[str, int]
    """By key of a step."""
    sends_only: bool
    """It sends all its messages at once, whatever the data: no step of another type, and no condition."""
    reads_steps: bool
    """Conditions ask what became of earlier steps."""


def compiled(workflow: Workflow) -> Program:
    """The program of a workflow. The same workflow gives the same program."""
    instructions: list[Instruction] = []
    _add(workflow.steps, instructions)
    return Program(
        workflow=workflow,
        instructions=tuple(instructions),
        places={one.step.key: place for place, one in enumerate(instructions) if one.step is not None},
        sends_only=all(step.type is StepType.SEND and step.when is None for step in workflow.steps),
        reads_steps=any(
            "steps" in source for step in every(workflow.steps) for _, source in expressions(step)
        ),
    )


def expressions(step: Step) -> Iterable[tuple[str, str]]:
    """The expressions of a step alone, each behind the pointer to it."""
    if step.when is not None:
        yield "/when", step.when
    for index, case in enumerate(step.cases):
        if case.when is not None:
            yield f"/cases/{index}/when", case.when
    if step.by is not None:
        yield "/by", step.by


def _add(steps: Sequence[Step], instructions: list[Instruction]) -> None:
    for step in steps:
        place = len(instructions)
        instructions.append(Instruction(step, ()))
        if step.type is not StepType.BRANCH:
            continue
        begins, ends = [], []
        for case in step.cases:
            begins.append(len(instructions))
            _add(case.steps, instructions)
            ends.append(len(instructions))
            instructions.append(Instruction(None, ()))
        behind = len(instructions)
        instructions[place] = Instruction(step, (*begins, behind))
        for end in ends:
            instructions[end] = Instruction(None, (behind,))

"""Compiles the steps of a workflow into a flat list of instructions with jumps."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.setup import Step, StepType, Workflow, every
from clarion.rules.data_types import type_of_data
from clarion.rules.steps.kinds import expressions
from clarion.rules.steps.program import Instruction, Program
from clarion.rules.steps.repeat import READ


def compiled(workflow: Workflow) -> Program:
    """The program of a workflow. The same workflow gives the same program."""
    instructions: list[Instruction] = []
    _add(workflow.steps, instructions)
    return Program(
        workflow=workflow,
        instructions=tuple(instructions),
        places={one.step.key: place for place, one in enumerate(instructions) if one.step is not None},
        repeats={
            key: step
            for step in every(workflow.steps)
            if step.type is StepType.REPEAT
            for key in (step.key, *(one.key for one in every(step.steps)))
        },
        sends_only=all(step.type is StepType.SEND and step.when is None for step in workflow.steps),
        data=type_of_data(workflow.data_schema),
        listening=tuple(step for step in every(workflow.steps) if step.event is not None),
        reads_steps=any(
            step.until == READ or any("steps" in asked.source for asked in expressions(step))
            for step in every(workflow.steps)
        ),
    )


def _add(steps: Sequence[Step], instructions: list[Instruction]) -> None:
    for step in steps:
        place = len(instructions)
        instructions.append(Instruction(step, ()))
        if step.type is StepType.REPEAT:
            _add(step.steps, instructions)
            targets = (place + 1, len(instructions) + 1)
            instructions[place] = Instruction(step, targets)
            instructions.append(Instruction(step, targets, back=True))
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

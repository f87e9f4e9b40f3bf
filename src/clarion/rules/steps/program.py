"""What runs of a workflow execute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clarion.model.setup import Step, Workflow
from clarion.rules.data_types import DataType


class Instruction(NamedTuple):
    """One step, or a jump behind the end of a case."""

    step: Step | None
    """None: a jump."""
    targets: tuple[int, ...]
    """Where it leads: the jump; of a branch, the beginning of each case, and last where no case is true; of a repetition, its
    first step, and last what is behind it."""
    back: bool = False
    """A round ends here."""


class Program(NamedTuple):
    """What runs of one version of a workflow execute. Jumps lead forward only, but for those of repetitions, which
    are counted: so every run comes to its end."""

    workflow: Workflow
    instructions: tuple[Instruction, ...]
    places: Mapping[str, int]
    """By key of a step; of one that repeats, where a round ends."""
    repeats: Mapping[str, Step]
    """By key of a step: the one that repeats it. A step that repeats others belongs to itself."""
    sends_only: bool
    """It sends all its messages at once, whatever the data: no step of another type, and no condition."""
    data: DataType
    """The type of the event's data, as far as the workflow says it."""
    listening: tuple[Step, ...]
    """Its steps that wait for an event."""
    reads_steps: bool
    """Conditions ask what became of earlier steps."""

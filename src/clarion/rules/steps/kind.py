"""The base of all types of steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from clarion.model.run import RunState
from clarion.model.setup import Step
from clarion.rules.steps.walk import Advance, Walk


class Asked(NamedTuple):
    """An expression of a step."""

    pointer: str
    """Where it stands in the step."""
    source: str
    condition: bool = True
    """It is true or false."""
    behind: bool = False
    """It is asked behind the steps inside of its own."""
    reads_steps: bool = True
    """It may ask for what earlier steps left."""
    arriving: bool = False
    """`event` is another than that of the run, with its data."""
    answer: bool = False
    """It is asked of what a service answered, and of nothing else."""


class StepFault(NamedTuple):
    """What is wrong, and where in the document."""

    pointer: str
    detail: str
    code: str = ""
    """`missing`, or nothing of its own."""


class StepKind:
    """A type of step: what it may say, and what it does. It keeps nothing: what a run needs is in its `Walk`."""

    fields: tuple[str, ...] = ()
    """Its own, beside those of every step."""
    needs: tuple[str, ...] = ()
    """Those it cannot be without."""
    repeatable = True
    """It may be inside of a step that repeats."""
    output: Mapping[str, Any] | None = None
    """What expressions may ask of it, as it is while the step has done nothing; None: nothing."""

    def expressions(self, step: Step) -> Iterable[Asked]:
        """Its own, without those of steps inside of it."""
        return ()

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """What is wrong with its own fields, beside their expressions. `at`: the pointer to it."""
        return iter(())

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """A run comes to it. Where it stops; None: it goes on at once."""
        raise NotImplementedError

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """A run that stopped here is looked at: at its time or later, or sooner when something has changed. Where it stops
        again; None: it goes on behind the step."""
        raise NotImplementedError

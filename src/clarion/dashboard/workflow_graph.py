"""The drawing of a workflow: where each step stands, and which lines lead from one to the next. From top to bottom, the cases of
a branch beside one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from clarion.model.setup import Step, Workflow

WIDTH, HEIGHT = 216, 62
"""Of a step, in pixels."""
DOWN, BESIDE = 30, 20
"""Between two steps, and between two cases."""
LABEL = 24
"""What the condition of a case takes above its first step."""
PILL = 34
"""The height of the beginning and of the end."""


class DrawnStep(NamedTuple):
    """A step, and the middle of its upper edge."""

    step: Step
    x: float
    y: float


class DrawnLine(NamedTuple):
    """From somewhere to somewhere below it: down, across and down."""

    x: float
    y: float
    to_x: float
    to_y: float

    @property
    def path(self) -> str:
        """As an SVG path."""
        middle = self.to_y - DOWN / 2
        return f"M{self.x:g} {self.y:g}V{middle:g}H{self.to_x:g}V{self.to_y:g}"


class DrawnLabel(NamedTuple):
    """The condition of a case, and the middle of where it stands."""

    text: str
    x: float
    y: float


class Drawing(NamedTuple):
    """Everything, with its upper edge at 0 and its middle at half its width."""

    width: float
    height: float
    nodes: tuple[DrawnStep, ...] = ()
    lines: tuple[DrawnLine, ...] = ()
    labels: tuple[DrawnLabel, ...] = ()

    def at(self, x: float, y: float) -> Drawing:
        """The same, moved."""
        return self._replace(
            nodes=tuple(one._replace(x=one.x + x, y=one.y + y) for one in self.nodes),
            lines=tuple(DrawnLine(a + x, b + y, c + x, d + y) for a, b, c, d in self.lines),
            labels=tuple(one._replace(x=one.x + x, y=one.y + y) for one in self.labels),
        )


def drawing(workflow: Workflow) -> Drawing:
    """All steps of a workflow, between its beginning and its end."""
    steps = _sequence(workflow.steps)
    middle, end = steps.width / 2, PILL + DOWN + steps.height + DOWN
    return _together(
        steps.width,
        end + PILL,
        [
            steps.at(0, PILL + DOWN),
            Drawing(
                0,
                0,
                lines=(
                    DrawnLine(middle, PILL, middle, PILL + DOWN),
                    DrawnLine(middle, end - DOWN, middle, end),
                ),
            ),
        ],
    )


def _sequence(steps: Sequence[Step]) -> Drawing:
    """One below the other; a line where there are none."""
    if not steps:
        return Drawing(WIDTH, DOWN, lines=(DrawnLine(WIDTH / 2, 0, WIDTH / 2, DOWN),))
    drawn = [_one(step) for step in steps]
    width = max(one.width for one in drawn)
    parts, y = [], 0.0
    ends: list[float] = []
    for one in drawn:
        parts.append(one.at((width - one.width) / 2, y))
        ends += [y, y + one.height]
        y += one.height + DOWN
    between = [DrawnLine(width / 2, above, width / 2, below) for above, below in pairwise(ends[1:-1])][::2]
    return _together(width, y - DOWN, [*parts, Drawing(0, 0, lines=tuple(between))])


def _one(step: Step) -> Drawing:
    cases = [(case.when or "otherwise", case.steps) for case in step.cases]
    if step.steps:
        cases = [("in every round", step.steps)]
    if not cases:
        return Drawing(WIDTH, HEIGHT, (DrawnStep(step, WIDTH / 2, 0),))
    if step.cases and step.cases[-1].when is not None:
        cases.append(("otherwise", ()))
    columns = [_sequence(steps) for _, steps in cases]
    width = sum(one.width for one in columns) + BESIDE * (len(columns) - 1)
    top = HEIGHT + DOWN + LABEL
    bottom = top + max(one.height for one in columns) + DOWN
    parts, lines, labels, x = [], [], [], 0.0
    for (when, _), column in zip(cases, columns, strict=True):
        middle = x + column.width / 2
        parts.append(column.at(x, top))
        lines += [
            DrawnLine(width / 2, HEIGHT, middle, HEIGHT + DOWN),
            DrawnLine(middle, top + column.height, width / 2, bottom),
        ]
        labels.append(DrawnLabel(when, middle, HEIGHT + DOWN))
        x += column.width + BESIDE
    node = Drawing(0, 0, (DrawnStep(step, width / 2, 0),), tuple(lines), tuple(labels))
    return _together(width, bottom, [node, *parts])


def _together(width: float, height: float, parts: Iterable[Drawing]) -> Drawing:
    parts = list(parts)
    return Drawing(
        width,
        height,
        tuple(node for one in parts for node in one.nodes),
        tuple(line for one in parts for line in one.lines),
        tuple(label for one in parts for label in one.labels),
    )

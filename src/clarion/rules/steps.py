"""Checks the steps of a workflow before it is published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.model.setup import Step, StepType, every
from clarion.rules.expressions import ExpressionError, compiled, counted
from clarion.rules.interpreter import OUTPUTS, VARIABLES
from clarion.rules.match import closest

STEPS = 100
"""Each may be a message, or several, for every recipient."""
DEPTH = 8
"""Branches inside branches."""
CASES = 20
ARMS = 10

_OF_EVERY = ("key", "type", "when")
_FIELDS: Mapping[StepType, tuple[str, ...]] = {
    StepType.SEND: ("template", "to"),
    StepType.WAIT: ("for_s",),
    StepType.BRANCH: ("cases",),
    StepType.EXPERIMENT: ("arms", "by", "holdout"),
}
_NEEDED: Mapping[StepType, tuple[str, ...]] = {
    StepType.SEND: ("template", "to"),
    StepType.WAIT: ("for_s",),
    StepType.BRANCH: ("cases",),
    StepType.EXPERIMENT: ("arms",),
}
_REFERENCE = re.compile(
    r"""(?<![\w.])steps\s*(?:\.\s*(?P<name>\w+)|\[\s*(?P<quote>['"])(?P<key>[^'"]*)(?P=quote)\s*\])"""
    r"""(?:\s*\.\s*(?P<field>\w+)(?!\s*\())?"""
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
)
"""What an expression asks of a step; texts are passed over."""


class StepFault(NamedTuple):
    """What is wrong, and where in the document."""

    pointer: str
    detail: str
    code: str = ""
    """`missing`, or nothing of its own."""


def faults(steps: Sequence[Step]) -> list[StepFault]:
    """Everything that is wrong with the steps of a workflow, but for what they name outside of it."""
    everything = list(every(steps))
    if len(everything) > STEPS:
        return [StepFault("#/steps", f"a workflow has at most {STEPS} steps.")]
    if not any(step.type is StepType.SEND for step in everything):
        return [StepFault("#/steps", "a workflow needs at least one step that sends.")]
    return [*_of_list(steps, "#/steps", {}, set(), 1)]


def placed(steps: Sequence[Step], place: str = "#/steps") -> Iterator[tuple[str, Step]]:
    """Every step behind the pointer to it."""
    for index, step in enumerate(steps):
        yield f"{place}/{index}", step
        for number, case in enumerate(step.cases):
            yield from placed(case.steps, f"{place}/{index}/cases/{number}/steps")


def _of_list(
    steps: Sequence[Step], place: str, before: Mapping[str, Step], seen: set[str], depth: int
) -> Iterator[StepFault]:
    """`before`: the steps that surely were there before these."""
    if depth > DEPTH:
        yield StepFault(place, f"steps are nested at most {DEPTH} deep.")
        return
    known = dict(before)
    for index, step in enumerate(steps):
        at = f"{place}/{index}"
        if step.key in seen:
            yield StepFault(f"{at}/key", f"the step key {step.key!r} is used twice.")
        seen.add(step.key)
        yield from _of_fields(step, at)
        yield from _of_expressions(step, at, known)
        for number, case in enumerate(step.cases):
            inside = {**known, step.key: step}
            yield from _of_list(case.steps, f"{at}/cases/{number}/steps", inside, seen, depth + 1)
        known[step.key] = step


def _of_fields(step: Step, at: str) -> Iterator[StepFault]:
    fields = {field.name: field for field in msgspec.structs.fields(Step)}
    for name, field in fields.items():
        if name in (*_OF_EVERY, *_FIELDS[step.type]):
            continue
        if getattr(step, name) != field.default and getattr(step, name):
            its = next(kind for kind, names in _FIELDS.items() if name in names)
            detail = f'a step of type `{step.type}` has no `{name}`: leave it out, or say `"type": "{its}"`.'
            yield StepFault(f"{at}/{name}", detail)
    for name in _NEEDED[step.type]:
        if not getattr(step, name):
            yield StepFault(at, f"a step of type `{step.type}` needs `{name}`.", "missing")
    if len(step.cases) > CASES:
        yield StepFault(f"{at}/cases", f"a branch has at most {CASES} cases.")
    for number, case in enumerate(step.cases[:-1]):
        if case.when is None:
            detail = "only the last case may have no `when`: those behind it would never run."
            yield StepFault(f"{at}/cases/{number}", detail)
    if step.type is StepType.EXPERIMENT:
        yield from _of_arms(step, at)


def _of_arms(step: Step, at: str) -> Iterator[StepFault]:
    if len(step.arms) > ARMS:
        yield StepFault(f"{at}/arms", f"an experiment has at most {ARMS} arms.")
    elif len(step.arms) == 1:
        yield StepFault(f"{at}/arms", "an experiment needs at least two arms.")
    elif step.arms and not any(step.arms.values()):
        yield StepFault(f"{at}/arms", "at least one arm needs a weight above 0.")
    if step.holdout is not None and step.holdout not in step.arms:
        near = closest(step.holdout, step.arms)
        meant = f" Did you mean {near!r}?" if near else ""
        yield StepFault(f"{at}/holdout", f"there is no arm {step.holdout!r}.{meant}")


def _of_expressions(step: Step, at: str, before: Mapping[str, Step]) -> Iterator[StepFault]:
    conditions = [
        ("/when", step.when),
        *((f"/cases/{n}/when", case.when) for n, case in enumerate(step.cases)),
    ]
    for place, source in (*conditions, ("/by", step.by)):
        if source is None:
            continue
        try:
            expression = compiled(source, VARIABLES)
            if place != "/by" and not expression.may_be_condition:
                raise ExpressionError("a condition is true or false, this is neither")
            _require_steps(source, before)
        except ExpressionError as wrong:
            yield StepFault(f"{at}{place}", f"{wrong}.")


def _require_steps(source: str, before: Mapping[str, Step]) -> None:
    """Raises ExpressionError for the first step, or field of one, that an expression asks for and is not there."""
    readable = {key: OUTPUTS[step.type] for key, step in before.items() if step.type in OUTPUTS}
    for found in _REFERENCE.finditer(source):
        name = found["name"] or found["key"]
        if name is None:
            continue
        if name not in readable:
            raise _nothing(
                source,
                found.start("name" if found["name"] else "key"),
                f"no step `{name}` before this one",
                name,
                readable,
            )
        if found["field"] is not None and found["field"] not in readable[name]:
            what = f"nothing called `{found['field']}` of the step `{name}`"
            raise _nothing(source, found.start("field"), what, found["field"], readable[name])


def _nothing(source: str, place: int, what: str, name: str, known: Mapping[str, object]) -> ExpressionError:
    near = closest(name, known)
    meant = (
        f"did you mean `{near}`?" if near else f"there is {', '.join(f'`{one}`' for one in known) or 'none'}"
    )
    return ExpressionError(f"there is {what}: {meant}", *counted(source, place))

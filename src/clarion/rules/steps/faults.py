"""Checks the steps of a workflow before it is published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from clarion.model.setup import SENDING, AwaitedEvent, Step, StepType, Workflow, every
from clarion.rules.data_types import (
    ANYTHING,
    DataType,
    ListOf,
    Scalar,
    fields_of,
    pointer_fault,
    type_of_value,
)
from clarion.rules.expressions import ExpressionError, checked, compiled, counted
from clarion.rules.match import check_pattern, closest
from clarion.rules.steps.kind import Asked, StepFault
from clarion.rules.steps.kinds import KINDS, expressions
from clarion.rules.steps.wait import of_event
from clarion.rules.steps.walk import ANSWER, ARRIVING, TYPES

STEPS = 100
"""Each may be a message, or several, for every recipient."""
EVENTS = 8
"""Each run that waits is found by all of them."""
DEPTH = 8
"""Branches inside branches."""

_OF_EVERY = ("key", "type", "when", "on_error")
DIGESTED = fields_of(
    {
        "items": ListOf(Scalar.ANY),
        "total": Scalar.WHOLE,
        "first_at": Scalar.TEXT,
        "last_at": Scalar.TEXT,
        "actors": ListOf(Scalar.TEXT),
        "previous": Scalar.ANY,
    }
)
"""What the run of a digest goes on with."""
_REFERENCE = re.compile(
    r"""(?<![\w.])steps\s*(?:\.\s*(?P<name>\w+)|\[\s*(?P<quote>['"])(?P<key>[^'"]*)(?P=quote)\s*\])"""
    r"""(?:\s*\.\s*(?P<field>\w+)(?!\s*\())?"""
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
)
"""What an expression asks of a step; texts are passed over."""


def faults(steps: Sequence[Step], data: DataType = ANYTHING) -> list[StepFault]:
    """Everything that is wrong with the steps of a workflow, but for what they name outside of it. `data`: the type of the
    data of its events."""
    everything = list(every(steps))
    if len(everything) > STEPS:
        return [StepFault("#/steps", f"a workflow has at most {STEPS} steps.")]
    if not any(step.type in SENDING for step in everything):
        return [StepFault("#/steps", "a workflow needs at least one step that sends.")]
    return [*_of_list(steps, "#/steps", {}, set(), 1, data)]


def event_faults(workflow: Workflow, data: DataType) -> Iterator[StepFault]:
    """What is wrong with the events that end its runs, and whether its runs listen for too many. `data`: as for `faults`."""
    if workflow.success_event is not None:
        yield from _of_event(workflow.success_event, "#/success_event", data)
    for number, event in enumerate(workflow.stop_on):
        yield from _of_event(event, f"#/stop_on/{number}", data)
    if sum(1 for _ in workflow.awaited()) > EVENTS:
        yield StepFault("#/steps", f"a workflow listens for at most {EVENTS} events.")


def _of_event(event: AwaitedEvent, at: str, data: DataType) -> Iterator[StepFault]:
    if (wrong := check_pattern(event.type)) is not None:
        yield StepFault(f"{at}/type", f"{wrong}.")
    for asked in of_event(event, ""):
        yield from of_expression(asked, at, {}, data)


def generated_decisions(steps: Sequence[Step]) -> Iterator[StepFault]:
    """Conditions that go by what a model wrote."""
    written = {step.key for step in every(steps) if step.type is StepType.GENERATE}
    for at, step in placed(steps):
        for asked in expressions(step):
            read = {found["name"] or found["key"] for found in _REFERENCE.finditer(asked.source)}
            for key in sorted(written & read) if asked.condition else ():
                detail = f"in a critical category no condition goes by what `{key}` generated."
                yield StepFault(f"{at}{asked.pointer}", detail)


def placed(steps: Sequence[Step], place: str = "#/steps") -> Iterator[tuple[str, Step]]:
    """Every step behind the pointer to it."""
    for index, step in enumerate(steps):
        yield f"{place}/{index}", step
        for number, case in enumerate(step.cases):
            yield from placed(case.steps, f"{place}/{index}/cases/{number}/steps")
        yield from placed(step.steps, f"{place}/{index}/steps")


def _of_list(
    steps: Sequence[Step],
    place: str,
    before: Mapping[str, Step],
    seen: set[str],
    depth: int,
    data: DataType,
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
        yield from _of_expressions(step, at, known, data)
        for number, case in enumerate(step.cases):
            inside = {**known, step.key: step}
            yield from _of_list(case.steps, f"{at}/cases/{number}/steps", inside, seen, depth + 1, data)
        yield from _of_list(step.steps, f"{at}/steps", known, seen, depth + 1, data)
        for inside_at, inner in placed(step.steps, f"{at}/steps"):
            if not KINDS[inner.type].repeatable:
                yield StepFault(inside_at, f"a step of type `{inner.type}` cannot be repeated.")
        known, data = _behind(step, known, data)


def _behind(step: Step, before: Mapping[str, Step], data: DataType) -> tuple[dict[str, Step], DataType]:
    """What surely was there for whatever comes behind a step, and what its data are. A digest goes on with data of its own,
    and without what its items did before."""
    if step.type is StepType.DIGEST:
        return {step.key: step}, DIGESTED
    if any(one.type is StepType.DIGEST for one in every([step])):
        return {}, ANYTHING
    return {**before, step.key: step}, data


_FIELDS = msgspec.structs.fields(Step)


def _of_fields(step: Step, at: str) -> Iterator[StepFault]:
    for field in _FIELDS:
        name, shown = field.name, field.encode_name
        if name in (*_OF_EVERY, *KINDS[step.type].fields):
            continue
        if getattr(step, name) != field.default and getattr(step, name):
            its = next(other for other, kind in KINDS.items() if name in kind.fields)
            detail = f'a step of type `{step.type}` has no `{shown}`: leave it out, or say `"type": "{its}"`.'
            yield StepFault(f"{at}/{shown}", detail)
    for name in KINDS[step.type].needs:
        if not getattr(step, name):
            yield StepFault(at, f"a step of type `{step.type}` needs `{name}`.", "missing")
    yield from KINDS[step.type].faults(step, at)


def _of_expressions(step: Step, at: str, before: Mapping[str, Step], data: DataType) -> Iterator[StepFault]:
    if step.by is not None and step.by.startswith("/") and (wrong := pointer_fault(data, step.by)):
        yield StepFault(f"{at}/by", f"{wrong}.")
    for asked in expressions(step):
        there = {**before, **{one.key: one for one in step.steps}} if asked.behind else before
        outputs = {
            key: output for key, one in there.items() if (output := KINDS[one.type].output) is not None
        }
        yield from of_expression(asked, at, outputs if asked.reads_steps else {}, data)


def of_expression(
    asked: Asked, at: str, outputs: Mapping[str, Mapping[str, object]], data: DataType
) -> Iterator[StepFault]:
    """What is wrong with an expression. `outputs`: what it may ask of steps."""
    known = ANSWER if asked.answer else {**TYPES, "data": data, "steps": type_of_value(outputs)}
    if asked.arriving:
        known = {**known, "event": ARRIVING}
    types = tuple((name, known[name]) for name in sorted(known))
    try:
        compiled(asked.source, tuple(sorted(known)))
        _require_steps(asked.source, outputs)
        if not checked(asked.source, types).may_be_condition and asked.condition:
            raise ExpressionError("a condition is true or false, this is neither")
    except ExpressionError as wrong:
        yield StepFault(f"{at}{asked.pointer}", f"{wrong}.")


def steps_read(source: str) -> Iterator[str]:
    """The steps that an expression asks for."""
    for found in _REFERENCE.finditer(source):
        name = found["name"] or found["key"]
        if name is not None:
            yield name


def _require_steps(source: str, readable: Mapping[str, Mapping[str, object]]) -> None:
    """Raises ExpressionError for the first step, or field of one, that an expression asks for and is not there."""
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

"""What is refused before a workflow with steps is published."""

from __future__ import annotations

from typing import Any

import pytest

from clarion.model.channel import Channel
from clarion.model.setup import (
    AwaitedEvent,
    Case,
    Flush,
    KeptItems,
    SendAll,
    Since,
    Step,
    StepType,
    Workflow,
)
from clarion.rules.data_types import ANYTHING
from clarion.rules.programs import compiled
from clarion.rules.steps.faults import event_faults, faults, placed

TO = SendAll(channels=(Channel.SMS,))
SEND = Step(key="hello", template="note", to=TO)


def wait(**more: Any) -> Step:
    """A wait."""
    return Step(**{"key": "pause", "type": StepType.WAIT, "for_s": 60, **more})


def until(when: str | None, **more: Any) -> Step:
    """A wait for a time."""
    return wait(for_s=None, until=when, **more)


def paid(since: Since = Since.RUN, **more: Any) -> Step:
    """A wait for an event."""
    return wait(for_s=None, event=AwaitedEvent(**{"type": "order.paid", **more}), since=since)


def fork(*cases: Case, **more: Any) -> Step:
    """A branch."""
    return Step(**{"key": "fork", "type": StepType.BRANCH, "cases": cases, **more})


def experiment(**more: Any) -> Step:
    """An experiment."""
    return Step(**{"key": "ab", "type": StepType.EXPERIMENT, "arms": {"a": 1, "b": 1}, **more})


def repeat(*steps: Step, **more: Any) -> Step:
    """Repeats these."""
    fields = {"key": "again", "steps": steps, "every_s": 60, "at_most": 3, "until": "acknowledged", **more}
    return Step(type=StepType.REPEAT, **fields)


def update(**more: Any) -> Step:
    """Changes attributes."""
    return Step(key="mark", type=StepType.UPDATE_USER, **more)


def digest(**more: Any) -> Step:
    """A digest."""
    return Step(**{"key": "collect", "type": StepType.DIGEST, "window_s": 60, **more})


def send(key: str, when: str | None = None) -> Step:
    """A send under a condition."""
    return Step(key=key, template="note", to=TO, when=when)


def nested(depth: int) -> Step:
    """Branches inside branches."""
    inner = (send("deep"),) if depth == 1 else (nested(depth - 1),)
    return fork(Case(steps=inner), key=f"fork{depth}")


@pytest.mark.parametrize(
    ("steps", "pointer", "said"),
    [
        ((), "#/steps", "at least one step that sends"),
        ((wait(),), "#/steps", "at least one step that sends"),
        ((SEND, *(wait(key=f"w{n}") for n in range(100))), "#/steps", "at most 100 steps"),
        ((SEND, SEND), "#/steps/1/key", "'hello' is used twice"),
        ((SEND, fork(Case(steps=(SEND,)))), "#/steps/1/cases/0/steps/0/key", "used twice"),
        ((Step(key="a", to=TO),), "#/steps/0", "needs `template`"),
        ((digest(window_s=None), SEND), "#/steps/0", "`window_s`, or until which time as `at`"),
        ((digest(at="daily 08:30"), SEND), "#/steps/0", "one of the two"),
        ((digest(window_s=None, at="sometimes"), SEND), "#/steps/0/at", "no time"),
        ((digest(window_s=None, at="2026-12-24 09:00"), SEND), "#/steps/0/at", "a date comes once"),
        ((digest(window_s=None, at="daily 08:30", max_s=90), SEND), "#/steps/0/max_s", "`window_s` says"),
        ((digest(timezone="tenant"), SEND), "#/steps/0/timezone", "goes with `at`"),
        (
            (digest(window_s=None, at="daily 08:30", timezone="Mars"), SEND),
            *("#/steps/0/timezone", "nor an IANA time zone"),
        ),
        ((digest(max_s=59), SEND), "#/steps/0/max_s", "write at least 60"),
        ((digest(by="/a~b"), SEND), "#/steps/0/by", "is written '~0'"),
        ((digest(by="dta.order"), SEND), "#/steps/0/by", "did you mean `data`"),
        ((digest(flush=Flush(when="data.n +")), SEND), "#/steps/0/flush/when", "column"),
        ((digest(flush=Flush(when="'a'")), SEND), "#/steps/0/flush/when", "neither"),
        ((digest(keep=KeptItems()), SEND), "#/steps/0/keep", "one of the two"),
        ((digest(keep=KeptItems(first=1, last=1)), SEND), "#/steps/0/keep", "one of the two"),
        (
            (send("early"), digest(), send("late", "steps.early.read")),
            *("#/steps/2/when", "no step `early` before"),
        ),
        (
            (fork(Case(steps=(digest(),))), send("late", "steps.fork.case == 0")),
            *("#/steps/1/when", "no step `fork` before"),
        ),
        ((digest(), send("late", "data.items.size() > data.sum")), "#/steps/1/when", "`sum`"),
        ((Step(key="a", template="note"),), "#/steps/0", "needs `to`"),
        (
            (SEND, Step(key="b", type=StepType.WAIT)),
            "#/steps/1",
            "needs one of `for_s`, `for`, `until` and `event`",
        ),
        ((SEND, Step(key="b", for_s=9, template="note", to=TO)), "#/steps/1/for_s", 'say `"type": "wait"`'),
        ((SEND, wait(template="note")), "#/steps/1/template", "a step of type `wait` has no `template`"),
        ((SEND, fork()), "#/steps/1", "needs `cases`"),
        ((SEND, update()), "#/steps/1", "needs `set` or `unset`"),
        ((SEND, update(set_={f"a{n}": "1" for n in range(21)})), "#/steps/1", "at most 20 attributes"),
        ((SEND, update(set_={"a/b": "user.nam"})), "#/steps/1/set/a~1b", "there is no field `nam`"),
        ((SEND, update(set_={"a": "1"}, unset=("a",))), "#/steps/1/unset/0", "'a' is set by the same step"),
        ((SEND, Step(key="b", set_={"a": "1"}, template="note", to=TO)), "#/steps/1/set", "update_user"),
        ((SEND, Step(key="b", type=StepType.TRIGGER)), "#/steps/1", "needs `workflow`"),
        ((repeat(SEND, at_most=None),), "#/steps/0", "needs `at_most`"),
        ((repeat(),), "#/steps", "at least one step that sends"),
        ((repeat(repeat(SEND, key="inner")),), "#/steps/0/steps/0", "`repeat` cannot be repeated"),
        ((repeat(SEND, until="steps.hello.sen"),), "#/steps/0/until", "did you mean `seen`?"),
        ((repeat(SEND, until="'text'"),), "#/steps/0/until", "true or false"),
        ((repeat(SEND, when="steps.hello.seen"),), "#/steps/0/when", "no step `hello` before"),
        ((repeat(SEND, SEND),), "#/steps/0/steps/1/key", "used twice"),
        (
            (repeat(SEND, *(wait(key=f"w{n}") for n in range(20)), at_most=50),),
            "#/steps/0/at_most",
            "50 rounds of 21 steps are more than 1,000",
        ),
        (
            (repeat(*(send(f"s{n}") for n in range(5)), at_most=50),),
            "#/steps/0/at_most",
            "50 rounds of 5 messages are more than 200",
        ),
        (
            (SEND, Step(key="b", type=StepType.TRIGGER, workflow="v", recipients="data.")),
            "#/steps/1/recipients",
            "column",
        ),
        ((SEND, fork(Case(), Case(when="true"))), "#/steps/1/cases/0", "only the last case"),
        ((SEND, fork(*[Case(when="true")] * 21)), "#/steps/1/cases", "at most 20 cases"),
        ((SEND, nested(8)), "#/steps/1" + "/cases/0/steps/0" * 7 + "/cases/0/steps", "at most 8 deep"),
        ((SEND, experiment(arms={"a": 1})), "#/steps/1/arms", "at least two arms"),
        ((SEND, experiment(arms={"a": 0, "b": 0})), "#/steps/1/arms", "weight above 0"),
        ((SEND, experiment(arms={str(n): 1 for n in range(11)})), "#/steps/1/arms", "at most 10 arms"),
        ((SEND, experiment(arms={}, holdout="x")), "#/steps/1", "needs `arms`"),
        (
            (SEND, experiment(arms={"warm": 1, "none": 1}, holdout="nune")),
            "#/steps/1/holdout",
            "Did you mean 'none'?",
        ),
        ((send("a", "data.total >"),), "#/steps/0/when", "column"),
        ((send("a", "dta.total > 1"),), "#/steps/0/when", "did you mean `data`?"),
        ((send("a", "1 + 1"),), "#/steps/0/when", "true or false"),
        ((SEND, send("b", "steps.helo.read")), "#/steps/1/when", "did you mean `hello`?"),
        ((SEND, send("b", "steps['helo'].read")), "#/steps/1/when", "column 8: there is no step `helo`"),
        (
            (SEND, send("b", "steps.hello.opened")),
            "#/steps/1/when",
            "nothing called `opened` of the step `hello`",
        ),
        (
            (SEND, wait(), send("b", "steps.pause.x")),
            "#/steps/2/when",
            "nothing called `x` of the step `pause`",
        ),
        ((send("a", "steps.hello.read"), SEND), "#/steps/0/when", "no step `hello` before this one"),
        (
            (fork(Case(steps=(SEND,))), send("b", "steps.hello.read")),
            "#/steps/1/when",
            "no step `hello` before this one",
        ),
        ((SEND, wait(until="09:00")), "#/steps/1/until", "one of `for_s` and `until`, not both"),
        ((SEND, until("moon 09:00")), "#/steps/1/until", "did you mean `mon`?"),
        ((SEND, until("tomorrow")), "#/steps/1/until", "this is no time: write one like 09:00"),
        ((SEND, until("dta.starts_at")), "#/steps/1/until", "did you mean `data`?"),
        ((SEND, until(None, for_="3 days")), "#/steps/1/for", "no period: write one like P3D"),
        ((SEND, until(None, for_="P2Y")), "#/steps/1/for", "more than 400 days"),
        ((SEND, until("09:00", timezone="Mars/Base")), "#/steps/1/timezone", "nor an IANA time zone"),
        ((SEND, until("09:00", earliest_s=9, at_most_s=8)), "#/steps/1/at_most_s", "at least `earliest_s`"),
        ((SEND, wait(at_most_s=8)), "#/steps/1/at_most_s", "goes with `for` and `until`"),
        ((SEND, wait(timezone="tenant")), "#/steps/1/timezone", "goes with `for` and `until`"),
        ((SEND, send("b"), Step(key="c", until="09:00")), "#/steps/2/until", 'say `"type": "wait"`'),
        ((SEND, wait(timeout_s=9)), "#/steps/1/timeout_s", "goes with `event`"),
        ((SEND, paid(type="a..b")), "#/steps/1/event/type", "segments between dots"),
        (
            (SEND, paid(match="event.date.x == 1")),
            "#/steps/1/event/match",
            "no field `date`: did you mean `data`?",
        ),
        ((SEND, paid(match="1 + 1")), "#/steps/1/event/match", "true or false"),
        ((SEND, paid(match="steps.hello.read")), "#/steps/1/event/match", "no step `hello` before this one"),
        ((SEND, paid(by="dta.order")), "#/steps/1/event/by", "did you mean `data`?"),
        (
            (SEND, fork(Case(when="steps.hello.reed", steps=()))),
            "#/steps/1/cases/0/when",
            "did you mean `read`?",
        ),
        ((SEND, experiment(by="dta.x")), "#/steps/1/by", "did you mean `data`?"),
    ],
)
def test_what_could_not_work_is_told_with_its_place(steps, pointer, said):
    """And what to do about it."""
    (found, *_) = faults(steps)
    assert found.pointer == pointer
    assert said in found.detail


@pytest.mark.parametrize(
    "when",
    [
        "steps.hello.status == 'sent' && !steps.hello.read",
        "steps['hello'].clicked",
        "data.items.exists(one, one.steps.total > 3)",
        "data.text == 'steps.nothing.here'",
        'data.text == "steps.nothing.here"',
        "user.attributes.plan == 'pro' || tenant.key == 'acme' || now > timestamp('2026-01-01T00:00:00Z')",
        "event.type.startsWith('shop.') && run.version > 1",
    ],
)
def test_what_may_be_asked_is_accepted(when):
    """Steps that surely were there, and what an expression only looks like."""
    assert faults((SEND, wait(), send("b", when))) == []


def test_events_that_come_after_a_step_may_be_held_against_it():
    """Only these: others may have come before."""
    assert faults((SEND, paid(Since.STEP, match="steps.hello.status == event.data.status"))) == []
    assert (
        faults((SEND, paid(match="event.data.n == data.n"), send("b", "steps.pause.event.data.n > 1"))) == []
    )


@pytest.mark.parametrize(
    ("ends", "pointer", "said"),
    [
        ({"success_event": AwaitedEvent(type="a b")}, "#/success_event/type", "segments between dots"),
        ({"stop_on": (AwaitedEvent(type="a", match="dta.n"),)}, "#/stop_on/0/match", "did you mean `data`?"),
        (
            {"stop_on": (AwaitedEvent(type="a", match="steps.hello.read"),)},
            "#/stop_on/0/match",
            "no step `hello`",
        ),
        ({"stop_on": (AwaitedEvent(type="a"),) * 9}, "#/steps", "at most 8 events"),
    ],
)
def test_what_is_wrong_with_events_that_end_runs_is_told(ends, pointer, said):
    """With its place in the workflow."""
    (found,) = event_faults(Workflow(key="w", category="c", steps=(SEND,), **ends), ANYTHING)
    assert found.pointer == pointer
    assert said in found.detail


def test_a_case_sees_what_its_branch_and_the_steps_before_it_left():
    """Whatever comes behind the branch sees neither of its cases."""
    case = Case(when="steps.hello.read", steps=(send("a"), send("b", "steps.a.read && steps.fork.case == 0")))
    assert faults((SEND, fork(case), send("c", "steps.fork.case == -1"))) == []


def test_every_step_is_listed_with_its_place():
    """Also those inside cases."""
    steps = (SEND, fork(Case(when="true", steps=(wait(),)), Case(steps=(send("a"),))))
    assert [(place, step.key) for place, step in placed(steps)] == [
        *(("#/steps/0", "hello"), ("#/steps/1", "fork")),
        *(("#/steps/1/cases/0/steps/0", "pause"), ("#/steps/1/cases/1/steps/0", "a")),
    ]


def test_a_program_leads_forward_only():
    """Every jump leads behind itself, so that every run comes to its end."""
    steps = (fork(Case(when="true", steps=(wait(), SEND)), Case(steps=(send("a"),))), send("b"))
    program = compiled(Workflow(key="w", category="c", steps=steps))
    assert not program.sends_only
    assert all(place < target for place, one in enumerate(program.instructions) for target in one.targets)
    assert [one.step.key if one.step else one.targets for one in program.instructions] == [
        *("fork", "pause", "hello", (6,), "a", (6,)),
        "b",
    ]

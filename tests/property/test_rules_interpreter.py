"""The interpreter of workflows: a function that always comes to its end, in steps that can be told again."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.model.channel import Channel, Lane
from clarion.model.event import Event
from clarion.model.ids import EventId, Instant, RunId, TenantId, UserNo
from clarion.model.run import CallResult, RunState, RunStatus, StepCall
from clarion.model.setup import (
    SENDING,
    Case,
    Category,
    OnError,
    SendAll,
    Step,
    StepType,
    Tenant,
    Workflow,
    every,
)
from clarion.model.status import Reason
from clarion.model.user import Profile, User
from clarion.rules.interpreter import advance
from clarion.rules.programs import compiled
from clarion.rules.steps.faults import faults
from clarion.rules.steps.walk import Advance, Facts

KINDS = [kind for kind in StepType if kind not in (StepType.DIGEST, StepType.THROTTLE)]
"""Behind a digest the run is another one, and at a throttle the store decides: see `test_digests.py`, `test_throttles.py`."""
NOW = Instant(1_800_000_000_000)
TO = SendAll(channels=(Channel.SMS,))
CONDITIONS = (
    "data.n > 3",
    "data.n == 0 || user.id == 'ada'",
    "data.missing",
    "now >= event.at && now == timestamp(string(now))",
    "1 / data.n > 0",
)
WAITS: tuple[dict[str, Any], ...] = (
    *({"for_s": seconds} for seconds in (1, 60, 1_000)),
    {"for_": "P1M", "at_most_s": 5_000},
    {"until": "mon,thu 18:30", "earliest_s": 500},
    {"until": "event.at + duration('90s')", "timezone": "tenant"},
    {"until": "first mon of month 02:30", "timezone": "Europe/Berlin"},
)

OPTIONS: dict[str, str | dict[str, str]] = {"yes": "Yes", "no": "No"}
STOPS = ("waits", "calls", "repeats")
SKIP = OnError.SKIP
UNTIL = ("acknowledged", "read", "data.n > 3", "data.missing")


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Any workflow that can be published."""
    numbers = count()

    def steps(depth: int, least: int = 0) -> tuple[Step, ...]:
        return tuple(step(depth) for _ in range(draw(st.integers(least, 3))))

    def step(depth: int) -> Step:
        key, when = f"s{next(numbers)}", draw(st.sampled_from([None, None, *CONDITIONS]))
        kinds = KINDS if depth == 2 else [one for one in KINDS if one is not StepType.REPEAT]
        kind = draw(st.sampled_from(kinds if depth else [StepType.SEND, StepType.WAIT]))
        if kind in SENDING:
            options = OPTIONS if kind is StepType.ASK else {}
            return Step(key=key, type=kind, when=when, template="note", to=TO, options=options)
        if kind is StepType.WAIT:
            return Step(key=key, type=kind, when=when, **draw(st.sampled_from(WAITS)))
        if kind is StepType.EXPERIMENT:
            weights = draw(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)))
            arms = dict(zip("abc", weights, strict=True))
            holdout = draw(st.sampled_from([None, "b"]))
            by = draw(st.sampled_from([None, "data.n", "data.missing"]))
            return Step(key=key, type=kind, when=when, arms=arms, by=by, holdout=holdout)
        if kind in (StepType.UPDATE_USER, StepType.TRIGGER):
            value = draw(st.sampled_from(["data.n", "data.missing", "user.id"]))
            if kind is StepType.TRIGGER:
                return Step(key=key, type=kind, when=when, on_error=SKIP, workflow="v", recipients=value)
            return Step(key=key, type=kind, when=when, on_error=SKIP, set_={"a": value})
        if kind is StepType.FETCH:
            path = draw(st.sampled_from(["'/a'", "'/away'", "data.missing"]))
            fallback = draw(st.sampled_from([None, {"a": 1}]))
            asked: dict[str, Any] = {"connection": "c", "path": path, "fallback": fallback}
            return Step(key=key, type=kind, when=when, on_error=SKIP, **asked)
        if kind is StepType.GENERATE:
            words: dict[str, Any] = {"prompt": "write", "output": {"type": "object"}, "fallback": {"a": 1}}
            source = draw(st.sampled_from(["data.n", "data.missing"]))
            asked = {"connection": "c", "model": "m", "input": source}
            return Step(key=key, type=kind, when=when, **words, **asked)
        if kind is StepType.REPEAT:
            rounds, until = draw(st.integers(1, 3)), draw(st.sampled_from(UNTIL))
            repeated = steps(0, 1)
            return Step(
                key=key, type=kind, when=when, steps=repeated, every_s=60, at_most=rounds, until=until
            )
        cases = [
            Case(when=draw(st.sampled_from(CONDITIONS)), steps=steps(depth - 1))
            for _ in range(draw(st.integers(1, 3)))
        ]
        if draw(st.booleans()):
            cases.append(Case(steps=steps(depth - 1)))
        return Step(key=key, type=kind, when=when, cases=tuple(cases))

    jitter_s = draw(st.sampled_from([0, 30]))
    last = Step(key="last", template="note", to=TO)
    return Workflow(key="w", category="c", steps=(*steps(2, 1), last), jitter_s=jitter_s)


def facts(n: int, user: str = "ada", expires_at: Instant | None = None) -> Facts:
    """Of one user and one event."""
    event = Event(
        id=EventId(b"\x01" * 16),
        tenant=TenantId(1),
        lane=Lane.NORMAL,
        workflow="w",
        at=NOW,
        data=msgspec.Raw(b'{"n":%d}' % n),
    )
    return Facts(
        run=RunId(user.encode().ljust(16, b"\x02")[:16]),
        event=event,
        category=Category(key="c"),
        tenant=Tenant(id=TenantId(1), key="acme"),
        user=User(no=UserNo(1), tenant=TenantId(1), id=user, key=b"k" * 32, profile=Profile()),
        start=NOW,
        expires_at=expires_at,
        templates={"note": 3},
    )


def came_of(call: StepCall, now: Instant) -> CallResult:
    """Of a service that is asked: it is busy, then away, and in the end it answers or does not, as its path says."""
    if call.type not in (StepType.FETCH, StepType.GENERATE):
        return CallResult()
    if call.attempts < 2:
        return CallResult(again_at=Instant(now + 700), attempts=call.attempts + 1, told={"error": "busy"})
    reason = Reason.FETCH_FAILED if call.request["path"] == "/away" else None
    return CallResult(output={"status": 200}, reason=reason, told={})


def walked(workflow: Workflow, known: Facts, late_ms: int = 0) -> tuple[list[Advance], list[str]]:
    """Every part of a run, and the steps that sent, when it wakes so late each time."""
    program, parts, sent = compiled(workflow), [], []
    state: RunState | None = None
    now = NOW
    while True:

        def send(step: Step, name: str, _: Instant | None) -> list[object]:
            sent.append(name)
            return []

        result = None if state is None or state.call is None else came_of(state.call, now)
        parts.append(advance(program, state, known._replace(result=result), now, send))  # type: ignore[arg-type]
        state = parts[-1].state
        if state is None:
            return parts, sent
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RunState)  # as it is stored
        now = Instant(state.due_at + late_ms)


@given(workflows(), st.integers(0, 6))
def test_the_same_inputs_give_the_same_bytes(workflow, n):
    """However often it is asked."""
    assert faults(workflow.steps) == []
    once, again = walked(workflow, facts(n)), walked(workflow, facts(n))
    assert msgspec.msgpack.encode([part.steps for part in once[0]]) == msgspec.msgpack.encode(
        [part.steps for part in again[0]]
    )
    assert once == again


@given(workflows(), st.integers(0, 6), st.sampled_from([0, 60_000, 10_000_000]))
def test_every_run_comes_to_its_end(workflow, n, late_ms):
    """Each step happens at most once in a round, in the order of the document; when it wakes does not change what it does."""
    parts, sent = walked(workflow, facts(n), late_ms)
    assert [part.status for part in parts[:-1]] == [RunStatus.WAITING] * (len(parts) - 1)
    assert parts[-1].status is RunStatus.FINISHED
    order = [step.key for step in every(workflow.steps)]
    assert max(Counter(sent).values(), default=0) <= 1
    first = [name for name in sent if "#" not in name]
    assert first == sorted(first, key=order.index)
    assert sent == walked(workflow, facts(n))[1]
    waits = [trace for part in parts for trace in part.steps if trace.result in STOPS]
    assert len(waits) == len(parts) - 1


@given(workflows(), st.integers(0, 6))
def test_nothing_happens_before_its_time(workflow, n):
    """A run that is woken early waits on as it was."""
    parts, _ = walked(workflow, facts(n))
    program = compiled(workflow)
    for part in parts[:-1]:
        assert part.state is not None
        if part.state.call is not None:
            continue
        assert part.state.due_at > NOW
        early = advance(program, part.state, facts(n), Instant(part.state.due_at - 1), lambda *_: ())
        assert early == Advance(RunStatus.WAITING, part.step, part.state, ())


@given(workflows(), st.integers(0, 6), st.integers(1, 3_000_000))
def test_no_run_waits_until_it_has_expired(workflow, n, left_ms):
    """It ends instead, and says when it would have gone on."""
    expires_at = Instant(NOW + left_ms)
    parts, _ = walked(workflow, facts(n, expires_at=expires_at))
    assert all(part.state is None or part.state.due_at < expires_at for part in parts)
    last = parts[-1].steps[-1] if parts[-1].steps else None
    if parts[-1].status is RunStatus.EXPIRED:
        assert last is not None
        assert last.result == "expired"
        assert last.due_at is not None
        assert last.due_at >= expires_at


@given(st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=10)
def test_a_higher_weight_only_moves_people_into_its_arm(before, more):
    """Everybody else stays where they are, and shares follow the weights."""

    def arms(weight: int) -> list[str]:
        steps = (
            Step(key="ab", type=StepType.EXPERIMENT, arms={"a": weight, "b": 25}),
            Step(key="last", template="note", to=TO),
        )
        workflow = Workflow(key="w", category="c", steps=steps)
        return [walked(workflow, facts(1, f"user-{n}"))[0][0].steps[0].inputs["arm"] for n in range(300)]

    first, then = arms(before), arms(before + more)
    assert {(old, new) for old, new in zip(first, then, strict=True) if old != new} <= {("b", "a")}
    assert abs(first.count("a") / 300 - before / (before + 25)) < 0.15

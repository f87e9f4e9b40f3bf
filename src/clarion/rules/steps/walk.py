"""One way of a run through its program: where it stands, what its steps left, and what expressions see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from clarion.model.digest import DigestClose, DigestRule, DigestTold
from clarion.model.event import Event
from clarion.model.ids import Instant, MessageId, RunId, call_id, id_text
from clarion.model.message import Message, StepTrace
from clarion.model.run import (
    CallResult,
    EventWait,
    RunState,
    RunStatus,
    StepAnswer,
    StepCall,
    ThrottleUse,
    Wake,
)
from clarion.model.setup import Category, OnError, Step, Tenant
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.rules import data_types
from clarion.rules.data_types import ANYTHING, DataType, Scalar, fields_of, typed
from clarion.rules.expressions import ExpressionError, compiled
from clarion.rules.keys import KeyedHash
from clarion.rules.places import locale, zone_of
from clarion.rules.steps.program import Program

TYPES: Mapping[str, DataType] = {
    "event": fields_of(
        dict.fromkeys(("id", "type", "source", "subject"), Scalar.TEXT) | {"at": Scalar.MOMENT}
    ),
    "now": Scalar.MOMENT,
    "run": fields_of({"id": Scalar.TEXT, "workflow": Scalar.TEXT, "version": Scalar.WHOLE}),
    "tenant": fields_of({"key": Scalar.TEXT, "timezone": Scalar.TEXT}),
    "user": fields_of(dict.fromkeys(("id", "locale", "timezone"), Scalar.TEXT) | {"attributes": ANYTHING}),
}
"""What is known about those that are the same in every workflow."""
ARRIVING = fields_of(
    dict.fromkeys(("id", "type", "source", "subject"), Scalar.TEXT) | {"at": Scalar.MOMENT, "data": ANYTHING}
)
"""The event that is held against the `match` of one that is awaited."""
ANSWER: Mapping[str, DataType] = {"body": Scalar.ANY, "status": Scalar.WHOLE}
"""What a service answered."""
VARIABLES = ("data", "event", "now", "run", "steps", "tenant", "user")
"""What expressions of workflows may ask for."""

_decode = msgspec.json.Decoder().decode


def _unkeyed(purpose: str, value: bytes) -> bytes:
    """For whoever stores no keys."""
    return blake2b(value, person=purpose.encode()[:16], digest_size=16).digest()


class Facts(NamedTuple):
    """What a run may look at."""

    run: RunId
    event: Event
    category: Category
    tenant: Tenant
    user: User
    start: Instant
    """From when on waits count, while the run has not waited yet: now, or the later time it is scheduled for."""
    expires_at: Instant | None
    templates: Mapping[str, int]
    """The versions that are live."""
    messages: Mapping[MessageId, Message] = {}
    """Those of its earlier parts as they are now, where the program asks for them."""
    result: CallResult | None = None
    """What came of the call it waits for; None: nothing yet."""
    digest: DigestTold | None = None
    """The digest that its event is, when that has just closed."""
    wakes: Sequence[tuple[Wake, Event | None]] = ()
    """What has come for it while it waited, with the events; None: one cannot be read any more."""
    passes: bool = False
    """Whether the throttle that it stands at lets it through."""
    planned_until: Instant | None = None
    """Every event that was accepted before has been planned; None: all have."""
    answers: Mapping[str, StepAnswer] = {}
    """To its questions, by step."""
    hash: KeyedHash = _unkeyed
    """What keys are made with."""


class Collected(NamedTuple):
    """A run that ends in a digest, to go on with others."""

    step: Step
    key: bytes
    """The value that it is collected by, always written the same."""
    rule: DigestRule
    closes: DigestClose | None
    """It waits for no others."""
    outputs: Mapping[str, Mapping[str, Any]]
    """What steps before it left."""
    templates: Mapping[str, int]
    """The versions that the digest sends if the run opens it."""
    expires_at: Instant | None
    order: float | str | None
    """What it is sorted by."""


class Advance(NamedTuple):
    """Where a run has come to."""

    status: RunStatus
    step: str
    """The last one it came to."""
    state: RunState | None
    """What it needs to go on; None: it is over."""
    steps: tuple[StepTrace, ...]
    reason: Reason | None = None
    """Why it did not finish, or finished early."""
    collected: Collected | None = None
    """It ends in a digest."""
    waits: tuple[EventWait, ...] = ()
    """What it listens for, while it waits."""
    use: ThrottleUse | None = None
    """The throttle that it has come to."""
    look_at: Instant | None = None
    """When a run that waits is looked at again, where that is not what its state says."""
    failed: RunState | None = None
    """Of a run that failed: where it may be retried from."""
    stops: tuple[MessageId, ...] = ()
    """Its messages that end with it, as far as they have not begun."""


Send = Callable[[Step, str, Instant | None], Iterable[Message]]
"""Plans a step that sends, under its name in this run and until when it may be sent: its messages."""


class Walk:
    """A run between two of its waits."""

    def __init__(
        self, program: Program, state: RunState | None, facts: Facts, now: Instant, send: Send
    ) -> None:
        self.program = program
        self.facts = facts
        self.now = now
        self.send = send
        self.anchor = max(now, facts.start) if state is None else now
        """From when on a wait that is reached counts."""
        self.at = 0 if state is None else program.places[state.step] + (not state.failed)
        """The instruction that comes next."""
        self.outputs: dict[str, Mapping[str, Any]] = {} if state is None else {**state.outputs}
        """What steps left for expressions, by key."""
        self.messages: dict[str, tuple[MessageId, ...]] = {} if state is None else {**state.messages}
        """The messages of each step that sent."""
        self.early: dict[str, Mapping[str, Any]] = {} if state is None else {**state.early}
        """Events that came for steps which the run has not done yet."""
        self.templates = facts.templates if state is None else state.templates
        self.rounds: dict[str, int] = {} if state is None else {**state.rounds}
        """Where repetitions are, by step."""
        self.acknowledged = None if state is None else state.acknowledged
        self._steps: list[StepTrace] = []
        self._variables: dict[str, Any] = {}
        """Those that expressions have asked for."""

    def say(self, step: Step, result: str, *, due_at: Instant | None = None, **inputs: Any) -> None:
        """What a step did. `inputs`: never values of the data."""
        self._steps.append(
            StepTrace(step=step.key, type=step.type, result=result, at=self.now, due_at=due_at, inputs=inputs)
        )

    def name(self, step: Step) -> str:
        """What ids are made with: in every round another one."""
        repeat = self.program.repeats.get(step.key)
        number = 1 if repeat is None else self.rounds.get(repeat.key, 1)
        return step.key if number == 1 else f"{step.key}#{number}"

    def wait(
        self,
        step: Step,
        due_at: Instant,
        *,
        said: str = "waits",
        anchor: Instant | None = None,
        zoned: bool = False,
        call: StepCall | None = None,
        asked: tuple[MessageId, ...] = (),
        **inputs: Any,
    ) -> Advance:
        """The run stops here until then. It ends instead when everything that comes behind has expired by then.

        `anchor`: from when on the step counts. `zoned`: the time goes by the clock of the user. `call`: it does not wait
        for the time alone. `asked`: the messages of its question.
        """
        expires_at = self.facts.expires_at
        if expires_at is not None and due_at >= expires_at:
            self.say(step, "expired", due_at=due_at)
            return self.end(step.key, RunStatus.EXPIRED, Reason.EXPIRED)
        self.say(step, said, due_at=due_at, **inputs)
        kept = self._state(step, due_at)
        state = msgspec.structs.replace(kept, anchor=anchor, zoned=zoned, call=call, asked=asked)
        return Advance(RunStatus.WAITING, step.key, state, tuple(self._steps))

    def call(self, step: Step, request: Mapping[str, Any], within_s: int | None) -> Advance:
        """The run stops here until that is done: before an event's `send_at` not sooner than then. `within_s`: how long it
        is tried; None: until it is done."""
        call = StepCall(
            id=call_id(self.facts.run, self.name(step), self.now),
            type=step.type,
            request=request,
            until=None if within_s is None else Instant(self.anchor + within_s * 1_000),
        )
        return self.wait(step, self.anchor, said="calls", call=call)

    def still(self, state: RunState, look_at: Instant | None = None) -> Advance:
        """The run goes on waiting as it was. `look_at`: it is looked at then, later than it waits for."""
        kept = msgspec.structs.replace(state, early=self.early, recount=False)
        return Advance(RunStatus.WAITING, state.step, kept, tuple(self._steps), look_at=look_at)

    def end(self, step: str, status: RunStatus = RunStatus.FINISHED, reason: Reason | None = None) -> Advance:
        """The run is over. `step`: the last one it came to."""
        return Advance(status, step, None, tuple(self._steps), reason)

    def fail(self, step: Step, reason: Reason, **inputs: Any) -> Advance | None:
        """The step cannot do what it is there for: the run ends, unless the step says otherwise. Of a critical category it
        goes on, because a fault must not silence an alarm."""
        self.say(step, "failed", reason=reason.value, **inputs)
        if step.on_error is OnError.SKIP or (step.on_error is None and self.facts.category.critical):
            return None
        left = msgspec.structs.replace(self._state(step, self.now), failed=True)
        return self.end(step.key, RunStatus.FAILED, reason)._replace(failed=left)

    def collect(
        self,
        step: Step,
        key: bytes,
        rule: DigestRule,
        closes: DigestClose | None,
        order: float | str | None,
    ) -> Advance:
        """The run is over: a digest goes on with it."""
        expires_at = self.facts.expires_at
        collected = Collected(step, key, rule, closes, self._left(), self.templates, expires_at, order)
        over = self.end(step.key, RunStatus.MERGED, Reason.MERGED_INTO_DIGEST)
        return over._replace(collected=collected)

    def _state(self, step: Step, due_at: Instant) -> RunState:
        """Where the run stands."""
        return RunState(
            step=step.key,
            due_at=due_at,
            outputs=self._left(),
            messages=self.messages,
            templates=self.templates,
            rounds=self.rounds,
            acknowledged=self.acknowledged,
            early=self.early,
        )

    def _left(self) -> Mapping[str, Mapping[str, Any]]:
        """What steps left, but those that sent: that is looked up when it is asked for."""
        return {key: value for key, value in self.outputs.items() if key not in self.messages}

    # -- expressions ---------------------------------------------------------------------------------------

    def is_true(self, step: Step, source: str, **instead: Any) -> bool:
        """Whether a condition holds, with some variables `instead` of the usual ones. One without a value is false; of a
        critical step's `when`, true: a fault must not silence an alarm."""
        try:
            found = self.value(source, **instead)
            if not isinstance(found, bool):
                raise ExpressionError("its value is neither true nor false")
        except ExpressionError as wrong:
            self.say(step, "error", when=source, error=str(wrong))
            return self.facts.category.critical and source == step.when
        return found

    def value(self, source: str, **instead: Any) -> Any:
        """Of an expression, where these variables have other values. Raises ExpressionError."""
        known = self._variables
        for name in _named(source):
            if name not in instead and name not in known:
                known[name] = self._known(name)
        return compiled(source, VARIABLES).value({**known, **instead})

    def _known(self, name: str) -> Any:
        """What a variable stands for. `steps` changes with every step, the others do not."""
        facts, workflow = self.facts, self.program.workflow
        event, user, tenant = facts.event, facts.user, facts.tenant
        if name == "data":
            data = _decode(event.data)
            return data if event.digest_of is not None else typed(data, self.program.data)
        if name == "event":
            return event_variables(event)
        if name == "now":
            return moment(self.now)
        if name == "run":
            return {"id": id_text(facts.run), "workflow": workflow.key, "version": workflow.version}
        if name == "steps":
            return self.outputs
        if name == "tenant":
            return {"key": tenant.key, "timezone": tenant.timezone}
        return {
            "id": user.id,
            "locale": locale(user.profile, tenant)[0],
            "timezone": zone_of(user, tenant),
            "attributes": user.profile.attributes,
        }


@lru_cache(4_096)
def _named(source: str) -> tuple[str, ...]:
    """The variables that an expression may ask for."""
    return tuple(name for name in VARIABLES if name in source)


def event_variables(event: Event) -> dict[str, Any]:
    """What expressions see of an event, but for its data."""
    return {
        "id": id_text(event.id),
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "at": moment(event.at),
    }


def moment(at: Instant) -> Any:
    """As expressions see an instant."""
    return data_types.moment(datetime.fromtimestamp(at / 1_000, UTC))

"""Executes a program for one run, until it waits or ends. The same inputs give the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from clarion.model.event import Event
from clarion.model.ids import Instant, MessageId, RunId, id_text
from clarion.model.message import Message, StepTrace
from clarion.model.run import RunState, RunStatus
from clarion.model.setup import Category, Step, StepType, Tenant
from clarion.model.status import Status
from clarion.model.user import User
from clarion.rules.expressions import ExpressionError, compiled
from clarion.rules.programs import Program
from clarion.rules.schedule import zone_of
from clarion.rules.weighted_choice import choose

VARIABLES = ("data", "event", "now", "run", "steps", "tenant", "user")
"""What expressions of workflows may ask for."""

OUTPUTS: Mapping[StepType, Mapping[str, Any]] = {
    StepType.SEND: {"status": "", "reason": "", "seen": False, "read": False, "clicked": False},
    StepType.BRANCH: {"case": -1},
    StepType.EXPERIMENT: {"arm": ""},
}
"""What conditions may ask of a step, as it is while the step has done nothing."""

_decode = msgspec.json.Decoder().decode
_FURTHEST = (
    *(Status.DELIVERED, Status.SENT, Status.SENDING, Status.QUEUED, Status.DEFERRED),
    *(Status.BOUNCED, Status.REJECTED, Status.UNDELIVERED, Status.FAILED, Status.DEAD_LETTERED),
    *(Status.THROTTLED, Status.SUPPRESSED, Status.MERGED, Status.CANCELED, Status.EXPIRED),
)


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


class Advance(NamedTuple):
    """Where a run has come to."""

    status: RunStatus
    step: str
    """The last one it came to."""
    state: RunState | None
    """What it needs to go on; None: it is over."""
    steps: tuple[StepTrace, ...]


Send = Callable[[Step], Iterable[Message]]
"""Plans a step that sends: its messages."""


def advance(program: Program, state: RunState | None, facts: Facts, now: Instant, send: Send) -> Advance:
    """Execute from the beginning, or from where `state` waits. Before its time a run goes on waiting as it was."""
    if state is not None and now < state.due_at:
        return Advance(RunStatus.WAITING, state.step, state, ())
    return _Walk(program, state, facts, now, send).walk()


def output_of(messages: Iterable[Message]) -> Mapping[str, Any]:
    """What conditions see of a step that sent: the status of the message that came furthest."""
    found = sorted(messages, key=lambda one: _FURTHEST.index(one.status))
    if not found:
        return OUTPUTS[StepType.SEND]
    return {
        "status": found[0].status.value,
        "reason": found[0].reason.value if found[0].reason is not None else "",
        "seen": any(one.seen_at is not None for one in found),
        "read": any(one.read_at is not None for one in found),
        "clicked": any(one.clicked_at is not None for one in found),
    }


class _Walk:
    """One way through a program."""

    def __init__(
        self, program: Program, state: RunState | None, facts: Facts, now: Instant, send: Send
    ) -> None:
        self._program = program
        self._facts = facts
        self._now = now
        self._send = send
        self._anchor = max(now, facts.start) if state is None else now
        self._at = 0
        self._outputs: dict[str, Mapping[str, Any]] = {}
        self._messages: dict[str, tuple[MessageId, ...]] = {}
        self._steps: list[StepTrace] = []
        self._variables: dict[str, Any] | None = None
        self._templates = facts.templates
        if state is not None:
            self._at = program.places[state.step] + 1
            self._outputs.update(state.outputs)
            self._messages.update(state.messages)
            self._templates = state.templates
            for key, ids in state.messages.items():
                self._outputs[key] = output_of([facts.messages[one] for one in ids if one in facts.messages])
            step = program.instructions[self._at - 1].step
            if step is not None:
                self._say(step, "over", late_ms=now - state.due_at)

    def walk(self) -> Advance:
        """To the next wait, or to the end."""
        instructions, last = self._program.instructions, ""
        while self._at < len(instructions):
            step, targets = instructions[self._at]
            self._at += 1
            if step is None:
                (self._at,) = targets
                continue
            last = step.key
            if step.when is not None and not self._is_true(step, step.when):
                self._say(step, "skipped", when=step.when)
                if step.type is StepType.BRANCH:
                    self._at = targets[-1]
                if step.type in OUTPUTS:
                    self._outputs[step.key] = OUTPUTS[step.type]
            elif step.type is StepType.SEND:
                self._sent(step)
            elif step.type is StepType.BRANCH:
                self._at = self._branched(step, targets)
            elif step.type is StepType.EXPERIMENT:
                if self._held_out(step):
                    break
            else:
                return self._waiting(step)
        return Advance(RunStatus.FINISHED, last, None, tuple(self._steps))

    # -- one type of step each ---------------------------------------------------------------------------

    def _sent(self, step: Step) -> None:
        messages = list(self._send(step))
        self._messages[step.key] = tuple(one.id for one in messages)
        self._outputs[step.key] = output_of(messages)
        self._say(step, "sent", messages=len(messages))

    def _branched(self, step: Step, targets: tuple[int, ...]) -> int:
        for index, case in enumerate(step.cases):
            if case.when is None or self._is_true(step, case.when):
                self._outputs[step.key] = {"case": index}
                self._say(step, "case", case=index, when=case.when or "")
                return targets[index]
        self._outputs[step.key] = {"case": -1}
        self._say(step, "no_case")
        return targets[-1]

    def _held_out(self, step: Step) -> bool:
        """Whether the run ends here, in the arm that gets nothing."""
        by, result = self._text(step), "assigned"
        if by is None:
            arm, result = next(iter(step.arms)), "unassigned"
        else:
            seed = f"{self._facts.tenant.id}/{self._program.workflow.key}/{step.key}/{by}".encode()
            weights = [(name, float(weight)) for name, weight in step.arms.items()]
            arm = choose(weights, blake2b(seed, digest_size=32).digest(), frozenset()) or ""
            if arm == step.holdout:
                result = "held_out"
        self._outputs[step.key] = {"arm": arm}
        self._say(step, result, arm=arm, weights=dict(step.arms))
        return result == "held_out"

    def _waiting(self, step: Step) -> Advance:
        due_at = Instant(self._anchor + (step.for_s or 0) * 1_000 + self._jitter(step))
        expires_at = self._facts.expires_at
        if expires_at is not None and due_at >= expires_at:
            # Nothing that comes behind it could be sent any more.
            self._say(step, "expired", due_at=due_at)
            return Advance(RunStatus.EXPIRED, step.key, None, tuple(self._steps))
        self._say(step, "waits", due_at=due_at)
        state = RunState(
            step=step.key,
            due_at=due_at,
            outputs={key: value for key, value in self._outputs.items() if key not in self._messages},
            messages=self._messages,
            templates=self._templates,
        )
        return Advance(RunStatus.WAITING, step.key, state, tuple(self._steps))

    def _jitter(self, step: Step) -> int:
        most_ms = self._program.workflow.jitter_s * 1_000
        if not most_ms:
            return 0
        drawn = blake2b(step.key.encode(), key=self._facts.run, digest_size=8).digest()
        return int.from_bytes(drawn, "big") % most_ms

    # -- expressions ---------------------------------------------------------------------------------------

    def _is_true(self, step: Step, source: str) -> bool:
        """Whether a condition holds. One without a value is false; of a critical step's `when`, true: a fault must not
        silence an alarm."""
        try:
            found = self._value(source)
            if not isinstance(found, bool):
                raise ExpressionError("its value is neither true nor false")
        except ExpressionError as wrong:
            self._say(step, "error", when=source, error=str(wrong))
            return self._facts.category.critical and source == step.when
        return found

    def _text(self, step: Step) -> str | None:
        """What an experiment assigns by; None: nothing."""
        if step.by is None:
            return self._facts.user.id
        try:
            found = self._value(step.by)
        except ExpressionError as wrong:
            self._say(step, "error", by=step.by, error=str(wrong))
            return None
        return None if found in (None, "") else msgspec.json.encode(found, order="deterministic").decode()

    def _value(self, source: str) -> Any:
        if self._variables is None:
            self._variables = self._known()
        return compiled(source, VARIABLES).value(self._variables)

    def _known(self) -> dict[str, Any]:
        facts, workflow = self._facts, self._program.workflow
        event, user, tenant = facts.event, facts.user, facts.tenant
        return {
            "data": _decode(event.data),
            "event": {
                "id": id_text(event.id),
                "type": event.type,
                "source": event.source,
                "subject": event.subject,
                "at": _moment(event.at),
            },
            "now": _moment(self._now),
            "run": {"id": id_text(facts.run), "workflow": workflow.key, "version": workflow.version},
            "steps": self._outputs,
            "tenant": {"key": tenant.key, "timezone": tenant.timezone},
            "user": {
                "id": user.id,
                "locale": user.profile.locale or tenant.locale,
                "timezone": zone_of(user, tenant),
                "attributes": user.profile.attributes,
            },
        }

    def _say(self, step: Step, result: str, *, due_at: Instant | None = None, **inputs: Any) -> None:
        self._steps.append(
            StepTrace(
                step=step.key, type=step.type, result=result, at=self._now, due_at=due_at, inputs=inputs
            )
        )


def _moment(at: Instant) -> datetime:
    return datetime.fromtimestamp(at / 1_000, UTC)

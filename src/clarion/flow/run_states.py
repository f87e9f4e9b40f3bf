"""Encrypts what a run needs to go on, and decrypts it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.event import Event
from clarion.model.ids import Instant
from clarion.model.run import RunRow, RunState, RunStatus, StepAnswer
from clarion.model.user import User
from clarion.ports.vault import Vault
from clarion.rules.plan import Planned, Waited

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RunState).decode
_answers = msgspec.msgpack.Decoder(dict[str, StepAnswer]).decode


def opened_state(row: RunRow, user: User, vault: Vault) -> RunState:
    """Where a run waits. Raises SealBroken or DecodeError when it cannot be read."""
    return _decode(vault.open(user.key, row.sealed or b""))


def sealed_state(state: RunState, user: User, vault: Vault) -> bytes:
    """Where a run waits, for whoever has the user's key."""
    return vault.seal(user.key, _encode(state))


def advanced(row: RunRow, user: User, vault: Vault, now: Instant) -> RunRow:
    """The row once a run waits no longer than now, whatever its step says."""
    state = opened_state(row, user, vault)
    if state.call is not None:
        raise Conflict(f"The step {state.step!r} waits for what it has done elsewhere, not for a time.")
    step = msgspec.structs.replace(state, due_at=now, zoned=False)
    sealed = sealed_state(step, user, vault)
    return msgspec.structs.replace(row, due_at=now, updated_at=now, sealed=sealed, zoned=None)


def opened_answers(row: RunRow, user: User, vault: Vault) -> Mapping[str, StepAnswer]:
    """What was answered to the questions of a run, by step. Raises SealBroken or DecodeError when it cannot be read."""
    return {} if row.answers is None else _answers(vault.open(user.key, row.answers))


def answered(row: RunRow, step: str, answer: StepAnswer, user: User, vault: Vault, now: Instant) -> RunRow:
    """The row once the question of a step was answered, which is looked at as soon as possible."""
    answers = vault.seal(user.key, _encode({**opened_answers(row, user, vault), step: answer}))
    return replace(row, due_at=now, updated_at=now, answers=answers)


def acknowledged(row: RunRow, state: RunState, user: User, vault: Vault, now: Instant) -> RunRow:
    """The row once somebody has acknowledged the run that waits so; it is looked at as soon as possible."""
    sealed = sealed_state(replace(state, acknowledged=now), user, vault)
    return replace(row, due_at=now, updated_at=now, sealed=sealed)


def row_after(
    planned: Planned, event: Event, user: User, waited: Waited | None, vault: Vault, now: Instant
) -> RunRow | None:
    """The row of a run after a plan; None: it is over, never waited and did not fail."""
    advance = planned.advance
    if advance is None:
        return None
    if waited is None and advance.state is None and advance.status is not RunStatus.FAILED:
        return None
    state, before = advance.state, None if waited is None else waited.row
    kept = state or advance.failed
    part = planned.run.part
    return RunRow(
        id=planned.run.id if before is None else before.id,
        tenant=event.tenant,
        user=user.no,
        event_id=event.id,
        workflow=planned.run.workflow,
        version=planned.run.workflow_version,
        lane=event.lane,
        status=advance.status,
        step=advance.step or ("" if before is None else before.step),
        part=part if state is None else part + 1,
        due_at=None if state is None else advance.look_at or state.due_at,
        started_at=now if before is None else before.started_at,
        updated_at=now,
        reason=advance.reason,
        cancellation_key=planned.cancellation_key,
        sealed=None if kept is None else sealed_state(kept, user, vault),
        fence=0 if before is None else before.fence,
        waits=advance.waits,
        use=advance.use,
        stops=advance.stops,
        answers=None if before is None else before.answers,
        wakes=() if before is None else before.wakes,
        zoned=user.revision if state is not None and state.zoned else None,
    )

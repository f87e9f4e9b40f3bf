"""Digests: what runs bring to them is encrypted, and what they hold is told by their own runs once they are closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from clarion.flow.plan.batch import PlanSetup
from clarion.flow.run_states import sealed_state
from clarion.model.digest import DigestItem, DigestRow, DigestTold, ItemContent, StoredItem
from clarion.model.event import Event
from clarion.model.ids import Instant, RunId, digest_id, run_id
from clarion.model.run import RunRow, RunState, RunStatus
from clarion.model.setup import Step, StepType
from clarion.model.user import User
from clarion.ports.vault import Vault
from clarion.rules.digests import OpenedItem, told
from clarion.rules.plan import Planned
from clarion.rules.steps.digest import moves

ITEMS = 20_000
"""Of digests that are told in one go, so that they need no more memory than this."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ItemContent).decode


def item_of(planned: Planned, event: Event, user: User, vault: Vault, now: Instant) -> DigestItem | None:
    """What a run brings to the digest where it ends; None: it does not."""
    advance = planned.advance
    if advance is None or advance.collected is None or planned.slot is None:
        return None
    run, collected = run_id(event.id, planned.run.workflow, user.no), advance.collected
    content = ItemContent(
        data=event.data,
        actor=event.actor,
        outputs=collected.outputs,
        expires_at=collected.expires_at,
        stands_for=1 if event.digest_of is None else event.digest_of,
        order=collected.order,
    )
    id_ = digest_id(run)
    state = RunState(step=collected.step.key, due_at=now, templates=collected.templates)
    opens = RunRow(
        id=run_id(id_, planned.run.workflow, user.no),
        tenant=event.tenant,
        user=user.no,
        event_id=id_,
        workflow=planned.run.workflow,
        version=planned.run.workflow_version,
        lane=event.lane,
        status=RunStatus.WAITING,
        step=collected.step.key,
        part=1,
        due_at=now,
        started_at=now,
        updated_at=now,
        sealed=sealed_state(state, user, vault),
        zoned=user.revision if moves(collected.step) else None,
    )
    return DigestItem(
        run=run,
        part=planned.run.id,
        event_id=event.id,
        at=event.at,
        now=now,
        slot=planned.slot,
        rule=collected.rule,
        closes=collected.closes,
        sealed=vault.seal(user.key, _encode(content)),
        cancellation_key=planned.cancellation_key,
        opens=opens,
    )


def digest_step(setup: PlanSetup | None, row: RunRow) -> Step | None:
    """The digest that a run waits for; None: it waits for something else."""
    place = None if setup is None else setup.program.places.get(row.step)
    step = None if setup is None or place is None else setup.program.instructions[place].step
    return step if step is not None and step.type is StepType.DIGEST else None


def event_of(
    row: DigestRow,
    run: RunRow,
    step: Step,
    items: Sequence[StoredItem],
    user: User,
    vault: Vault,
    now: Instant,
) -> tuple[Event, DigestTold]:
    """What the run of a closed digest goes on with. Raises SealBroken or DecodeError when it cannot be read."""
    opened = [
        OpenedItem(one, _decode(vault.open(user.key, one.sealed)))
        for one in items
        if one.withdrawn_at is None and one.sealed is not None
    ]
    return told(row, step, opened, run.lane, now)


def parts(rows: Sequence[RunRow], digests: Mapping[RunId, DigestRow]) -> Iterator[list[RunRow]]:
    """Runs in parts whose digests have no more than `ITEMS`."""
    part: list[RunRow] = []
    items = 0
    for row in rows:
        its = digests[row.id].items if row.id in digests else 0
        if part and items + its > ITEMS:
            yield part
            part, items = [], 0
        part.append(row)
        items += its
    if part:
        yield part

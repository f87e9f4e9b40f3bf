"""Operations: what a step does and what it counts are one, and nobody sees those of somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import (
    Operation,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationProgress,
    OperationStatus,
    OperationStep,
)
from clarion.model.status import FAILED_FOR_GOOD, Reason, Status
from clarion.testing.ledger_contract.world import World

_FAILED = MessageFilter(statuses=FAILED_FOR_GOOD)
_WAITING = MessageFilter(statuses=frozenset({Status.QUEUED, Status.DEFERRED}))


async def _asked(
    world: World, where: MessageFilter = _FAILED, tenant: TenantId | None = None, **fields: Any
) -> Operation:
    """An operation that was just asked for."""
    kind = OperationKind.RETRY_MESSAGES if where is _FAILED else OperationKind.CANCEL_MESSAGES
    operation = Operation(
        id=OperationId(world.event()),
        tenant=tenant or world.tenant,
        kind=kind,
        where=where,
        created_at=world.now,
        updated_at=world.now,
        **fields,
    )
    assert await world.ledger.operations.add(operation, 10)
    world.clock.advance(1)
    return operation


async def _dead(world: World, count: int) -> list[Message]:
    """Messages that failed for good, newest first."""
    messages = [world.planned() for _ in range(count)]
    await world.plan(*messages)
    for message in messages:
        await world.settle(message, Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    return sorted(messages, key=lambda message: message.id, reverse=True)


async def _step(
    world: World,
    operation: Operation,
    messages: Sequence[Message],
    following: MessageId | None = None,
    **fields: Any,
) -> OperationProgress:
    step = OperationStep(
        ids=[message.id for message in messages], following=following, at=world.now, **fields
    )
    return await world.ledger.steps.advance(operation, step)


async def an_operation_is_found_by_its_tenant_only(world: World) -> None:
    """Nobody else sees, stops or repeats it."""
    ledger, stranger = world.ledger.operations, TenantId(world.tenant + 1)
    operation = await _asked(world)
    assert await ledger.get(world.tenant, operation.id) == operation
    assert await ledger.get(stranger, operation.id) is None
    assert await ledger.cancel(stranger, operation.id, world.now) is None
    assert await ledger.retry_failed(stranger, operation.id, world.now) is None
    assert list(await ledger.page(stranger, OperationFilter(), None, 10)) == []
    assert await ledger.get(world.tenant, operation.id) == operation


async def operations_come_newest_first(world: World) -> None:
    """Page by page, by kind, status and time; a tenant has a bounded number of unfinished ones."""
    ledger = world.ledger.operations
    made = [await _asked(world, _WAITING if n == 1 else _FAILED) for n in range(3)]
    await ledger.cancel(world.tenant, made[0].id, world.now)

    async def ids(below: OperationId | None = None, limit: int = 10, **fields: Any) -> list[OperationId]:
        found = await ledger.page(world.tenant, OperationFilter(**fields), below, limit)
        return [one.id for one in found]

    assert await ids() == [made[2].id, made[1].id, made[0].id]
    assert await ids(limit=1) == [made[2].id]
    assert await ids(made[2].id) == [made[1].id, made[0].id]
    assert await ids(kind=OperationKind.CANCEL_MESSAGES) == [made[1].id]
    assert await ids(statuses=frozenset({OperationStatus.CANCELED})) == [made[0].id]
    assert await ids(since=made[1].created_at, before=made[2].created_at) == [made[1].id]
    assert not await ledger.add(made[0], 2)


async def a_step_counts_what_it_does(world: World) -> None:
    """All of it or nothing: a step that is repeated, as after a crash, does nothing twice."""
    one, two = await _dead(world, 2)
    operation = await _asked(world)
    first = await _step(world, operation, [one], one.id, total=2)
    assert first.moved == {one.id}
    assert (first.operation.status, first.operation.done) == (OperationStatus.RUNNING, 1)
    assert (first.operation.total, first.operation.cursor) == (2, one.id)
    await world.settle(await world.stored(one), Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    again = await _step(world, operation, [one], one.id, total=2)
    assert (again.operation, again.moved) == (first.operation, frozenset())
    whole = await _step(world, first.operation, [two])
    assert (whole.operation.status, whole.operation.finished_at) == (OperationStatus.RUNNING, None)
    last = await _step(world, whole.operation, [])
    assert (last.operation.status, last.operation.done) == (OperationStatus.SUCCEEDED, 2)
    assert last.operation.finished_at == world.now
    assert await world.ledger.operations.get(world.tenant, operation.id) == last.operation
    assert await world.state(two) == (Status.QUEUED, Reason.RETRIED)


async def a_canceled_operation_does_nothing_more(world: World) -> None:
    """What is done stays done, also when the step had begun."""
    one, two = await _dead(world, 2)
    operation = await _asked(world)
    first = await _step(world, operation, [one], one.id)
    canceled = await world.ledger.operations.cancel(world.tenant, operation.id, world.now)
    assert canceled is not None
    assert (canceled.status, canceled.done) == (OperationStatus.CANCELED, 1)
    late = await _step(world, first.operation, [two])
    assert (late.operation, late.moved) == (canceled, frozenset())
    assert await world.state(two) == (Status.DEAD_LETTERED, Reason.ATTEMPTS_EXHAUSTED)
    assert await world.ledger.operations.cancel(world.tenant, operation.id, world.now) == canceled
    assert list(await world.ledger.steps.waiting(TenantId(-1), 10)) == [canceled]
    closed = (await _step(world, canceled, [])).operation
    assert (closed.status, closed.finished_at) == (OperationStatus.CANCELED, world.now)
    assert list(await world.ledger.steps.waiting(TenantId(-1), 10)) == []


async def what_failed_is_kept_and_can_be_tried_again(world: World) -> None:
    """With its place and reason; what went well is left alone."""
    ledger = world.ledger
    begun, waiting = (world.planned() for _ in range(2))
    await world.plan(begun, waiting)
    operation = await _asked(world, _WAITING)
    stepped = await _step(world, operation, [waiting, begun], begun=frozenset({begun.id}))
    partly = (await _step(world, stepped.operation, [])).operation
    assert (partly.status, partly.done, partly.failed) == (OperationStatus.PARTLY_FAILED, 1, 1)
    (error,) = await ledger.operations.errors(world.tenant, operation.id, -1, 10)
    assert (error.index, error.message_id, error.code) == (1, begun.id, "conflict")
    assert list(await ledger.operations.errors(TenantId(world.tenant + 1), operation.id, -1, 10)) == []
    assert list(await ledger.operations.errors(world.tenant, operation.id, 1, 10)) == []
    queued = await ledger.operations.retry_failed(world.tenant, operation.id, world.now)
    assert queued is not None
    assert (queued.status, queued.finished_at) == (OperationStatus.QUEUED, None)
    assert list(await ledger.steps.again(queued, 10)) == [begun.id]
    again = await _step(world, queued, [begun])
    whole = (await _step(world, again.operation, [])).operation
    assert (whole.status, whole.done, whole.failed) == (OperationStatus.SUCCEEDED, 2, 0)
    assert list(await ledger.operations.errors(world.tenant, operation.id, -1, 10)) == []
    assert await world.state(begun) == (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def a_broken_step_fails_and_touches_nothing(world: World) -> None:
    """So that the operation goes on behind it."""
    (one,) = await _dead(world, 1)
    operation = await _asked(world)
    stepped = await _step(world, operation, [one], broken=True)
    closed = (await _step(world, stepped.operation, [])).operation
    assert (closed.status, closed.failed) == (OperationStatus.FAILED, 1)
    (error,) = await world.ledger.operations.errors(world.tenant, operation.id, -1, 10)
    assert error.code == "internal"
    assert (await world.state(one))[0] is Status.DEAD_LETTERED


async def every_tenant_has_its_turn(world: World) -> None:
    """The oldest unfinished one of each; what matches is counted in its own tenant."""
    await _dead(world, 3)
    other = TenantId(world.tenant + 1)
    first, _, theirs = await _asked(world), await _asked(world), await _asked(world, tenant=other)
    steps = world.ledger.steps
    assert list(await steps.waiting(TenantId(-1), 10)) == [first, theirs]
    assert list(await steps.waiting(world.tenant, 10)) == [theirs]
    assert list(await steps.waiting(TenantId(-1), 1)) == [first]
    assert await steps.count(first, None) == (3, None)
    assert await steps.count(theirs, None) == (0, None)


OPERATIONS_CONTRACT = (
    an_operation_is_found_by_its_tenant_only,
    operations_come_newest_first,
    a_step_counts_what_it_does,
    a_canceled_operation_does_nothing_more,
    what_failed_is_kept_and_can_be_tried_again,
    a_broken_step_fails_and_touches_nothing,
    every_tenant_has_its_turn,
)

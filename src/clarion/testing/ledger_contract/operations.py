"""Bulk operations: a step and its counts are stored together, and tenants are kept apart."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import (
    FileJob,
    FileStep,
    Operation,
    OperationError,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationProgress,
    OperationStatus,
    OperationStep,
    RunSelection,
    UserFileFormat,
)
from clarion.model.run import RunFilter, RunStatus
from clarion.model.status import FAILED_FOR_GOOD, Reason, Status
from clarion.model.user import Profile, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject

_FAILED = MessageFilter(statuses=FAILED_FOR_GOOD)
_WAITING = MessageFilter(statuses=frozenset({Status.QUEUED, Status.DEFERRED}))


async def _asked(
    subject: LedgerSubject, where: MessageFilter = _FAILED, tenant: TenantId | None = None, **fields: Any
) -> Operation:
    """An operation that was just asked for."""
    kind = OperationKind.RETRY_MESSAGES if where is _FAILED else OperationKind.CANCEL_MESSAGES
    operation = Operation(
        id=OperationId(subject.event()),
        tenant=tenant or subject.tenant,
        kind=kind,
        where=where,
        created_at=subject.now,
        updated_at=subject.now,
        **fields,
    )
    assert await subject.ledger.operations.add(operation, 10)
    subject.clock.advance(1)
    return operation


async def _dead(subject: LedgerSubject, count: int) -> list[Message]:
    """Messages that failed for good, newest first."""
    messages = [subject.planned() for _ in range(count)]
    await subject.plan(*messages)
    for message in messages:
        await subject.settle(message, Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    return sorted(messages, key=lambda message: message.id, reverse=True)


async def _step(
    subject: LedgerSubject,
    operation: Operation,
    messages: Sequence[Message],
    following: MessageId | None = None,
    **fields: Any,
) -> OperationProgress:
    step = OperationStep(
        ids=[message.id for message in messages], following=following, at=subject.now, **fields
    )
    return await subject.ledger.steps.advance(operation, step)


async def an_operation_is_found_by_its_tenant_only(subject: LedgerSubject) -> None:
    """Nobody else sees, stops or repeats it."""
    ledger, stranger = subject.ledger.operations, TenantId(subject.tenant + 1)
    operation = await _asked(subject)
    assert await ledger.get(subject.tenant, operation.id) == operation
    assert await ledger.get(stranger, operation.id) is None
    assert await ledger.cancel(stranger, operation.id, subject.now) is None
    assert await ledger.retry_failed(stranger, operation.id, subject.now) is None
    assert list(await ledger.page(stranger, OperationFilter(), None, 10)) == []
    assert await ledger.get(subject.tenant, operation.id) == operation


async def operations_come_newest_first(subject: LedgerSubject) -> None:
    """Page by page, by kind, status and time; a tenant has a bounded number of unfinished ones."""
    ledger = subject.ledger.operations
    made = [await _asked(subject, _WAITING if n == 1 else _FAILED) for n in range(3)]
    await ledger.cancel(subject.tenant, made[0].id, subject.now)

    async def ids(below: OperationId | None = None, limit: int = 10, **fields: Any) -> list[OperationId]:
        found = await ledger.page(subject.tenant, OperationFilter(**fields), below, limit)
        return [one.id for one in found]

    assert await ids() == [made[2].id, made[1].id, made[0].id]
    assert await ids(limit=1) == [made[2].id]
    assert await ids(made[2].id) == [made[1].id, made[0].id]
    assert await ids(kind=OperationKind.CANCEL_MESSAGES) == [made[1].id]
    assert await ids(statuses=frozenset({OperationStatus.CANCELED})) == [made[0].id]
    assert await ids(since=made[1].created_at, before=made[2].created_at) == [made[1].id]
    assert not await ledger.add(made[0], 2)


async def an_operation_on_runs_counts_what_was_done_before(subject: LedgerSubject) -> None:
    """And keeps why some were left as they are, until that is mended."""
    runs = RunSelection(where=RunFilter(workflow="w", statuses=frozenset({RunStatus.WAITING})), to_version=3)
    fields = {"kind": OperationKind.MIGRATE_RUNS, "runs": runs}
    operation = Operation(
        id=OperationId(subject.event()),
        tenant=subject.tenant,
        created_at=subject.now,
        updated_at=subject.now,
        **fields,  # type: ignore[arg-type]
    )
    assert await subject.ledger.operations.add(operation, 10)
    assert await subject.ledger.operations.get(subject.tenant, operation.id) == operation
    ids = [bytes([number]) * 16 for number in range(3)]
    step = OperationStep(ids=ids, at=subject.now, total=3, left={ids[1]: "It collects."})
    stepped = (await subject.ledger.steps.advance(operation, step)).operation
    assert (stepped.done, stepped.failed, stepped.swept) == (2, 1, True)
    (error,) = await subject.ledger.operations.errors(subject.tenant, operation.id, -1, 9)
    assert (error.index, error.item_id, error.detail) == (1, ids[1], "It collects.")
    ended = await subject.ledger.steps.advance(stepped, OperationStep(ids=(), at=subject.now))
    assert ended.operation.status is OperationStatus.PARTLY_FAILED
    again = await subject.ledger.operations.retry_failed(subject.tenant, operation.id, subject.now)
    assert again is not None
    assert await subject.ledger.steps.again(again, 9) == [ids[1]]
    step = OperationStep(ids=[ids[1]], at=subject.now, broken=True)
    broken = (await subject.ledger.steps.advance(again, step)).operation
    (error,) = await subject.ledger.operations.errors(subject.tenant, operation.id, -1, 9)
    assert (broken.failed, error.code) == (1, "internal")


async def a_step_counts_what_it_does(subject: LedgerSubject) -> None:
    """All of it or nothing: a step that is repeated, as after a crash, does nothing twice."""
    one, two = await _dead(subject, 2)
    operation = await _asked(subject)
    first = await _step(subject, operation, [one], one.id, total=2)
    assert first.moved == {one.id}
    assert (first.operation.status, first.operation.done) == (OperationStatus.RUNNING, 1)
    assert (first.operation.total, first.operation.cursor) == (2, one.id)
    await subject.settle(await subject.stored(one), Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    again = await _step(subject, operation, [one], one.id, total=2)
    assert (again.operation, again.moved) == (first.operation, frozenset())
    whole = await _step(subject, first.operation, [two])
    assert (whole.operation.status, whole.operation.finished_at) == (OperationStatus.RUNNING, None)
    last = await _step(subject, whole.operation, [])
    assert (last.operation.status, last.operation.done) == (OperationStatus.SUCCEEDED, 2)
    assert last.operation.finished_at == subject.now
    assert await subject.ledger.operations.get(subject.tenant, operation.id) == last.operation
    assert await subject.state(two) == (Status.QUEUED, Reason.RETRIED)


async def a_canceled_operation_does_nothing_more(subject: LedgerSubject) -> None:
    """What is done stays done, also when the step had begun."""
    one, two = await _dead(subject, 2)
    operation = await _asked(subject)
    first = await _step(subject, operation, [one], one.id)
    canceled = await subject.ledger.operations.cancel(subject.tenant, operation.id, subject.now)
    assert canceled is not None
    assert (canceled.status, canceled.done) == (OperationStatus.CANCELED, 1)
    late = await _step(subject, first.operation, [two])
    assert (late.operation, late.moved) == (canceled, frozenset())
    assert await subject.state(two) == (Status.DEAD_LETTERED, Reason.ATTEMPTS_EXHAUSTED)
    assert await subject.ledger.operations.cancel(subject.tenant, operation.id, subject.now) == canceled
    assert list(await subject.ledger.steps.waiting(TenantId(-1), 10)) == [canceled]
    closed = (await _step(subject, canceled, [])).operation
    assert (closed.status, closed.finished_at) == (OperationStatus.CANCELED, subject.now)
    assert list(await subject.ledger.steps.waiting(TenantId(-1), 10)) == []


async def what_failed_is_kept_and_can_be_tried_again(subject: LedgerSubject) -> None:
    """With its place and reason; what went well is left alone."""
    ledger = subject.ledger
    begun, waiting = (subject.planned() for _ in range(2))
    await subject.plan(begun, waiting)
    operation = await _asked(subject, _WAITING)
    stepped = await _step(subject, operation, [waiting, begun], begun=frozenset({begun.id}))
    partly = (await _step(subject, stepped.operation, [])).operation
    assert (partly.status, partly.done, partly.failed) == (OperationStatus.PARTLY_FAILED, 1, 1)
    (error,) = await ledger.operations.errors(subject.tenant, operation.id, -1, 10)
    assert (error.index, error.item_id, error.code) == (1, begun.id, "conflict")
    assert list(await ledger.operations.errors(TenantId(subject.tenant + 1), operation.id, -1, 10)) == []
    assert list(await ledger.operations.errors(subject.tenant, operation.id, 1, 10)) == []
    queued = await ledger.operations.retry_failed(subject.tenant, operation.id, subject.now)
    assert queued is not None
    assert (queued.status, queued.finished_at) == (OperationStatus.QUEUED, None)
    assert list(await ledger.steps.again(queued, 10)) == [begun.id]
    again = await _step(subject, queued, [begun])
    whole = (await _step(subject, again.operation, [])).operation
    assert (whole.status, whole.done, whole.failed) == (OperationStatus.SUCCEEDED, 2, 0)
    assert list(await ledger.operations.errors(subject.tenant, operation.id, -1, 10)) == []
    assert await subject.state(begun) == (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def a_broken_step_fails_and_touches_nothing(subject: LedgerSubject) -> None:
    """So that the operation goes on behind it."""
    (one,) = await _dead(subject, 1)
    operation = await _asked(subject)
    stepped = await _step(subject, operation, [one], broken=True)
    closed = (await _step(subject, stepped.operation, [])).operation
    assert (closed.status, closed.failed) == (OperationStatus.FAILED, 1)
    (error,) = await subject.ledger.operations.errors(subject.tenant, operation.id, -1, 10)
    assert error.code == "internal"
    assert (await subject.state(one))[0] is Status.DEAD_LETTERED


async def every_tenant_has_its_turn(subject: LedgerSubject) -> None:
    """The oldest unfinished one of each; what matches is counted in its own tenant."""
    await _dead(subject, 3)
    other = TenantId(subject.tenant + 1)
    first, _, theirs = await _asked(subject), await _asked(subject), await _asked(subject, tenant=other)
    steps = subject.ledger.steps
    assert list(await steps.waiting(TenantId(-1), 10)) == [first, theirs]
    assert list(await steps.waiting(subject.tenant, 10)) == [theirs]
    assert list(await steps.waiting(TenantId(-1), 1)) == [first]
    assert await steps.count(first, None) == (3, None)
    assert await steps.count(theirs, None) == (0, None)


async def _importing(subject: LedgerSubject, *, uploading: bool = False) -> Operation:
    """An import that was just asked for."""
    operation = Operation(
        id=OperationId(subject.event()),
        tenant=subject.tenant,
        kind=OperationKind.IMPORT_USERS,
        job=FileJob(format=UserFileFormat.CSV, columns={"E-Mail": "email"}),
        uploading=uploading,
        created_at=subject.now,
        updated_at=subject.now,
    )
    assert await subject.ledger.operations.add(operation, 10)
    subject.clock.advance(1)
    return operation


async def _refused(call: Awaitable[object]) -> None:
    try:
        await call
    except Conflict:
        return
    raise AssertionError("it must be refused")


async def a_file_comes_in_pieces_each_where_it_belongs(subject: LedgerSubject) -> None:
    """Nothing is done before it is complete; what comes twice, or from somebody else, is refused."""
    files, stranger = subject.ledger.files, TenantId(subject.tenant + 1)
    operation = await _importing(subject, uploading=True)
    first = await files.append(subject.tenant, operation.id, 0, b"sealed", 5, subject.now, complete=False)
    assert first is not None
    assert (first.uploading, first.file_bytes, first.job) == (True, 5, operation.job)
    assert first.file_until is not None
    assert await files.append(stranger, operation.id, 5, b"other", 5, subject.now, complete=True) is None
    await _refused(files.append(subject.tenant, operation.id, 0, b"sealed", 5, subject.now, complete=False))
    assert list(await subject.ledger.steps.waiting(TenantId(-1), 10)) == []
    whole = await files.append(subject.tenant, operation.id, 5, b"rest", 3, subject.now, complete=True)
    assert whole is not None
    assert (whole.uploading, whole.file_bytes, whole.file_until) == (False, 8, None)
    assert list(await subject.ledger.steps.waiting(TenantId(-1), 10)) == [whole]
    await _refused(files.append(subject.tenant, operation.id, 8, b"more", 3, subject.now, complete=True))
    assert await files.read(operation.id, 0) == (b"sealed", 5)
    assert await files.read(operation.id, 5) == (b"rest", 3)
    assert await files.read(operation.id, 8) is None


async def a_step_writes_users_and_counts_them_together(subject: LedgerSubject) -> None:
    """All of it or nothing: repeated, as after a crash, it does nothing; somebody who was changed meanwhile is told."""
    ledger, files = subject.ledger, subject.ledger.files
    operation = await _importing(subject)
    step = FileStep(
        at=subject.now,
        total=3,
        cursor=b"3",
        done=2,
        failed=1,
        users=(UserPut(id="dora", profile=Profile(locale="en"), revision=0), UserPut(id="emil", revision=0)),
        topics={"news": ("dora", "emil"), "eu": ("emil",)},
        errors=(OperationError(index=2, code="invalid_request", detail="no", line=b"sealed"),),
    )
    after = await files.advance(operation, step)
    assert after.taken
    assert (after.operation.done, after.operation.failed, after.operation.cursor) == (2, 1, b"3")
    users = await ledger.users.find(subject.tenant, ["dora", "emil"])
    assert users["dora"].profile.locale == "en"
    assert list(await ledger.topics.members(subject.tenant, "news", UserNo(0), 9)) == sorted(
        user.no for user in users.values()
    )
    assert list(await ledger.topics.members(subject.tenant, "eu", UserNo(0), 9)) == [users["emil"].no]
    again = await files.advance(operation, step)
    assert (again.taken, again.operation) == (False, after.operation)
    late = FileStep(at=subject.now, done=1, users=(UserPut(id="dora", profile=Profile(), revision=0),))
    await _refused(files.advance(after.operation, late))
    assert await ledger.operations.get(subject.tenant, operation.id) == after.operation
    assert (await ledger.users.find(subject.tenant, ["dora"]))["dora"].profile.locale == "en"


async def lines_that_failed_are_tried_again_and_forgotten(subject: LedgerSubject) -> None:
    """Those that are mended are no errors any more; the others go with their time, and an import takes its file with it."""
    ledger, files = subject.ledger, subject.ledger.files
    asked = await _importing(subject, uploading=True)
    operation = await files.append(subject.tenant, asked.id, 0, b"sealed", 5, subject.now, complete=True)
    assert operation is not None
    errors = tuple(
        OperationError(index=n, code="invalid_request", detail="no", line=b"line %d" % n) for n in (2, 3)
    )
    swept = await files.advance(operation, FileStep(at=subject.now, failed=2, errors=errors, swept=True))
    failed = FileStep(at=subject.now, close=OperationStatus.FAILED)
    closed = (await files.advance(swept.operation, failed)).operation
    assert (closed.status, closed.file_bytes, closed.finished_at) == (OperationStatus.FAILED, 0, subject.now)
    assert await files.read(operation.id, 0) is None
    queued = await ledger.operations.retry_failed(subject.tenant, operation.id, subject.now)
    assert queued is not None
    assert list(await files.again(queued, 10)) == list(errors)
    mended = await files.advance(queued, FileStep(at=subject.now, done=1, failed=-1, mended=(2,)))
    left = await files.advance(mended.operation, FileStep(at=subject.now, errors=errors[1:]))
    assert list(await files.again(left.operation, 10)) == []
    assert list(await ledger.operations.errors(subject.tenant, operation.id, -1, 10)) == [errors[1]]
    partly = FileStep(at=subject.now, close=OperationStatus.PARTLY_FAILED)
    over = (await files.advance(left.operation, partly)).operation
    assert over.file_until is not None
    assert await files.expire(Instant(over.file_until - 1), 10) == 0
    assert await files.expire(over.file_until, 10) == 1
    (error,) = await ledger.operations.errors(subject.tenant, operation.id, -1, 10)
    assert (error.index, error.line) == (3, b"")
    assert await files.expire(over.file_until, 10) == 0


async def what_is_written_stays_for_a_while(subject: LedgerSubject) -> None:
    """An export keeps its file behind its end; an upload that nobody goes on with ends, and its file goes."""
    files = subject.ledger.files
    export = replace(
        await _importing(subject), id=OperationId(subject.event()), kind=OperationKind.EXPORT_USERS
    )
    assert await subject.ledger.operations.add(export, 10)
    for number in (1, 2):
        step = FileStep(at=subject.now, done=1, piece=b"piece %d" % number, size=10, swept=number == 2)
        export = (await files.advance(export, step)).operation
    export = (
        await files.advance(export, FileStep(at=subject.now, close=OperationStatus.SUCCEEDED))
    ).operation
    assert (export.file_bytes, export.total) == (20, 2)
    assert [await files.read(export.id, start) for start in (0, 10, 20)] == [
        (b"piece 1", 10),
        (b"piece 2", 10),
        None,
    ]
    upload = await _importing(subject, uploading=True)
    begun = await files.append(subject.tenant, upload.id, 0, b"sealed", 5, subject.now, complete=False)
    assert begun is not None
    assert export.file_until is not None
    assert begun.file_until is not None
    assert await files.expire(max(export.file_until, begun.file_until), 10) == 2
    assert await files.read(export.id, 0) is None
    ended = await subject.ledger.operations.get(subject.tenant, upload.id)
    assert ended is not None
    assert (ended.status, ended.file_bytes, ended.uploading) == (OperationStatus.CANCELED, 0, False)


OPERATIONS_CONTRACT = (
    an_operation_is_found_by_its_tenant_only,
    operations_come_newest_first,
    an_operation_on_runs_counts_what_was_done_before,
    a_step_counts_what_it_does,
    a_canceled_operation_does_nothing_more,
    what_failed_is_kept_and_can_be_tried_again,
    a_broken_step_fails_and_touches_nothing,
    every_tenant_has_its_turn,
    a_file_comes_in_pieces_each_where_it_belongs,
    a_step_writes_users_and_counts_them_together,
    lines_that_failed_are_tried_again_and_forgotten,
    what_is_written_stays_for_a_while,
)

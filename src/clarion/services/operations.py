"""Runs bulk operations in slices. Tenants take turns, and a crash loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.ledger import Ledger
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Lane
from clarion.model.ids import Instant, MessageId, RunId, TenantId, id_text, new_event_id
from clarion.model.message import MessageFilter
from clarion.model.operation import (
    UPLOADED_WITHIN_MS,
    FileJob,
    FileStep,
    Operation,
    OperationError,
    OperationId,
    OperationKind,
    OperationProgress,
    OperationStatus,
    OperationStep,
    RunSelection,
    ended,
)
from clarion.model.run import RunStatus
from clarion.model.status import ACTIVE, FAILED_FOR_GOOD, SUCCEEDED, Status
from clarion.model.submission import Acceptance, Submission
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.rules import ladder
from clarion.rules.endpoints import TENANT_USER
from clarion.rules.exact import closed, stepped
from clarion.services.retries import Retries
from clarion.services.runs import RunService

log = structlog.get_logger(__name__)

FINISHED = "clarion.operation.finished"
SOURCE = "clarion"
SLICE = 500
"""Messages changed in one transaction, so that a wide operation holds up no other writer."""
EXPIRED_AT_ONCE = 20
"""Files that are deleted in one transaction."""
TENANTS = 100
"""Whose operations are looked up at a time."""
MOST = 20
"""Unfinished operations of one tenant."""
MOST_STOPPED = 100_000
"""While so many canceled messages have to be remembered, nothing more is canceled."""
REST_S = 1.0

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]

CAN = {
    OperationKind.RETRY_MESSAGES: FAILED_FOR_GOOD,
    OperationKind.CANCEL_MESSAGES: frozenset({Status.QUEUED, Status.DEFERRED}),
    OperationKind.WITHDRAW_MESSAGES: ACTIVE | SUCCEEDED,
}
"""In which statuses messages can be done; others are left as they are."""
CAN_RUNS = {
    OperationKind.RETRY_RUNS: frozenset({RunStatus.FAILED}),
    OperationKind.CANCEL_RUNS: frozenset({RunStatus.WAITING}),
    OperationKind.MIGRATE_RUNS: frozenset({RunStatus.WAITING}),
}
"""The same of runs."""
TOLD = 100
"""Runs that a dry run names."""
COUNTED = 2_000
"""Runs counted at a time."""


class FileWork(Protocol):
    """What operations with a file of one kind do."""

    async def step(self, operation: Operation) -> Operation | None:
        """The next part: how the operation is behind it. None: it could not go on."""

    def forget(self, operation_id: OperationId) -> None:
        """It has ended."""


class OperationRunner:
    """Runs the operations of all tenants. There is one per process."""

    def __init__(
        self,
        ledger: Ledger,
        retries: Retries,
        run_service: RunService,
        guard: CancellationGuard,
        priority: PriorityGate,
        submit: Submit,
        file_work: Mapping[OperationKind, FileWork],
        clock: Clock,
        random: Random,
    ) -> None:
        self._operations = ledger.operations
        self._files = ledger.files
        self._file_work = file_work
        self._steps = ledger.steps
        self._records = ledger.records
        self._receipts = ledger.receipts
        self._retries = retries
        self._runs = ledger.runs
        self._run_service = run_service
        self._guard = guard
        self._priority = priority
        self._submit = submit
        self._clock = clock
        self._random = random
        self._counts: dict[OperationId, tuple[int, bytes | None]] = {}
        """How far counting is; a crash begins it again."""
        self._asked = asyncio.Event()
        self.done = 0
        """Messages and runs that operations changed."""
        self.failed = 0

    async def start(
        self, tenant: TenantId, kind: OperationKind, where: MessageFilter, *, planned: bool = False
    ) -> Operation:
        """Queue work on all messages there are now that match. `planned`: retried with the versions they have.

        Raises Busy when the tenant has too many unfinished ones.
        """
        where = replace(where, statuses=where.statuses or CAN[kind], before=self._until(where.before))
        operation = replace(
            self._new(tenant, kind), where=where, template_version="planned" if planned else "live"
        )
        return await self._queued(operation)

    async def start_runs(self, tenant: TenantId, kind: OperationKind, runs: RunSelection) -> Operation:
        """Queue work on all runs there are now that match. Raises Busy as `start` does."""
        where = replace(runs.where, statuses=CAN_RUNS[kind], before=self._until(runs.where.before))
        return await self._queued(replace(self._new(tenant, kind), runs=replace(runs, where=where)))

    async def start_with_file(
        self, tenant: TenantId, kind: OperationKind, job: FileJob, *, uploading: bool
    ) -> Operation:
        """Queue work with a file. `uploading`: nothing is done before that is complete. Raises Busy as `start` does."""
        operation = replace(self._new(tenant, kind), job=job)
        if uploading:
            until = Instant(operation.created_at + UPLOADED_WITHIN_MS)
            operation = replace(operation, uploading=True, file_until=until)
        return await self._queued(operation)

    def wake(self) -> None:
        """Something can be done now."""
        self._asked.set()

    def _until(self, before: Instant | None) -> Instant:
        """Nothing that begins later."""
        until = Instant(self._clock.now() + 1)
        return until if before is None else min(before, until)

    def _new(self, tenant: TenantId, kind: OperationKind) -> Operation:
        now = self._clock.now()
        id_ = OperationId(new_event_id(now, self._random.bytes(10)))
        return Operation(id=id_, tenant=tenant, kind=kind, created_at=now, updated_at=now)

    async def _queued(self, operation: Operation) -> Operation:
        if not await self._operations.add(operation, MOST):
            raise Busy(
                f"{MOST} operations are not finished yet: wait for one, or cancel it.", retry_after_s=10
            )
        if terms.dry_running():
            return operation if operation.job else replace(operation, total=await self._counted(operation))
        self._asked.set()
        return operation

    async def cancel(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        """Stop an operation; finished items stay. Returns its state, or None when it does not exist."""
        found = await self._operations.cancel(tenant, operation_id, self._clock.now())
        self._counts.pop(operation_id, None)
        self._asked.set()
        return found

    async def retry_failed(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        """Retry the failed items. Returns the state of the operation, or None when it does not exist."""
        found = await self._operations.retry_failed(tenant, operation_id, self._clock.now())
        self._asked.set()
        return found

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._asked.clear()
            try:
                await self._files.expire(self._clock.now(), EXPIRED_AT_ONCE)
                any_left, any_done = await self.round()
            except (Busy, Unavailable):
                log.warning("operations_wait")
                any_left, any_done = True, False
            if not any_left:
                with contextlib.suppress(TimeoutError):  # another process may have been asked
                    async with self._clock.timeout(REST_S):
                        await self._asked.wait()
            elif not any_done:
                await self._clock.sleep(REST_S)

    async def round(self) -> tuple[bool, bool]:
        """One slice for every tenant that has an operation; whether there was one, and whether any went on."""
        any_left = any_done = False
        after = TenantId(-1)
        while waiting := await self._steps.waiting(after, TENANTS):
            any_left = True
            for operation in waiting:
                any_done |= await self._turn(operation)
                await self._priority.turn(Lane.BULK)
            after = waiting[-1].tenant
        return any_left, any_done

    async def _turn(self, operation: Operation) -> bool:
        """Whether it went on. One that cannot must not keep the others from it."""
        try:
            return await self._step(operation)
        except (Busy, Unavailable):
            raise
        except Exception as fault:
            log.exception("operation_waits", operation=id_text(operation.id), error=type(fault).__name__)
            return False

    async def _step(self, operation: Operation) -> bool:
        if operation.job is not None:
            return await self._step_with_file(operation)
        if operation.status.is_finished:
            return await self._close(operation, operation.status)
        if operation.total is None:
            counted, counted_to = self._counts.get(operation.id, (0, None))
            more, counted_to = await self._count(operation, counted_to)
            self._counts[operation.id] = counted + more, counted_to
            if counted_to is not None:
                return True
        if operation.swept:
            following = None
            ids = await self._steps.again(operation, SLICE)
            if not ids:
                return await self._close(operation, ended(operation.done, operation.failed))
        else:
            ids, following = await self._page(operation)
        total, _ = self._counts.get(operation.id, (None, None))
        step = OperationStep(ids=ids, following=following, at=self._clock.now(), total=total)
        after = await self._done(operation, step)
        if after is None:
            return False
        self.done += after.operation.done - operation.done
        self.failed += max(0, after.operation.failed - operation.failed)
        if operation.total is None:
            self._counts.pop(operation.id, None)
        return True

    async def _step_with_file(self, operation: Operation) -> bool:
        work = self._file_work[operation.kind]
        swept = operation.swept and not await self._files.again(operation, 1)
        if swept or operation.status.is_finished:
            status = operation.status
            if not status.is_finished:
                status = ended(operation.done, operation.failed)
            await self._tell(operation, status)
            await self._files.advance(operation, FileStep(at=self._clock.now(), close=status))
            work.forget(operation.id)
            return True
        after = await work.step(operation)
        if after is None:
            return False
        self.done += after.done - operation.done
        self.failed += max(0, after.failed - operation.failed)
        return True

    async def _close(self, operation: Operation, status: OperationStatus) -> bool:
        """Told before it is noted, under a key that makes a repetition harmless: a crash in between loses nothing."""
        await self._tell(operation, status)
        await self._steps.advance(operation, OperationStep(ids=(), at=self._clock.now()))
        return True

    async def _tell(self, operation: Operation, status: OperationStatus) -> None:
        data = {
            "operation_id": id_text(operation.id),
            "kind": operation.kind.value,
            "status": status.value,
            "done": operation.done,
            "failed": operation.failed,
        }
        event = Submission(
            source=SOURCE,
            type=FINISHED,
            subject=TENANT_USER,
            event_key=f"{id_text(operation.id)}/{operation.updated_at}",
            data=msgspec.Raw(msgspec.json.encode(data)),
        )
        (answer,) = await self._submit(operation.tenant, [event])
        if isinstance(answer, ClarionError):
            log.warning("operation_event_refused", tenant=operation.tenant, error=answer.code)
        log.info("operation_finished", operation=id_text(operation.id), status=status.value)

    async def rehearsed(self, operation: Operation) -> tuple[Operation, Sequence[OperationError]]:
        """What a dry run of work on runs says: the operation once it would have gone through everything, and the first
        runs that it would leave as they are."""
        told: list[OperationError] = []
        while True:
            ids, following = await self._page(operation)
            left = await self._run_service.apply(operation, [RunId(one) for one in ids])
            seen = operation.done + operation.failed
            told += [
                OperationError(index=seen + place, item_id=one, code="conflict", detail=left[RunId(one)])
                for place, one in enumerate(ids)
                if one in left
            ]
            step = OperationStep(ids=ids, following=following, at=operation.created_at)
            operation = stepped(operation, step, done=len(ids) - len(left), failed=len(left))
            if following is None:
                return closed(operation, operation.created_at), told[:TOLD]

    async def _page(self, operation: Operation) -> tuple[Sequence[bytes], bytes | None]:
        """What it is about, from where it stands, and where what comes behind begins."""
        tenant, cursor = operation.tenant, operation.cursor
        if operation.runs is not None:
            before = None if cursor is None else RunId(cursor)
            runs, after = await self._runs.page(tenant, operation.runs.where, before, SLICE)
            return [run.id for run in runs], after
        start = None if cursor is None else MessageId(cursor)
        messages, end = await self._records.page(tenant, operation.where, start, SLICE)
        return [message.id for message in messages], end

    async def _count(self, operation: Operation, before: bytes | None) -> tuple[int, bytes | None]:
        """How many match, and where to go on counting; None: that was all."""
        if operation.runs is None:
            return await self._steps.count(operation, None if before is None else MessageId(before))
        start = None if before is None else RunId(before)
        found, following = await self._runs.page(operation.tenant, operation.runs.where, start, COUNTED)
        return len(found), following

    async def _done(self, operation: Operation, step: OperationStep) -> OperationProgress | None:
        """What came of the step; when it breaks, all of it failed and the operation goes on. None: not now."""
        try:
            if operation.runs is not None:
                left = await self._run_service.apply(operation, [RunId(one) for one in step.ids])
                return await self._steps.advance(operation, replace(step, left=left))
            if operation.kind is OperationKind.RETRY_MESSAGES:
                return await self._retry(operation, step)
            return await self._cancel(operation, step)
        except Unavailable:
            raise
        except Exception as fault:
            log.exception(
                "operation_step_failed", operation=id_text(operation.id), error=type(fault).__name__
            )
            return await self._steps.advance(operation, replace(step, broken=True))

    async def _retry(self, operation: Operation, step: OperationStep) -> OperationProgress:
        versions = await self._retries.versions(operation.tenant, None, operation.template_version)
        return await self._steps.advance(operation, replace(step, versions=versions))

    async def _cancel(self, operation: Operation, step: OperationStep) -> OperationProgress | None:
        """Stops calls first and changes the ledger then: what it says is canceled was not sent."""
        if self._guard.remembered() > MOST_STOPPED:
            return None
        messages = (await self._receipts.messages(step.messages)).values()
        stopping = {message.id for message in messages}
        stopping.update(ladder.behind(messages))
        begun = self._guard.stop(stopping)
        try:
            after = await self._steps.advance(operation, replace(step, begun=begun))
        except BaseException:
            self._guard.undo(stopping)
            raise
        self._guard.undo(stopping - after.moved)
        return after

    async def _counted(self, operation: Operation) -> int:
        """How many match, for whom only asks."""
        total, following = await self._count(operation, None)
        while following is not None:
            more, following = await self._count(operation, following)
            total += more
        return total

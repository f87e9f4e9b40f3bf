"""Runs bulk operations in slices. Tenants take turns, and a crash loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.ledger import Ledger
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Lane
from clarion.model.ids import Instant, MessageId, TenantId, id_text, new_event_id
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import (
    Operation,
    OperationId,
    OperationKind,
    OperationProgress,
    OperationStatus,
    OperationStep,
    ended,
)
from clarion.model.status import FAILED_FOR_GOOD, Status
from clarion.model.submission import Acceptance, Submission
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.rules import ladder
from clarion.rules.endpoints import TENANT_USER
from clarion.services.retries import Retries

log = structlog.get_logger(__name__)

FINISHED = "clarion.operation.finished"
SOURCE = "clarion"
SLICE = 500
"""Messages changed in one transaction, so that a wide operation holds up no other writer."""
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
}
"""In which statuses messages can be done; others are left as they are."""


class OperationRunner:
    """Runs the operations of all tenants. There is one per process."""

    def __init__(
        self,
        ledger: Ledger,
        retries: Retries,
        guard: CancellationGuard,
        priority: PriorityGate,
        submit: Submit,
        clock: Clock,
        random: Random,
    ) -> None:
        self._operations = ledger.operations
        self._steps = ledger.steps
        self._records = ledger.records
        self._retries = retries
        self._guard = guard
        self._priority = priority
        self._submit = submit
        self._clock = clock
        self._random = random
        self._counts: dict[OperationId, tuple[int, MessageId | None]] = {}
        """How far counting is; a crash begins it again."""
        self._asked = asyncio.Event()
        self.done = 0
        """Messages that operations changed."""
        self.failed = 0

    async def start(
        self, tenant: TenantId, kind: OperationKind, where: MessageFilter, *, planned: bool = False
    ) -> Operation:
        """Queue work on all messages there are now that match. `planned`: retried with the versions they have.

        Raises Busy when the tenant has too many unfinished ones.
        """
        now = self._clock.now()
        until = Instant(now + 1)
        operation = Operation(
            id=OperationId(new_event_id(now, self._random.bytes(10))),
            tenant=tenant,
            kind=kind,
            where=replace(
                where,
                statuses=where.statuses or CAN[kind],
                before=until if where.before is None else min(where.before, until),
            ),
            template_version="planned" if planned else "live",
            created_at=now,
            updated_at=now,
        )
        if not await self._operations.add(operation, MOST):
            raise Busy(
                f"{MOST} operations are not finished yet: wait for one, or cancel it.", retry_after_s=10
            )
        if terms.dry_running():
            return replace(operation, total=await self._counted(operation))
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
        if operation.status.is_finished:
            return await self._close(operation, operation.status)
        if operation.total is None:
            counted, following = self._counts.get(operation.id, (0, None))
            more, following = await self._steps.count(operation, following)
            self._counts[operation.id] = counted + more, following
            if following is not None:
                return True
        if operation.swept:
            ids, following = await self._steps.again(operation, SLICE), None
            if not ids:
                return await self._close(operation, ended(operation.done, operation.failed))
            named = [await self._records.get(operation.tenant, one) for one in ids]
            found: Sequence[Message] = [message for message in named if message is not None]
        else:
            found, following = await self._records.page(
                operation.tenant, operation.where, operation.cursor, SLICE
            )
            ids = [message.id for message in found]
        total, _ = self._counts.get(operation.id, (None, None))
        step = OperationStep(ids=ids, following=following, at=self._clock.now(), total=total)
        stepped = await self._done(operation, step, found)
        if stepped is None:
            return False
        self.done += stepped.operation.done - operation.done
        self.failed += max(0, stepped.operation.failed - operation.failed)
        if operation.total is None:
            self._counts.pop(operation.id, None)
        return True

    async def _close(self, operation: Operation, status: OperationStatus) -> bool:
        """Told before it is noted, under a key that makes a repetition harmless: a crash in between loses nothing."""
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
        await self._steps.advance(operation, OperationStep(ids=(), at=self._clock.now()))
        log.info("operation_finished", operation=id_text(operation.id), status=status.value)
        return True

    async def _done(
        self, operation: Operation, step: OperationStep, messages: Sequence[Message]
    ) -> OperationProgress | None:
        """What came of the step; when it breaks, all of it failed and the operation goes on. None: not now."""
        try:
            if operation.kind is OperationKind.RETRY_MESSAGES:
                return await self._retry(operation, step)
            return await self._cancel(operation, step, messages)
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

    async def _cancel(
        self, operation: Operation, step: OperationStep, messages: Sequence[Message]
    ) -> OperationProgress | None:
        """Stops calls first and changes the ledger then: what it says is canceled was not sent."""
        if self._guard.remembered() > MOST_STOPPED:
            return None
        stopping = {message.id for message in messages}
        stopping.update(ladder.behind(messages))
        begun = self._guard.stop(stopping)
        try:
            stepped = await self._steps.advance(operation, replace(step, begun=begun))
        except BaseException:
            self._guard.undo(stopping)
            raise
        self._guard.undo(stopping - stepped.moved)
        return stepped

    async def _counted(self, operation: Operation) -> int:
        """How many match, for whom only asks."""
        total, following = await self._steps.count(operation, None)
        while following is not None:
            more, following = await self._steps.count(operation, following)
            total += more
        return total

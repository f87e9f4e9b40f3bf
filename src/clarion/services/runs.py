"""What people do to runs: cancel, retry, advance and acknowledge them, and move them to another version of their workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from msgspec import DecodeError
from msgspec.structs import replace

from clarion.errors import Conflict, SealBroken
from clarion.flow.ledger import Ledger
from clarion.flow.run_states import advanced, opened_state, sealed_state
from clarion.model.ids import RunId, TenantId, WorkerId
from clarion.model.message import MessageFilter
from clarion.model.operation import Operation, OperationKind
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.status import Reason, Status
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.keys import cancellation_key
from clarion.rules.programs import compiled
from clarion.rules.run_moves import moved
from clarion.services.cancellations import Cancellations

log = structlog.get_logger(__name__)

SLICE = 500
"""Runs canceled in one transaction, so that no other writer waits for long."""
PAGE = 200


class StoppedRuns(NamedTuple):
    """What a cancellation stopped."""

    runs: int
    messages: int


class RunService:
    """Changes runs. A run is stopped before its messages, so that none comes behind."""

    def __init__(self, ledger: Ledger, cancellations: Cancellations, vault: Vault, clock: Clock) -> None:
        self._runs = ledger.runs
        self._digests = ledger.digests
        self._users = ledger.users
        self._workflows = ledger.setup.workflows
        self._records = ledger.records
        self._cancellations = cancellations
        self._vault = vault
        self._clock = clock

    async def cancel_keyed(self, tenant: TenantId, workflow: str, value: Any) -> StoppedRuns:
        """Cancel the runs of a workflow that wait and whose cancellation key has this value."""
        key = cancellation_key(tenant, workflow, value, self._vault.hash)
        items = await self._withdrawn(tenant, workflow, key)
        where = RunFilter(workflow=workflow, cancellation_key=key)
        runs = messages = 0
        while True:
            stopped = await self._runs.cancel(tenant, where, self._clock.now(), SLICE)
            runs += len(stopped)
            for run in stopped:
                messages += await self._messages(run)
            if len(stopped) < SLICE or terms.dry_running():
                return StoppedRuns(runs + items, messages)

    async def _withdrawn(self, tenant: TenantId, workflow: str, key: bytes) -> int:
        """Runs that have come to a digest which is still open."""
        items = 0
        while True:
            found = await self._digests.withdraw(tenant, workflow, key, self._clock.now(), SLICE)
            items += found
            if found < SLICE or terms.dry_running():
                return items

    async def cancel(self, run: RunRow) -> RunRow | None:
        """Cancel one run; as it is then. None: it waits no more."""
        where = RunFilter(user=run.user, event_id=run.event_id, workflow=run.workflow)
        for stopped in await self._runs.cancel(run.tenant, where, self._clock.now(), 1):
            await self._messages(stopped)
            return stopped
        return None

    async def advance(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        """Let a run that waits go on now; as it is then. None: there is no such run. Raises Conflict for one that does not wait
        for a time."""
        while True:
            row = await self._runs.get(tenant, run_id)
            if row is None:
                return None
            if row.status is not RunStatus.WAITING:
                raise Conflict(f"The run is {row.status}: only one that waits can be advanced.")
            user = (await self._users.get([row.user])).get(row.user)
            if user is None:
                return row  # It ends when it would go on.
            now = self._clock.now()
            changed = advanced(row, user, self._vault, now)
            if await self._digests.get(tenant, [row.event_id]):
                await self._digests.close(WorkerId(0), [row], {row.event_id: now}, now)
            if (stored := await self._runs.change(changed)) is not None:
                return stored

    async def retry(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        """Let a run that failed go on from where it did; as it is then. What it did before is not done again. None: there is
        no such run. Raises Conflict for one that has not failed."""
        while True:
            row = await self._runs.get(tenant, run_id)
            if row is None:
                return None
            if row.status is not RunStatus.FAILED:
                raise Conflict(f"The run is {row.status}: only one that failed can be retried.")
            if row.sealed is None:
                raise Conflict("It is not known any more where the run failed: send its event again.")
            now = self._clock.now()
            waits = replace(row, status=RunStatus.WAITING, reason=None, due_at=now, updated_at=now)
            if (stored := await self._runs.change(waits)) is not None:
                return stored

    async def migrate(self, tenant: TenantId, run_id: RunId, to_version: int) -> RunRow | None:
        """Let a run that waits go on with another version of its workflow; as it is then. None: there is no such run. Raises
        Conflict, which says why it stays as it is."""
        while True:
            row = await self._runs.get(tenant, run_id)
            if row is None or row.version == to_version:
                return row
            changed = await self.migrated(row, to_version)
            if (stored := await self._runs.change(changed)) is not None:
                return stored

    async def migrated(self, row: RunRow, to_version: int) -> RunRow:
        """As the run is with another version of its workflow. Raises Conflict, which says why it cannot go on with it."""
        if row.status is not RunStatus.WAITING:
            raise Conflict(f"The run is {row.status}: only one that waits can go on with another version.")
        version = self._workflows.version
        before = await version(row.tenant, row.workflow, row.version)
        after = await version(row.tenant, row.workflow, to_version)
        user = (await self._users.get([row.user])).get(row.user)
        if before is None or after is None or user is None:
            raise Conflict("Its user or a version of its workflow is gone: it ends when it would go on.")
        try:
            state = moved(opened_state(row, user, self._vault), compiled(before), compiled(after))
        except (SealBroken, DecodeError):
            raise Conflict("It cannot be read where it waits.") from None
        now, sealed = self._clock.now(), sealed_state(state, user, self._vault)
        return replace(row, version=to_version, due_at=now, updated_at=now, sealed=sealed)

    async def apply(self, operation: Operation, ids: Sequence[RunId]) -> Mapping[RunId, str]:
        """Do to runs what an operation is about; which are left as they are, and why. Repeating it is harmless."""
        tenant, kind = operation.tenant, operation.kind
        assert operation.runs is not None
        if kind is OperationKind.CANCEL_RUNS:
            return await self._canceled(tenant, ids, operation.runs.where.workflow)
        if kind is OperationKind.RETRY_RUNS:
            tried = [self._left(self._retried(tenant, one)) for one in ids]
        else:
            tried = [self._left(self.migrate(tenant, one, operation.runs.to_version or 0)) for one in ids]
        left = await asyncio.gather(*tried)
        return {one: why for one, why in zip(ids, left, strict=True) if why is not None}

    async def _retried(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        """As `retry`, but for one that was retried before: it stays as it is."""
        row = await self._runs.get(tenant, run_id)
        return await self.retry(tenant, run_id) if row is None or row.status is RunStatus.FAILED else row

    async def _left(self, change: Awaitable[RunRow | None]) -> str | None:
        """Why a run is left as it is; None: it is not."""
        try:
            return "The run does not exist any more." if await change is None else None
        except Conflict as refused:
            return refused.detail

    async def _canceled(
        self, tenant: TenantId, ids: Sequence[RunId], workflow: str | None
    ) -> Mapping[RunId, str]:
        gone = workflow is not None and workflow not in self._workflows.all(tenant)
        reason = Reason.WORKFLOW_DELETED if gone else Reason.CANCELED_BY_CALLER
        where = RunFilter(ids=frozenset(ids))
        await self._runs.cancel(tenant, where, self._clock.now(), len(ids), reason)
        left = {}
        for one in ids:
            row = await self._runs.get(tenant, one)
            if row is not None and row.status is RunStatus.CANCELED:
                await self._messages(row)
            else:
                left[one] = "The run does not exist any more." if row is None else f"The run is {row.status}."
        return left

    async def _messages(self, run: RunRow) -> int:
        """Cancel what it planned and is not being sent yet."""
        where = MessageFilter(
            user=run.user,
            event_id=run.event_id,
            workflows=frozenset({run.workflow}),
            statuses=frozenset({Status.QUEUED, Status.DEFERRED}),
        )
        canceled, before = 0, None
        while True:
            found, before = await self._records.page(run.tenant, where, before, PAGE)
            for message in found:
                canceled += await self._cancellations.message(message) is Status.CANCELED
            if before is None:
                return canceled

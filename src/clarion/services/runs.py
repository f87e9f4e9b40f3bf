"""Cancels runs that wait, with their messages that are not being sent yet."""

from __future__ import annotations

from typing import Any, NamedTuple

from clarion.flow.ledger import Ledger
from clarion.model.ids import TenantId
from clarion.model.message import MessageFilter
from clarion.model.run import RunFilter, RunRow
from clarion.model.status import Status
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.keys import cancellation_key
from clarion.services.cancellations import Cancellations

SLICE = 500
"""Runs canceled in one transaction, so that no other writer waits for long."""
PAGE = 200


class StoppedRuns(NamedTuple):
    """What a cancellation stopped."""

    runs: int
    messages: int


class RunService:
    """Cancels runs. A run is stopped before its messages, so that none comes behind."""

    def __init__(self, ledger: Ledger, cancellations: Cancellations, vault: Vault, clock: Clock) -> None:
        self._runs = ledger.runs
        self._digests = ledger.digests
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

"""Cancels runs that wait, with their messages that are not being sent yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from clarion.errors import Conflict
from clarion.flow.ledger import Ledger
from clarion.flow.run_states import acknowledged
from clarion.model.ids import RunId, TenantId, run_id
from clarion.model.message import MessageFilter
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.setup import StepType, Workflow, every
from clarion.model.status import Status
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.keys import cancellation_key
from clarion.rules.steps.repeat import ACKNOWLEDGED
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

    def __init__(
        self,
        ledger: Ledger,
        cancellations: Cancellations,
        receive: Callable[[Sequence[Receipt]], Awaitable[Sequence[bool]]],
        vault: Vault,
        clock: Clock,
    ) -> None:
        """`receive` is the receipt tracker's."""
        self._receive = receive
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

    async def acknowledge(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        """Somebody has seen what a run is about: as it is then, when no step that repeats until then begins another round, and
        what such a step planned and is not being sent yet is canceled. None: there is no such run. Repeating it is
        harmless; a run that is over stays as it is."""
        while True:
            row = await self._runs.get(tenant, run_id)
            if row is None or row.status is not RunStatus.WAITING:
                return row
            user = (await self._users.get([row.user])).get(row.user)
            workflow = await self._workflows.version(tenant, row.workflow, row.version)
            if user is None or workflow is None:
                return row  # It ends when it would go on.
            steps = _repeated(workflow)
            if not steps:
                raise Conflict(
                    f"The workflow {row.workflow!r} has no step that repeats until it is acknowledged."
                )
            changed = acknowledged(row, user, self._vault, self._clock.now())
            stored = row if changed is row else await self._runs.change(changed)
            if stored is None:
                continue  # It has gone on meanwhile.
            if not terms.dry_running():
                await self._messages(stored, steps)
            return stored

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Stores receipts; what people acknowledged through the channel of a message, its run is before that."""
        for receipt in receipts:
            if receipt.kind is not ReceiptKind.ACKNOWLEDGED:
                continue
            message = await self._records.get(receipt.tenant, receipt.message_id)
            if message is not None:
                run = run_id(message.event_id, message.workflow, message.user)
                with suppress(Conflict):
                    await self.acknowledge(receipt.tenant, run)
        return await self._receive(receipts)

    async def _messages(self, run: RunRow, steps: frozenset[str] | None = None) -> int:
        """Cancel what it planned, or what these of its steps did, and is not being sent yet."""
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
                if steps is None or message.step in steps:
                    canceled += await self._cancellations.message(message) is Status.CANCELED
            if before is None:
                return canceled


def _repeated(workflow: Workflow) -> frozenset[str]:
    """The steps that are repeated until somebody acknowledges."""
    return frozenset(
        inner.key
        for step in every(workflow.steps)
        if step.type is StepType.REPEAT and step.until == ACKNOWLEDGED
        for inner in every(step.steps)
    )

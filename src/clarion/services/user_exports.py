"""Users into a file, piece by piece: as many as there are, with the memory of one piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from clarion.flow.ledger import Ledger
from clarion.model.audience import Condition
from clarion.model.ids import TenantId, UserNo
from clarion.model.operation import FileJob, FileStep, Operation, OperationError, OperationId, position_of
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.audience import condition
from clarion.rules.expressions import ExpressionError
from clarion.services.segments import SegmentService

PIECE = 1_000
"""Users of one piece."""

Written = Callable[[Sequence[User], Tenant, FileJob, bool], bytes]
"""Users as a file has them; true: it begins with them."""


class UserExports:
    """Does the steps of exports: newest first, everybody once who was there when it began."""

    def __init__(
        self, ledger: Ledger, segments: SegmentService, write: Written, vault: Vault, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._segments = segments
        self._write = write
        self._vault = vault
        self._clock = clock

    async def step(self, operation: Operation) -> Operation | None:
        """The next part of an export. None: it could not go on."""
        now = self._clock.now()
        job = operation.job
        assert job is not None, "an export has one"
        tenant = self._ledger.setup.tenants.all()[operation.tenant]
        try:
            where = condition(job.where, tenant) if job.where else None
        except ExpressionError as wrong:  # the tenant closed an attribute that it asks for
            error = OperationError(index=0, code="invalid_request", detail=str(wrong))
            return await self._advance(operation, FileStep(at=now, failed=1, errors=(error,), swept=True))
        if operation.total is None and where is not None:
            total = await self._segments.count(tenant.id, where)
            return await self._advance(operation, FileStep(at=now, total=total))
        before = UserNo(operation.position) if operation.position else None
        users = await self._page(tenant.id, where, before)
        last = len(users) < PIECE
        shown = [user for user in users if not user.unreadable]
        content = self._write(shown, tenant, job, not operation.file_bytes)
        sealed = self._vault.seal(self._vault.tenant_key(tenant.id), content) if content else b""
        step = FileStep(
            at=now,
            done=len(shown),
            cursor=position_of(users[-1].no) if users else None,
            piece=sealed,
            size=len(content),
            swept=last,
        )
        return await self._advance(operation, step)

    def forget(self, operation_id: OperationId) -> None:
        """Nothing was kept of it."""

    async def content(self, operation: Operation) -> AsyncIterator[bytes]:
        """The file."""
        start, key = 0, self._vault.tenant_key(operation.tenant)
        while (found := await self._ledger.files.read(operation.id, start)) is not None:
            sealed, size = found
            yield self._vault.open(key, sealed)
            start += size

    async def _page(self, tenant: TenantId, where: Condition | None, before: UserNo | None) -> Sequence[User]:
        if where is not None:
            return await self._segments.search(tenant, where, before, PIECE)
        return await self._ledger.users.page(tenant, before, PIECE)

    async def _advance(self, operation: Operation, step: FileStep) -> Operation | None:
        progress = await self._ledger.files.advance(operation, step)
        return progress.operation if progress.taken else None

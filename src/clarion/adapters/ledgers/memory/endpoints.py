"""Webhook endpoints and the log of their calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.suppressions import allow, suppress
from clarion.adapters.ledgers.memory.tables import EndpointRow, Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import store
from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.endpoint import Delivery, DeliveryFilter, Endpoint, EndpointState
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.suppression import Suppression
from clarion.ports import terms
from clarion.ports.clock import Clock


class MemoryEndpoints:
    """Implements `ports.ledger.Endpoints`."""

    def __init__(self, tables: Tables, transactions: Transactions, clock: Clock) -> None:
        self._tables = tables
        self._transactions = transactions
        self._clock = clock

    async def put(
        self, tenant: TenantId, user: UserNo, endpoint: Endpoint, before: Endpoint | None
    ) -> Endpoint:
        dry = terms.dry_running()

        def put() -> None:
            owner = self._tables.users.get(user)
            if owner is None and dry:
                return  # The dry run made the owner as well, and that is undone already.
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the endpoint was deleted meanwhile")
            if owner.profile.endpoint(endpoint.id) != before:
                raise Conflict("the endpoint was changed meanwhile: read it again and repeat the change")
            self._tables.endpoints.setdefault((tenant, endpoint.id), EndpointRow(user=user))
            self._replace(user, endpoint.id, (endpoint,))

        await self._transactions.write(put)
        return endpoint

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> bool:
        def delete() -> bool:
            row = self._tables.endpoints.pop((tenant, endpoint_id), None)
            if row is not None:
                allow(self._tables, tenant, Channel.WEBHOOK, endpoint_id)
                self._replace(row.user, endpoint_id, ())
            return row is not None

        return await self._transactions.write(delete)

    async def find(self, tenant: TenantId, endpoint_id: bytes) -> EndpointState | None:
        row = self._tables.endpoints.get((tenant, endpoint_id))
        return None if row is None else self._state(tenant, endpoint_id, row)

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: bytes | None, limit: int
    ) -> Sequence[EndpointState]:
        found = [
            self._state(of, endpoint_id, row)
            for (of, endpoint_id), row in self._tables.endpoints.items()
            if of == tenant and user in (None, row.user) and (before is None or endpoint_id < before)
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]

    async def failing(self, for_ms: int, limit: int) -> Sequence[EndpointState]:
        last = {one.endpoint: one.at for _, one in sorted(self._tables.deliveries.items())}
        found = [
            (row.failing_since, state)
            for (tenant, endpoint_id), row in self._tables.endpoints.items()
            if row.failing_since is not None and not row.announced
            if (state := self._state(tenant, endpoint_id, row)).disabled_at is not None
            or last.get(endpoint_id, row.failing_since) - row.failing_since >= for_ms
        ]
        return [state for _, state in sorted(found, key=lambda pair: pair[0])[:limit]]

    async def switch(self, tenant: TenantId, endpoint_id: bytes, off: str, at: Instant) -> bool:
        def switch() -> bool:
            place = tenant, endpoint_id
            row = self._tables.endpoints.get(place)
            if row is None:
                return False
            if off:
                self._tables.endpoints[place] = replace(row, announced=True)
                why = Suppression(tenant=tenant, channel=Channel.WEBHOOK, hash=endpoint_id, reason=off, at=at)
                suppress(self._tables, [why])
            else:
                self._tables.endpoints[place] = replace(row, announced=False, failing_since=None)
                allow(self._tables, tenant, Channel.WEBHOOK, endpoint_id)
            return True

        return await self._transactions.write(switch)

    def _replace(self, user: UserNo, endpoint_id: bytes, new: tuple[Endpoint, ...]) -> None:
        owner = self._tables.users[user]
        others = tuple(one for one in owner.profile.endpoints if one.id != endpoint_id)
        store(self._tables, owner, replace(owner.profile, endpoints=(*others, *new)), self._clock.now())

    def _state(self, tenant: TenantId, endpoint_id: bytes, row: EndpointRow) -> EndpointState:
        off = self._tables.suppressions.get((tenant, Channel.WEBHOOK, endpoint_id))
        return EndpointState(
            id=endpoint_id,
            tenant=tenant,
            user=row.user,
            failing_since=row.failing_since,
            disabled_at=None if off is None else off.at,
            disabled_reason="" if off is None else off.reason,
        )


class MemoryDeliveries:
    """Implements `ports.ledger.Deliveries`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def page(
        self, tenant: TenantId, endpoint: bytes, where: DeliveryFilter, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        found = [
            one
            for one in self._tables.deliveries.values()
            if one.tenant == tenant and one.endpoint == endpoint
            if before is None or one.seq < before
            if where.ok in (None, one.ok)
            if where.since is None or one.at >= where.since
            if where.before is None or one.at < where.before
        ]
        return sorted(found, key=lambda one: -one.seq)[:limit]


def record(tables: Tables, calls: Iterable[Delivery]) -> None:
    """Inside a transaction: keep the calls, and what they say about their endpoints."""
    for call in calls:
        seq = tables.next("deliveries")
        tables.deliveries[seq] = replace(call, seq=seq)
        place = call.tenant, call.endpoint
        row = tables.endpoints.get(place)
        if row is not None:
            failing_since = None if call.ok else row.failing_since or call.at
            tables.endpoints[place] = replace(row, failing_since=failing_since)

"""Tenants take turns: what waits in memory, so that the backlog of one delays the others by a turn and not by its length."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from clarion.model.ids import TenantId

T = TypeVar("T")


class Turns(Generic[T]):
    """What waits, by tenant, in order."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: OrderedDict[TenantId, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, tenant: TenantId, one: T) -> None:
        """Behind what waits of the tenant."""
        self._waiting.setdefault(tenant, deque()).append(one)

    def take(self, limit: int) -> list[T]:
        """Up to `limit`, the tenants in turn, those of each in order."""
        waiting = self._waiting
        taken: list[T] = []
        while waiting and len(taken) < limit:
            share = max(1, (limit - len(taken)) // len(waiting))
            for tenant in list(waiting):
                its = waiting[tenant]
                turn = min(share, len(its), limit - len(taken))
                taken += [its.popleft() for _ in range(turn)]
                if its:
                    waiting.move_to_end(tenant)
                else:
                    del waiting[tenant]
                if len(taken) == limit:
                    break
        return taken

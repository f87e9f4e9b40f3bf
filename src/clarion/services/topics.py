"""Topics: groups that users subscribe to."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import TenantId, UserNo
from clarion.model.topic import Topic
from clarion.ports.ledger import Topics


class TopicService:
    """Changes topics and their subscriptions."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        """Create or rename."""
        await self._topics.put(tenant, topic)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """With its subscriptions. Whether it was there."""
        return await self._topics.delete(tenant, key)

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        """How many were not subscribed before."""
        return await self._topics.subscribe(tenant, key, users)

    async def unsubscribe(self, tenant: TenantId, key: str, user: UserNo) -> bool:
        """Whether the user was subscribed."""
        return bool(await self._topics.unsubscribe(tenant, key, [user]))

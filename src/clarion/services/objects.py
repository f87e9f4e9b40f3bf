"""Objects: teams, chat rooms and rotas that events go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clarion.model.ids import TenantId, UserNo
from clarion.model.recipient_object import ObjectName
from clarion.model.topic import Topic
from clarion.model.user import Profile, User
from clarion.ports.ledger import Topics
from clarion.services.users import UserService


class ObjectService:
    """Changes objects and their members. An object is there as long as its topic is: it is the first of the two that is made, and
    the last that goes, so that whatever a crash leaves can be stored or deleted again."""

    def __init__(self, users: UserService, topics: Topics) -> None:
        self._users = users
        self._topics = topics

    async def put(
        self, tenant: TenantId, name: ObjectName, title: str, to: Callable[[Profile], Profile]
    ) -> User:
        """Create or change. Its members and preferences stay."""
        await self._topics.put(tenant, Topic(key=name.key, name=title))

        def changed(profile: Profile | None) -> Profile:
            return to(profile or Profile())

        return (await self._users.change_all(tenant, {name.key: changed}))[0]

    async def delete(self, tenant: TenantId, name: ObjectName, user: User | None) -> None:
        """With its channels and what waits for them. Its members stay users."""
        if user is not None:
            await self._users.delete(user)
        await self._topics.delete(tenant, name.key)

    async def add_members(self, tenant: TenantId, name: ObjectName, users: Sequence[UserNo]) -> int:
        """How many were not members before."""
        return await self._topics.subscribe(tenant, name.key, users)

    async def remove_member(self, tenant: TenantId, name: ObjectName, user: UserNo) -> bool:
        """Whether they were one."""
        return bool(await self._topics.unsubscribe(tenant, name.key, [user]))

"""Changes users, on top of what is stored at that moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clarion.errors import NotFound, UserUnreadable
from clarion.flow.conflicts import repeat_on_conflict
from clarion.model.ids import TenantId
from clarion.model.user import Profile, User, UserPut
from clarion.ports.ledger import Users
from clarion.services.inbox_actions import InboxActions
from clarion.services.seen_countries import SeenCountries

TRIES = 5
"""How often a change is tried again when somebody else changed the same user meanwhile."""


class UserService:
    """Changes and deletes users. Concurrent changes do not overwrite each other."""

    def __init__(self, users: Users, inbox_actions: InboxActions, countries: SeenCountries) -> None:
        self._users = users
        self._countries = countries
        self._inbox_actions = inbox_actions

    async def change(self, tenant: TenantId, user_id: str, to: Callable[[Profile], Profile]) -> User:
        """Store `to(profile)` for a user who exists."""

        def changed(profile: Profile | None) -> Profile:
            if profile is None:
                raise NotFound(f"The user {user_id!r} was deleted meanwhile.")
            return to(profile)

        return (await self.change_all(tenant, {user_id: changed}))[0]

    async def change_all(
        self, tenant: TenantId, changes: Mapping[str, Callable[[Profile | None], Profile]]
    ) -> Sequence[User]:
        """Store `to(profile)` for each, in one transaction. Creates who is missing."""

        async def change() -> Sequence[User]:
            found = await self._users.find(tenant, list(changes))
            puts = [
                UserPut(
                    id=user_id,
                    profile=to(_profile(found.get(user_id))),
                    revision=found[user_id].revision if user_id in found else 0,
                )
                for user_id, to in changes.items()
            ]
            return await self.put(tenant, puts) if puts else []

        return await repeat_on_conflict(change, TRIES)

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        """Create or replace, in one transaction. Conflict when one was changed since its `revision`."""
        stored = await self._users.put(tenant, users)
        await self._countries.note(tenant, [user.profile for user in stored])
        return stored

    async def unreadable(self, tenant: TenantId, user_ids: Sequence[str]) -> list[str]:
        """Those of whom nothing can be changed, because what is stored about them cannot be opened."""
        found = await self._users.find(tenant, user_ids)
        return [user_id for user_id, user in found.items() if user.unreadable]

    async def delete(self, user: User) -> None:
        """Destroy the key of a user and all that it sealed, and tell their devices."""
        await self._users.delete(user.tenant, user.id)
        self._inbox_actions.forget(user.tenant, user.no)


def _profile(user: User | None) -> Profile | None:
    if user is not None and user.unreadable:
        raise UserUnreadable(user.id)
    return user.profile if user is not None else None

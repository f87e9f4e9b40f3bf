"""Notes in which countries the users of a tenant have numbers: where its texts may go, unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from msgspec.structs import replace

from clarion.errors import Busy, Unavailable
from clarion.flow.priority import PriorityGate
from clarion.flow.setup_view import SetupView
from clarion.model.channel import PHONES, Lane
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import Contact, Profile
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.ledger import Users
from clarion.rules import phone_numbers

log = structlog.get_logger(__name__)

PAGE = 500
LOOK_EVERY_S = 60.0


class SeenCountries:
    """Countries are only added: there are few, so a tenant changes rarely by it."""

    def __init__(self, setup: SetupView, users: Users, priority: PriorityGate, clock: Clock) -> None:
        self._tenants = setup.tenants
        self._users = users
        self._priority = priority
        self._clock = clock

    async def run(self) -> None:
        """Look once through the users of each tenant of whom nothing is noted, those of earlier versions; until cancelled."""
        while True:
            try:
                for one in list(self._tenants.all().values()):
                    if one.seen_countries is None:
                        await self._look_through(one.id)
            except (Busy, Unavailable):
                log.warning("countries_wait")
            await self._clock.sleep(LOOK_EVERY_S)

    async def note(self, tenant: TenantId, profiles: Iterable[Profile]) -> None:
        """Whoever writes users that the tenant vouches for calls this."""
        seen = self._tenants.all()[tenant].seen_countries
        if seen is None or ((asked := terms.current()) is not None and asked.dry):
            return
        if new := _countries(contact for profile in profiles for contact in profile.contacts).difference(
            seen
        ):
            await self._add(tenant, new)

    async def _look_through(self, tenant: TenantId) -> None:
        found: set[str] = set()
        before: UserNo | None = None
        while users := await self._users.page(tenant, before, PAGE, reserved=True):
            found |= _countries(contact for user in users for contact in user.profile.contacts)
            before = users[-1].no
            await self._priority.turn(Lane.BULK)
        await self._add(tenant, found)

    async def _add(self, tenant: TenantId, countries: Iterable[str]) -> None:
        def added(stored: Tenant) -> Tenant:
            return replace(stored, seen_countries=tuple(sorted({*(stored.seen_countries or ()), *countries})))

        await self._tenants.change(tenant, added)


def _countries(contacts: Iterable[Contact]) -> set[str]:
    numbers = [contact.address for contact in contacts if contact.channel in PHONES]
    return {code for number in numbers if (code := phone_numbers.country(number))}

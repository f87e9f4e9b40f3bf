"""The preference page of a user: signed links that need no login, and the choices that are saved through them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.flow.ledger import Ledger
from clarion.model.consent import ConsentSource
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import Preferences, Profile, User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.services.consents import ConsentOrigin, ConsentService
from clarion.services.link_tokens import LinkTokens
from clarion.services.users import UserService

PATH = "/p/"
EDITABLE_MS = 30 * 86_400_000
"""How long choices can be changed through a link. Then it only shows them: old mails are passed on."""
LONGEST_UNDO = 64 * 1024


class PageVisit(NamedTuple):
    """What a link leads to."""

    tenant: Tenant
    user: User
    editable: bool


class PreferenceLink(NamedTuple):
    """A link to the page, and until when choices can be changed through it."""

    url: str
    expires_at: Instant


class _Choices(msgspec.Struct, frozen=True, array_like=True):
    """All that the page changes."""

    preferences: Preferences
    locale: str
    timezone: str


class _Undo(msgspec.Struct, frozen=True, array_like=True):
    """What was there before a change, and what the change made of it."""

    user: UserNo
    before: _Choices
    after: bytes


class PreferencePages:
    """Creates links to the preference page, and saves what users choose there."""

    def __init__(
        self,
        ledger: Ledger,
        users: UserService,
        consents: ConsentService,
        vault: Vault,
        clock: Clock,
        public_url: str,
    ) -> None:
        self._ledger = ledger
        self._users = users
        self._consents = consents
        self._clock = clock
        self._base = f"{public_url}{PATH}"
        self._links = LinkTokens(vault, b"p1")
        self._undos = LinkTokens(vault, b"q1", LONGEST_UNDO)

    def link(self, user: User) -> PreferenceLink:
        """A link to the user's page."""
        now = self._clock.now()
        plain = user.tenant.to_bytes(4, "big") + user.no.to_bytes(6, "big") + now.to_bytes(8, "big")
        return PreferenceLink(self._base + self._links.token(plain), Instant(now + EDITABLE_MS))

    async def visit(self, token: str) -> PageVisit | None:
        """What a link leads to; None when it is not one of ours, or its user was erased."""
        plain = self._links.opened(token)
        if plain is None:
            return None
        tenant = self._ledger.setup.tenants.all().get(TenantId(int.from_bytes(plain[:4], "big")))
        no = UserNo(int.from_bytes(plain[4:10], "big"))
        user = (await self._ledger.users.get([no])).get(no)
        if tenant is None or user is None:
            return None
        made_at = int.from_bytes(plain[10:], "big")
        return PageVisit(tenant, user, self._clock.now() < made_at + EDITABLE_MS)

    async def save(self, visit: PageVisit, to: Callable[[Profile], Profile]) -> tuple[User, User, str]:
        """Store `to(profile)`: the user before and afterwards, and what `undo` takes. No attempt that it forbids starts
        once this returns."""
        seen = visit.user

        def changed(profile: Profile) -> Profile:
            nonlocal seen
            seen = replace(seen, profile=profile)
            return to(profile)

        user = await self._store(visit, changed)
        undo = _Undo(user.no, _choices(seen.profile), _digest(user.profile))
        return seen, user, self._undos.token(msgspec.msgpack.encode(undo))

    async def undo(self, visit: PageVisit, token: str) -> User:
        """Store again what was there before a change. Conflict when something else was chosen since."""
        plain = self._undos.opened(token)
        undo = None if plain is None else msgspec.msgpack.decode(plain, type=_Undo)
        if undo is None or undo.user != visit.user.no:
            raise Conflict("this change cannot be undone")
        before, after = undo.before, undo.after

        def changed(profile: Profile) -> Profile:
            if _digest(profile) != after:
                raise Conflict("something else was chosen since")
            return replace(
                profile, preferences=before.preferences, locale=before.locale, timezone=before.timezone
            )

        return await self._store(visit, changed)

    async def _store(self, visit: PageVisit, to: Callable[[Profile], Profile]) -> User:
        """Preferences with what they say about consent, then language and time zone."""
        profile = visit.user.profile

        def chosen(user: User) -> Preferences:
            nonlocal profile
            profile = to(user.profile)
            return profile.preferences

        origin = ConsentOrigin(source=ConsentSource.PREFERENCE_PAGE)
        user = (await self._consents.record(visit.user, (), origin, chosen)).user
        await self._consents.in_force()
        if (profile.locale, profile.timezone) == (user.profile.locale, user.profile.timezone):
            return user
        told = {"locale": profile.locale, "timezone": profile.timezone}
        return await self._users.change(visit.tenant.id, visit.user.id, lambda now: replace(now, **told))


def _choices(profile: Profile) -> _Choices:
    return _Choices(profile.preferences, profile.locale, profile.timezone)


def _digest(profile: Profile) -> bytes:
    return blake2b(msgspec.msgpack.encode(_choices(profile)), digest_size=16).digest()

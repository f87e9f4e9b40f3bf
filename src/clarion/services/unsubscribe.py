"""Unsubscribing by a link or an email: signed, opaque tokens, and the preferences they change."""

from __future__ import annotations

from functools import lru_cache

import msgspec
from msgspec.structs import replace

from clarion.errors import NotFound
from clarion.flow.ledger import Ledger
from clarion.flow.verification_workflow import VERIFICATION
from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.ids import TenantId, UserNo
from clarion.model.message import Message
from clarion.model.setup import Category, Tenant
from clarion.model.user import Preferences, User
from clarion.ports.vault import Vault
from clarion.rules.preferences import allowed, with_category
from clarion.services.consents import ConsentOrigin, ConsentService
from clarion.services.link_tokens import LinkTokens

PATH = "/u/"

_NUMBERS = 4 + 6


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The user, category and channel of a token, and the current preference."""

    tenant: Tenant
    category: Category
    user: User | None
    """None: they were erased, and hear nothing any more."""
    channel: Channel = Channel.EMAIL

    @property
    def subscribed(self) -> bool:
        """Whether the category reaches them on the channel."""
        if self.user is None:
            return False
        return allowed(self.tenant, self.category, self.user.profile.preferences, self.channel)[0]


class UnsubscribeLinks:
    """Creates unsubscribe links, and unsubscribes users who follow them.

    A token never runs out: who finds an old mail can still leave. It says nothing to whoever reads it, and
    changing a bit of it makes it worthless.
    """

    def __init__(self, ledger: Ledger, consents: ConsentService, vault: Vault, public_url: str) -> None:
        self._ledger = ledger
        self._consents = consents
        self._base = f"{public_url}{PATH}" if public_url else ""
        self._tokens = LinkTokens(vault, b"u1")
        self._coded = lru_cache(maxsize=1024)(str.encode)

    def url(self, message: Message) -> str:
        """Where the person of this message leaves its category; empty when it cannot be left."""
        if not self._base or message.channel is not Channel.EMAIL:
            return ""
        category = self._ledger.setup.categories.all(message.tenant).get(message.category)
        if (category is not None and category.critical) or message.workflow.startswith(VERIFICATION):
            return ""
        return self._base + self.token(message.tenant, message.user, message.category)

    def token(self, tenant: TenantId, user: UserNo, category: str) -> str:
        """A token for this choice; no two are the same."""
        return self._tokens.token(tenant.to_bytes(4, "big") + user.to_bytes(6, "big") + self._coded(category))

    async def read(self, token: str) -> Choice | None:
        """What a token stands for; None when it is not one of ours."""
        opened = self._opened(token)
        return None if opened is None else await self._choice(*opened)

    async def about(self, message: Message) -> Choice | None:
        """The same for a message: its person, category and channel."""
        return await self._choice(message.tenant, message.user, message.category, message.channel)

    async def leave(self, choice: Choice, source: ConsentSource) -> Choice:
        """No message of this category is started on the channel after this returns, whatever is queued."""
        left = await self._choose(choice, source, subscribed=False)
        await self._consents.in_force()
        return left

    async def leave_over(self, message: Message) -> None:
        """Unsubscribe a user who told a provider or a mail server. The same as `leave`, except that nobody waits for an answer."""
        if (choice := await self.about(message)) is not None:
            await self._choose(choice, ConsentSource.PROVIDER, subscribed=False)

    async def return_to(self, choice: Choice) -> Choice:
        """Subscribe again to the category."""
        return await self._choose(choice, ConsentSource.UNSUBSCRIBE_LINK, subscribed=True)

    async def _choice(
        self, tenant_id: TenantId, no: UserNo, key: str, channel: Channel = Channel.EMAIL
    ) -> Choice | None:
        tenant = self._ledger.setup.tenants.all().get(tenant_id)
        if tenant is None:
            return None
        category = self._ledger.setup.categories.all(tenant_id).get(key) or Category(key=key)
        user = (await self._ledger.users.get([no])).get(no)
        return Choice(tenant=tenant, category=category, user=user, channel=channel)

    async def _choose(self, choice: Choice, source: ConsentSource, *, subscribed: bool) -> Choice:
        def chosen(user: User) -> Preferences:
            now = replace(choice, user=user)
            before = user.profile.preferences
            if now.subscribed is subscribed:
                return before
            return with_category(choice.tenant, choice.category, before, choice.channel, subscribed)

        if choice.user is None:
            return choice
        try:
            recorded = await self._consents.record(choice.user, (), ConsentOrigin(source=source), chosen)
        except NotFound:
            return replace(choice, user=None)
        return replace(choice, user=recorded.user)

    def _opened(self, token: str) -> tuple[TenantId, UserNo, str] | None:
        numbers = self._tokens.opened(token)
        if numbers is None:
            return None
        tenant, user = int.from_bytes(numbers[:4], "big"), int.from_bytes(numbers[4:_NUMBERS], "big")
        return TenantId(tenant), UserNo(user), numbers[_NUMBERS:].decode()

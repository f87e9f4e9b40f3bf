"""WhatsApp: keeps up which templates are approved, and when people wrote last."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from clarion.errors import ConfigError, Conflict, InvalidInput, Unavailable
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.inbound import InboundMessage
from clarion.model.setup import Integration
from clarion.model.whatsapp import WINDOW_MS, Heard, TemplateChange, WhatsAppTemplate, WhatsAppTemplates
from clarion.ports.clock import Clock
from clarion.ports.provider import TemplateSource
from clarion.ports.vault import Vault, contact_hash

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0
SYNC_EVERY_MS = 600_000
"""How often the templates of an integration are listed; what changes in between is reported, if the service reports."""


class WhatsAppService:
    """Serves all integrations of the channel."""

    def __init__(self, ledger: Ledger, integrations: Integrations, vault: Vault, clock: Clock) -> None:
        self._setup = ledger.setup
        self._conversations = ledger.conversations
        self._integrations = integrations
        self._vault = vault
        self._clock = clock

    async def run(self) -> None:
        """List the templates now and then, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Unavailable:
                log.warning("whatsapp_templates_wait")
            await self._clock.sleep(LOOK_EVERY_S)

    async def sweep(self) -> None:
        """List the templates of every integration whose turn it is; forget those of integrations that are gone."""
        for tenant in list(self._setup.tenants.all()):
            integrations = self._setup.integrations.all(tenant)
            for key in self._setup.whatsapp_templates.all(tenant).keys() - integrations.keys():
                await self._setup.whatsapp_templates.delete(tenant, key)
            for integration in list(integrations.values()):
                if integration.channel is Channel.WHATSAPP and integration.enabled:
                    await self._sync_in_turn(tenant, integration)

    async def sync(self, tenant: TenantId, integration: Integration) -> WhatsAppTemplates:
        """List the templates of an integration now. Raises InvalidInput when its provider keeps none, ConfigError or
        Unavailable when it does not answer."""
        source = self._source(tenant, integration)
        if source is None:
            raise InvalidInput(f"The provider {integration.provider!r} keeps no WhatsApp templates.")
        listed = tuple(await source.whatsapp_templates())
        return await self._setup.whatsapp_templates.put(
            tenant, WhatsAppTemplates(key=integration.key, templates=listed, synced_at=self._clock.now())
        )

    async def change(
        self, tenant: TenantId, integration: Integration, changes: Sequence[TemplateChange]
    ) -> None:
        """Durable when this returns. Of a template that is not listed yet, what it takes is learned with the next list."""
        shelf = self._setup.whatsapp_templates
        while (known := shelf.all(tenant).get(integration.key)) is not None:
            by_name = {(one.name, one.language): one for one in known.templates}
            for change in changes:
                place = (change.name, change.language)
                before = by_name.get(place) or WhatsAppTemplate(
                    name=change.name, language=change.language, approval=change.approval
                )
                by_name[place] = replace(before, approval=change.approval)
            try:
                await shelf.put(tenant, replace(known, templates=tuple(by_name.values())), before=known)
                return
            except Conflict:
                if shelf.all(tenant).get(integration.key) == known:
                    raise

    async def hear(
        self, tenant: TenantId, integration: Integration, messages: Sequence[InboundMessage]
    ) -> None:
        """People wrote: free text may be sent to them for a day. Durable when this returns."""
        now = self._clock.now()
        heard = [
            Heard(
                tenant=tenant,
                integration=integration.key,
                contact=contact_hash(self._vault, tenant, Channel.WHATSAPP, one.sender),
                at=now if one.at is None else min(one.at, now),
            )
            for one in messages
        ]
        await self._conversations.hear(heard, Instant(max(0, now - WINDOW_MS)))

    async def _sync_in_turn(self, tenant: TenantId, integration: Integration) -> None:
        known = self._setup.whatsapp_templates.all(tenant).get(integration.key)
        if known is not None and self._clock.now() < known.synced_at + SYNC_EVERY_MS:
            return
        if self._source(tenant, integration) is None:
            return
        try:
            await self.sync(tenant, integration)
        except (ConfigError, Unavailable) as trouble:
            log.warning(
                "whatsapp_templates_not_listed",
                tenant=tenant,
                integration=integration.key,
                detail=trouble.detail,
            )

    def _source(self, tenant: TenantId, integration: Integration) -> TemplateSource | None:
        live = self._integrations.enabled(tenant, integration.key)
        provider = None if live is None else live.provider
        return provider if hasattr(provider, "whatsapp_templates") else None  # type: ignore[return-value]

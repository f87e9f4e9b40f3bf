"""Asks services that call nobody for the receipts of what they took.

What to ask about stands in the journal: the records that name an integration are read once more, in order, as soon as they
are old enough for a receipt. Up to where that is done is stored, so a restart goes on from there and several processes share the
work. Asking twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

import structlog

from clarion.errors import Busy, ConfigError, Unavailable
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.ledger import Ledger
from clarion.model.ids import Instant, TenantId
from clarion.model.message import Change
from clarion.ports.provider import ProviderTools
from clarion.ports.receipt_source import FetchedReceipts, ReceiptSource
from clarion.services.callbacks import CallbackService
from clarion.services.message_references import MessageReferences

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 60.0
PAGE = 1_000
"""Records read at once."""
MOST_PAGES = 100
"""Of one integration before the next has its turn."""


class ReceiptFetcher:
    """Serves all integrations whose provider is a `ReceiptSource`."""

    def __init__(
        self, ledger: Ledger, integrations: Integrations, callbacks: CallbackService, tools: ProviderTools
    ) -> None:
        self._setup = ledger.setup
        self._records = ledger.records
        self._integrations = integrations
        self._callbacks = callbacks
        self._memory = tools.memory
        self._vault = tools.vault
        self._clock = tools.clock
        self._references = MessageReferences(tools.vault)
        self.asked = 0
        """Messages; read by metrics."""
        self.trouble = ""
        """Why receipts could not be fetched at the last look; empty when they could."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask every such service about what is old enough by now."""
        trouble = ""
        for tenant in list(self._setup.tenants.all()):
            for key in list(self._setup.integrations.all(tenant)):
                live = self._integrations.enabled(tenant, key)
                if live is None or live.plugin.fetched_receipts is None:
                    continue
                try:
                    await self._follow(tenant, live, live.plugin.fetched_receipts)
                    continue
                except (Busy, Unavailable, ConfigError) as fault:
                    why = fault.detail
                except Exception as surprise:
                    log.exception("receipts_failed", integration=key, error=type(surprise).__name__)
                    why = f"fetching them failed ({type(surprise).__name__})"
                log.warning("receipts_not_fetched", tenant=tenant, integration=key, detail=why)
                trouble = trouble or f"{key}: {why}"
        self.trouble = trouble

    async def _follow(self, tenant: TenantId, live: LiveIntegration, fetched: FetchedReceipts) -> None:
        place = self._vault.hash("fetched-receipts", f"{tenant}/{live.key}".encode()).hex()
        if not self._memory.get(place):  # The first time it begins with what is new.
            newest = await self._records.tail(tenant, -1, PAGE)
            if not newest:
                return
            await self._memory.put(place, str(newest[0].seq - 1))
        for _ in range(MOST_PAGES):
            after = int(self._memory.get(place))
            page = await self._records.tail(tenant, after, PAGE, integration=live.key)
            due = _due(page, Instant(self._clock.now() - fetched.after_s * 1_000))
            await self._ask(tenant, live, fetched, due)
            if due:
                await self._memory.put(place, str(due[-1].seq))
            if not due or len(due) < len(page):
                return

    async def _ask(
        self, tenant: TenantId, live: LiveIntegration, fetched: FetchedReceipts, due: Sequence[Change]
    ) -> None:
        since = self._clock.now() - fetched.kept_s * 1_000
        taken = [
            (one.provider_id, self._references.about(tenant, one.message_id))
            for one in due
            if one.integration == live.key
            and one.outcome == "accepted"
            and one.provider_id
            and one.at > since
        ]
        source = cast(ReceiptSource, live.provider)
        for start in range(0, len(taken), fetched.at_once):
            asked = dict(taken[start : start + fetched.at_once])
            receipts = await source.fetch_receipts(asked)
            await self._callbacks.report(tenant, live.integration, receipts)
            self.asked += len(asked)


def _due(page: Sequence[Change], until: Instant) -> list[Change]:
    """Those at the beginning that are old enough."""
    return list(takewhile(lambda one: one.at <= until, page))

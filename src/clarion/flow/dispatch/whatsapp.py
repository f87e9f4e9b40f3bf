"""Checks WhatsApp messages before they are sent: whether the window is open, or their template approved."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.flow.dispatch.targets import ReadyCall
from clarion.flow.ledger import Ledger
from clarion.model.content import WhatsAppContent
from clarion.model.settlement import Settlement
from clarion.model.status import Status
from clarion.ports.clock import Clock
from clarion.rules.outcomes import settle_unsent
from clarion.rules.whatsapp import NotAllowed, allowed


class WhatsAppCheck:
    """Reads when people wrote and what is approved, once per batch."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._conversations = ledger.conversations
        self._templates = ledger.setup.whatsapp_templates
        self._clock = clock

    async def check(self, batch: Sequence[ReadyCall]) -> tuple[list[ReadyCall], list[Settlement]]:
        """Those that may go, each as it may, and what becomes of the others: the next channel of a ladder starts. All
        of the batch are of one integration."""
        _, live, outgoing = batch[0]
        tenant = outgoing.message.tenant
        hashes = [one.contact.hash for _, _, one in batch if one.contact is not None]
        heard = await self._conversations.heard(tenant, live.key, hashes)
        known = self._templates.all(tenant).get(live.key)
        now = self._clock.now()
        going: list[ReadyCall] = []
        stopped: list[Settlement] = []
        for in_flight, live, outgoing in batch:
            content, contact = outgoing.content, outgoing.contact
            assert isinstance(content, WhatsAppContent), "each channel has its own content"
            heard_at = None if contact is None else heard.get(contact.hash)
            verdict = allowed(content, heard_at, known, now)
            if isinstance(verdict, NotAllowed):
                stopped.append(
                    settle_unsent(
                        outgoing.message, Status.SUPPRESSED, verdict.reason, now, detail=verdict.detail
                    )
                )
                continue
            checked = replace(outgoing, content=verdict.content, whatsapp_template=verdict.template)
            going.append((in_flight, live, checked))
        return going, stopped

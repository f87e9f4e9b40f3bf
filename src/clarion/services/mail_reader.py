"""Reads returned email from mailboxes. An email is marked after it is stored, so a crash repeats and never loses one."""

from __future__ import annotations

import structlog

from clarion.errors import Unavailable
from clarion.flow.setup_view import TenantsView
from clarion.model.ids import TenantId
from clarion.ports.clock import Clock
from clarion.ports.mailbox import Fetched, Mailbox
from clarion.services.inbound_mail import InboundMail

log = structlog.get_logger(__name__)

AT_ONCE = 50


class MailReader:
    """Reads one mailbox in a loop."""

    def __init__(
        self,
        inbound: InboundMail,
        mailbox: Mailbox,
        tenants: TenantsView,
        clock: Clock,
        *,
        home: str = "",
        poll_s: float = 30.0,
    ) -> None:
        """`home` is the key of the tenant who is shown what is unclear; empty: the oldest tenant."""
        self._inbound = inbound
        self._mailbox = mailbox
        self._tenants = tenants
        self._clock = clock
        self._home_key = home
        self._poll_s = poll_s
        self.read = 0
        self.trouble = ""
        """Why the last look failed; empty when it did not."""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                if not await self.check():
                    await self._clock.sleep(self._poll_s)
        finally:
            await self._mailbox.close()

    async def check(self) -> int:
        """Read the mailbox once; returns the number of emails taken."""
        home = self._home()
        if home is None:
            log.warning("mailbox_without_tenant", tenant=self._home_key)
            self.trouble = "the tenant of the setting `inbound.tenant` does not exist"
            return 0
        try:
            mails = await self._mailbox.fetch(AT_ONCE)
            for mail in mails:
                await self._take(mail, home)
                await self._mailbox.done(mail.key)
                self.read += 1
        except Unavailable as trouble:
            log.warning("mailbox_unavailable", detail=trouble.detail, again_in_s=self._poll_s)
            self.trouble = trouble.detail
            await self._mailbox.close()  # The next look starts over with what was fetched and not taken.
            return 0
        self.trouble = ""
        return len(mails)

    async def _take(self, mail: Fetched, home: TenantId) -> None:
        try:
            await self._inbound.take(mail.raw, home, any_tenant=True)
        except Unavailable:
            raise
        except Exception as fault:
            # One mail must not hold up all behind it.
            log.exception("mail_failed", error=type(fault).__name__)
            await self._inbound.set_aside(mail.raw, home)

    def _home(self) -> TenantId | None:
        known = self._tenants.all().values()
        wanted = [t.id for t in known if self._home_key in ("", t.key)]
        return min(wanted, default=None)

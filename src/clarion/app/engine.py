"""The engine, from the settings of the installation."""

from __future__ import annotations

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.mailboxes.maildir import Maildir
from clarion.app.ground import Ground
from clarion.config import Inbound
from clarion.content import Renderer
from clarion.flow.pipeline import Pipeline
from clarion.ports.mailbox import Mailbox


def pipeline_of(ground: Ground) -> Pipeline:
    """The way of a notification, not started yet."""
    settings = ground.settings
    return Pipeline(
        ledger=ground.ledger,
        broker=SqlBroker(ground.ledger.log),
        fanout=ground.fanout,
        renderer=Renderer(),
        plugins=ground.providers,
        tools=ground.tools,
        public_url=settings.base_url,
        mailboxes=mailboxes(settings.inbound),
        mail_home=settings.inbound.tenant,
        mail_poll_s=settings.inbound.poll_s,
        disable_endpoints_after_s=settings.outbound.disable_endpoints_after_days * 86_400,
    )


def mailboxes(inbound: Inbound) -> list[Mailbox]:
    """The mailboxes that are to be read."""
    found: list[Mailbox] = []
    if inbound.maildir is not None:
        found.append(Maildir(inbound.maildir))
    if inbound.imap_host:
        server = ImapServer(
            host=inbound.imap_host,
            port=inbound.imap_port,
            user=inbound.imap_user,
            password=inbound.imap_password.get_secret_value(),
            folder=inbound.imap_folder,
            security=inbound.imap_security,
        )
        found.append(ImapFolder(server))
    return found

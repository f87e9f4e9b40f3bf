"""The engine, from the settings of the installation."""

from __future__ import annotations

import contextlib

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.limited.process import LimitedProcess
from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.mailboxes.maildir import Maildir
from clarion.adapters.oauth import AccessTokens, Grant
from clarion.app.ground import Ground
from clarion.config import Inbound
from clarion.content import Renderer
from clarion.flow.limited import MEMORY_BYTES, MESSAGE_CPU_S, TARGET
from clarion.flow.pipeline import Pipeline
from clarion.ports.mailbox import Mailbox
from clarion.ports.provider import ProviderTools


def pipeline_of(ground: Ground, ends: contextlib.AsyncExitStack) -> Pipeline:
    """The way of a notification, not started yet."""
    settings = ground.settings
    limited = LimitedProcess(TARGET, memory_bytes=MEMORY_BYTES, cpu_s=MESSAGE_CPU_S)
    ends.push_async_callback(limited.close)
    return Pipeline(
        ledger=ground.ledger,
        broker=SqlBroker(ground.ledger.log),
        fanout=ground.fanout,
        renderer=Renderer(),
        limited=limited,
        plugins=ground.providers,
        tools=ground.tools,
        public_url=settings.base_url,
        mailboxes=mailboxes(settings.inbound, ground.tools),
        mail_home=settings.inbound.tenant,
        mail_poll_s=settings.inbound.poll_s,
        disable_endpoints_after_s=settings.outbound.disable_endpoints_after_days * 86_400,
    )


def mailboxes(inbound: Inbound, tools: ProviderTools) -> list[Mailbox]:
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
            ca=inbound.imap_ca,
        )
        found.append(ImapFolder(server, _tokens(inbound, tools)))
    return found


def _tokens(inbound: Inbound, tools: ProviderTools) -> AccessTokens | None:
    """What the IMAP server is shown instead of a password, if so configured."""
    if not inbound.imap_oauth_token_url:
        return None
    grant = Grant(
        token_url=inbound.imap_oauth_token_url,
        client_id=inbound.imap_oauth_client_id,
        client_secret=inbound.imap_oauth_client_secret.get_secret_value(),
        refresh_token=inbound.imap_oauth_refresh_token.get_secret_value(),
        scope=inbound.imap_oauth_scope,
    )
    return AccessTokens(grant, tools)

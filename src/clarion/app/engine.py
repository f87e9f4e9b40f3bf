"""Builds the engine and its services from the settings."""

from __future__ import annotations

import contextlib
import os
import socket

from clarion import __version__
from clarion.adapters.limited.process import LimitedProcess
from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.mailboxes.maildir import Maildir
from clarion.adapters.oauth import AccessTokens, Grant
from clarion.adapters.other_region import HttpRegion
from clarion.api.user_lines import USER_LINES, write_users
from clarion.app.resources import Resources
from clarion.config import Inbound
from clarion.content import Renderer
from clarion.flow.dispatch.recheck import CHECK_FRESH_S
from clarion.flow.intake.homes import Regions
from clarion.flow.pipeline import Pipeline
from clarion.model.worker import Process
from clarion.ports.mailbox import Mailbox
from clarion.ports.provider import ProviderTools
from clarion.services.consents import ConsentService
from clarion.services.last_checks import LastChecks
from clarion.services.limited import AUTHORS_CPU_S, MEMORY_BYTES, MESSAGE_CPU_S, TARGET
from clarion.services.registry import Services
from clarion.services.response_links import ResponseLinks
from clarion.services.unsubscribe import UnsubscribeLinks


def engine_of(resources: Resources, ends: contextlib.AsyncExitStack) -> tuple[Pipeline, Services]:
    """The way of a notification and the services on it, not started yet."""
    settings, ledger, tools = resources.settings, resources.ledger, resources.tools
    last_checks = LastChecks(tools.clock, CHECK_FRESH_S)
    consents = ConsentService(ledger, last_checks, resources.vault, tools.clock, tools.random)
    unsubscribe = UnsubscribeLinks(ledger, consents, resources.vault, settings.base_url)
    pipeline = Pipeline(
        ledger=ledger,
        broker=resources.broker,
        fanout=resources.fanout,
        renderer=Renderer(),
        limited=_limited(MESSAGE_CPU_S, ends),
        plugins=resources.providers,
        tools=tools,
        unsubscribe_url=unsubscribe.url,
        opt_out=unsubscribe.leave_over,
        response_url=ResponseLinks(resources.vault, settings.base_url).url,
        process=Process(
            node=f"{socket.gethostname()}:{os.getpid()}",
            version=__version__,
            roles=settings.roles,
            lanes=settings.lanes,
            channels=settings.channels,
            lease_ms=int(settings.lease_s * 1_000),
        ),
        regions=_regions(resources, ends),
    )
    services = Services.on(
        pipeline,
        ledger=ledger,
        fanout=resources.fanout,
        tools=tools,
        limited=_limited(AUTHORS_CPU_S, ends),
        last_checks=last_checks,
        consents=consents,
        unsubscribe=unsubscribe,
        lines=USER_LINES,
        write_users=write_users,
        base_url=settings.base_url,
        mailboxes=mailboxes(settings.inbound, tools),
        mail_home=settings.inbound.tenant,
        mail_poll_s=settings.inbound.poll_s,
        sources=resources.sources,
        formats=resources.formats,
        sinks=resources.sinks,
        disable_endpoints_after_s=settings.outbound.disable_endpoints_after_days * 86_400,
    )
    if not settings.fanout.startswith("memory:"):
        late = "inbox changes come late to devices on other processes"
        pipeline.readiness.watch("fanout", lambda: _trouble(late, resources.fanout.state().trouble))
    if (server := resources.redis) is not None:
        slower = "everything works without it, but asks the database more often"
        pipeline.readiness.watch("redis", lambda: _trouble(slower, server.trouble))
    ends.push_async_callback(services.api_keys.flush)
    return pipeline, services


def _regions(resources: Resources, ends: contextlib.AsyncExitStack) -> Regions | None:
    """Where users may be at home; None: all here."""
    region = resources.settings.region
    if not region.name:
        return None
    regions = Regions(region.names, region.home or region.name, None)
    if not region.other_api:
        return regions
    other = HttpRegion(regions.elsewhere, region.other_api, region.secret.get_secret_value(), resources.clock)
    ends.push_async_callback(other.close)
    return regions._replace(other=other)


def _trouble(effect: str, trouble: str) -> str:
    return trouble and f"{effect}: {trouble}"


def _limited(cpu_s: int, ends: contextlib.AsyncExitStack) -> LimitedProcess:
    limited = LimitedProcess(TARGET, memory_bytes=MEMORY_BYTES, cpu_s=cpu_s)
    ends.push_async_callback(limited.close)
    return limited


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

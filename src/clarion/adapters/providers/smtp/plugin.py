"""The SMTP provider: takes outgoing messages, returns outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.adapters.attachments import Attachments, by_url
from clarion.adapters.email import email_of
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.isolation import surprised
from clarion.adapters.oauth import AccessTokens
from clarion.adapters.providers.smtp.config import SmtpConfig, grant_of, refuse_unsafe, sender_of, tls_context
from clarion.adapters.providers.smtp.domain_limits import Domains
from clarion.adapters.providers.smtp.handshake import NotOpened, open_connection
from clarion.adapters.providers.smtp.pool import Pool
from clarion.adapters.providers.smtp.replies import Capabilities
from clarion.adapters.providers.smtp.send_jobs import SendCall, SendJob
from clarion.errors import ConfigError, ContentError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from clarion.model.outcome import Misconfigured, Outcome, Rejected
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.ports.mail import Mail, OutgoingEmail
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Report

BATCH = 100
SHARE_OF_TIME = 0.9
"""Of the integration's `timeout_s`: what is left settles the batch."""


class SmtpProvider:
    """Implements `ports.provider.Provider`."""

    def __init__(self, integration: Integration, config: SmtpConfig, tools: ProviderTools) -> None:
        """Raises ConfigError for settings that would leak or cannot work."""
        refuse_unsafe(config)
        if config.security != "none" or config.ca:
            tls_context(config.ca)
        self._sender = sender_of(config)
        tools.mail.check(self._sender)
        self._sender_7 = msgspec.structs.replace(self._sender, seven_bit=True)
        """For a relay without 8BITMIME."""
        self._config = config
        self._tools = tools
        self._wait_s = integration.limits.timeout_s * SHARE_OF_TIME
        self._destinations: Domains[SendJob] = Domains(config)
        self._guard = UrlGuard(tools.allowed_networks)
        grant = grant_of(config)
        self._tokens = AccessTokens(grant, tools) if grant is not None else None
        self._pool: Pool | None = None
        self._attachments: Attachments | None = None

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """All of the batch over the pooled connections; what has no answer in time is unknown, or was not begun."""
        return await self.send_reporting(batch, None)

    async def send_reporting(self, batch: Sequence[Outgoing], report: Report | None) -> Sequence[Outcome]:
        """The same; every mail is announced right before its body goes."""
        if not batch:
            return []
        pool = self._opened_pool()
        call = SendCall(len(batch), asyncio.get_running_loop(), report)
        fetching: list[SendJob] = []
        for index, outgoing in enumerate(batch):
            try:
                job = self._job(call, index, outgoing)
            except Exception as surprise:  # noqa: BLE001 - concerns this mail only, and it has not been sent
                call.settle(index, surprised(surprise, idempotent=True))
                continue
            if job is None:
                call.settle(index, Rejected(detail="this is no email"))
            elif job.email.content.attachments and by_url(job.email.content):
                fetching.append(job)
            else:
                pool.put(job)
        pool.feed()
        try:
            async with asyncio.timeout(self._wait_s):
                if fetching:
                    await self._fetch_and_send(pool, fetching)
                await call.done
        except TimeoutError:
            return pool.give_up(call)
        except asyncio.CancelledError:
            pool.give_up(call)
            raise
        return call.result()

    async def ping(self) -> None:
        """Connect, TLS, log in, and leave."""
        try:
            connection = await open_connection(
                self._config, self._opened_pool(), self._wait_s, self._guard, self._tokens
            )
        except NotOpened as failure:
            detail = f"{failure.outcome.detail}"
            if isinstance(failure.outcome, Misconfigured):
                raise ConfigError(detail) from None
            raise Unavailable(f"{detail}; check `host`, `port` and the firewall") from None
        connection.quit()

    async def close(self) -> None:
        """Say goodbye."""
        if self._pool is not None:
            await self._pool.close()
        if self._attachments is not None:
            await self._attachments.close()
        if self._tokens is not None:
            await self._tokens.close()

    def _job(self, call: SendCall, index: int, outgoing: Outgoing) -> SendJob | None:
        if outgoing.contact is None or not isinstance(outgoing.content, EmailContent):
            return None
        email = email_of(outgoing, self._tools.clock.now())
        return SendJob(call, index, email, self._destinations.of(email.to))

    async def _fetch_and_send(self, pool: Pool, jobs: Sequence[SendJob]) -> None:
        """Mails whose attachments are elsewhere: a few at a time, so that memory stays bounded."""
        if self._attachments is None:
            self._attachments = Attachments(self._tools, self._wait_s / 2)
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._with_attachments(pool, job, self._attachments))

    async def _with_attachments(self, pool: Pool, job: SendJob, attachments: Attachments) -> None:
        async with attachments.seats:
            try:
                content: EmailContent | Outcome = await attachments.into(job.email.content)
            except Exception as surprise:  # noqa: BLE001 - concerns this mail only, and it has not been sent
                content = surprised(surprise, idempotent=True)
            if not isinstance(content, EmailContent):
                job.call.settle(job.index, content)
                return
            report = job.call.report
            only = None if report is None else _Only(report, job.index)
            alone = SendCall(1, asyncio.get_running_loop(), only)
            email = msgspec.structs.replace(job.email, content=content)
            pool.put(SendJob(alone, 0, email, job.destination))
            pool.feed()
            try:
                await alone.done
            except asyncio.CancelledError:
                pool.give_up(alone)
                raise
            finally:
                job.call.settle(job.index, alone.result()[0])

    def _opened_pool(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(self._config, self._make, self._wait_s, self._guard, self._tokens)
        return self._pool

    def _make(self, email: OutgoingEmail, offered: Capabilities) -> Mail | Rejected:
        """The mail for a relay with these capabilities, or why it cannot go there."""
        try:
            mail = self._tools.mail.make(self._sender if offered.eight_bit else self._sender_7, email)
        except ContentError as wrong:
            return Rejected(detail=wrong.detail)
        if mail.utf8 and not offered.utf8:
            return Rejected(detail="the address is not ASCII and the relay does not offer SMTPUTF8")
        if offered.size is not None and len(mail.body) > offered.size:
            return Rejected(
                detail=f"the mail has {len(mail.body):,} bytes and the relay takes {offered.size:,}"
            )
        return mail


class _Only:
    """Implements `ports.provider.Report` for a mail that is a call of its own within another."""

    def __init__(self, report: Report, index: int) -> None:
        self._report = report
        self._index = index

    def begins(self, index: int) -> asyncio.Future[bool]:
        """It stands elsewhere in its batch."""
        return self._report.begins(self._index)

    def ended(self, index: int, outcome: Outcome) -> None:
        """Told by the call it belongs to."""


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return SmtpProvider(integration, config, tools)


plugin = ProviderPlugin(
    name="smtp",
    title="SMTP",
    channels=frozenset({Channel.EMAIL}),
    config=SmtpConfig,
    open=_open,
    batch=BATCH,
    marks_late=True,
    hosts=frozenset({"host"}),
    secrets=frozenset({"password", "token", "oauth_client_secret", "oauth_refresh_token", "dkim_keys"}),
    example={
        "host": "smtp.example.com",
        "username": "clarion",
        "password": "a-password",
        "from_address": "news@example.com",
        "from_name": "Example News",
        "return_domain": "bounce.example.com",
    },
)

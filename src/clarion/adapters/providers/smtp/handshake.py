"""Opens a connection for sending: greeting, EHLO, TLS with a verified name, authentication."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ssl import SSLCertVerificationError, SSLError

from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.adapters.oauth import AccessTokens, bearer
from clarion.adapters.providers.smtp.config import SmtpConfig, port_of, refuse_unsafe, tls_context
from clarion.adapters.providers.smtp.connection import Crew, SmtpConnection
from clarion.adapters.providers.smtp.outcomes import detail_of
from clarion.adapters.providers.smtp.replies import Capabilities, Reply
from clarion.errors import ConfigError, Unavailable
from clarion.model.outcome import Misconfigured, Retry
from clarion.model.status import Reason

GREETING, DONE, GO_ON = 220, 250, 334
AUTHENTICATED = 235
ADDRESSES_TRIED = 3
"""Of a relay that has several, while none takes a connection."""
REFUSED = 5
"""The first digit."""
NOT_KNOWN = (500, 502, 504)
"""A server older than EHLO."""


class NotOpened(Exception):
    """Why there is no connection, and what that means for what should have gone over it."""

    def __init__(self, outcome: Retry | Misconfigured) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


async def open_connection(
    config: SmtpConfig, crew: Crew, wait_s: float, guard: UrlGuard, tokens: AccessTokens | None = None
) -> SmtpConnection:
    """A connection that is ready for mail, or NotOpened within `wait_s`. Cancelled, it leaves nothing open."""
    connection: SmtpConnection | None = None
    opened = False
    try:
        async with _failures(config, wait_s):
            connection = await _connect(config, crew, wait_s, guard)
            await _introduce(connection, config)
            await _log_in(connection, config, tokens)
            opened = True
            return connection
    finally:
        if connection is not None and not opened:
            connection.abort("given up")
    raise AssertionError  # `_failures` raises instead of letting go


async def _connect(config: SmtpConfig, crew: Crew, wait_s: float, guard: UrlGuard) -> SmtpConnection:
    """To the first of the relay's addresses that takes a connection."""
    secure = config.security == "tls"
    host = config.host.strip("[]")
    trouble: OSError | None = None
    for address in (await vetted(host, guard))[:ADDRESSES_TRIED]:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: SmtpConnection(crew, wait_s),
                address,
                port_of(config),
                ssl=tls_context(config.ca) if secure else None,
                server_hostname=host if secure else None,
            )
        except SSLError:
            raise
        except OSError as away:
            trouble = away
        else:
            return connection
    raise trouble or OSError("it has no address")


async def _introduce(connection: SmtpConnection, config: SmtpConfig) -> None:
    greeting = await connection.reply()
    if greeting[0] != GREETING:
        raise NotOpened(Retry(detail=f"the relay does not greet us: {detail_of(greeting)}"))
    await _hello(connection, config)
    if config.security != "starttls":
        return
    if not connection.capabilities.starttls:
        raise _wrong("the relay offers no STARTTLS: use the port for submission, or set security to `tls`")
    reply = await connection.command("STARTTLS")
    if reply[0] != GREETING:
        raise _refused("the relay refuses STARTTLS", reply)
    if not connection.heard_nothing_more:
        # What somebody on the way slipped in would otherwise be read as said under TLS (CVE-2011-0411).
        raise NotOpened(Retry(detail="the relay, or somebody in between, spoke before TLS began"))
    await connection.start_tls(tls_context(config.ca), config.host.strip("[]"))
    await _hello(connection, config)


async def _hello(connection: SmtpConnection, config: SmtpConfig) -> None:
    name = config.hello or config.from_address.rpartition("@")[2].encode("idna").decode()
    code, text = reply = await connection.command(f"EHLO {name}")
    if code in NOT_KNOWN:
        code, text = reply = await connection.command(f"HELO {name}")
        text = b""
    if code != DONE:
        raise _refused("the relay does not take our name", reply)
    connection.capabilities = Capabilities(text)


async def _log_in(connection: SmtpConnection, config: SmtpConfig, tokens: AccessTokens | None) -> None:
    if not config.username:
        return
    if tokens is not None or config.token:
        await _show_token(connection, config, tokens)
        return
    offered = connection.capabilities.auth
    plain = _coded(f"\0{config.username}\0{config.password}")
    if b"PLAIN" in offered:
        reply = await connection.command(f"AUTH PLAIN {plain}")
    elif b"LOGIN" in offered:
        reply = await _login(connection, config)
    else:
        raise _wrong("the relay offers neither AUTH PLAIN nor LOGIN: leave username out, or use TLS")
    if reply[0] != AUTHENTICATED:
        secrets = (plain, *_shown_as(config.password), *_shown_as(config.username))
        raise _refused("the relay refuses username and password", reply, secrets)


async def _login(connection: SmtpConnection, config: SmtpConfig) -> Reply:
    reply = await connection.command("AUTH LOGIN")
    for answer in (config.username, config.password):
        if reply[0] != GO_ON:
            break
        reply = await connection.command(_coded(answer))
    return reply


async def _show_token(connection: SmtpConnection, config: SmtpConfig, tokens: AccessTokens | None) -> None:
    """A token that was withdrawn before its time is replaced once, unnoticed."""
    token = await tokens.get() if tokens is not None else config.token
    reply = await _xoauth2(connection, config.username, token)
    if reply[0] // 100 == REFUSED and tokens is not None and tokens.forget(token):
        token = await tokens.get()
        reply = await _xoauth2(connection, config.username, token)
    if reply[0] != AUTHENTICATED:
        secrets = (_coded(bearer(config.username, token)), *_shown_as(token), *_shown_as(config.username))
        raise _refused("the relay refuses the access token for this username", reply, secrets)


async def _xoauth2(connection: SmtpConnection, username: str, token: str) -> Reply:
    """A refusal comes as a challenge first."""
    reply = await connection.command(f"AUTH XOAUTH2 {_coded(bearer(username, token))}")
    return await connection.command("") if reply[0] == GO_ON else reply


def _shown_as(secret: str) -> tuple[str, ...]:
    """What of it could stand in an answer."""
    return (_coded(secret), secret) if secret else ()


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _refused(what: str, reply: Reply, secrets: Iterable[str] = ()) -> NotOpened:
    detail = f"{what}: {detail_of(reply, secrets=secrets)}"
    return _wrong(detail) if reply[0] // 100 == REFUSED else NotOpened(Retry(detail=detail))


def _wrong(detail: str) -> NotOpened:
    return NotOpened(Misconfigured(detail=detail))


@asynccontextmanager
async def _failures(config: SmtpConfig, wait_s: float) -> AsyncIterator[None]:
    """Everything that goes wrong, as NotOpened."""
    where = f"{config.host} port {port_of(config)}"
    try:
        refuse_unsafe(config)
        async with asyncio.timeout(wait_s):
            yield
    except TimeoutError:
        raise NotOpened(
            Retry(reason=Reason.PROVIDER_TIMEOUT, detail=f"no answer from {where} within {wait_s:.0f} s")
        ) from None
    except ConfigError as wrong:
        raise _wrong(wrong.detail) from None
    except Unavailable as away:
        raise NotOpened(Retry(after_s=away.retry_after_s, detail=away.detail)) from None
    except SSLCertVerificationError as untrusted:
        raise _wrong(
            f"the certificate of {where} is not valid for that name: {untrusted.verify_message}; correct `host`, or "
            "give the authority in `ca`"
        ) from None
    except SSLError as broken:
        raise NotOpened(Retry(detail=f"no TLS with {where}: {broken.reason or 'handshake failed'}")) from None
    except OSError as unreachable:
        number = unreachable.errno or 0
        why = os.strerror(number) if number > 0 else str(unreachable) or "it closed the connection"
        raise NotOpened(Retry(detail=f"cannot talk to {where}: {why.lower()}")) from None

"""A folder on an IMAP server (RFC 9051), read through the standard library in a thread of its own.

Unseen mail is fetched without marking it; `done` sets `\\Seen`. Nothing is deleted or moved.
"""

from __future__ import annotations

import asyncio
import imaplib
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from clarion.adapters.oauth import AccessTokens, bearer
from clarion.errors import ConfigError, Unavailable
from clarion.ports.mailbox import Fetched

MOST_BYTES = 4 * 1024 * 1024
"""Fetched of one mail."""
TIMEOUT_S = 30.0

Security = Literal["tls", "starttls", "none"]
T = TypeVar("T")


class ImapServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the folder is, and who may read it."""

    host: str
    port: int = 993
    user: str
    password: str = ""
    """Empty: an access token is shown instead."""
    folder: str = "INBOX"
    security: Security = "tls"
    ca: Path | None = None
    """PEM of the authority that signed the server's certificate; None: those the system trusts."""


class _TokenRefused(Exception):
    """The server does not take the access token."""


class ImapFolder:
    """Implements `ports.mailbox.Mailbox`. One connection, opened when needed; any trouble closes it."""

    def __init__(self, server: ImapServer, tokens: AccessTokens | None = None) -> None:
        """Raises ConfigError when `ca` cannot be read."""
        self._server = server
        self._tokens = tokens
        self._trust = _trust(server.ca)
        self._connection: imaplib.IMAP4 | None = None

    async def fetch(self, limit: int) -> Sequence[Fetched]:
        found = await self._run(lambda connection: self._fetch(connection, limit))
        if not found:
            await self.close()  # until the next look
        return found

    async def done(self, key: str) -> None:
        await self._run(lambda connection: _ok(connection.uid("STORE", key, "+FLAGS.SILENT", r"(\Seen)")))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(_farewell, connection)
        if self._tokens is not None:
            await self._tokens.close()

    async def _run(self, work: Callable[[imaplib.IMAP4], T]) -> T:
        try:
            return await self._connected(work)
        except ConfigError as wrong:
            raise Unavailable(f"{wrong.detail} (the settings `inbound.imap_oauth_...`)") from None
        except Unavailable:
            await self.close()
            raise

    async def _connected(self, work: Callable[[imaplib.IMAP4], T]) -> T:
        """A token that was withdrawn before its time is replaced once."""
        for _ in range(2):
            token = await self._token()
            try:
                return await asyncio.to_thread(self._work, work, token)
            except _TokenRefused:
                if self._tokens is None or not self._tokens.forget(token):
                    break
        raise Unavailable(
            f"the IMAP server {self._server.host} refuses the access token: check that it is for "
            "`inbound.imap_user`, and that its scope allows IMAP"
        )

    async def _token(self) -> str:
        return await self._tokens.get() if self._tokens is not None and self._connection is None else ""

    # -- in a thread ------------------------------------------------------------------------------------------

    def _work(self, work: Callable[[imaplib.IMAP4], T], token: str) -> T:
        with _failures(self._server):
            if self._connection is None:
                self._connection = self._open(token)
            return work(self._connection)

    def _open(self, token: str) -> imaplib.IMAP4:
        server = self._server
        connection: imaplib.IMAP4
        if server.security == "tls":
            connection = imaplib.IMAP4_SSL(
                server.host, server.port, ssl_context=self._trust, timeout=TIMEOUT_S
            )
        else:
            connection = imaplib.IMAP4(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.security == "starttls":
                _start_tls(connection, server, self._trust)
            _log_in(connection, server, token)
            _select(connection, server)
        except BaseException:
            with suppress(OSError):  # TLS that failed has closed the socket, and must not be hidden by that
                connection.shutdown()
            raise
        return connection

    def _fetch(self, connection: imaplib.IMAP4, limit: int) -> list[Fetched]:
        (found, *_) = _ok(connection.uid("SEARCH", "UNSEEN"))
        mails = []
        for uid in (found or b"").split()[:limit]:
            parts = _ok(connection.uid("FETCH", uid.decode("ascii"), f"(BODY.PEEK[]<0.{MOST_BYTES}>)"))
            mails += [Fetched(uid.decode("ascii"), part[1]) for part in parts if isinstance(part, tuple)]
        return mails


def _trust(ca: Path | None) -> ssl.SSLContext:
    """Verifies certificate and name."""
    try:
        trust = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"inbound.imap_ca: {ca} cannot be read as certificates in PEM form") from None
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    return trust


def _start_tls(connection: imaplib.IMAP4, server: ImapServer, trust: ssl.SSLContext) -> None:
    if "STARTTLS" not in connection.capabilities:
        raise Unavailable(
            f"the IMAP server {server.host} offers no STARTTLS: set `inbound.imap_security` to `tls`, usually on port 993"
        )
    connection.starttls(trust)


def _log_in(connection: imaplib.IMAP4, server: ImapServer, token: str) -> None:
    shown = [bearer(server.user, token).encode(), b""]  # a refusal comes as a challenge first
    try:
        if token:
            connection.authenticate("XOAUTH2", lambda _: shown.pop(0) if shown else None)
        else:
            connection.login(server.user, server.password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        if token:
            raise _TokenRefused from None
        raise Unavailable(
            f"the IMAP server {server.host} refuses the login: check `inbound.imap_user` and `inbound.imap_password`"
        ) from None


def _select(connection: imaplib.IMAP4, server: ImapServer) -> None:
    try:
        _ok(connection.select(_quoted(server.folder)))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        raise Unavailable(
            f"the IMAP server {server.host} does not open the folder: check `inbound.imap_folder`"
        ) from None


@contextmanager
def _failures(server: ImapServer) -> Iterator[None]:
    """What goes wrong on the way, as Unavailable; a library's words may repeat what was said to it."""
    where = f"{server.host} port {server.port}"
    try:
        yield
    except ssl.SSLCertVerificationError as untrusted:
        raise Unavailable(
            f"the certificate of {where} is not valid for that name: {untrusted.verify_message}; correct "
            "`inbound.imap_host`, or give the authority in `inbound.imap_ca`"
        ) from None
    except ssl.SSLError as broken:
        raise Unavailable(
            f"no TLS with {where}: {broken.reason or 'handshake failed'}; check `inbound.imap_security` and the port"
        ) from None
    except OSError as unreachable:
        number = unreachable.errno or 0
        why = os.strerror(number) if number > 0 else "no answer, or nobody has that name"
        raise Unavailable(
            f"cannot talk to {where}: {why.lower()}; check `inbound.imap_host` and `inbound.imap_port`"
        ) from None
    except imaplib.IMAP4.error as broken:
        raise Unavailable(
            f"the IMAP server at {where} broke off or was not understood ({type(broken).__name__}); check "
            "`inbound.imap_host`, `inbound.imap_port` and `inbound.imap_security`"
        ) from None


def _ok(answer: tuple[str, list[T]]) -> list[T]:
    status, data = answer
    if status != "OK":
        raise imaplib.IMAP4.error(status)
    return data


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _farewell(connection: imaplib.IMAP4) -> None:
    try:
        connection.logout()
    except (imaplib.IMAP4.error, OSError):
        with suppress(OSError):
            connection.shutdown()

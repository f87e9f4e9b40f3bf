"""A folder on an IMAP server (RFC 9051), read through the standard library in a thread of its own.

Unseen mail is fetched without marking it; `done` sets `\\Seen`. Nothing is deleted or moved.
"""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import msgspec

from clarion.errors import Unavailable
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
    password: str
    folder: str = "INBOX"
    security: Security = "tls"


class ImapFolder:
    """Implements `ports.mailbox.Mailbox`. One connection, opened when needed; any trouble closes it."""

    def __init__(self, server: ImapServer) -> None:
        self._server = server
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

    async def _run(self, work: Callable[[imaplib.IMAP4], T]) -> T:
        try:
            return await asyncio.to_thread(self._connected, work)
        except (imaplib.IMAP4.error, OSError) as error:
            await self.close()
            raise Unavailable(
                f"the IMAP server {self._server.host} refused or did not answer ({type(error).__name__}): check "
                "`inbound.imap_host`, user, password and folder"
            ) from None

    def _connected(self, work: Callable[[imaplib.IMAP4], T]) -> T:
        if self._connection is None:
            self._connection = self._open()
        return work(self._connection)

    def _open(self) -> imaplib.IMAP4:
        server = self._server
        trust = ssl.create_default_context()
        connection: imaplib.IMAP4
        if server.security == "tls":
            connection = imaplib.IMAP4_SSL(server.host, server.port, ssl_context=trust, timeout=TIMEOUT_S)
        else:
            connection = imaplib.IMAP4(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.security == "starttls":
                connection.starttls(trust)
            connection.login(server.user, server.password)
            _ok(connection.select(_quoted(server.folder)))
        except BaseException:
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
        connection.shutdown()

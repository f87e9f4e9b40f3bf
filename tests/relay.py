"""A mail relay that answers as scripted: what it was told, what it took, and every way to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from ssl import SSLContext
from typing import Any, Final

import msgspec

from clarion.adapters.providers.smtp import plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.user import Contact
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject

HANG: Final = b"hang"
"""Never answer."""
CLOSE: Final = b"close"
"""Close the connection without a word."""
OFFERS: Final = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10240000", "ENHANCEDSTATUSCODES")

ENTROPY = SystemRandom()
SUBJECT = ProviderSubject(
    plugin=plugin, tools=provider_tools(SystemClock(), ENTROPY, LocalVault(ENTROPY.bytes(32), ENTROPY))
)

Answer = Callable[[str], bytes | None]
"""What to say to a command line; None: what a good relay says."""


class Relay:
    """One relay. `answers` by verb, `CONNECT` for the greeting and `END` for the final dot."""

    def __init__(self, offers: tuple[str, ...] = OFFERS, /, **answers: Answer) -> None:
        self.offers = offers
        self.answers = answers
        self.port = 0
        self.mails: list[tuple[str, str, bytes]] = []
        """MAIL line, RCPT line and body of every mail it took."""
        self.said: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.under_way = 0
        self._sessions: set[asyncio.Task[Any]] = set()
        self.most_under_way = 0
        """Mails between RCPT and the answer to the dot, on all connections."""

    @contextlib.asynccontextmanager
    async def running(self, tls: SSLContext | None = None) -> AsyncIterator[Relay]:
        """Listens on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            sessions = list(self._sessions)
            for session in sessions:
                session.cancel()
            await asyncio.gather(*sessions, return_exceptions=True)
            await asyncio.sleep(0)

    async def all_gone(self, within_s: float = 2.0) -> bool:
        """Whether every connection ends."""
        for _ in range(round(within_s / 0.01)):
            if not self.open:
                return True
            await asyncio.sleep(0.01)
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(session)
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say("CONNECT", "", b"220 relay.example ESMTP", writer)
        mail = rcpt = ""
        while True:
            line = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            self.said.append(line)
            verb = line.split(" ")[0].split(":")[0].upper()
            if verb == "EHLO":
                text = "\r\n".join(f"250-{one}" for one in ("relay.example", *self.offers)) + "\r\n250 HELP"
                await self._say(verb, line, text.encode(), writer)
            elif verb == "MAIL":
                mail, rcpt = line, ""
                await self._say(verb, line, b"250 2.1.0 Ok", writer)
            elif verb == "RCPT":
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                said = await self._say(verb, line, b"250 2.1.5 Ok", writer)
                rcpt = line if said.startswith(b"2") else ""
                self.under_way -= not rcpt
            elif verb == "DATA":
                good = b"354 go on" if rcpt else b"554 5.5.1 no valid recipients"
                if (await self._say(verb, rcpt, good, writer)).startswith(b"354"):
                    await self._take(mail, rcpt, reader, writer)
            elif verb == "QUIT":
                await self._say(verb, line, b"221 2.0.0 Bye", writer)
                return
            else:
                await self._say(verb, line, b"250 2.0.0 Ok", writer)

    async def _take(
        self, mail: str, rcpt: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = b""
        while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
            body += line.removeprefix(b".") if line.startswith(b"..") else line
        if rcpt:
            self.mails.append((mail, rcpt, body))
            self.under_way -= 1
        await self._say("END", rcpt, b"250 2.0.0 Ok: queued as Q%d" % len(self.mails), writer)

    async def _say(self, verb: str, line: str, otherwise: bytes, writer: asyncio.StreamWriter) -> bytes:
        answer = self.answers.get(verb)
        said = (answer(line) if answer else None) or otherwise
        if said == HANG:
            await asyncio.sleep(3600)
        if said == CLOSE:
            raise ConnectionError
        writer.write(said if said.endswith((b"\n", b"half")) else said + b"\r\n")
        await writer.drain()
        if said.endswith(b"half"):
            await asyncio.sleep(3600)
        return said


@contextlib.asynccontextmanager
async def smtp(
    port: int, *, timeout_s: float = 20.0, tools: ProviderTools = SUBJECT.tools, **config: Any
) -> AsyncIterator[Any]:
    """The provider, led to a relay on this machine."""
    whole = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "from_address": "news@example.com",
        **config,
    }
    integration = Integration(
        key="mail",
        channel=Channel.EMAIL,
        provider="smtp",
        config=whole,
        limits=IntegrationLimits(timeout_s=timeout_s),
    )
    provider = plugin.open(integration, msgspec.convert(whole, plugin.config), tools)
    try:
        yield provider
    finally:
        await provider.close()


def mails(*addresses: str, **content: Any) -> list[Outgoing]:
    """One mail to each address."""
    fields: dict[str, Any] = {"subject": "Hello", "text": "Hello", **content}
    return [
        msgspec.structs.replace(
            outgoing,
            contact=Contact(channel=Channel.EMAIL, address=address),
            content=EmailContent(**fields),
        )
        for outgoing, address in zip(SUBJECT.messages(len(addresses)), addresses, strict=True)
    ]


def many(count: int, domain: str = "example.org") -> list[Outgoing]:
    """Mails to different people of a domain."""
    return mails(*(f"user{i}@{domain}" for i in range(count)))

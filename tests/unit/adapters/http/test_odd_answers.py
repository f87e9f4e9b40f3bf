"""Answers that are odd and answers all the same: their status counts, whatever stands beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.utils import formatdate

import msgspec
import pytest

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.adapters.http.clients import Clients
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ports import provider_tools

OK = b"HTTP/1.1 200 OK\r\n"
END = b"content-length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that says these bytes to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def said(answer: bytes) -> HttpReply | HttpFailure:
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    caller = HttpClient(tools, timeout_s=20)
    async with answering(answer) as url:
        reply = await caller.call(HttpRequest(url=url), until_s=tools.clock.monotonic() + 20, limit=1_000)
    await caller.close()
    return reply


@pytest.mark.parametrize(
    "header",
    [
        b"X-Shop: Caf\xe9\r\n",
        "X-Shop: Café\r\n".encode(),
        b"Set-Cookie: \xff\xfe\r\n",
        b"Location: http://caf\xe9/\r\n",
        b"Retry-After: \xb2\r\n",
        b"Content-Type: text/\xe9; charset=nonsense\r\n",
        b"Content-Encoding: gzip\r\n",
        b"X-Sh\xe9p: a\r\n",
        b"X-Control: a\x01b\r\n",
        b"X-Space : a\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"X-Long: " + b"a" * 100_000 + b"\r\n",
        b"X-Many: a\r\n" * 80,
    ],
    ids=lambda header: ascii(header[:24]),
)
@pytest.mark.parametrize("status", [200, 410])
async def test_an_odd_header_changes_nothing_about_an_answer(header, status):
    """Any byte from 0x80 on may stand in a value (obs-text, RFC 9110, 5.5), and what is wrong is passed over."""
    reply = await said(b"HTTP/1.1 %d Odd\r\n" % status + header + END)
    assert isinstance(reply, HttpReply), reply
    assert (reply.status, reply.body) == (status, b"ok")


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 103 Early\r\nLink: caf\xe9\r\n\r\n" + OK + END, 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + END, 200, b"ok"),
        (b"HTTP/1.1 204 None\r\n" + END, 204, b""),
        (b"HTTP/1.1 200 Caf\xe9\r\n" + END, 200, b"ok"),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: caf\xe9\r\n\r\n", 200, b"ok"),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 200, b""),
        (OK + b"content-length: 9223372036854775807\r\n\r\nok", 200, b""),
        (b"HTTP/1.0 200 OK\r\nX: \xe9\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 999 Odd\r\n" + END, 999, b"ok"),
    ],
    ids=["103", "100", "204 with a body", "reason", "trailer", "chunks", "huge length", "HTTP/1.0", "999"],
)
async def test_an_odd_answer_still_has_its_status(answer, status, body):
    """Interim answers, bodies that do not come, trailers: what was said first has been said."""
    reply = await said(answer)
    assert isinstance(reply, HttpReply), reply
    assert (reply.status, reply.body) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: two\r\n\r\nok",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        OK + b"X-Many: a\r\n" * 500 + END,
        b"HTTP/1.1 000 Odd\r\n" + END,
        b"ok",
    ],
    ids=["length", "two lengths", "500 headers", "000", "HTTP/0.9"],
)
async def test_what_is_no_answer_leaves_doubt(answer):
    """It was sent, and what came back cannot be read: nobody may take that for `not sent`."""
    failure = await said(answer)
    assert isinstance(failure, HttpFailure)
    assert failure.kind == "unanswered"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["5", "10"], 10),
        (["10", "5"], 10),
        (["soon", "5"], 5),
        (["soon"], None),
        (["-5"], None),
        (["nan"], None),
        (["inf"], None),
        (["1e9"], None),
        (["0"], 0),
        (["٣"], None),
        (["9" * 40], 604_800),
        ([formatdate(0, usegmt=True)], 0),
        (["Fri, 31 Dec 9999 23:59:59 GMT"], 604_800),
        (["Fri, 31 Dec 99999999 23:59:59 GMT"], None),
        (["Fri, 01 Jan 0001 00:00:00 +2359"], 0),
    ],
)
async def test_a_wish_to_wait_is_a_number_or_none(lines, seconds):
    """The longest of several; what is neither a number nor a date is none."""
    headers = "".join(f"Retry-After: {line}\r\n" for line in lines).encode()
    reply = await said(b"HTTP/1.1 503 Busy\r\n" + headers + END)
    assert isinstance(reply, HttpReply)
    assert reply.retry_after_s == seconds


async def test_a_name_that_breaks_the_resolver_has_not_been_called(monkeypatch):
    """Nothing was sent, so nothing is in doubt."""

    async def at(self: Clients, text: str) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Clients, "at", at)
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8",))
    caller = HttpClient(tools, timeout_s=20)
    failure = await caller.call(
        HttpRequest(url="https://shop.example/"), until_s=tools.clock.monotonic() + 20, limit=9
    )
    await caller.close()
    assert failure == HttpFailure(kind="unsent", detail="no connection could be made (RuntimeError)")

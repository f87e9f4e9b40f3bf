"""Calls that share an HTTP/2 connection when it ends: none is lost, none is made twice, and what is not known is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
from h2.errors import ErrorCodes

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, Transport
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.outcome import Accepted, Outcome, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.testing.ports import provider_tools
from tests import outgoing as made
from tests.http2_server import Http2Server, Stream, http2_server

CALLS = 40
FIRST_NOT_TAKEN = 13
"""Id of a stream in the middle: clients number theirs 1, 3, 5, ..."""


async def sent(
    folder: Path, monkeypatch, manner: Callable[[Stream], bool | None]
) -> tuple[Http2Server, Sequence[Outcome]]:
    """What becomes of many calls at once."""
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8", "::1/128"))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    async with http2_server(folder, manner) as server:

        def build(outgoing: Outgoing) -> HttpRequest:
            return HttpRequest(
                url=server.url, headers={"apns-id": str(UUID(bytes=outgoing.message.id))}, body=b"x"
            )

        def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
            return Accepted()

        integration = Integration(key="phones", channel=Channel.PUSH, provider="test", config={})
        provider = HttpProvider(
            integration, tools, build=build, read=read, transport=Transport(http2_only=True)
        )
        batch = [
            made.outgoing(PushContent(title="x"), number, channel=Channel.PUSH)
            for number in range(1, CALLS + 1)
        ]
        try:
            return server, await provider.send(batch)
        finally:
            await provider.close()


async def test_the_first_calls_share_one_connection(tmp_path, monkeypatch):
    """Also those that begin while it is being made: APNs takes many short connections for an attack."""
    server, outcomes = await sent(tmp_path, monkeypatch, lambda stream: stream.answer())
    assert server.connections == 1
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


async def test_what_a_server_that_goes_away_has_not_taken_is_sent_again(tmp_path, monkeypatch):
    """GOAWAY says how far it came (RFC 9113, 6.8); the rest goes over a new connection."""

    def goes_away(stream: Stream) -> bool:
        if stream.number > 1 or stream.stream_id < FIRST_NOT_TAKEN:
            stream.answer()
            return False
        stream.connection.close_connection(last_stream_id=FIRST_NOT_TAKEN - 2)
        return True

    server, outcomes = await sent(tmp_path, monkeypatch, goes_away)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (len(server.processed), set(server.processed.values())) == (CALLS, {1})
    assert server.connections == 2


async def test_a_stream_that_is_refused_is_sent_again(tmp_path, monkeypatch):
    """REFUSED_STREAM says that nothing was done with it (RFC 9113, 8.7)."""
    refused: set[str] = set()

    def refuses_once(stream: Stream) -> None:
        if stream.name in refused or stream.stream_id % 3:
            stream.answer()
            return
        refused.add(stream.name)
        stream.connection.reset_stream(stream.stream_id, ErrorCodes.REFUSED_STREAM)

    server, outcomes = await sent(tmp_path, monkeypatch, refuses_once)
    assert refused
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (len(server.processed), set(server.processed.values())) == (CALLS, {1})


async def test_what_was_under_way_on_a_lost_connection_is_in_doubt(tmp_path, monkeypatch):
    """It may have been taken, so nobody repeats it unasked."""

    def breaks_off(stream: Stream) -> bool:
        if stream.stream_id < FIRST_NOT_TAKEN:
            stream.answer()
            return False
        stream.process()
        return True

    server, outcomes = await sent(tmp_path, monkeypatch, breaks_off)
    assert {type(outcome) for outcome in outcomes} <= {Accepted, Unknown}
    assert any(isinstance(outcome, Unknown) for outcome in outcomes)
    assert set(server.processed.values()) == {1}

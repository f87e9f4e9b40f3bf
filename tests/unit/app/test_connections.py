"""No client keeps a connection open by being slow or silent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from clarion.adapters.telemetry.prometheus import Metrics
from clarion.app.connections import Connections, HttpConnection, Patience
from clarion.config import Settings
from clarion.errors import ConfigError
from clarion.testing.ports import ManualClock

PATIENCE = Patience(
    head_s=10, body_s=30, read_s=20, close_s=5, head_bytes=1_000, waiting=6, waiting_per_client=4
)
GET = b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"


class Transport:
    """What a connection speaks over."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.sent = b""
        self.closing = self.aborted = False

    def get_extra_info(self, name: str) -> Any:
        return {"peername": (self.host, 1234), "sockname": ("127.0.0.1", 80)}.get(name)

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, once the body is there, or never."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()
    if scope["path"] == "/hang":
        await asyncio.Event().wait()
    if scope["path"] != "/early":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Server:
    """What a server does with connections, without the network."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.all = Connections(self.clock, PATIENCE)
        self.config = uvicorn.Config(application, ws="websockets-sansio", lifespan="off", log_config=None)
        self.config.load()
        self.state = ServerState()

    def accept(self, host: str = "192.0.2.1") -> tuple[HttpConnection, Transport]:
        """A client connects."""
        connection = self.all.connection(config=self.config, server_state=self.state, app_state={})
        transport = Transport(host)
        connection.connection_made(transport)
        return connection, transport

    async def pass_time(self, seconds: float) -> None:
        """The clock moves, and everything runs that can."""
        self.clock.advance(seconds)
        for _ in range(10):
            await asyncio.sleep(0)
        self.all.sweep()


@pytest.fixture
async def server():
    """Ends what hangs."""
    server = Server()
    yield server
    for task in list(server.state.tasks):
        task.cancel()
    await asyncio.sleep(0)


async def test_a_client_that_says_nothing_is_sent_away(server):
    """After the time for a head, with a status that says why."""
    _, transport = server.accept()
    await server.pass_time(9)
    assert not transport.closing
    await server.pass_time(1)
    assert (transport.closing, transport.sent[:12]) == (True, b"HTTP/1.1 408")
    assert server.all.ended == {"slow_head": 1}


async def test_a_head_that_comes_byte_by_byte_has_the_same_time(server):
    """Each byte buys nothing; neither do empty lines before it, or on a connection that was good before."""
    for opening in (b"", b"\r\n\r\n", GET):
        connection, transport = server.accept()
        if opening:
            connection.data_received(opening)
            await server.pass_time(0)
        for byte in range(20):
            if not transport.closing:
                connection.data_received(GET[byte : byte + 1])
                await server.pass_time(0.5)
        assert transport.closing, opening


async def test_a_body_that_comes_byte_by_byte_has_its_time(server):
    """With a length, in chunks, and behind an answer that did not wait for it."""
    chunked = b"POST /ok HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    for head, byte in ((POST, b"x"), (chunked, b"1\r\nx\r\n"), (POST.replace(b"/ok", b"/early"), b"x")):
        connection, transport = server.accept()
        connection.data_received(head)
        for _ in range(29):
            await server.pass_time(1)
            connection.data_received(byte)
        assert not transport.closing
        await server.pass_time(1)
        assert transport.closing, head
    assert server.all.ended == {"slow_body": 3}


async def test_who_is_quick_keeps_the_connection(server):
    """Request after request, each on its own time; the time of an answer is the application's."""
    connection, transport = server.accept()
    for _ in range(20):
        connection.data_received(GET)
        await server.pass_time(4)
        connection.data_received(POST + b"x" * 100)
        await server.pass_time(4)
    assert transport.sent.count(b"HTTP/1.1 200 OK") == 40
    connection.data_received(GET.replace(b"/ok", b"/hang"))
    await server.pass_time(600)
    assert not transport.closing


async def test_a_client_that_does_not_read_is_cut_off(server):
    """The answer waits for it so long and no longer; nor does a close that it does not take."""
    connection, transport = server.accept()
    connection.data_received(GET.replace(b"/ok", b"/hang"))
    await server.pass_time(0)
    connection.pause_writing()
    await server.pass_time(19)
    assert not transport.aborted
    await server.pass_time(1)
    assert transport.aborted
    _, closing = server.accept()
    closing.close()
    await server.pass_time(0)
    await server.pass_time(5)
    assert closing.aborted


async def test_a_head_without_end_is_refused(server):
    """Before it fills the memory."""
    connection, transport = server.accept()
    connection.data_received(b"GET /ok HTTP/1.1\r\n")
    for number in range(20):
        if not transport.closing:
            connection.data_received(b"x-%d: %s\r\n" % (number, b"y" * 100))
    assert (transport.closing, transport.sent[:12]) == (True, b"HTTP/1.1 431")


async def test_an_answer_before_the_body_is_not_lost_by_a_reset(server):
    """A client that closes afterwards and is still sending is read to its end, or as long as a body may take."""
    head = POST.replace(b"/ok", b"/early").replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    connection, transport = server.accept()
    connection.data_received(head)
    await server.pass_time(0)
    assert (transport.sent.startswith(b"HTTP/1.1 200"), transport.closing) == (True, False)
    connection.data_received(b"x" * 99)
    assert not transport.closing
    connection.data_received(b"x")
    assert transport.closing
    connection, transport = server.accept()
    connection.data_received(head)
    await server.pass_time(30)
    assert (transport.closing, transport.sent.count(b"HTTP/1.1")) == (True, 1)
    connection, transport = server.accept()
    connection.data_received(head + b"x" * 100)
    await server.pass_time(0)
    assert transport.closing


async def test_a_whole_request_that_comes_at_once_is_no_head_without_end(server):
    """However long its body is, and however many there are."""
    connection, transport = server.accept()
    for _ in range(3):
        connection.data_received(POST.replace(b"100", b"5000") + b"x" * 5_000 + GET[:10])
        await server.pass_time(0)
        connection.data_received(GET[10:])
        await server.pass_time(0)
    assert (transport.closing, transport.sent.count(b"HTTP/1.1 200")) == (False, 6)


async def test_the_last_part_of_a_long_body_is_no_head_either(server):
    """It comes in pieces, and each may be longer than a head may be."""
    connection, transport = server.accept()
    for _ in range(3):
        connection.data_received(POST.replace(b"100", b"6000") + b"x" * 10)
        connection.data_received(b"x" * 2_990)
        connection.data_received(b"x" * 3_000)
        await server.pass_time(0)
    assert (transport.closing, transport.sent.count(b"HTTP/1.1 200")) == (False, 3)


async def test_one_client_cannot_take_all_connections(server):
    """Of one address a bounded number waits, and of all together: the longest make room. What is answered does not
    count, and whoever is quick is answered meanwhile."""
    waiting = [server.accept("192.0.2.1")[1] for _ in range(6)]
    assert [one.closing for one in waiting] == [True] * 2 + [False] * 4
    others = [server.accept(f"192.0.2.{n}")[1] for n in (2, 3, 4)]
    assert [one.closing for one in (*waiting, *others)] == [True] * 3 + [False] * 6
    connection, transport = server.accept("192.0.2.1")
    connection.data_received(GET)
    await server.pass_time(0)
    assert transport.sent.startswith(b"HTTP/1.1 200")
    await server.pass_time(10)
    assert all(one.closing for one in (*waiting, *others))
    for _ in range(20):
        connection, transport = server.accept("192.0.2.1")
        connection.data_received(GET.replace(b"/ok", b"/hang"))
        assert not transport.closing
    assert not server.all.waiting


async def test_an_open_socket_is_left_to_the_gateway(server):
    """A handshake has the time of any head; then other rules hold."""
    connection, transport = server.accept()
    head = b"GET /v1/inbox/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    connection.data_received(head)
    await server.pass_time(10)
    assert transport.closing
    connection, transport = server.accept()
    connection.data_received(
        head + b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await server.pass_time(0)
    assert transport.sent.startswith(b"HTTP/1.1 101")
    await server.pass_time(3_600)
    assert (transport.closing, len(server.all.waiting)) == (False, 0)


async def test_what_is_gone_is_not_counted(server):
    """However a connection ended."""
    for opening in (b"", GET[:5], GET, POST, b"\x16\x03\x01"):
        connection, _ = server.accept()
        if opening:
            connection.data_received(opening)
        await server.pass_time(0)
        connection.connection_lost(None)
    assert (server.all.waiting, server.all.open, server.all.waiting_of) == ({}, set(), {})


async def test_the_metrics_tell_who_waits_and_why_some_were_ended(server):
    """So that an operator sees an attack, or a limit that is too low."""
    accepted = [server.accept() for _ in range(5)]
    page = Metrics()
    page.add("connections", server.all.stats)
    shown = (await page.render("text/plain"))[0].decode()
    assert "clarion_http_connections 5.0" in shown
    assert "clarion_http_connections_waiting 4.0" in shown
    assert 'clarion_http_connections_ended_total{reason="crowded_out"} 1.0' in shown
    for connection, _ in accepted:
        connection.connection_lost(None)
    assert (server.all.stats()["open"], server.all.stats()["waiting"]) == (0, 0)


async def test_the_limits_are_settings(tmp_path):
    """Too few to serve anybody is refused."""
    settings = Settings.load(mode="dev", data_dir=tmp_path, limits={"waiting_connections": 20})
    assert (settings.limits.waiting_connections, settings.limits.waiting_connections_per_client) == (
        20,
        1_000,
    )
    with pytest.raises(ConfigError, match="waiting_connections"):
        Settings.load(mode="dev", data_dir=tmp_path, limits={"waiting_connections": 0})

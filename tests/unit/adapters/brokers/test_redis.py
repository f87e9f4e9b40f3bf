"""Redis as the broker: what it is told in the URL, and which servers it does not trust with events."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from clarion.adapters.brokers.redis import RedisStreams, parse
from clarion.adapters.redis.client import client_of
from clarion.errors import Busy, ConfigError, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, EventId, TenantId
from tests.servers.process import free_port, home_for
from tests.servers.redis import serve

EVENT = Entry(
    event_id=EventId(bytes(16)),
    tenant=TenantId(1),
    lane=Lane.NORMAL,
    workflow="news",
    sealed=b"x",
    sealed_for=NO_USER,
)
Serve = Callable[..., int]


@pytest.fixture
def served() -> Iterator[Serve]:
    """Starts servers with options of their own; returns the port of each."""
    ends: list[Callable[[], object]] = []

    def begin(*options: str) -> int:
        home, port = home_for("redis"), free_port()
        process = serve(home, port, options)
        ends.extend((process.kill, process.wait, lambda: shutil.rmtree(home)))
        return port

    yield begin
    for end in ends:
        end()


async def opened(url: str) -> RedisStreams:
    """Connected, and the server checked."""
    server, options = parse(url)
    streams = RedisStreams(client_of(server), server, options, "me")
    try:
        await streams.open()
    except Exception:
        await streams.close()
        raise
    return streams


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("replicas=9", "replicas must be a whole number from 0 to 5"),
        ("hold_s=0", "hold_s must be a whole number from 1 to 3600"),
        ("persistence=no", "persistence must be `required` or `optional`"),
        ("cluster=true&replicas=1", "min-replicas-to-write"),
        ("prefx=a", "no option `prefx`"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(query, says):
    """Those that every user of Redis has, and those of the broker."""
    with pytest.raises(ConfigError, match=says):
        parse(f"redis://localhost/?{query}")


async def test_a_server_that_does_not_write_to_disk_is_refused_unless_told(served):
    """It would lose accepted events when it ends."""
    port = served("--save", "", "--appendonly", "no")
    with pytest.raises(ConfigError, match="set `appendonly yes`"):
        await opened(f"redis://127.0.0.1:{port}/")
    streams = await opened(f"redis://127.0.0.1:{port}/?persistence=optional")
    await streams.close()


async def test_a_server_that_writes_once_a_second_is_used_and_said_to_lose_it(served):
    """The default of Redis: whoever wants less to lose is told what to set."""
    port = served("--save", "", "--appendonly", "yes")
    with capture_logs() as said:
        streams = await opened(f"redis://127.0.0.1:{port}/")
    await streams.close()
    assert [(line["event"], line["appendfsync"]) for line in said] == [
        ("broker_may_lose_a_second", "everysec")
    ]


async def test_a_server_that_deletes_what_it_has_no_room_for_is_refused(served):
    """Events are not a cache."""
    port = served("--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="set it to noeviction"):
        await opened(f"redis://127.0.0.1:{port}/")


async def test_a_full_server_is_busy(served):
    """It takes events again when some are planned."""
    port = served("--appendonly", "yes", "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    streams = await opened(f"redis://127.0.0.1:{port}/")
    try:
        with pytest.raises(Busy, match="is full"):
            await streams.send(Lane.NORMAL, [(EVENT, b"x" * 100_000)] * 100)
    finally:
        await streams.close()


async def test_replicas_that_do_not_confirm_make_it_unavailable(served):
    """What is on one server only may be lost with it: the caller tries again."""
    port = served("--appendonly", "yes")
    streams = await opened(f"redis://127.0.0.1:{port}/?replicas=1")
    try:
        with pytest.raises(Unavailable, match="0 of 1 replicas"):
            await streams.send(Lane.NORMAL, [(EVENT, b"x")])
    finally:
        await streams.close()


async def test_the_password_and_the_certificate_are_checked(served, tmp_path):
    """Over TLS, with a user of the server's own who may do no more than the how-to says."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pems = {"ca": authority.cert_pem, "key": issued.private_key_pem, "cert": issued.cert_chain_pems[0]}
    for name, pem in pems.items():
        pem.write_to_path(str(tmp_path / name))
    tls = free_port()
    files = [
        word
        for name in pems
        for word in (f"--tls-{'ca-cert' if name == 'ca' else name}-file", str(tmp_path / name))
    ]
    served("--appendonly", "yes", "--tls-port", str(tls), *files, "--tls-auth-clients", "no",
           "--user", "clarion", "on", ">secret", "~clarion:*", "&*", "+@all", "-@dangerous", "+info", "+config|get")  # fmt: skip
    trusted = f"?ca={tmp_path / 'ca'}"
    streams = await opened(f"rediss://clarion:secret@127.0.0.1:{tls}/{trusted}")
    await streams.send(Lane.NORMAL, [(EVENT, b"x")])
    arriving = streams.receive(Lane.NORMAL)
    handles = [delivery.handle for delivery in await anext(arriving)]
    await arriving.aclose()
    await streams.give_back(Lane.NORMAL, handles)
    await streams.done(Lane.NORMAL, handles)
    assert await streams.waiting(Lane.NORMAL) == 0
    await streams.close()
    with pytest.raises(ConfigError, match="check user, password") as caught:
        await opened(f"rediss://clarion:wrong@127.0.0.1:{tls}/{trusted}")
    assert "wrong" not in str(caught.value)
    with pytest.raises(Unavailable, match="certificate"):
        await opened(f"rediss://clarion:secret@127.0.0.1:{tls}/")


async def test_an_idle_lane_waits_less_long_than_an_answer_may_take(redis, tmp_path: Path):
    """Otherwise each wait would end as if the server were away, and what it brought would be lost for a while."""
    streams = await opened(f"{redis.url}?timeout_s=0.3&prefix={tmp_path.name}-idle")
    try:
        arriving = streams.receive(Lane.NORMAL)
        waiting = asyncio.ensure_future(anext(arriving))
        await asyncio.wait([waiting], timeout=1.0)
        assert not waiting.done()
        await streams.send(Lane.NORMAL, [(EVENT, b"x")])
        assert [delivery.data for delivery in await waiting] == [b"x"]
        await arriving.aclose()
    finally:
        await streams.close()


async def test_what_is_planned_leaves_nothing_behind(redis, tmp_path: Path):
    """The stream is trimmed behind it, and nobody has it pending."""
    streams = await opened(f"{redis.url}?prefix={tmp_path.name}")
    try:
        await streams.send(Lane.NORMAL, [(EVENT, b"x")] * 3)
        arriving = streams.receive(Lane.NORMAL)
        handles = [delivery.handle for delivery in await anext(arriving)]
        assert await streams.waiting(Lane.NORMAL) == 3
        await streams.done(Lane.NORMAL, handles)
        await arriving.aclose()
        assert await streams.waiting(Lane.NORMAL) == 0
        stream, _ = handles[0]
        pending: Any = await streams._client.xpending(stream, "clarion")
        assert pending["pending"] == 0
    finally:
        await streams.close()

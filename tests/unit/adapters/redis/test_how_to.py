"""The how-to for Redis, as it stands, on real servers: its configuration files, and rights that are enough and all needed."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from clarion.adapters.fanouts.redis import opened
from clarion.adapters.redis.client import client_of, close, parse, trouble_of
from clarion.adapters.redis.server import Server
from clarion.adapters.redis.token_pool import TokenPool
from clarion.adapters.system import SystemClock
from clarion.errors import ConfigError
from clarion.model.ids import UserNo
from clarion.testing.fanout_contract import Receiver, change
from tests.architecture.source_tree import ROOT
from tests.contract.test_fanout import backend_tools
from tests.needs import require
from tests.servers.process import free_port, listens, start, stop, wait_for
from tests.servers.redis import start_one, watched
from tests.unit.adapters.fanouts.test_redis import until

PAGE = (ROOT / "docs/how-to/use-redis.md").read_text(encoding="utf-8")
ALONE, IN_A_CLUSTER, OF_SENTINELS = (
    line.split() for line in re.findall(r"^ACL SETUSER .*", PAGE, re.MULTILINE)
)
"""The commands of the page."""
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONFIG = next(block for block in BLOCKS if "tls-port" in block)
USERS = next(block for block in BLOCKS if block.startswith("user default"))


async def nothing_more() -> bool:
    """It was used enough."""
    return True


async def use(url: str, folder: Path, enough: Callable[[], Awaitable[bool]] = nothing_more) -> None:
    """Everything that Clarion does with the server of this URL, until that was enough."""
    where = parse(url, "redis")
    client = client_of(where)
    assert await trouble_of(client, where, "redis") == ""
    server = Server(client, where, SystemClock())
    pool = TokenPool(server)
    while not (await tokens(pool, server)):  # They are worth something for a quarter of a second.
        pass
    await close(client)
    tools = backend_tools(folder, SystemClock())
    async with opened(url, tools) as publisher, opened(url, tools) as gateway:
        receiver = Receiver(gateway)
        await until(lambda: gateway.state().counted["missed"] >= 1)
        if (followed := gateway.follow(UserNo(7))) is not None:
            await followed

        def heard() -> bool:
            publisher.publish([change(1, user=7)])
            return bool(receiver.changes)

        await until(heard)
        gateway.unfollow(UserNo(7))
        async with asyncio.timeout(
            60
        ):  # A server that is silent for two seconds is asked whether it is there.
            while not await enough():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        assert publisher.state().trouble == gateway.state().trouble == ""


async def tokens(pool: TokenPool, server: Server) -> bool:
    """Whether tokens that were put into the pool came out again."""
    taken = await pool.take("limit", 3)
    assert taken is not None, server.trouble
    await pool.put("limit", 5, taken)
    again = await pool.take("limit", 3)
    assert again is not None, server.trouble
    return again.tokens > 0


async def used(*ports: int) -> set[str]:
    """The commands that were called at these servers, and none that was refused."""
    found: set[str] = set()
    for port in ports:
        async with Redis(port=port) as admin:
            assert await admin.acl_log() == []
            found |= {name.removeprefix("cmdstat_") for name in await admin.info("commandstats")}
    return found


def granted(rule: list[str]) -> set[str]:
    """The commands that a rule allows."""
    return {word[1:] for word in rule if word.startswith("+")}


async def test_the_rights_of_the_how_to_are_enough_and_not_too_many(tmp_path):
    """One for each command that is called. Other keys, channels and commands are refused."""
    server = start_one(tmp_path / "redis")
    try:
        async with Redis(port=server.port) as admin:
            await admin.execute_command(*ALONE)
            await admin.config_resetstat()
        url = f"redis://clarion:secret@127.0.0.1:{server.port}/1"

        async def all_used() -> bool:
            return granted(ALONE) <= await used(server.port)

        await use(url, tmp_path, all_used)
        client = client_of(parse(url, "redis"))
        for wrong in (
            "FLUSHALL",
            "KEYS *",
            "CONFIG GET *",
            "HMGET other tokens",
            "SPUBLISH other x",
            "ACL LIST",
        ):
            with pytest.raises(NoPermissionError):
                await client.execute_command(*wrong.split())
        await close(client)
    finally:
        server.kill()


async def test_a_cluster_takes_two_rights_more(redis_cluster, tmp_path):
    """To find out which node has what."""
    where = parse(redis_cluster, "redis")
    nodes = client_of(where)
    await nodes.initialize()
    ports = [int(node.port) for node in nodes.get_primaries()]  # type: ignore[union-attr]
    await close(nodes)
    user = f"clarion-{tmp_path.name}"
    try:
        for port in ports:
            async with Redis(port=port) as admin:
                for rule in (ALONE, IN_A_CLUSTER):
                    await admin.execute_command(*[(word == "clarion" and user) or word for word in rule])
        await use(redis_cluster.replace("//", f"//{user}:secret@"), tmp_path)
        assert granted(IN_A_CLUSTER) <= await used(*ports)
    finally:
        for port in ports:
            async with Redis(port=port) as admin:
                await admin.acl_deluser(user)


async def test_sentinels_are_asked_for_the_master_and_nothing_else(tmp_path):
    """With a login of their own."""
    with watched(tmp_path) as servers:
        for one in servers.sentinels:
            async with Redis(port=one.port) as admin:
                await admin.execute_command(*OF_SENTINELS)
                await admin.execute_command("ACL", "SETUSER", "default", "off")
        async with Redis(port=servers.master.port) as admin:
            await admin.execute_command(*ALONE)
        url = servers.url.replace("//", "//clarion:secret@")
        nobody = parse(url, "redis")
        client = client_of(nobody)
        with pytest.raises(ConfigError, match=r"the Sentinels .* refuse us: check sentinel_user"):
            await trouble_of(client, nobody, "redis")
        await close(client)
        await use(f"{url}&sentinel_user=clarion&sentinel_password=secret", tmp_path)


def begin(home: Path, port: int) -> subprocess.Popen[bytes]:
    """A server with the files of the page, for certificates and a port of the test's own."""
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(home / "ca.crt")
    ours.private_key_pem.write_to_path(home / "redis.key")
    ours.cert_chain_pems[0].write_to_path(home / "redis.crt")
    (home / "users.acl").write_text(USERS)
    config = CONFIG.replace("/etc/redis/", f"{home}/").replace("tls-port 6379", f"tls-port {port}")
    (home / "redis.conf").write_text(config + f"dir {home}\nsave ''\nbind 127.0.0.1\n")
    process = start([require("redis-server", "the how-to starts one"), home / "redis.conf"], home=home)
    wait_for(lambda: listens(port), process, home)
    return process


async def test_the_files_of_the_page_make_a_server_that_clarion_can_use(tmp_path):
    """Over TLS with the login, and nobody without one."""
    port = free_port()
    process = begin(tmp_path, port)
    try:
        url = f"rediss://clarion:secret@127.0.0.1:{port}/0?ca={tmp_path}/ca.crt"
        await use(url, tmp_path)
        nobody = parse(url.replace("clarion:secret@", ""), "redis")
        client = client_of(nobody)
        with pytest.raises(ConfigError, match="refuses us"):
            await trouble_of(client, nobody, "redis")
        await close(client)
    finally:
        stop(process.pid)
        process.wait()

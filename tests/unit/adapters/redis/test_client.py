"""URLs of Redis: what they say, and what is refused before anybody connects."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from clarion.adapters.redis.client import FAULTS, RedisUrl, client_of, close, parse, trouble_of
from clarion.errors import ConfigError
from tests.servers.process import free_port
from tests.servers.redis import beside, watched


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://cache.example", RedisUrl(nodes=(("cache.example", 6379),))),
        (
            "redis://u:p%40ss@cache.example:7000/3?prefix=shop&timeout_s=0.5",
            RedisUrl(
                nodes=(("cache.example", 7000),),
                user="u",
                password="p@ss",
                database=3,
                prefix="shop",
                timeout_s=0.5,
            ),
        ),
        ("redis://:p@[::1]:7000", RedisUrl(nodes=(("::1", 7000),), password="p")),
        (
            "rediss://h/0?ca=/ca.pem&cert=/c.pem&key=/k.pem",
            RedisUrl(nodes=(("h", 6379),), tls=True, ca="/ca.pem", cert="/c.pem", key="/k.pem"),
        ),
        ("redis:///2?socket=/run/redis.sock", RedisUrl(nodes=(), database=2, socket="/run/redis.sock")),
        (
            "redis://a,b:9/1?sentinel=main&sentinel_user=s&sentinel_password=t",
            RedisUrl(
                nodes=(("a", 26379), ("b", 9)),
                database=1,
                sentinel="main",
                sentinel_user="s",
                sentinel_password="t",
            ),
        ),
        ("redis://a,b?cluster=true", RedisUrl(nodes=(("a", 6379), ("b", 6379)), cluster=True)),
    ],
)
def test_a_url_says_where_the_server_is(url, meant):
    """Alone, with TLS, at a Unix socket, behind Sentinels, as a Cluster."""
    assert parse(url, "redis") == meant


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis:host", "must be like redis://"),
        ("redis:///0", "needs either a host"),
        ("redis://h/0?socket=/s", "needs either a host"),
        ("redis://h:port", "'h:port' is not a host"),
        ("redis://:9", "':9' is not a host"),
        ("redis://h/db", "number of a database"),
        ("redis://a,b", "several hosts need"),
        ("redis://a/1?cluster=true", "a Cluster has database 0 only"),
        ("redis://a?cluster=yes", "cluster must be true or false, not 'yes'"),
        ("redis://a?cluster=true&sentinel=m", "exclude one another"),
        ("redis://a?ca=/ca.pem", "begin the URL with rediss://"),
        ("rediss:///0?socket=/s", "a Unix socket needs no TLS"),
        ("redis://a?sentinal=m", "there is no option `sentinal`.*Did you mean `sentinel`"),
        ("redis://a?prefix=a b", "prefix must be letters"),
        ("redis://a?timeout_s=soon", "timeout_s must be a number of seconds.*'soon'"),
        ("redis://u:hunter2@a?timeout_s=0", "timeout_s must be"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_setting(url, said):
    """No message shows a password."""
    with pytest.raises(ConfigError, match=f"fanout: .*{said}") as refused:
        parse(url, "fanout")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("server", ["redis", "redis_with_tls", "redis_cluster"])
async def test_every_kind_of_server_answers(server, request):
    """One alone, one with TLS and a login, a Cluster."""
    found = request.getfixturevalue(server)
    url = parse(found if isinstance(found, str) else found.url, "redis")
    client = client_of(url)
    assert await trouble_of(client, url, "redis") == ""
    await close(client)


async def test_a_unix_socket_leads_to_the_server(redis_with_tls):
    """Without TLS, and with the same login."""
    url = parse(beside(redis_with_tls), "redis")
    client = client_of(url)
    assert await trouble_of(client, url, "redis") == ""
    await close(client)


async def test_a_refused_login_stops_the_start(redis_with_tls):
    """Whatever else is wrong may pass: that does not. No message shows the password."""
    url = parse(beside(redis_with_tls).replace("s3cret", "hunter2"), "redis")
    client = client_of(url)
    with pytest.raises(
        ConfigError, match=r"redis: .* refuses us .* check user, password and the ACL"
    ) as refused:
        await trouble_of(client, url, "redis")
    assert "hunter2" not in str(refused.value)
    await close(client)


async def test_a_certificate_of_nobody_we_trust_is_not_accepted(redis_with_tls):
    """The connection is not made."""
    url = parse(redis_with_tls.partition("?")[0], "redis")
    client = client_of(url)
    assert "certificate verify failed" in (await trouble_of(client, url, "redis")).lower()
    await close(client)


async def test_a_server_that_is_away_is_named():
    """With its host and port."""
    url = parse(f"redis://127.0.0.1:{(port := free_port())}", "redis")
    client = client_of(url)
    assert (await trouble_of(client, url, "redis")).startswith(f"127.0.0.1:{port} does not answer")
    await close(client)


async def test_a_server_that_is_too_old_is_refused(monkeypatch):
    """It has no sharded channels."""

    async def info(self, section):
        return {"redis_version": "6.2.14"}

    monkeypatch.setattr(Redis, "info", info)
    url = parse("redis://old.example", "redis")
    client = client_of(url)
    with pytest.raises(ConfigError, match=r"Redis 6\.2\.14: it must be Redis 7 or Valkey"):
        await trouble_of(client, url, "redis")


async def test_a_client_follows_a_failover(tmp_path):
    """The Sentinels name another master; what asks again reaches it."""
    with watched(tmp_path) as servers:
        client = client_of(parse(servers.url, "redis"))
        await client.set("colour", "red")
        assert await client.execute_command("WAIT", 1, 30_000) == 1
        servers.master.kill()
        colour = None
        async with asyncio.timeout(60):
            while colour is None:
                with contextlib.suppress(*FAULTS):
                    colour = await client.get("colour")
        assert colour == b"red"
        assert (await client.info("server"))["tcp_port"] == servers.replica.port
        await close(client)

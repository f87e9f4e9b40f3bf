"""The fan-out through PostgreSQL: little goes in many notifications, and nobody believes in one that nobody hears."""

import pytest

from clarion.adapters.fanouts import postgresql as module
from clarion.adapters.fanouts.postgresql import PAYLOAD, PostgresFanout, opened
from clarion.adapters.system import SystemClock
from clarion.errors import ConfigError
from clarion.testing.fanout_contract import Receiver, change
from tests.contract.test_fanout import backend_tools, joined
from tests.servers.process import free_port
from tests.unit.adapters.fanouts.test_redis import until


async def test_a_thousand_users_fit_into_a_few_notifications(postgresql, tmp_path, monkeypatch):
    """Each within what PostgreSQL takes, with the newest place of every inbox and no content."""
    url, sent = postgresql.url(), []
    notify = PostgresFanout._notify

    async def watched(self, payload):
        sent.append(payload)
        await notify(self, payload)

    monkeypatch.setattr(PostgresFanout, "_notify", watched)
    async with joined(url, tmp_path) as publisher, joined(url, tmp_path) as gateway:
        await until(lambda: publisher.state().trouble == "" and len(sent) == 2)
        sent.clear()
        receiver = Receiver(gateway)
        users = range(2**60, 2**60 + 1_000)
        publisher.publish([change(offset, user=user) for user in users for offset in (1, 2**40)])
        await until(lambda: {one.user for one in receiver.changes} == {*users})
        assert {one.user: one.offset for one in receiver.changes} == dict.fromkeys(users, 2**40)
    assert 2 <= len(sent) <= 20
    assert all(len(f"{'0' * 16} {payload}") <= PAYLOAD for payload in sent)


async def test_what_was_published_while_the_server_was_away_comes_late(postgresql, tmp_path, monkeypatch):
    """It waits, as far as there is room; the process starts, and says what is wrong."""
    async with opened(
        f"postgresql://app@127.0.0.1:{free_port()}/app", backend_tools(tmp_path, SystemClock())
    ) as alone:
        assert isinstance(alone, PostgresFanout)
        assert "PostgreSQL cannot be heard" in alone.state().trouble
        receiver = Receiver(alone)
        alone.publish([change(1)])
        assert await receiver.heard(1) == [1]
        async with joined(postgresql.url(), tmp_path) as gateway:
            receiver = Receiver(gateway)
            alone._url = postgresql.url()
            assert await receiver.heard_upto(1) == [1]
            assert alone.state().trouble == ""


@pytest.mark.parametrize("place", ["/nowhere", "/postgres?sslmode=maybe"])
async def test_a_connection_that_is_refused_stops_the_start(place, postgresql, tmp_path):
    """It says which setting is wrong."""
    url = postgresql.url().removesuffix("/postgres") + place
    with pytest.raises(ConfigError, match="fanout: PostgreSQL refuses the connection"):
        async with opened(url, backend_tools(tmp_path, SystemClock())):
            raise AssertionError("it must not start")


async def test_what_the_url_says_for_the_database_alone_means_nothing_here(postgresql, tmp_path):
    """`database` and `fanout` may be one URL."""
    async with joined(f"{postgresql.url()}?connections=4&pooled=no&replica=x", tmp_path) as fanout:
        assert fanout.state().trouble == ""


async def test_a_pooler_that_delivers_nothing_is_a_fault(pgbouncer, tmp_path, monkeypatch):
    """It lends connections by transaction, and takes what is published: health says what to do."""
    monkeypatch.setattr(module, "TIMEOUT_S", 2.0)
    async with opened(pgbouncer.url("postgres"), backend_tools(tmp_path, SystemClock())) as fanout:
        await until(lambda: "past PgBouncer" in fanout.state().trouble)

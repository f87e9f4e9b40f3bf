"""A process that shares things through Redis: it runs without it, says so, and uses it by itself once it is there."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from clarion.adapters.redis.quotas import RedisQuotas
from clarion.adapters.redis.server import PAUSE_S
from clarion.app.process import App
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.errors import ConfigError
from clarion.model.ids import TenantId
from clarion.model.quota import QuotaAsk
from tests.servers.process import free_port
from tests.servers.redis import FORGETFUL, Process, beside, serve

ASK = QuotaAsk(costs=(1,), per_second=100.0, reserve=20.0)


def settings(folder, redis: str) -> Settings:
    """A prepared data directory."""
    one = Settings(data_dir=folder, port=0, redis=redis)
    prepare(one)
    return one


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while True:
            if await true():
                return
            await asyncio.sleep(PAUSE_S / 10)


async def test_a_process_starts_without_redis_and_uses_it_when_it_is_there(tmp_path):
    """Warnings say what is wrong while it is away; the process is ready all the time."""
    port = free_port()
    async with App.open(settings(tmp_path, f"redis://127.0.0.1:{port}?timeout_s=0.5")) as app:
        quotas = app.ledger.quotas
        assert isinstance(quotas, RedisQuotas)

        async def warned() -> dict[str, str]:
            grant = await quotas.take(TenantId(1), "main", ASK, app.clock.now())
            assert grant.granted == 1
            warnings = await app.pipeline.warnings()
            return {part: said for part, said in warnings.items() if part in {"redis", "fanout"}}

        found = await warned()
        assert found.keys() == {"redis", "fanout"}
        assert all(f"127.0.0.1:{port} does not answer" in said for said in found.values())
        (home := tmp_path / "redis").mkdir()
        redis = Process(serve(home, port, FORGETFUL), home, port, FORGETFUL)
        try:

            async def well() -> bool:
                return not await warned()

            await until(well)
            page, _ = await app.metrics.render("")
            assert b"clarion_redis_failures_total 0" not in page
            assert b"clarion_redis_questions_total" in page
            assert b"clarion_fanout_catch_ups_total" in page
        finally:
            redis.kill()


async def test_a_process_without_redis_has_nothing_of_it(tmp_path):
    """No part, no metric, and the ledger's own limits."""
    async with App.open(settings(tmp_path, "")) as app:
        assert app.ledger.quotas is app.ledger.store.quotas
        page, _ = await app.metrics.render("")
        assert b"clarion_redis" not in page
        assert b"clarion_fanout" not in page
        assert not {"redis", "fanout"} & {*await app.pipeline.health(), *await app.pipeline.warnings()}


async def test_a_login_that_redis_refuses_stops_the_start(redis_with_tls, tmp_path):
    """With the setting that holds it."""
    wrong = beside(redis_with_tls).replace("s3cret", "hunter2")
    with pytest.raises(ConfigError, match=r"redis: .* refuses us .*: check user, password"):
        async with App.open(settings(tmp_path, wrong)):
            raise AssertionError("it must not start")


async def test_a_missing_package_is_named_with_what_installs_it(tmp_path, monkeypatch):
    """Redis is an extra."""
    for name in [one for one in sys.modules if one.startswith("clarion.adapters.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match=r"install 'redis\[hiredis\]<"):
        async with App.open(settings(tmp_path, "redis://127.0.0.1")):
            raise AssertionError("it must not start")

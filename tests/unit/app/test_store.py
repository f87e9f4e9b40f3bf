"""The database in a process of its own, and several processes on it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from clarion.app.process import App
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.errors import ConfigError
from clarion.model.ids import TenantId
from clarion.model.setup import Tenant


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Of a process on the store at `store.sock`, in a prepared data directory."""
    prepare(Settings(data_dir=tmp_path, port=0))
    return Settings(data_dir=tmp_path, port=0, database="unix:store.sock")


async def test_several_processes_share_the_database_of_a_store_process(settings, tmp_path):
    """What one stores the other sees; the store has the data directory alone, and ends when it is told to."""
    store = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clarion", "store", "--data-dir", str(tmp_path), stderr=PIPE
    )
    assert store.stderr is not None
    try:
        async with asyncio.timeout(60):
            assert b"answers at" in await store.stderr.readline()
        async with App.open(settings) as one, App.open(settings) as other:
            made = await one.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
            await other.ledger.setup.catch_up()
            assert other.ledger.setup.tenants.all() == {made.id: made}
            assert (await other.pipeline.health())["store"] == "ok"
        with pytest.raises(ConfigError, match="in use by another Clarion process"):
            async with App.open(settings.model_copy(update={"database": "sqlite:clarion.db"})):
                raise AssertionError("it must not start")
        store.terminate()
        async with asyncio.timeout(60):
            assert await store.wait() == 0
    finally:
        if store.returncode is None:
            store.kill()
            await store.wait()


async def test_without_its_store_a_process_does_not_start(settings):
    """It says what to do."""
    with pytest.raises(ConfigError, match="start the store process"):
        async with App.open(settings):
            raise AssertionError("it must not start")

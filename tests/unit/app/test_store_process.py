"""The process of the store: when there is one, why it does not start, and what becomes of one that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3

import pytest

from clarion.adapters.ledgers.remote import client
from clarion.app import store_process
from clarion.app.process import App
from clarion.app.store_process import StoreProcess, is_chosen
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import Instant
from clarion.model.worker import Process

FAR = Instant(2**60)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Of a prepared data directory."""
    one = Settings(data_dir=tmp_path, port=0, store_process=True)
    prepare(one)
    return one


async def opened(settings: Settings) -> str:
    """How a store process says it is."""
    with StoreProcess.beside(settings) as process:
        assert process is not None
        async with process.store() as store:
            return await store.health()


@pytest.mark.parametrize(
    ("chosen", "database", "cores", "expected"),
    [
        ("auto", "sqlite:clarion.db", 2, True),
        ("auto", "sqlite:clarion.db", 1, False),
        (True, "sqlite:clarion.db", 1, True),
        (False, "sqlite:clarion.db", 8, False),
        (True, "memory:", 8, False),
        ("auto", "unix:store.sock", 8, False),
    ],
)
def test_a_database_file_has_a_process_where_a_core_is_left(monkeypatch, chosen, database, cores, expected):
    """Unless the setting says otherwise; a database elsewhere has its own."""
    monkeypatch.setattr(store_process, "_cores", lambda: cores)
    assert is_chosen(Settings(database=database, store_process=chosen)) is expected


async def test_an_app_on_a_store_process_works_and_nothing_is_left_of_it(settings):
    """The directory is held while it runs, and free afterwards."""
    with StoreProcess.beside(settings) as process:
        async with App.open(settings, process) as app:
            assert (await app.pipeline.health())["store"] == "ok"
            with pytest.raises(ConfigError, match="in use by another Clarion process"):
                await opened(settings)
    assert await opened(settings) == "ok"


async def test_why_the_database_cannot_be_opened_is_said_as_ever(settings):
    """A schema that is too new, a missing key file and a missing database: each with what to do."""
    with sqlite3.connect(settings.database_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigError, match="a newer version of Clarion made the database"):
        await opened(settings)
    settings.database_path.unlink()
    with pytest.raises(ConfigError, match="clarion migrate"):
        await opened(settings)
    settings.key_path.unlink()
    with pytest.raises(ConfigError, match=settings.key_path.name):
        await opened(settings)


async def test_a_process_that_ends_before_it_is_ready_stops_the_start(settings, monkeypatch):
    """With its exit code."""
    monkeypatch.setattr(store_process, "_START", "raise SystemExit(7)")
    with pytest.raises(ConfigError, match=r"the store process ended \(7\) before it was ready"):
        await opened(settings)


async def test_a_process_that_dies_is_started_again_and_after_a_pause_when_it_dies_at_once(
    settings, monkeypatch
):
    """Workers keep their leases; during a pause whoever asks is told so."""
    monkeypatch.setattr(client, "PATIENCE_S", None)
    monkeypatch.setattr(store_process, "FIRST_PAUSE_S", 3_600.0)
    monkeypatch.setattr(store_process, "LONGEST_PAUSE_S", 3_600.0)
    with StoreProcess.beside(settings) as process:
        assert process is not None
        async with process.store() as store:
            worker = await store.leases.open(Process(), FAR, FAR)
            await killed(process)
            assert await store.leases.beat(worker, FAR, None)
            await killed(process)
            with pytest.raises(Unavailable, match=r"ended \(-9\), and is started again in a moment"):
                await store.leases.beat(worker, FAR, None)
            process._pause_s = 0.0
            assert await store.leases.beat(worker, FAR, None)


async def test_a_store_that_is_closed_while_it_starts_again_ends_too(settings):
    """Nothing waits for it, and nothing is left of it."""
    with StoreProcess.beside(settings) as process:
        assert process is not None
        async with process.store() as store:
            await killed(process)
            asking = asyncio.create_task(store.stats())
            await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await asking
        assert process._process is not None
        assert process._process.poll() is not None


async def killed(process: StoreProcess) -> None:
    """It is dead, and its parent has noticed."""
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    await asyncio.to_thread(process._process.wait)
    await asyncio.sleep(0.05)

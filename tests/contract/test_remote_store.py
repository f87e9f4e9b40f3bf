"""A store behind a socket keeps the contract of every ledger, and is lost and found again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.remote import RemoteStore, answer, at, serve
from clarion.errors import Unavailable
from clarion.model.setup import Category
from clarion.testing.ledger_contract import LEDGER_CONTRACT, LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.contract.test_ledger import LEDGERS

SERVED = ("unix",)
"""The schemes of stores that are somewhere else: every ledger is served by them here."""


@contextlib.asynccontextmanager
async def behind_a_socket(
    name: str, directory: Path, clock: ManualClock, random: SeededRandom
) -> AsyncIterator[Any]:
    """A ledger, and what a process sees of it that has only the socket."""
    ledger, path = LEDGERS[name](directory, clock, random), directory / "store.sock"
    try:
        async with serve(ledger, path):
            remote = RemoteStore(at(path))
            try:
                yield remote
            finally:
                await remote.close()
    finally:
        await ledger.close()


@pytest.mark.parametrize("check", LEDGER_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", LEDGERS)
async def test_every_ledger_keeps_the_contract_behind_a_socket(name, check, tmp_path):
    """Values go in and values come out, so nobody notices the difference."""
    clock, random = ManualClock(), SeededRandom()
    async with behind_a_socket(name, tmp_path, clock, random) as remote:
        await check(await LedgerSubject(remote, clock, random).create_setup())


@contextlib.asynccontextmanager
async def for_one_alone(directory: Path, clock: ManualClock, random: SeededRandom) -> AsyncIterator[Any]:
    """A ledger that answers one process only, which keeps the users it has read."""
    ledger: Any = LEDGERS["sqlite"](directory, clock, random)
    ours, its = socket.socketpair()
    ours.setblocking(False)
    its.setblocking(False)

    async def dial(protocol: Any) -> asyncio.BaseTransport:
        transport, _ = await asyncio.get_running_loop().create_unix_connection(protocol, sock=ours)
        return transport

    answering = asyncio.create_task(answer(ledger, its))
    remote: Any = RemoteStore(dial)
    try:
        await remote.health()
        yield remote
    finally:
        await remote.close()
        await answering
        await ledger.close()


@pytest.mark.parametrize("check", LEDGER_CONTRACT, ids=lambda check: check.__name__)
async def test_whoever_has_a_store_alone_keeps_users_and_the_contract(check, tmp_path):
    """What is kept is never older than what anybody knows of."""
    clock, random = ManualClock(), SeededRandom()
    async with for_one_alone(tmp_path, clock, random) as remote:
        await check(await LedgerSubject(remote, clock, random).create_setup())


async def test_a_store_that_went_away_is_unavailable_until_it_is_back(tmp_path):
    """Calls that wait are told, later ones connect again, and the set-up is caught up with."""
    clock, random = ManualClock(), SeededRandom()
    ledger: Any = LEDGERS["memory"](tmp_path, clock, random)
    path = tmp_path / "store.sock"
    remote: Any = RemoteStore(at(path))
    with pytest.raises(Unavailable, match="start the store process"):
        await remote.health()
    asked, go_on, health = asyncio.Event(), asyncio.Event(), ledger.health

    async def slow() -> str:
        asked.set()
        await go_on.wait()
        return "too late"

    ledger.health = slow
    async with serve(ledger, path):
        subject = await LedgerSubject(remote, clock, random).create_setup()
        waiting = asyncio.create_task(remote.health())
        await asked.wait()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    ledger.health = health
    with pytest.raises(Unavailable, match="went away"):
        await waiting
    with pytest.raises(Unavailable):
        await subject.reread(subject.ada)
    async with serve(ledger, path):
        assert await subject.reread(subject.ada) == subject.ada
        await subject.ledger.setup.categories.put(subject.tenant, Category(key="news"))
        assert list(subject.ledger.setup.categories.all(subject.tenant)) == ["news"]
        await remote.close()
        with pytest.raises(Unavailable, match="is closed"):
            await remote.health()


async def test_what_is_not_a_call_ends_the_connection(tmp_path):
    """And nobody else's."""
    clock, random = ManualClock(), SeededRandom()
    async with behind_a_socket("memory", tmp_path, clock, random) as remote:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "store.sock"))
        writer.write(b"\xff\xff\xff\xffGET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        assert await remote.health() == "ok"


async def test_only_this_user_can_reach_the_socket(tmp_path):
    """Whoever can, can read everything."""
    clock, random = ManualClock(), SeededRandom()
    async with behind_a_socket("memory", tmp_path, clock, random):
        assert (tmp_path / "store.sock").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "store.sock").exists()

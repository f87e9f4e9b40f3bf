"""Erasing a person reaches the backups: real processes, a real restore, and kills at any moment."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.server import Server
from bench.wire import Api
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.ledgers.sqlite.keyring_binding import keyring_path, open_keyring
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import SealBroken
from tests.acceptance.power import ForgetfulDisk, build_shim

PEOPLE = tuple(f"person-{i}" for i in range(40))
ROUNDS = 5


def address(user: str) -> str:
    """Whatever is found of it was not erased."""
    return f"{user}.findme@example.com"


def ledger(server: Server) -> Path:
    return server.data / "clarion.db"


async def create_setup(api: Api) -> None:
    """Everybody with an address, and a captured mail that says it."""
    lines = [
        {"user_id": user, "contacts": [{"channel": "email", "address": address(user)}]} for user in PEOPLE
    ]
    await api.post(
        "/v1/users/bulk",
        b"\n".join(json.dumps(line).encode() for line in lines),
        headers={"content-type": "application/x-ndjson"},
    )
    await api.put(
        "/v1/templates/said",
        {"channels": {"email": {"en": {"subject": "Hello", "text": "{{ data.address }}"}}}},
    )
    await api.put("/v1/categories/said", {"name": "Said"})
    step = {"key": "send", "template": "said", "to": {"mode": "all", "channels": ["email"]}}
    await api.put("/v1/workflows/said", {"category": "said", "steps": [step]})
    for user in PEOPLE[:4]:
        event = {"recipients": [user], "data": {"address": address(user)}}
        await api.post("/v1/workflows/said/trigger", event)


def restore(server: Server, backup: Path) -> None:
    """As the how-to says: the copy in place of the ledger, without the log of the other; the keyring stays."""
    for name in ("-wal", "-shm"):
        ledger(server).with_name(f"clarion.db{name}").unlink(missing_ok=True)
    shutil.copy2(backup, ledger(server))


def live_backup(server: Server, to: Path) -> Path:
    """A copy made while Clarion runs."""
    with closing(sqlite3.connect(ledger(server))) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


async def who_is_there(api: Api, erased: set[str]) -> None:
    """The erased are unknown; everybody else is as they were."""
    for user in PEOPLE:
        answer = await api.call("GET", f"/v1/users/{user}")
        if user in erased:
            assert (user, answer.status) == (user, 404)
        else:
            assert answer.json()["contacts"][0]["address"] == address(user)


def _everything(raw: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        yield from raw.execute(f"SELECT * FROM {table}")


class Thief:
    """Has every file there is, the installation key included."""

    def __init__(self, server: Server) -> None:
        self._vault = LocalVault.from_file(server.data / "installation.key", SystemRandom(), create=False)
        self._keyring: Keyring = open_keyring(ledger(server), self._vault, SystemRandom())

    def read(self, copy: Path) -> bytes:
        """Everything in a copy of the ledger that any key opens, its bytes as they are, and what is packed in them."""
        with closing(sqlite3.connect(copy)) as raw:
            wrapped = raw.execute("SELECT no, wrapped_key FROM users").fetchall()
            sealed = [value for row in _everything(raw) for value in row if isinstance(value, bytes)]
        keys = [key for no, half in wrapped if (key := self._keyring.unwrap(no, half)) is not None]
        found = [copy.read_bytes()]
        for value in sealed:
            with suppress(zlib.error):
                found.append(zlib.decompress(value))
        for key in [*keys, *(half for _, half in wrapped)]:
            for value in sealed:
                with suppress(SealBroken):
                    found.append(self._vault.open(key, value))
        return b"\n".join(found)

    def close(self) -> None:
        self._keyring.close()


async def test_a_restored_backup_brings_nobody_back(server, tmp_path):
    """Copy, erase, crash, restore: the API knows nobody, no key opens the copy, and the others get their mail."""
    await server.start()
    await create_setup(server.api)
    backup = live_backup(server, tmp_path / "backup.db")
    erased = {"person-1", "person-3", "person-30"}
    for user in erased:
        assert (await server.api.call("DELETE", f"/v1/users/{user}")).status == 204
    server.kill()
    restore(server, backup)
    await server.start()
    assert '{"users":3,"event":"erased_on_opening"' in server.tail()
    await who_is_there(server.api, erased)
    answer = await server.api.post("/v1/workflows/said/trigger", {"recipients": ["person-2"], "data": {}})
    assert answer["accepted"] == 1
    await server.stop()
    thief = Thief(server)
    for copy in (backup, ledger(server)):
        read = thief.read(copy)
        for user in PEOPLE:
            assert (address(user).encode() in read) is (user not in erased), (copy, user)
    thief.close()


async def test_what_was_answered_is_destroyed_on_the_disk(server, tmp_path):
    """The power fails right after the answer: what the disk had synced does not open the backup either."""
    disk = ForgetfulDisk(shim=build_shim(tmp_path), data=server.data)
    server.env = disk.watch()
    await server.start()
    await create_setup(server.api)
    backup = live_backup(server, tmp_path / "backup.db")
    assert (await server.api.call("DELETE", "/v1/users/person-5")).status == 204
    server.kill()
    disk.cut()
    thief = Thief(server)
    read = thief.read(backup)
    thief.close()
    assert address("person-5").encode() not in read
    assert address("person-6").encode() in read


async def test_a_ledger_without_its_keyring_is_not_taken_for_a_town_of_erased(server):
    """The process says which file is missing and does not start."""
    await server.start()
    await server.stop()
    keyring_path(ledger(server)).unlink()
    with pytest.raises(RuntimeError, match=r"clarion\.keys is missing"):
        await server.start()


async def test_killed_at_any_moment_of_an_erasure_it_is_finished_or_was_never_begun(server, tmp_path):
    """Whoever's deletion was answered is gone, in the backup as well; everybody else is whole or gone, never half."""
    seed = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))
    print(f"CLARION_CRASH_SEED={seed}")
    dice = random.Random(seed)
    await server.start()
    await create_setup(server.api)
    backup = live_backup(server, tmp_path / "backup.db")
    left, answered = list(PEOPLE), set()
    for number in range(ROUNDS):
        victims = [left.pop() for _ in range(4)]
        apis = [Api(server.port, server.dev["api_key"]) for _ in victims]
        calls = [
            asyncio.create_task(api.call("DELETE", f"/v1/users/{user}"))
            for api, user in zip(apis, victims, strict=True)
        ]
        await asyncio.sleep(dice.uniform(0, 0.02))
        server.kill()
        for user, outcome in zip(victims, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if not isinstance(outcome, BaseException):
                assert outcome.status in (204, 503), (
                    outcome.body
                )  # 503: its store was killed a moment earlier.
                answered |= {user} if outcome.status == 204 else set()
        for api in apis:
            api.close()
        if number % 2:
            restore(server, backup)
        await server.start()
        gone = {user for user in PEOPLE if (await server.api.call("GET", f"/v1/users/{user}")).status == 404}
        assert answered <= gone <= set(PEOPLE) - set(left)
        await who_is_there(server.api, gone)
        answered = gone  # who was unknown once is never seen again

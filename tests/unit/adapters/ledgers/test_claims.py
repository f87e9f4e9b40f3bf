"""Keys of claims are in memory first and in the file later: whoever repeats a call never sees the difference."""

import sqlite3
from contextlib import closing
from random import Random

import pytest

from clarion.adapters.ledgers.sqlite import claims
from clarion.model.event import IdempotencyRecord
from clarion.model.ids import Instant, TenantId
from clarion.ports import terms
from clarion.ports.terms import Terms

TENANT = TenantId(1)
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few ranges, so that a few claims are a round."""
    monkeypatch.setattr(claims, "RANGES", 4)
    monkeypatch.setattr(claims, "CLAIMS_A_RANGE", 3)


def claim(clock, key: bytes, answer: bytes = b"first", tenant: TenantId = TENANT) -> IdempotencyRecord:
    return IdempotencyRecord(
        tenant=tenant, key=key, fingerprint=b"f", answer=answer, expires_at=Instant(clock.now() + DAY_MS)
    )


def counted(path) -> dict[str, int]:
    """How many claims and how many keys the file has."""
    with closing(sqlite3.connect(path)) as file:
        return {
            table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("claims", "claim_keys")
        }


async def first_on(ledger, clock, keys) -> list[bytes]:
    """Those of the keys that nobody was first on before."""
    return [key for key in keys if (await ledger.claims.hold(claim(clock, key))).fresh]


def some_keys(seed: int, count: int) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(16) for _ in range(count)]


async def test_a_key_is_held_in_memory_while_it_is_stored_and_afterwards(ledger, path, clock):
    """After every claim all keys so far are held, and the file has those of the rounds that ended."""
    keys = some_keys(1, 40)
    for count, key in enumerate(keys, start=1):
        assert await first_on(ledger, clock, [key]) == [key]
        found = await ledger.claims.claimed(TENANT, keys, clock.now())
        assert set(found) == set(keys[:count])
        assert await first_on(ledger, clock, keys[:count:7]) == []
    assert 40 > counted(path)["claim_keys"] >= 40 - 2 * 4 * 3


@pytest.mark.parametrize("before", range(0, 40, 3))
async def test_keys_are_held_after_a_restart_wherever_the_round_was(opened, clock, before):
    """What was in memory only is read again."""
    keys = some_keys(2, 60)
    ledger = opened()
    await first_on(ledger, clock, keys[:before])
    await ledger.close()
    ledger = opened()
    try:
        assert await first_on(ledger, clock, keys) == keys[before:]
        assert set(await ledger.claims.claimed(TENANT, keys, clock.now())) == set(keys)
    finally:
        await ledger.close()
    ledger = opened()
    try:
        assert await first_on(ledger, clock, keys) == []
    finally:
        await ledger.close()


async def test_the_first_and_the_last_key_there_can_be_are_stored_too(ledger, path, clock):
    """The ranges leave none out."""
    keys = [bytes(16), b"\xff" * 16, *some_keys(3, 30)]
    await first_on(ledger, clock, keys)
    with closing(sqlite3.connect(path)) as file:
        stored = {key for (key,) in file.execute("SELECT key FROM claim_keys")}
    assert {keys[0], keys[1]} <= stored


async def test_what_is_undone_holds_no_key(ledger, clock):
    """A dry run and a call that fails leave every key free, also when they came to store a range."""
    keys = some_keys(4, 50)
    await first_on(ledger, clock, keys[:20])
    terms.enter(Terms(dry=True))
    assert await first_on(ledger, clock, keys[20:22]) == keys[20:22]
    terms.leave()

    def broken(connection):
        ledger.claims.claim(connection, [claim(clock, key) for key in keys[20:]])
        raise ValueError("after all of it")

    with pytest.raises(ValueError, match="after all of it"):
        await ledger._writer.call(broken)
    assert set(await ledger.claims.claimed(TENANT, keys, clock.now())) == set(keys[:20])
    assert await first_on(ledger, clock, keys) == keys[20:]


async def test_an_expired_key_is_free_also_when_it_is_stored(ledger, clock):
    """The new claim holds it from then on, and its answer is given."""
    keys = some_keys(5, 40)
    await first_on(ledger, clock, keys)
    clock.advance(86_400)
    assert await ledger.claims.claimed(TENANT, keys, clock.now()) == {}
    assert (await ledger.claims.hold(claim(clock, keys[0], b"again"))).fresh
    found = await ledger.claims.claimed(TENANT, keys, clock.now())
    assert {key: result.answer for key, result in found.items()} == {keys[0]: b"again"}


async def test_expired_claims_and_their_keys_leave_the_file(ledger, path, clock):
    """However many there were: new ones take them away, twice as many as come."""
    await first_on(ledger, clock, some_keys(6, 60))
    clock.advance(86_401)
    await first_on(ledger, clock, some_keys(7, 60))
    left = counted(path)
    assert left["claims"] == 60
    assert left["claim_keys"] <= 60


async def test_a_key_means_something_else_to_another_tenant(ledger, clock):
    """In memory and in the file."""
    keys = some_keys(8, 30)
    await first_on(ledger, clock, keys)
    assert await ledger.claims.claimed(TenantId(2), keys, clock.now()) == {}
    for key in keys:
        assert (await ledger.claims.hold(claim(clock, key, tenant=TenantId(2)))).fresh
        assert not (await ledger.claims.hold(claim(clock, key))).fresh


async def test_memory_keeps_no_more_than_two_rounds(ledger, clock):
    """A round stores what came before it, one range after the other."""
    for key in some_keys(9, 200):
        await first_on(ledger, clock, [key])
    in_memory = await ledger._writer.read(
        lambda connection: connection.execute("SELECT count(*) FROM new_keys").fetchone()[0]
    )
    assert in_memory <= 2 * 4 * 3

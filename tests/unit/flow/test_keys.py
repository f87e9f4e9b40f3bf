"""API keys: minted once, believed for seconds, refused at once when revoked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import InvalidInput, NotFound, Unauthenticated
from clarion.flow.ledger import Ledger
from clarion.model.ids import Instant, TenantId
from clarion.model.setup import Scope
from clarion.services import api_keys
from clarion.services.api_keys import ALLOWED, ALPHABET, ApiKeys, mint, well_formed
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger

TENANT = TenantId(1)


class TwoKeyStores:
    """Two processes' view of the same stored keys, with a count of look-ups."""

    def __init__(self, path):
        new_ledger(path)
        self.clock, self.random = ManualClock(), SeededRandom()
        self.vault = LocalVault(b"k" * 32, self.random)
        self.ledger = Ledger(SqliteLedger.open(path, vault=self.vault, clock=self.clock, random=self.random))
        self.here = self.opened()
        self.elsewhere = self.opened()

    def opened(self) -> ApiKeys:
        return ApiKeys(self.ledger.setup.keys, self.vault, self.clock, self.random)

    async def last_used(self) -> Instant | None:
        (key,) = await self.ledger.setup.keys.page(TENANT)
        return key.last_used_at


@pytest.fixture
async def stores(tmp_path):
    stores = TwoKeyStores(tmp_path / "clarion.db")
    yield stores
    await stores.ledger.close()


@given(seed=st.integers(0, 2**32), place=st.integers(4, 36), other=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_caught_without_a_look_up(seed, place, other):
    """The checksum catches every single typo, and every truncation."""
    text = mint(SeededRandom(seed))
    assert well_formed(text)
    changed = text[:place] + other + text[place + 1 :]
    assert well_formed(changed) == (changed == text)
    assert not well_formed(text[:place])


@given(st.text())
def test_any_text_can_be_asked_about(text):
    """Whatever arrives in a header is answered, not crashed on."""
    assert not well_formed(text) or text.startswith("clr_")


def test_two_keys_are_never_alike():
    """160 random bits each."""
    random = SeededRandom()
    assert len({mint(random) for _ in range(1_000)}) == 1_000


async def test_a_key_is_stored_as_a_keyed_hash_only(stores):
    """Whoever reads the database cannot use it."""
    key, text = await stores.here.create(TENANT, "shop", Scope.SEND)
    (stored,) = await stores.ledger.setup.keys.page(TENANT)
    assert stored == key
    assert stored.hash == stores.vault.hash("api-key", text.encode())
    assert text not in repr(stored)
    assert text[4:31] not in repr(stored)


async def test_a_verified_key_is_believed_for_seconds_without_a_look_up(stores, monkeypatch):
    """The quick way in; after its time the store is asked again."""
    _, text = await stores.here.create(TENANT, "shop", Scope.SEND)
    assert stores.here.recall(text) is None
    verified = await stores.here.verify(text)
    assert stores.here.recall(text) == verified
    stores.clock.advance(api_keys.REMEMBERED_S + 1)
    assert stores.here.recall(text) is None


async def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(stores):
    """No window in the process that revoked it; at most the memory's length in another."""
    key, text = await stores.here.create(TENANT, "shop", Scope.SEND)
    await stores.here.verify(text)
    await stores.elsewhere.verify(text)
    await stores.here.revoke(TENANT, key.id)
    assert stores.here.recall(text) is None
    with pytest.raises(Unauthenticated, match="revoked"):
        await stores.here.verify(text)
    assert stores.elsewhere.recall(text) is not None
    stores.clock.advance(api_keys.REMEMBERED_S + 1)
    with pytest.raises(Unauthenticated, match="revoked"):
        await stores.elsewhere.verify(text)
    with pytest.raises(NotFound):
        await stores.here.revoke(TENANT, key.id)


async def test_a_key_revoked_while_it_is_looked_up_is_not_remembered(stores, monkeypatch):
    """The answer of a slow look-up cannot bring a revoked key back."""
    key, text = await stores.here.create(TENANT, "shop", Scope.SEND)
    find = stores.ledger.setup.keys.find

    async def slow_find(hash):
        found = await find(hash)
        await stores.here.revoke(TENANT, key.id)
        return found

    monkeypatch.setattr(stores.ledger.setup.keys, "find", slow_find)
    await stores.here.verify(text)
    assert stores.here.recall(text) is None


async def test_a_key_ends_at_its_time_even_while_it_is_remembered(stores):
    """Expiry is looked at on every use."""
    soon = Instant(stores.clock.now() + 2_000)
    _, text = await stores.here.create(TENANT, "shop", Scope.SEND, soon)
    await stores.here.verify(text)
    stores.clock.advance(2)
    assert stores.here.recall(text) is None
    with pytest.raises(Unauthenticated, match="expired"):
        await stores.here.verify(text)
    with pytest.raises(InvalidInput):
        await stores.here.create(TENANT, "late", Scope.SEND, Instant(stores.clock.now()))


async def test_an_unknown_but_well_formed_key_is_refused(stores):
    """A checksum is no permission."""
    with pytest.raises(Unauthenticated, match="not known"):
        await stores.here.verify(mint(stores.random))


async def test_last_use_is_written_in_batches(stores):
    """Not per request: at most every half minute, and once more before closing."""
    _, text = await stores.here.create(TENANT, "shop", Scope.SEND)
    await stores.here.verify(text)
    assert await stores.last_used() is None
    stores.clock.advance(api_keys.TOUCH_EVERY_S)
    await stores.here.verify(text)
    assert await stores.last_used() == stores.clock.now()
    stores.clock.advance(1)
    stores.here.recall(text)
    await stores.here.flush()
    assert await stores.last_used() == stores.clock.now()


async def test_the_memory_is_bounded(stores, monkeypatch):
    """The oldest is forgotten first."""
    monkeypatch.setattr(api_keys, "REMEMBERED_KEYS", 2)
    texts = [(await stores.here.create(TENANT, str(n), Scope.READ))[1] for n in range(3)]
    for text in texts:
        await stores.here.verify(text)
    assert [stores.here.recall(text) is not None for text in texts] == [False, True, True]


async def test_an_adopted_key_works_and_is_stored_once(stores):
    """`clarion dev` brings its own key and finds it again after a restart."""
    text = mint(stores.random)
    first = await stores.here.adopt(TENANT, "dev", Scope.ADMIN, text)
    assert await stores.here.adopt(TENANT, "dev", Scope.ADMIN, text) == first
    assert (await stores.here.verify(text)).scope is Scope.ADMIN
    with pytest.raises(InvalidInput):
        await stores.here.adopt(TENANT, "dev", Scope.ADMIN, "clr_mine")


def test_scopes_include_themselves_and_what_is_below():
    """admin > send > read."""
    assert ALLOWED[Scope.ADMIN] > ALLOWED[Scope.SEND] > ALLOWED[Scope.READ] == {Scope.READ}

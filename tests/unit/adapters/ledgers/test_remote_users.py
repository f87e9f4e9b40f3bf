"""Users of a store in another process: kept while it tells who is written, and never older than what it told."""

import asyncio

import pytest

from clarion.adapters.ledgers.remote.users import RemoteUsers
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import Profile, User

ACME = TenantId(1)
ADA = UserNo(1)


def ada(revision: int = 1, **fields) -> User:
    return User(no=ADA, tenant=ACME, id="ada", key=b"k", profile=Profile(), revision=revision, **fields)


class Store:
    """A store of one user that counts what it is asked, and answers when it is let."""

    put = delete = page = None

    def __init__(self) -> None:
        self.user = ada()
        self.asked = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def get(self, numbers):
        user = await self._read()
        return {no: user for no in numbers if no == ADA}

    async def find(self, tenant, ids):
        user = await self._read()
        return {name: user for name in ids if name == "ada"}

    async def changed(self, seen):
        self.asked += 1
        return {}

    async def _read(self) -> User:
        self.asked += 1
        found = self.user
        await self.go_on.wait()
        return found


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
def users(store) -> RemoteUsers:
    """Of a store that tells who is written."""
    one = RemoteUsers(store)
    one.written([])
    return one


async def test_a_user_is_read_once(store, users):
    """By number, by id, and to see whether they have changed."""
    assert await users.get([ADA, UserNo(9)]) == {ADA: ada()}
    assert await users.find(ACME, ["ada"]) == {"ada": ada()}
    assert await users.changed([ada().seen, ada(7).seen]) == {ADA: ada()}
    assert store.asked == 1


async def test_who_was_written_is_read_again(store, users):
    """And is another person then."""
    await users.get([ADA])
    store.user = ada(2)
    users.written([ADA])
    assert await users.changed([ada().seen]) == {ADA: ada(2)}


async def test_what_was_read_before_a_write_is_not_kept(store, users):
    """The answer was under way when the store told of the write."""
    store.go_on.clear()
    reading = asyncio.create_task(users.get([ADA]))
    await asyncio.sleep(0)
    store.user = ada(2)
    users.written([ADA])
    store.go_on.set()
    assert await reading == {ADA: ada()}
    assert await users.get([ADA]) == {ADA: ada(2)}


async def test_nobody_is_kept_over_a_lost_connection(store, users):
    """What the store would have told is not known: neither who was here nor who is on the way stays."""
    await users.get([ADA])
    store.go_on.clear()
    users.lost()
    reading = asyncio.create_task(users.get([ADA]))
    await asyncio.sleep(0)
    users.lost()
    users.written([])
    store.go_on.set()
    await reading
    await users.get([ADA])
    assert store.asked == 3


async def test_nobody_is_kept_of_a_store_that_tells_nothing(store):
    """It is asked each time, also whether somebody has changed."""
    users = RemoteUsers(store)
    await users.get([ADA])
    await users.get([ADA])
    assert await users.changed([ada().seen]) == {}
    assert store.asked == 3


async def test_whoever_cannot_be_opened_is_read_each_time(store, users):
    """A restored key opens them at once."""
    store.user = ada(unreadable=True)
    assert (await users.get([ADA]))[ADA].unreadable
    store.user = ada()
    assert not (await users.get([ADA]))[ADA].unreadable

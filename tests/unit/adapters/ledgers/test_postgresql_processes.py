"""Several processes on one PostgreSQL server see what the others do."""

import asyncio
import os

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql import signals
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, PreconditionFailed
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.conditions import Conditions
from clarion.model.ids import Instant, TenantId
from clarion.model.run import EventWait, Signal
from clarion.model.setup import Category, Tenant
from clarion.model.suppression import Suppression
from clarion.model.user import Contact, Profile, UserPut
from clarion.model.worker import Process
from clarion.ports import terms
from clarion.ports.terms import Subject, Terms
from clarion.ports.vault import contact_hash
from clarion.testing.ledger_contract.subject import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.postgresql_ledgers import new_database

PATIENCE_S = 30
DAY_MS = 86_400_000
KEY = b"k" * 32


def put(user_id, email="", **fields):
    contacts = (Contact(channel=Channel.EMAIL, address=email),) if email else ()
    return UserPut(id=user_id, profile=Profile(contacts=contacts, **fields))


@pytest.fixture
async def processes(postgresql):
    """Two, with one installation key, and a clock that stands still."""
    url = await new_database(postgresql)
    ledgers = [await opened(url, seed) for seed in (1, 2)]
    yield ledgers
    for ledger in ledgers:
        await ledger.close()


async def until(true):
    """Let the loop turn until something is so."""
    for _ in range(20_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never came")


async def opened(url, seed=1, key=KEY, clock=None):
    random = SeededRandom(seed)
    return await PostgresLedger.open(
        url, vault=LocalVault(key, random), clock=clock or ManualClock(), random=random
    )


def same_database(postgresql):
    """The URL of the database that this test has."""
    return postgresql.url(f"ledger_{os.getpid()}")


async def tenant_of(ledger):
    return (await ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))).id


async def test_a_change_of_the_setup_is_seen_at_once(processes):
    """The server tells the other process: no time passes here, so nobody looked by himself."""
    here, there = processes
    tenant = await tenant_of(here)
    view = SetupView(there.setup)
    following = asyncio.create_task(view.follow(ManualClock()))
    try:
        for name in ("one", "two"):
            await here.setup.categories.put(tenant, Category(key="news", name=name))
            await until(
                lambda name=name: [one.name for one in view.categories.all(tenant).values()] == [name]
            )
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_what_was_said_while_nobody_listened_is_looked_for(processes, postgresql):
    """The connection that listens was cut: when it is there again, the process asks what it missed."""
    here, _ = processes
    tenant = await tenant_of(here)
    clock = ManualClock()
    ledger = await opened(same_database(postgresql), 3, clock=clock)
    told = asyncio.Event()
    ledger.setup.on_change(told.set)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await told.wait()  # it listens
            await cut_listeners(postgresql)
            await here.setup.categories.put(tenant, Category(key="news"))
            await until(lambda: clock.next_wake is not None)
            told.clear()
            clock.advance(10)
            await told.wait()
    finally:
        await ledger.close()


async def cut_listeners(postgresql):
    connection = await asyncpg.connect(postgresql.url())
    try:
        await connection.execute(
            """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE application_name = 'clarion listener' AND datname LIKE $1""",
            same_database(postgresql).rpartition("/")[2],
        )
    finally:
        await connection.close()


async def test_who_stands_still_in_a_transaction_is_given_up_all_the_same(processes, postgresql, monkeypatch):
    """A process that was stopped between two steps of a statement keeps its locks, and no time-out of the server ends that."""
    monkeypatch.setattr("clarion.adapters.ledgers.postgresql.leases.SILENT_S", 0.0)
    here, _ = processes
    worker = await here.leases.open(Process(), Instant(0), Instant(1))
    stopped = await asyncpg.connect(
        same_database(postgresql), server_settings={"application_name": "clarion"}
    )
    try:
        await stopped.execute(f"BEGIN; SELECT FROM workers WHERE id = {worker} FOR KEY SHARE")
        await stopped.prepare("UPDATE workers SET held = $1")
        assert (await here.leases.reap(Instant(2))).workers == 1
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await stopped.execute("COMMIT")
    finally:
        stopped.terminate()


WAITS_FOR_A_LOCK = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


async def test_who_begins_to_listen_finds_what_another_process_is_telling(processes):
    """It waits until that is stored, and is due at once. Without the lock each would miss the other."""
    here, there = processes
    subject = await LedgerSubject(there, ManualClock(), SeededRandom(5)).create_setup()
    message, later = subject.planned(), Instant(subject.now + DAY_MS)
    wait = EventWait(key=b"k" * 16, since=Instant(0), until=later)
    row = subject.waiting(message, due_at=later, waits=(wait,))
    signal = Signal(key=wait.key, at=subject.now, event_id=subject.event(), workflow="", expires_at=later)
    told, go_on = asyncio.Event(), asyncio.Event()

    async def tell(connection):
        plan = subject.plan_of(signals=(signal,))
        await signals.hold(connection, [plan])
        await signals.tell(connection, [plan], frozenset())
        told.set()
        await go_on.wait()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(here.database.write(tell))
        await told.wait()
        listening = group.create_task(subject.plan(message, run_rows=(row,)))
        while not listening.done() and not (await here.database.row(WAITS_FOR_A_LOCK))[0]:
            pass
        go_on.set()
    assert (await there.runs.get(subject.tenant, row.id)).due_at == subject.now


async def test_a_person_is_as_another_process_left_them(processes):
    """What is kept opened is only used while it is still so: profile, opt-out, and whether they are there at all."""
    here, there = processes
    tenant = await tenant_of(here)
    (ada,) = await here.users.put(tenant, [put("ada", "ada@example.org")])
    assert (await there.users.find(tenant, ["ada"])) == {"ada": ada}
    again = (await there.users.get([ada.no]))[ada.no]
    assert again is (await there.users.find(tenant, ["ada"]))["ada"], (
        "the same object until something changes"
    )

    await here.users.put(tenant, [put("ada", "ada@example.org", locale="fr")])
    assert (await there.users.get([ada.no]))[ada.no].profile.locale == "fr"

    before = (await there.users.get([ada.no]))[ada.no]
    digest = contact_hash(LocalVault(KEY, SeededRandom()), tenant, Channel.EMAIL, "ada@example.org")
    gone = Suppression(tenant=tenant, channel=Channel.EMAIL, hash=digest, reason="opted_out", at=Instant(1))
    assert await there.users.changed([before.seen]) == {}
    await here.suppressions.add([gone])
    (now,) = (await there.users.changed([before.seen])).values()
    assert now.suppressed == {digest}
    assert (await there.users.find(tenant, ["ada"]))["ada"].suppressed == {digest}
    await here.suppressions.remove(tenant, Channel.EMAIL, digest)
    assert (await there.users.get([ada.no]))[ada.no].suppressed == frozenset()

    await here.users.delete(tenant, "ada")
    assert await there.users.changed([before.seen]) == {ada.no: None}
    assert await there.users.find(tenant, ["ada"]) == {}


async def test_the_same_people_are_made_once(processes):
    """However many processes put them at the same moment, and in whatever order."""
    tenant = await tenant_of(processes[0])
    names = [f"user-{n}" for n in range(40)]
    puts = [put(name, f"{name}@example.org") for name in names]
    made = await asyncio.gather(
        *(ledger.users.put(tenant, puts[:: 1 - 2 * (turn % 2)]) for turn in range(4) for ledger in processes)
    )
    numbers = [{user.id: user.no for user in users} for users in made]
    assert all(found == numbers[0] for found in numbers)
    assert len(set(numbers[0].values())) == len(names)
    everybody = await processes[0].users.find(tenant, names)
    assert {user.profile.contacts[0].address for user in everybody.values()} == {
        f"{name}@example.org" for name in names
    }


async def test_of_two_processes_that_saw_the_same_one_writes(processes):
    """The other is told that the resource has changed, whichever process changed it."""
    tenant = await tenant_of(processes[0])
    ada = Subject(tenant=tenant, kind="user", key="ada")
    await processes[0].users.put(tenant, [put("ada", locale="de")])
    seen = await processes[0].tag(ada)

    async def change(ledger, locale):
        terms.enter(Terms(ada, Conditions(match=(f'"{seen}"',))))
        return await ledger.users.put(tenant, [put("ada", locale=locale)])

    done = await asyncio.gather(
        *(change(ledger, locale) for ledger in processes for locale in ("fr", "it")), return_exceptions=True
    )
    assert sum(isinstance(one, PreconditionFailed) for one in done) == 3


async def test_erasing_destroys_the_key(processes, postgresql):
    """What is left in the database says nothing of the person; backups are another matter, see the documentation."""
    here, _ = processes
    tenant = await tenant_of(here)
    (ada,) = await here.users.put(tenant, [put("ada", "ada@example.org")])
    await here.users.delete(tenant, "ada")
    connection = await asyncpg.connect(same_database(postgresql))
    try:
        for table in ("users", "contact_hashes", "user_messages", "subscriptions", "devices"):
            column = "no" if table == "users" else '"user"'
            assert await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", ada.no) == 0
    finally:
        await connection.close()


async def test_another_installation_key_is_refused(processes, postgresql):
    """The second machine needs the key file of the first."""
    here, _ = processes
    url = same_database(postgresql)
    await (await opened(url, key=b"x" * 32)).close()  # nobody is there yet whom it could not read
    await here.users.put(await tenant_of(here), [put("ada")])
    with pytest.raises(ConfigError, match="written with another installation key: copy the key file"):
        await opened(url, key=b"x" * 32)


async def test_a_person_whose_row_is_damaged_spoils_nobody_else(processes, postgresql):
    """They come as unreadable, and what is stored of them is not written over."""
    here, there = processes
    tenant = await tenant_of(here)
    users = await here.users.put(tenant, [put("ada"), put("bob"), put("eve")])
    connection = await asyncpg.connect(same_database(postgresql))
    await connection.execute("UPDATE users SET profile = 'broken' WHERE user_id = 'ada'")
    await connection.execute("UPDATE users SET wrapped_key = 'broken' WHERE user_id = 'eve'")
    await connection.close()
    found = await there.users.find(tenant, ["ada", "bob", "eve"])
    assert {name: user.unreadable for name, user in found.items()} == {"ada": True, "bob": False, "eve": True}
    assert found["bob"] == users[1]

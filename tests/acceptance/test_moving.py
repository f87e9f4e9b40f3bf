"""A live installation moves from its SQLite file to a PostgreSQL server: all of it arrives, whenever the move is interrupted.

The profile `deep` takes one with 200,000 messages.
"""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from clarion.adapters.ledgers.migrate import Silence, migrate
from clarion.adapters.ledgers.moving.move import Arrived, move
from clarion.adapters.ledgers.moving.origin import Origin
from clarion.adapters.ledgers.moving.tables import ELSEWHERE, moved
from clarion.adapters.ledgers.moving.target import Target
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.schema import metadata
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock
from clarion.adapters.vaults.local import LocalVault
from clarion.app.preparation import prepare
from clarion.cli.main import program
from clarion.errors import ConfigError, Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.audience import Attribute, AttributeType, CheckedSegment
from clarion.model.campaign import CampaignStatus
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.schedule import Schedule
from clarion.model.setup import AwaitedEvent, Case, Step, StepType, Tenant
from clarion.model.status import Status
from clarion.model.topic import Topic
from clarion.model.user import Contact, Profile, UserPut
from clarion.model.worker import Process
from clarion.ports.ledger import Store
from clarion.rules.audience import condition
from clarion.testing.ports import MONDAY_NOON, ManualClock, SeededRandom
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow
from tests.needs import DEEP
from tests.older_installation import TENANT, Older
from tests.unit.flow.test_campaigns import SALE, begin, join, status
from tests.unit.flow.test_runs import rows, send, wait
from tests.unit.flow.test_signals import data, happens

OPEN = {"plan": AttributeType.STRING, "age": AttributeType.NUMBER, "tags": AttributeType.STRINGS}
EVENTS = 200_000 if DEEP else 400
pytestmark = pytest.mark.timeout(3_600 if DEEP else 300)
LOOKED_AT = 200
"""Of so many events everything is compared by its meaning; of all of them the rows."""
CUT_OFF = """
import os, signal, sys
from clarion.adapters.ledgers.moving.origin import Origin
from clarion.adapters.ledgers.moving.target import Target
from clarion.cli.main import program

left = int(sys.argv[1])

def counted(method):
    def look(*arguments):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments)
    return look

for kind, names in ((Origin, ("watch", "forget", "retire")), (Target, ("begin", "store", "finish"))):
    for name in names:
        setattr(kind, name, counted(getattr(kind, name)))
program(["migrate", "--data-dir", sys.argv[2], "--to", sys.argv[3], "--json"])
"""
"""`clarion migrate --to`, killed before one of its writes."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> tuple[Older, Path]:
    """A data directory with something in nearly every table: what is in it, and where it is."""
    directory = tmp_path_factory.mktemp("filled")
    told = Older(EVENTS)
    told.make(directory)
    migrate(directory / "clarion.db")
    return told, directory


@pytest.fixture
def directory(filled, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(filled[1], tmp_path / "data"))


@pytest.fixture
async def url(postgresql, tmp_path_factory) -> str:
    """Of an empty database."""
    name = f"moved_{tmp_path_factory.getbasetemp().name.replace('-', '_')}"
    server = await asyncpg.connect(postgresql.url())
    await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    return postgresql.url(name)


def another(directory: Path) -> Path:
    """The data directory of a new installation."""
    other = directory.parent / "other"
    other.mkdir(mode=0o700)
    prepare(other / "clarion.db", other / "installation.key")
    return other


def vault_of(directory: Path) -> LocalVault:
    return LocalVault.from_file(directory / "installation.key", SeededRandom(), create=False)


async def moving(directory: Path, url: str) -> Arrived:
    """As `clarion migrate --to`."""
    return await move(
        directory / "clarion.db",
        url,
        vault=vault_of(directory),
        clock=SystemClock(),
        random=SeededRandom(),
        progress=Silence(),
    )


def in_file(directory: Path) -> SqliteLedger:
    clock, random = ManualClock(), SeededRandom()
    return SqliteLedger.open(directory / "clarion.db", vault=vault_of(directory), clock=clock, random=random)


async def on_server(directory: Path, url: str) -> PostgresLedger:
    return await PostgresLedger.open(
        url, vault=vault_of(directory), clock=ManualClock(), random=SeededRandom()
    )


async def meaning(ledger: Store, told: Older) -> list[object]:
    """What a ledger says of its people, their messages, timelines and inboxes."""
    said: list[object] = []
    for n in range(0, told.events, max(1, told.events // LOOKED_AT)):
        event_id, user = told.event_id(n), told.user(n)
        for one in told.message_ids(n).values():
            said.append(await ledger.records.get(TENANT, one))
            said.append([*await ledger.records.changes(TENANT, one)])
        said.append(await ledger.events.known(TENANT, event_id))
        said.append(await ledger.inboxes.head(user))
        said.append([*await ledger.inboxes.since(user, 0, 1_000)])
        said.append({**await ledger.users.find(TENANT, [f"u{user}"])})
    said.append([*await ledger.set_aside.page(TENANT, None, 1_000)])
    return said


async def being_called(ledger: Store) -> set[MessageId]:
    """Messages that a provider is called with at this moment."""
    now = Instant(MONDAY_NOON + 10**9)
    worker = await ledger.leases.open(Process(), now, Instant(now + 60_000))
    claimed = await ledger.messages.claim(worker, Lane.NORMAL, Channel.SMS, 3, now)
    assert claimed
    await ledger.messages.begin_calls(worker, {"main-sms": claimed}, now)
    return {message.id for message in claimed}


def test_every_table_is_moved_or_said_to_be_elsewhere():
    """A new one cannot be forgotten."""
    names = {table.name for table in moved()}
    assert {*metadata.tables} - names == {*ELSEWHERE}
    assert names - {*metadata.tables} == {"inbox_heads", "planned_ranges"}


async def test_all_of_it_arrives(filled, directory, url):
    """Every row, with the same meaning; after that the file cannot be written or opened, and the server serves."""
    told, _ = filled
    ledger = in_file(directory)
    called = await being_called(ledger)
    before = await meaning(ledger, told)
    arrived = await moving(directory, url)
    assert arrived.rows["messages"] >= EVENTS
    with pytest.raises(Unavailable, match="has moved to"):
        await ledger.setup.tenants.put(Tenant(id=TenantId(0), key="late"))
    await ledger.close()
    with pytest.raises(ConfigError, match="has moved to"):
        in_file(directory)
    with pytest.raises(ConfigError, match="has moved to"):
        migrate(directory / "clarion.db")
    server = await on_server(directory, url)
    try:
        assert await meaning(server, told) == before
        found = await server.receipts.messages([*called])
        assert {message.status for message in found.values()} == {Status.SENDING}
        new = await server.setup.tenants.put(Tenant(id=TenantId(0), key="new"))
        assert new.id > TENANT
    finally:
        await server.close()
    with pytest.raises(ConfigError, match="already"):
        await moving(directory, url)


async def test_what_conditions_ask_for_arrives_too(filled, directory, url):
    """Open attributes are the same ones on the server, also where it writes numbers otherwise; segments keep their members."""
    types = {name: Attribute(type=kind, searchable=True) for name, kind in OPEN.items()}
    ledger = in_file(directory)
    held = Ledger(ledger)
    await held.setup.catch_up()
    tenant = await held.setup.tenants.change(TENANT, lambda stored: replace(stored, attributes=types))
    values = [{"plan": "pro", "age": age, "tags": ["ä", "b"]} for age in (17, 1e-7, -0.5, 2**53, 3.0)]
    puts = [UserPut(id=f"m{n}", profile=Profile(attributes=its)) for n, its in enumerate(values)]
    await ledger.users.put(TENANT, puts)
    adults = CheckedSegment(key="adults", where=condition("user.attributes.age >= 17", tenant))
    await ledger.segments.refresh(TENANT, adults, MONDAY_NOON, 10_000)

    async def said(store: Store) -> tuple[list[UserNo], list[UserNo], object]:
        tagged = condition("'ä' in user.attributes.tags && user.attributes.age < 1", tenant)
        return (
            [*await store.audiences.search(TENANT, tagged, MONDAY_NOON, None, 100)],
            [*await store.segments.members(TENANT, "adults", UserNo(0), 100)],
            await store.segments.states(TENANT),
        )

    before = await said(ledger)
    await moving(directory, url)
    await ledger.close()
    server = await on_server(directory, url)
    try:
        assert await said(server) == before
        assert (len(before[0]), len(before[1])) == (2, 2)
    finally:
        await server.close()


async def test_what_is_written_meanwhile_arrives_too(filled, directory, url):
    """People come, go and read while it is copied: whatever was answered before the end is on the server."""
    told, _ = filled
    ledger = in_file(directory)
    done: dict[str, str] = {}
    gone: set[UserNo] = set()

    async def write() -> None:
        for n in range(10_000):
            contact = Contact(channel=Channel.EMAIL, address=f"new{n}@example.org")
            put = UserPut(id=f"new{n}", profile=Profile(contacts=(contact,), locale="de"))
            try:
                (user,) = await ledger.users.put(TENANT, [put])
                done[user.id] = contact.address
                user_no = UserNo(1 + n % told.users)
                items = await ledger.inboxes.matching(user_no)
                await ledger.inboxes.mark(user_no, "archived", items, Instant(ledger_now(n)))
                if n % 5 == 0 and await ledger.users.delete(TENANT, f"u{user_no}"):
                    gone.add(user_no)
            except Unavailable:
                return
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    arrived = await moving(directory, url)
    await writing
    assert arrived.changes > 10
    assert done
    await ledger.close()
    server = await on_server(directory, url)
    try:
        found = await server.users.find(TENANT, [*done])
        assert {user.id: user.profile.contacts[0].address for user in found.values()} == done
        assert await server.users.find(TENANT, [f"u{no}" for no in gone]) == {}
        for no in range(1, 1 + min(len(done), told.users)):
            assert (await server.inboxes.head(UserNo(no)))[1].total == 0
    finally:
        await server.close()


def ledger_now(n: int) -> int:
    return 2_000_000_000_000 + n


def killed(directory: Path, url: str, at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CUT_OFF, str(at), str(directory), url],
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_move_that_is_killed_again_and_again_arrives_whole(filled, directory, url):
    """At any of its writes; while it is not over nobody may serve from the server, and the file still works."""
    told, _ = filled
    ledger = in_file(directory)
    before = await meaning(ledger, told)
    await ledger.close()
    at = 1
    while (run := killed(directory, url, at)).returncode == -signal.SIGKILL:
        if at == 17:
            with pytest.raises(ConfigError, match="is being moved"):
                await on_server(directory, url)
            await in_file(directory).close()
        at += 16
    assert run.returncode == 0, run.stderr
    assert at > 17
    assert '"paused_ms"' in run.stdout
    server = await on_server(directory, url)
    try:
        assert await meaning(server, told) == before
    finally:
        await server.close()


@pytest.mark.parametrize("last", ["retire", "finish"])
async def test_a_move_that_is_cut_off_at_its_end_is_finished(filled, directory, url, monkeypatch, last):
    """Before the file is closed it still counts; behind that the server does."""

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Origin if last == "retire" else Target, last, cut)
        with pytest.raises(KeyboardInterrupt):
            await moving(directory, url)
    if last == "retire":
        await in_file(directory).close()
    else:
        with pytest.raises(ConfigError, match="has moved to"):
            in_file(directory)
    await moving(directory, url)
    server = await on_server(directory, url)
    await server.close()


async def test_a_database_that_is_used_is_refused(directory, url, postgresql):
    """By whoever: its rows are not touched."""
    await moving(directory, url)
    server = await asyncpg.connect(url)
    count = await server.fetchval("SELECT count(*) FROM users")
    other = another(directory)
    with pytest.raises(ConfigError, match="is not empty"):
        await moving(other, url)
    assert await server.fetchval("SELECT count(*) FROM users") == count
    await server.close()


async def test_two_installations_do_not_mix(directory, url):
    """A database that one is being moved to refuses another."""
    assert killed(directory, url, 12).returncode == -signal.SIGKILL
    other = another(directory)
    with pytest.raises(ConfigError, match="another installation"):
        await moving(other, url)


async def test_a_wrong_key_is_refused(directory, url):
    """Before anything is stored."""
    key = directory / "installation.key"
    key.unlink()
    LocalVault.from_file(key, SeededRandom(seed=2), create=True)
    with pytest.raises(ConfigError, match="another installation key"):
        await moving(directory, url)
    server = await asyncpg.connect(url)
    assert await server.fetchval("SELECT to_regclass('users')") is None
    await server.close()


async def test_a_move_can_be_given_up(directory, url):
    """The file is as if it had never begun; the database must be made anew."""
    before = _schema(directory)
    assert killed(directory, url, 12).returncode == -signal.SIGKILL
    assert _schema(directory) != before
    program(["migrate", "--data-dir", str(directory), "--give-up"], standalone_mode=False)
    assert _schema(directory) == before
    with pytest.raises(ConfigError, match="given up or restored"):
        await moving(directory, url)


def _schema(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / "clarion.db")) as file:
        found = file.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")
        return sorted(name for (name,) in found)


async def test_what_waits_goes_on_on_the_server(url, tmp_path):
    """Runs that wait for a time or an event, an event that came before, an open digest, a schedule and a campaign on its way:
    nothing of it is lost, and nothing is sent twice."""
    clock, hour_s = ManualClock(), 3_600
    before, after = RecordingProvider(batch=50), RecordingProvider(batch=50)
    async with engine(tmp_path, clock=clock, provider=before) as here:
        event = AwaitedEvent(type="order.paid", match="event.data.order == data.order")
        fork = (Case(when="steps.paid.matched", steps=(send("thanks"),)), Case(steps=(send("remind"),)))
        waits = (
            send("hello"),
            wait(seconds=hour_s),
            Step(key="paid", type=StepType.WAIT, event=event, timeout_s=hour_s),
            Step(key="fork", type=StepType.BRANCH, cases=fork),
        )
        collect = Step(key="all", type=StepType.DIGEST, window_s=2 * hour_s)
        await here.create_setup(
            workflow("w", steps=waits), workflow("digest", steps=(collect, send("told"))), workflow("sale")
        )
        for name in ("ada", "bob"):
            await here.put_user(name)
        await here.ledger.topics.put(here.tenant, Topic(key="readers", name=""))
        await join(here, *(f"u{n}" for n in range(20)))
        slow = replace(SALE, rate_per_s=1)
        await here.trigger("w", "ada", data=data(1))
        await here.trigger("w", "bob", data=data(2))
        await happens(here, "order.paid", "ada")
        for _ in range(3):
            await here.trigger("digest", "ada", data=data(1))
        daily = Schedule(key="daily", workflow="sale", recipients=("bob",), cron="0 13 * * *")
        await here.services.schedules.put(here.tenant, daily, None)
        campaign = await begin(here, slow)
        await here.pass_time(8)
        assert 2 < len(before.effects) < 22
    await move(
        tmp_path / "clarion.db",
        url,
        vault=here.vault,
        clock=clock,
        random=SeededRandom(),
        progress=Silence(),
    )
    async with engine(url, clock=clock, provider=after, seed=2) as there:
        for _ in range(6):
            await there.pass_time(hour_s / 2)
        messages = (await there.messages()).values()
        users = await there.ledger.users.get([one.user for one in messages])
        got = Counter((one.workflow, one.step, users[one.user].id) for one in messages)
        readers = {("sale", "note", f"u{n}"): 1 for n in range(20)}
        assert got == {
            **readers,
            ("w", "hello", "ada"): 1,
            ("w", "hello", "bob"): 1,
            ("w", "thanks", "ada"): 1,
            ("w", "remind", "bob"): 1,
            ("digest", "told", "ada"): 1,
            ("sale", "note", "bob"): 1,
        }
        (digest,) = [one for one in await rows(there, workflow="digest") if one.step != "all"]
        (closed,) = await there.ledger.digests.get(there.tenant, [digest.event_id])
        assert (closed.items, closed.total) == (3, 3)
        assert await status(there, campaign) is CampaignStatus.DONE
        calls = Counter(one.message.id for one in (*before.effects, *after.effects))
        assert max(calls.values()) == 1

"""The ledger over openings, crashes and a full disk, and what must never be readable in its file."""

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable, UserUnreadable
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel, Lane
from clarion.model.quarantine import Quarantined, QuarantineFilter
from clarion.model.setup import Integration, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile, UserPut
from clarion.testing.ledger_contract import LedgerSubject


async def reopened(subject: LedgerSubject, opened) -> LedgerSubject:
    """The same world after a restart."""
    await subject.ledger.close()
    subject.ledger = Ledger(opened())
    await subject.ledger.setup.catch_up()
    subject.worker = await subject.open_worker()
    return subject


async def test_everything_is_there_after_a_restart(path, opened, clock, random):
    """People, set-up, logs, cursors, messages, inboxes; positions go on where they were."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    await subject.ledger.setup.workflows.put(subject.tenant, Workflow(key="w", category="news"))
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    await subject.consume(entry)
    message = await subject.delivered()
    tenant = subject.ledger.setup.tenants.all()
    subject = await reopened(subject, opened)
    try:
        ledger = subject.ledger
        assert ledger.setup.tenants.all() == tenant
        assert list(ledger.setup.workflows.all(subject.tenant)) == ["w"]
        assert await ledger.log.position(Lane.NORMAL) == await ledger.log.end(Lane.NORMAL) == entry.seq
        assert (await ledger.stats())["cached_users"] == 0, "the cache starts empty"
        assert await subject.reread(subject.ada) == subject.ada
        assert await ledger.users.find(subject.tenant, ["ada"]) == {"ada": subject.ada}
        assert (await subject.stored(message)).status is Status.DELIVERED
        assert (await ledger.inboxes.head(subject.ada.no))[0] == 1
        ((after,), _) = await ledger.log.append([subject.entry()], [None])
        assert after.seq > entry.seq
    finally:
        await subject.ledger.close()


async def test_positions_are_never_handed_out_twice(path, opened, clock, random):
    """Even when retention has emptied the log: a cursor behind them would skip what comes next."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    (*_, last), _ = await subject.ledger.log.append([subject.entry() for _ in range(5)], [None] * 5)
    await subject.ledger.close()
    raw = sqlite3.connect(path)
    with raw:
        raw.execute("DELETE FROM log_normal")
    raw.close()
    subject.ledger = Ledger(opened())
    await subject.ledger.setup.catch_up()
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    assert entry.seq == last.seq + 1
    await subject.ledger.close()


async def test_caps_count_on_after_a_restart_and_after_a_commit_that_failed(opened, clock, random):
    """What is counted is read from the messages: nothing that was lost counts, nothing that was kept is forgotten."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    first, lost, second, third = (subject.planned() for _ in range(4))
    await subject.plan(first, charges=(subject.charge(first, 2),))
    plan = subject.plan_of(lost, charges=(subject.charge(lost, 2),))
    with pytest.raises(TypeError):
        await subject.ledger.plans.commit(replace(plan, runs=(replace(plan.runs[0], at=object()),)))
    assert (await subject.plan(second, charges=(subject.charge(second, 2),))).changed == {}
    subject = await reopened(subject, opened)
    try:
        refused = await subject.plan(third, charges=(subject.charge(third, 2),))
        assert refused.changed == {third.id: (Status.THROTTLED, Reason.FREQUENCY_CAP)}
    finally:
        await subject.ledger.close()


async def test_a_new_process_takes_over_what_the_old_one_held(opened, clock, random):
    """At once, with a higher fence; what only waits is left to its time; what was being sent says so."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    held, sending = subject.planned(), subject.planned()
    waiting = replace(
        subject.planned(), status=Status.DEFERRED, reason=Reason.RETRY, fence=0, due_at=subject.now + 9
    )
    await subject.plan(held, sending, waiting)
    await subject.call(sending)
    subject = await reopened(subject, opened)
    try:
        assert list(await subject.claim()) == []
        assert await subject.reap() == 2
        assert await subject.reap() == 0
        claimed = {m.id: m for m in await subject.claim()}
        assert set(claimed) == {held.id, sending.id}
        assert claimed[held.id].fence > held.fence
        assert claimed[sending.id].status is Status.SENDING
        assert (await subject.settle(held)).refused == {held.id}
        assert (await subject.settle(claimed[held.id])).refused == frozenset()
    finally:
        await subject.ledger.close()


async def test_what_the_old_process_held_is_not_held_by_the_new_one(opened, clock, random):
    """Its fence may still fit."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    message = subject.planned()
    await subject.plan(message)
    subject = await reopened(subject, opened)
    try:
        assert (await subject.settle(message)).refused == {message.id}
        assert await subject.timeline(message) == [(Status.QUEUED, None)]
    finally:
        await subject.ledger.close()


async def test_a_full_disk_refuses_and_recovers(ledger, subject):
    """503 and nothing stored while it is full; afterwards everything goes on."""
    connection = ledger._writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = [subject.entry(sealed=b"x" * 100_000)]
    with pytest.raises(Unavailable, match="disk is full"):
        await ledger.log.append(big, [None])
    assert "disk is full" in await ledger.health()
    message = subject.planned(workflow="never-seen-before")
    with pytest.raises(Unavailable):
        await ledger.plans.commit(subject.plan_of(message, bodies=tuple(big)))
    assert list(await ledger.log.read(Lane.NORMAL, 0, 10)) == []
    assert await ledger.records.get(subject.tenant, message.id) is None
    connection.execute("PRAGMA max_page_count = 1000000")
    async with asyncio.timeout(5):
        while (await ledger.health()) != "ok":  # noqa: ASYNC110 - it finds out by being asked
            await asyncio.sleep(0.01)
    await subject.plan(message)
    assert await subject.stored(message) == message
    await ledger.log.append(big, [None])
    assert await ledger.log.end(Lane.NORMAL) == 1


async def test_group_commit_shows_in_the_figures(ledger, subject):
    """Many jobs, few commits."""
    before = await ledger.stats()
    await asyncio.gather(*(ledger.log.append([subject.entry()], [None]) for _ in range(500)))
    after = await ledger.stats()
    assert after["jobs"] - before["jobs"] == 500
    assert after["commits"] - before["commits"] < 50
    assert after["queued_rows"] == 0
    assert after["file_bytes"] > 0


async def test_a_closed_ledger_says_so(opened, clock, random):
    """Reads and writes alike."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    await subject.ledger.close()
    await subject.ledger.close()
    with pytest.raises(Unavailable):
        await subject.plan(subject.planned())
    with pytest.raises(Unavailable):
        await subject.ledger.users.page(subject.tenant, None, 1)


async def test_a_ledger_is_not_opened_with_another_key(path, opened, clock, random):
    """The operator hears it at once, not with the first message."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    await subject.ledger.close()
    with pytest.raises(ConfigError, match="another installation key"):
        SqliteLedger.open(path, vault=LocalVault(b"x" * 32, random), clock=clock, random=random)
    await opened().close()


# ── what the file must not tell ───────────────────────────────────────────────────────────────────────────


def everything(path: Path) -> bytes:
    """All bytes of the ledger on disk."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())


async def test_nothing_personal_and_no_secret_stands_in_the_clear(path, ledger, subject):
    """Neither contacts, attributes and preferences nor the credentials of integrations."""
    profile = Profile(
        contacts=(Contact(channel=Channel.EMAIL, address="findme@example.org"),),
        attributes={"note": "find-this-too"},
        timezone="Antarctica/Troll",
    )
    await ledger.users.put(subject.tenant, [UserPut(id="u", profile=profile)])
    await ledger.setup.integrations.put(
        subject.tenant,
        Integration(key="i", channel=Channel.SMS, provider="p", config={"token": "find-my-token"}),
    )
    assert re.search(rb"findme|find-this-too|Antarctica|find-my-token", everything(path)) is None


async def test_a_deleted_users_key_is_gone_from_the_disk(path, ledger, subject):
    """The wrapped key is overwritten in the file and in its log, so that no copy of sealed data opens again."""
    raw = sqlite3.connect(path)
    (wrapped,) = raw.execute("SELECT wrapped_key FROM users WHERE no = ?", (subject.ada.no,)).fetchone()
    raw.close()
    assert wrapped in everything(path)
    assert await ledger.users.delete(subject.tenant, "ada")
    async with asyncio.timeout(5):
        while wrapped in everything(path):  # noqa: ASYNC110 - the disk has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_user_whose_key_is_broken_can_still_be_deleted(path, opened, ledger, subject):
    """Erasing must not need what it erases."""
    await ledger.close()
    raw = sqlite3.connect(path)
    with raw:
        raw.execute("UPDATE users SET wrapped_key = x'00' WHERE no = ?", (subject.ada.no,))
    raw.close()
    again = opened()
    assert (await again.users.find(subject.tenant, ["ada"]))["ada"].unreadable
    assert await again.users.delete(subject.tenant, "ada")
    await again.close()


@pytest.mark.parametrize(
    "damaged",
    ["profile = x'00'", "profile = zeroblob(60)", "wrapped_key = x'00'", "wrapped_key = zeroblob(32)"],
)
async def test_somebody_who_cannot_be_opened_spoils_nobody_else(path, opened, ledger, subject, damaged):
    """They come as unreadable; nothing that they chose is written over. Once they can be opened again, they are."""
    ada, bob = subject.ada, subject.bob
    await ledger.close()
    raw = sqlite3.connect(path)
    before = raw.execute("SELECT profile, wrapped_key FROM users WHERE no = ?", (ada.no,)).fetchone()
    with raw:
        raw.execute(f"UPDATE users SET {damaged} WHERE no = ?", (ada.no,))
    again = opened()
    found = await again.users.get([ada.no, bob.no])
    assert found[bob.no] == bob
    assert (found[ada.no].id, found[ada.no].unreadable) == ("ada", True)
    assert {one.id: one.unreadable for one in await again.users.page(subject.tenant, None, 10)} == {
        "ada": True,
        "bob": False,
    }
    for wanted in (Profile(locale="fr"), Profile()):
        with pytest.raises(UserUnreadable, match="ada"):
            await again.users.put(subject.tenant, [UserPut(id="ada", profile=wanted)])
    with raw:
        raw.execute("UPDATE users SET profile = ?, wrapped_key = ? WHERE no = ?", (*before, ada.no))
    raw.close()
    assert await again.users.get([ada.no, bob.no]) == {ada.no: ada, bob.no: bob}
    await again.close()


def test_migrating_makes_missing_folders(tmp_path):
    """`--data-dir some/new/place` just works."""
    path = tmp_path / "some" / "new" / "place" / "clarion.db"
    migrate(path)
    assert path.exists()


async def test_the_quarantine_is_bounded_in_number(subject, monkeypatch):
    """The oldest go first."""
    kept = subject.ledger.quarantine
    monkeypatch.setattr("clarion.adapters.ledgers.sqlite.quarantine.MOST", 3)

    async def keep(number):
        digest = bytes([number]) * 16
        row = Quarantined(
            tenant=subject.tenant, why="not_understood", sealed=b"", digest=digest, at=subject.now
        )
        await kept.keep(row)

    for number in range(5):
        await keep(number)
    assert [s.digest[0] for s in await kept.page(subject.tenant, QuarantineFilter(), None, 10)] == [4, 3, 2]

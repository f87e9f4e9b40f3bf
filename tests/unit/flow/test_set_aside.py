"""What cannot be read or planned is set aside for a person, and holds up nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from clarion.errors import UserUnreadable
from clarion.flow import sealing
from clarion.flow.plan import planner
from clarion.model.channel import Channel, Lane
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import MessageFilter
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient, Submission
from clarion.services.retries import Retries
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, said, workflow


def damage(directory: Path, statement: str, *values: object) -> None:
    """Write to the closed file."""
    with closing(sqlite3.connect(directory / "clarion.db")) as file:
        assert file.execute(statement, values).rowcount > 0
        file.commit()


async def set_aside(house: Engine, tenant: TenantId | None = None) -> list[tuple[str, Reason]]:
    """Workflow and reason of what waits for a person, oldest first."""
    found = await house.ledger.set_aside.page(tenant or house.tenant, None, 100)
    return [(one.workflow, one.reason) for one in reversed(found)]


async def planned(house: Engine) -> None:
    """Until everything that was accepted is planned; nothing need be sent."""
    while await house.broker.depth(Lane.NORMAL):  # noqa: ASYNC110 - the queue has no event to wait for
        await asyncio.sleep(0.005)


async def tried(house: Engine) -> None:
    """Time passes until everything that was accepted is planned or set aside, and what was planned is sent."""

    async def nothing_waits() -> bool:
        return not await house.broker.depth(Lane.NORMAL)

    assert await house.until(nothing_waits)
    assert await ended(house)


async def ended(house: Engine, **where: Any) -> bool:
    """Time passes until every message that matches has come to its end."""

    async def all_have() -> bool:
        return all(m.status.is_terminal for m in (await house.messages(**where)).values())

    return await house.until(all_have)


async def retried(house: Engine, *ids: MessageId) -> int:
    """How many are sent again; it may wait for the file, which another program has just written."""
    retries = Retries(house.ledger, house.clock)
    again = asyncio.ensure_future(retries.retry(house.tenant, MessageFilter(), ids, 10, "live"))

    async def answered() -> bool:
        return again.done()

    assert await house.until(answered)
    return len(again.result())


async def statuses(house: Engine) -> list[tuple[str, Status, Reason | None]]:
    return sorted((m.workflow, m.status, m.reason) for m in (await house.messages()).values())


@pytest.mark.parametrize("recipients", [("ada",), ("ada", "bob")], ids=["one recipient", "several"])
@pytest.mark.parametrize("damaged", [b"", b"x" * 40], ids=["empty", "not sealed"])
async def test_an_entry_that_cannot_be_opened_lets_the_lane_go_on(tmp_path, recipients, damaged):
    """It is tried a few times, then it waits for a person; those before and behind it are sent."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("good"), workflow("bad"))
        for who in recipients:
            await house.person(who)
        await house.pipeline.loops.stop("plan-")
        await house.trigger("good", "ada")
        await house.trigger("bad", *recipients)
        await house.trigger("good", "ada")
        await house.crash()
        damage(tmp_path, "UPDATE log_normal SET sealed = ? WHERE workflow = 'bad'", damaged)
        await house.open()
        await tried(house)
        assert await statuses(house) == [("good", Status.SENT, None)] * 2
        assert await set_aside(house) == [("bad", Reason.UNREADABLE)]
        assert await house.broker.depth(Lane.NORMAL) == 0
        assert (
            (await house.pipeline.stats())["set_aside"],
            (await house.pipeline.stats())["set_aside_waiting"],
        ) == (1, 1)
        assert "1 events" in (await house.pipeline.warnings())["planning"]
        assert set((await house.pipeline.health()).values()) == {"ok"}


async def test_an_entry_that_cannot_be_decoded_lets_the_lane_go_on(tmp_path):
    """Also one of another tenant, beside it in the batch."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("good"))
        await house.person("ada")
        other = await house.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
        await house.pipeline.loops.stop("plan-")
        await house.trigger("good", "ada")
        await house.crash()
        sealed = house.vault.seal(house.vault.tenant_key(other.id), b'{"id": 7}')
        damage(
            tmp_path,
            "INSERT INTO log_normal (event_id, tenant, workflow, sealed_for, sealed) VALUES (?, ?, 'bad', 0, ?)",
            b"e" * 16,
            other.id,
            sealed,
        )
        await house.open()
        await tried(house)
        assert await statuses(house) == [("good", Status.SENT, None)]
        assert await set_aside(house, other.id) == [("bad", Reason.UNREADABLE)]
        assert await set_aside(house) == []


async def test_a_fault_that_passes_costs_nothing(store, monkeypatch):
    """The entry is tried again after a pause and planned."""
    opened, faults = sealing.opened, [RuntimeError("in passing")] * 2

    def fails(*args):
        if faults:
            raise faults.pop()
        return opened(*args)

    async with engine(store) as house:
        await house.furnish(workflow("w"))
        await house.person("ada")
        monkeypatch.setattr(planner, "opened", fails)
        await house.trigger("w", "ada")
        await tried(house)
        assert await statuses(house) == [("w", Status.SENT, None)]
        assert await set_aside(house) == []


async def test_a_plan_that_cannot_be_stored_holds_up_no_other(store, monkeypatch):
    """The entries of the batch are stored one by one; the one at fault is set aside."""
    async with engine(store) as house:
        await house.furnish(workflow("good"), workflow("bad"))
        await house.person("ada")
        await house.pipeline.loops.stop("plan-")
        for key in ("good", "bad", "good"):
            await house.trigger(key, "ada")
        await house.crash()
        await house.open()
        commit = house.ledger.plans.commit

        async def refuses(wanted):
            if any(run.workflow == "bad" for run in wanted.runs):
                raise OverflowError
            return await commit(wanted)

        monkeypatch.setattr(house.ledger.plans, "commit", refuses)
        await tried(house)
        assert await statuses(house) == [("good", Status.SENT, None)] * 2
        assert await set_aside(house) == [("bad", Reason.INTERNAL_ERROR)]
        assert all(queue.held == 0 for queue in house.pipeline.queues)


async def test_what_was_set_aside_is_planned_again_or_discarded(store, monkeypatch):
    """Once its cause is gone; what is discarded is never sent, and warns nobody any more."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(workflow("w"))
        await house.person("ada")
        opened = sealing.opened

        def fails(*args):
            raise RuntimeError("for now")

        monkeypatch.setattr(planner, "opened", fails)
        for text in ("one", "two", "three"):
            await house.trigger("w", "ada", data=Raw(b'{"text":"%s"}' % text.encode()))
        await tried(house)
        assert await set_aside(house) == [("w", Reason.INTERNAL_ERROR)] * 3
        monkeypatch.setattr(planner, "opened", opened)
        first, second, third = (
            one.seq for one in reversed(await house.ledger.set_aside.page(house.tenant, None, 9))
        )
        assert await house.ledger.set_aside.discard(house.tenant, second, house.clock.now())
        assert not await house.ledger.set_aside.discard(house.tenant, second, house.clock.now())
        assert await house.services.set_aside_events.plan_again(TenantId(99), [first]) == 0
        assert await house.services.set_aside_events.plan_again(house.tenant, [first]) == 1
        await house.pass_time(1)
        assert [said(one) for one in provider.effects] == ["one"]
        assert await house.ledger.set_aside.waiting() == 1
        await house.crash()
        await house.open()
        assert await house.ledger.set_aside.waiting() == 1
        assert (
            await house.services.set_aside_events.plan_again(house.tenant, [third, third, second + 100]) == 1
        )
        await house.pass_time(1)
        assert [said(one) for one in provider.effects] == ["one", "three"]
        assert await house.pipeline.warnings() == {}


async def test_a_message_whose_event_cannot_be_read_holds_up_none_beside_it(tmp_path):
    """It is looked at a few times, then lies with the dead letters; once its event can be read a retry sends it."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as house:
        await house.furnish(workflow("good"), workflow("bad"))
        await house.person("ada")
        await house.pipeline.loops.stop("dispatch-")
        for key in ("good", "bad", "good"):
            await house.trigger(key, "ada")
        await planned(house)
        await house.crash()
        with closing(sqlite3.connect(tmp_path / "clarion.db")) as file:
            ((sealed,),) = file.execute("SELECT sealed FROM log_normal WHERE workflow = 'bad'").fetchall()
        damage(tmp_path, "UPDATE log_normal SET sealed = x'00' WHERE workflow = 'bad'")
        await house.open()
        assert await ended(house)
        assert await statuses(house) == [
            ("bad", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("good", Status.SENT, None),
            ("good", Status.SENT, None),
        ]
        damage(tmp_path, "UPDATE log_normal SET sealed = ? WHERE workflow = 'bad'", sealed)
        bad = await house.one(workflow="bad")
        assert await retried(house, bad.id) == 1
        assert await ended(house)
        assert (await house.one(workflow="bad")).status is Status.SENT


async def test_a_row_that_is_no_message_holds_up_none_beside_it(tmp_path):
    """It ends; the others of its queue are claimed and sent."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as house:
        await house.furnish(workflow("good"), workflow("bad"))
        await house.person("ada")
        await house.pipeline.loops.stop("dispatch-")
        for key in ("good", "bad", "good"):
            await house.trigger(key, "ada")
        await planned(house)
        bad = await house.one(workflow="bad")
        await house.crash()
        damage(tmp_path, "UPDATE messages SET route = 999 WHERE id = ?", bad.id)
        await house.open()
        assert await ended(house, workflow="good")
        assert [(m.workflow, m.status) for m in (await house.messages(workflow="good")).values()] == [
            ("good", Status.SENT)
        ] * 2
        with closing(sqlite3.connect(tmp_path / "clarion.db")) as file:
            found = file.execute("SELECT due_at, reason FROM messages WHERE id = ?", (bad.id,)).fetchall()
        assert found == [(None, "unreadable")]


async def test_a_reason_of_a_newer_version_is_no_obstacle(tmp_path):
    """Two versions may work on one file for a while."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("w"))
        await house.person("ada")
        await house.pipeline.loops.stop("dispatch-")
        await house.trigger("w", "ada")
        await planned(house)
        await house.crash()
        damage(tmp_path, "UPDATE messages SET reason = 'from_the_future'")
        await house.open()
        assert await ended(house)
        assert (await house.one()).status is Status.SENT


BROKEN = ["profile = x'00'", "profile = zeroblob(60)", "wrapped_key = zeroblob(32)"]


def profile_of(directory: Path, user_id: str) -> tuple[bytes, bytes]:
    """What is stored about somebody, to put it back later."""
    with closing(sqlite3.connect(directory / "clarion.db")) as file:
        where = "SELECT profile, wrapped_key FROM users WHERE user_id = ?"
        ((profile, key),) = file.execute(where, (user_id,)).fetchall()
    return profile, key


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_profile_that_cannot_be_read_holds_up_nobody_else_at_planning(tmp_path, broken):
    """Their messages lie with the dead letters, those of everybody beside them go; mended, a retry sends them."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as house:
        await house.furnish(workflow("w"))
        for who in ("ada", "bob"):
            await house.person(who)
        await house.crash()
        whole = profile_of(tmp_path, "bob")
        damage(tmp_path, f"UPDATE users SET {broken} WHERE user_id = 'bob'")
        await house.open()
        await house.trigger("w", "ada", "bob")
        await house.trigger("w", "bob")
        await house.trigger("w", "ada")
        await house.pass_time(1)
        assert [one.user.id for one in provider.effects] == ["ada", "ada"]
        bad = await house.messages(statuses=frozenset({Status.DEAD_LETTERED}))
        assert [(m.workflow, m.reason) for m in bad.values()] == [("w", Reason.UNREADABLE)] * 2
        assert await set_aside(house) == []
        damage(tmp_path, "UPDATE users SET profile = ?, wrapped_key = ? WHERE user_id = 'bob'", *whole)
        assert await retried(house, *bad) == 2
        await house.pass_time(1)
        assert sorted(one.user.id for one in provider.effects) == ["ada", "ada", "bob", "bob"]


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_profile_that_breaks_later_holds_up_nobody_else_at_sending(tmp_path, broken):
    """The last look and whoever claims what waited let the rest of the batch go on."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as house:
        await house.furnish(workflow("w"))
        for who in ("ada", "bob"):
            await house.person(who)
        await house.pipeline.loops.stop("dispatch-")
        await house.trigger("w", "ada", "bob")
        await house.trigger("w", "bob")
        await planned(house)
        await house.crash()
        damage(tmp_path, f"UPDATE users SET {broken} WHERE user_id = 'bob'")
        await house.open()
        assert await ended(house)
        assert [one.user.id for one in provider.effects] == ["ada"]
        assert await statuses(house) == [
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.SENT, None),
        ]


async def test_what_was_under_way_to_somebody_who_cannot_be_read_stays_in_doubt(tmp_path):
    """It may have gone out: it is not sent again behind anybody's back once they can be read."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("w"))
        await house.person("bob")
        await house.pipeline.loops.stop("dispatch-")
        await house.trigger("w", "bob")
        await planned(house)
        message = await house.one()
        await house.ledger.messages.mark_sending(house.pipeline.lease.worker, [message], house.clock.now())
        await house.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00'")
        await house.open()
        await house.pass_time(1)
        assert [(m.status, m.reason) for m in (await house.messages()).values()] == [
            (Status.FAILED, Reason.OUTCOME_UNKNOWN)
        ]


async def test_a_report_about_somebody_who_cannot_be_read_holds_up_none_beside_it(tmp_path):
    """What it says of the message is stored; only what they chose cannot be, so that is not taken."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("w", channel=Channel.EMAIL))
        for who in ("ada", "bob"):
            await house.person(who)
        events = [(await house.trigger("w", who)).event_id for who in ("ada", "bob", "bob")]
        await house.pass_time(1)
        await house.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00' WHERE user_id = 'bob'")
        await house.open()
        ada, bob, again = [await house.one(event_id=event_id) for event_id in events]

        def report(message, kind):
            return Receipt(tenant=house.tenant, message_id=message.id, kind=kind, at=message.updated_at)

        told = [
            report(bob, ReceiptKind.UNSUBSCRIBED),
            report(ada, ReceiptKind.UNSUBSCRIBED),
            report(again, ReceiptKind.DELIVERED),
        ]
        assert await house.pipeline.receive(told) == [False, True, True]
        await house.trigger("w", "ada")
        await house.pass_time(1)
        assert (Status.SUPPRESSED, Reason.OPTED_OUT) in [(s, r) for _, s, r in await statuses(house)]


async def test_one_call_may_name_somebody_who_cannot_be_read(tmp_path):
    """Its event is taken; only what would change their profile is refused, and only that one."""
    async with engine(tmp_path) as house:
        await house.furnish(workflow("w"))
        for who in ("ada", "bob"):
            await house.person(who)
        await house.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00' WHERE user_id = 'bob'")
        await house.open()
        wanted = [
            Submission(workflow="w", recipients=(who,), data=Raw(b'{"text":"hello"}'))
            for who in ("ada", "bob", Recipient(user_id="bob", email="b@example.org"))
        ]
        first, second, third = await house.pipeline.submit(house.tenant, wanted)
        assert not isinstance(first, Exception)
        assert not isinstance(second, Exception)
        assert isinstance(third, UserUnreadable)
        await house.pass_time(1)
        assert await statuses(house) == [
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.SENT, None),
        ]
        ((_, run),) = await house.services.dry_runs.runs(house.tenant, wanted[1])
        assert [(one.status, one.reason) for one in run.channels] == [
            (Status.DEAD_LETTERED, Reason.UNREADABLE)
        ]

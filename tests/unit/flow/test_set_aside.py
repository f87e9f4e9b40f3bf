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
from tests.engine import Engine, engine, sms_text, workflow


def damage(directory: Path, statement: str, *values: object) -> None:
    """Write to the closed file."""
    with closing(sqlite3.connect(directory / "clarion.db")) as file:
        assert file.execute(statement, values).rowcount > 0
        file.commit()


async def set_aside(clarion: Engine, tenant: TenantId | None = None) -> list[tuple[str, Reason]]:
    """Workflow and reason of what waits for a person, oldest first."""
    found = await clarion.ledger.set_aside.page(tenant or clarion.tenant, None, 100)
    return [(one.workflow, one.reason) for one in reversed(found)]


async def planned(clarion: Engine) -> None:
    """Until everything that was accepted is planned; nothing need be sent."""
    while (await clarion.broker.backlog(Lane.NORMAL)).entries:  # noqa: ASYNC110 - the queue has no event to wait for
        await asyncio.sleep(0.005)


async def tried(clarion: Engine) -> None:
    """Time passes until everything that was accepted is planned or set aside, and what was planned is sent."""

    async def nothing_waits() -> bool:
        return not (await clarion.broker.backlog(Lane.NORMAL)).entries

    assert await clarion.until(nothing_waits)
    assert await ended(clarion)


async def ended(clarion: Engine, **where: Any) -> bool:
    """Time passes until every message that matches has come to its end."""

    async def all_have() -> bool:
        return all(m.status.is_terminal for m in (await clarion.messages(**where)).values())

    return await clarion.until(all_have)


async def retried(clarion: Engine, *ids: MessageId) -> int:
    """How many are sent again; it may wait for the file, which another program has just written."""
    retries = Retries(clarion.ledger, clarion.clock)
    again = asyncio.ensure_future(retries.retry(clarion.tenant, MessageFilter(), ids, 10, "live"))

    async def answered() -> bool:
        return again.done()

    assert await clarion.until(answered)
    return len(again.result())


async def statuses(clarion: Engine) -> list[tuple[str, Status, Reason | None]]:
    return sorted((m.workflow, m.status, m.reason) for m in (await clarion.messages()).values())


@pytest.mark.parametrize("recipients", [("ada",), ("ada", "bob")], ids=["one recipient", "several"])
@pytest.mark.parametrize("damaged", [b"", b"x" * 40], ids=["empty", "not sealed"])
async def test_an_entry_that_cannot_be_opened_lets_the_lane_go_on(tmp_path, recipients, damaged):
    """It is tried a few times, then it waits for a person; those before and behind it are sent."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("good"), workflow("bad"))
        for who in recipients:
            await clarion.put_user(who)
        await clarion.pipeline.loops.stop("plan-")
        await clarion.trigger("good", "ada")
        await clarion.trigger("bad", *recipients)
        await clarion.trigger("good", "ada")
        await clarion.crash()
        damage(tmp_path, "UPDATE log_normal SET sealed = ? WHERE workflow = 'bad'", damaged)
        await clarion.open()
        await tried(clarion)
        assert await statuses(clarion) == [("good", Status.SENT, None)] * 2
        assert await set_aside(clarion) == [("bad", Reason.UNREADABLE)]
        assert (await clarion.broker.backlog(Lane.NORMAL)).entries == 0
        assert (
            (await clarion.pipeline.stats())["set_aside"],
            (await clarion.pipeline.stats())["set_aside_waiting"],
        ) == (1, 1)
        assert "1 events" in (await clarion.pipeline.warnings())["planning"]
        assert set((await clarion.pipeline.health()).values()) == {"ok"}


async def test_an_entry_that_cannot_be_decoded_lets_the_lane_go_on(tmp_path):
    """Also one of another tenant, beside it in the batch."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("good"))
        await clarion.put_user("ada")
        other = await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
        await clarion.pipeline.loops.stop("plan-")
        await clarion.trigger("good", "ada")
        await clarion.crash()
        sealed = clarion.vault.seal(clarion.vault.tenant_key(other.id), b'{"id": 7}')
        damage(
            tmp_path,
            "INSERT INTO log_normal (event_id, tenant, workflow, sealed_for, sealed) VALUES (?, ?, 'bad', 0, ?)",
            b"e" * 16,
            other.id,
            sealed,
        )
        await clarion.open()
        await tried(clarion)
        assert await statuses(clarion) == [("good", Status.SENT, None)]
        assert await set_aside(clarion, other.id) == [("bad", Reason.UNREADABLE)]
        assert await set_aside(clarion) == []


async def test_a_fault_that_passes_costs_nothing(store, monkeypatch):
    """The entry is tried again after a pause and planned."""
    opened, faults = sealing.opened, [RuntimeError("in passing")] * 2

    def fails(*args):
        if faults:
            raise faults.pop()
        return opened(*args)

    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        monkeypatch.setattr(planner, "opened", fails)
        await clarion.trigger("w", "ada")
        await tried(clarion)
        assert await statuses(clarion) == [("w", Status.SENT, None)]
        assert await set_aside(clarion) == []


async def test_a_plan_that_cannot_be_stored_holds_up_no_other(store, monkeypatch):
    """The entries of the batch are stored one by one; the one at fault is set aside."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("good"), workflow("bad"))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("plan-")
        for key in ("good", "bad", "good"):
            await clarion.trigger(key, "ada")
        await clarion.crash()
        await clarion.open()
        commit = clarion.ledger.plans.commit

        async def refuses(wanted):
            if any(run.workflow == "bad" for run in wanted.runs):
                raise OverflowError
            return await commit(wanted)

        monkeypatch.setattr(clarion.ledger.plans, "commit", refuses)
        await tried(clarion)
        assert await statuses(clarion) == [("good", Status.SENT, None)] * 2
        assert await set_aside(clarion) == [("bad", Reason.INTERNAL_ERROR)]
        assert all(queue.in_flight == 0 for queue in clarion.pipeline.queues)


async def test_what_was_set_aside_is_planned_again_or_discarded(store, monkeypatch):
    """Once its cause is gone; what is discarded is never sent, and warns nobody any more."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        opened = sealing.opened

        def fails(*args):
            raise RuntimeError("for now")

        monkeypatch.setattr(planner, "opened", fails)
        for text in ("one", "two", "three"):
            await clarion.trigger("w", "ada", data=Raw(b'{"text":"%s"}' % text.encode()))
        await tried(clarion)
        assert await set_aside(clarion) == [("w", Reason.INTERNAL_ERROR)] * 3
        monkeypatch.setattr(planner, "opened", opened)
        first, second, third = (
            one.seq for one in reversed(await clarion.ledger.set_aside.page(clarion.tenant, None, 9))
        )
        assert await clarion.ledger.set_aside.discard(clarion.tenant, second, clarion.clock.now())
        assert not await clarion.ledger.set_aside.discard(clarion.tenant, second, clarion.clock.now())
        assert await clarion.services.set_aside_events.plan_again(TenantId(99), [first]) == 0
        assert await clarion.services.set_aside_events.plan_again(clarion.tenant, [first]) == 1
        await clarion.pass_time(1)
        assert [sms_text(one) for one in provider.effects] == ["one"]
        assert await clarion.ledger.set_aside.waiting() == 1
        await clarion.crash()
        await clarion.open()
        assert await clarion.ledger.set_aside.waiting() == 1
        assert (
            await clarion.services.set_aside_events.plan_again(clarion.tenant, [third, third, second + 100])
            == 1
        )
        await clarion.pass_time(1)
        assert [sms_text(one) for one in provider.effects] == ["one", "three"]
        assert await clarion.pipeline.warnings() == {}


async def test_a_message_whose_event_cannot_be_read_holds_up_none_beside_it(tmp_path):
    """It is looked at a few times, then lies with the dead letters; once its event can be read a retry sends it."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as clarion:
        await clarion.create_setup(workflow("good"), workflow("bad"))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("dispatch-")
        for key in ("good", "bad", "good"):
            await clarion.trigger(key, "ada")
        await planned(clarion)
        await clarion.crash()
        with closing(sqlite3.connect(tmp_path / "clarion.db")) as file:
            ((sealed,),) = file.execute("SELECT sealed FROM log_normal WHERE workflow = 'bad'").fetchall()
        damage(tmp_path, "UPDATE log_normal SET sealed = x'00' WHERE workflow = 'bad'")
        await clarion.open()
        assert await ended(clarion)
        assert await statuses(clarion) == [
            ("bad", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("good", Status.SENT, None),
            ("good", Status.SENT, None),
        ]
        damage(tmp_path, "UPDATE log_normal SET sealed = ? WHERE workflow = 'bad'", sealed)
        bad = await clarion.one(workflow="bad")
        assert await retried(clarion, bad.id) == 1
        assert await ended(clarion)
        assert (await clarion.one(workflow="bad")).status is Status.SENT


async def test_a_row_that_is_no_message_holds_up_none_beside_it(tmp_path):
    """It ends; the others of its queue are claimed and sent."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as clarion:
        await clarion.create_setup(workflow("good"), workflow("bad"))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("dispatch-")
        for key in ("good", "bad", "good"):
            await clarion.trigger(key, "ada")
        await planned(clarion)
        bad = await clarion.one(workflow="bad")
        await clarion.crash()
        damage(tmp_path, "UPDATE messages SET route = 999 WHERE id = ?", bad.id)
        await clarion.open()
        assert await ended(clarion, workflow="good")
        assert [(m.workflow, m.status) for m in (await clarion.messages(workflow="good")).values()] == [
            ("good", Status.SENT)
        ] * 2
        with closing(sqlite3.connect(tmp_path / "clarion.db")) as file:
            found = file.execute("SELECT due_at, reason FROM messages WHERE id = ?", (bad.id,)).fetchall()
        assert found == [(None, "unreadable")]


async def test_a_reason_of_a_newer_version_is_no_obstacle(tmp_path):
    """Two versions may work on one file for a while."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.trigger("w", "ada")
        await planned(clarion)
        await clarion.crash()
        damage(tmp_path, "UPDATE messages SET reason = 'from_the_future'")
        await clarion.open()
        assert await ended(clarion)
        assert (await clarion.one()).status is Status.SENT


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
    async with engine(tmp_path, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"))
        for who in ("ada", "bob"):
            await clarion.put_user(who)
        await clarion.crash()
        whole = profile_of(tmp_path, "bob")
        damage(tmp_path, f"UPDATE users SET {broken} WHERE user_id = 'bob'")
        await clarion.open()
        await clarion.trigger("w", "ada", "bob")
        await clarion.trigger("w", "bob")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert [one.user.id for one in provider.effects] == ["ada", "ada"]
        bad = await clarion.messages(statuses=frozenset({Status.DEAD_LETTERED}))
        assert [(m.workflow, m.reason) for m in bad.values()] == [("w", Reason.UNREADABLE)] * 2
        assert await set_aside(clarion) == []
        damage(tmp_path, "UPDATE users SET profile = ?, wrapped_key = ? WHERE user_id = 'bob'", *whole)
        assert await retried(clarion, *bad) == 2
        await clarion.pass_time(1)
        assert sorted(one.user.id for one in provider.effects) == ["ada", "ada", "bob", "bob"]


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_profile_that_breaks_later_holds_up_nobody_else_at_sending(tmp_path, broken):
    """The last look and whoever claims what waited let the rest of the batch go on."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"))
        for who in ("ada", "bob"):
            await clarion.put_user(who)
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.trigger("w", "ada", "bob")
        await clarion.trigger("w", "bob")
        await planned(clarion)
        await clarion.crash()
        damage(tmp_path, f"UPDATE users SET {broken} WHERE user_id = 'bob'")
        await clarion.open()
        assert await ended(clarion)
        assert [one.user.id for one in provider.effects] == ["ada"]
        assert await statuses(clarion) == [
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.SENT, None),
        ]


async def test_what_was_under_way_to_somebody_who_cannot_be_read_stays_in_doubt(tmp_path):
    """It may have gone out: it is not sent again behind anybody's back once they can be read."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("bob")
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.trigger("w", "bob")
        await planned(clarion)
        message = await clarion.one()
        worker, now = clarion.pipeline.lease.worker, clarion.clock.now()
        await clarion.ledger.messages.begin_calls(worker, {"main": [message]}, now)
        await clarion.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00'")
        await clarion.open()
        await clarion.pass_time(1)
        assert [(m.status, m.reason) for m in (await clarion.messages()).values()] == [
            (Status.FAILED, Reason.OUTCOME_UNKNOWN)
        ]


async def test_a_report_about_somebody_who_cannot_be_read_holds_up_none_beside_it(tmp_path):
    """What it says of the message is stored; only what they chose cannot be, so that is not taken."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w", channel=Channel.EMAIL))
        for who in ("ada", "bob"):
            await clarion.put_user(who)
        events = [(await clarion.trigger("w", who)).event_id for who in ("ada", "bob", "bob")]
        await clarion.pass_time(1)
        await clarion.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00' WHERE user_id = 'bob'")
        await clarion.open()
        ada, bob, again = [await clarion.one(event_id=event_id) for event_id in events]

        def report(message, kind):
            return Receipt(tenant=clarion.tenant, message_id=message.id, kind=kind, at=message.updated_at)

        told = [
            report(bob, ReceiptKind.UNSUBSCRIBED),
            report(ada, ReceiptKind.UNSUBSCRIBED),
            report(again, ReceiptKind.DELIVERED),
        ]
        assert await clarion.pipeline.receive(told) == [False, True, True]
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert (Status.SUPPRESSED, Reason.OPTED_OUT) in [(s, r) for _, s, r in await statuses(clarion)]


async def test_one_call_may_name_somebody_who_cannot_be_read(tmp_path):
    """Its event is taken; only what would change their profile is refused, and only that one."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        for who in ("ada", "bob"):
            await clarion.put_user(who)
        await clarion.crash()
        damage(tmp_path, "UPDATE users SET profile = x'00' WHERE user_id = 'bob'")
        await clarion.open()
        wanted = [
            Submission(workflow="w", recipients=(who,), data=Raw(b'{"text":"hello"}'))
            for who in ("ada", "bob", Recipient(user_id="bob", email="b@example.org"))
        ]
        first, second, third = await clarion.pipeline.submit(clarion.tenant, wanted)
        assert not isinstance(first, Exception)
        assert not isinstance(second, Exception)
        assert isinstance(third, UserUnreadable)
        await clarion.pass_time(1)
        assert await statuses(clarion) == [
            ("w", Status.DEAD_LETTERED, Reason.UNREADABLE),
            ("w", Status.SENT, None),
        ]
        ((_, run),) = await clarion.services.dry_runs.runs(clarion.tenant, wanted[1])
        assert [(one.status, one.reason) for one in run.channels] == [
            (Status.DEAD_LETTERED, Reason.UNREADABLE)
        ]

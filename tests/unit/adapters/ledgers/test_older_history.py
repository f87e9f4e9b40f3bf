"""A file of the time when every message had rows of its own for its run and its changes keeps what they said."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.migrations.versions import v0023_journal
from clarion.adapters.ledgers.revision import revision
from clarion.adapters.ledgers.schema import CODES, REVISION
from clarion.model.channel import Channel, Lane
from clarion.model.event import EventRecord
from clarion.model.ids import (
    Instant,
    MessageId,
    TenantId,
    UserNo,
    first_id_at,
    message_id,
    new_event_id,
    run_id,
)
from clarion.model.message import Change, ChannelDecision, Run, Verdict, packed
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason, Status
from clarion.testing.ports import SeededRandom
from tests.older_installation import packed_explanation

COUNT = 2_500
"""More than two slices."""
SKIPPED = ChannelDecision(step="send", channel=Channel.SMS, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT)


def older_run(n: int, random: SeededRandom) -> Run:
    """One run of two tenants' events; some of them say something else, or more."""
    event_id, user = new_event_id(Instant(1_000 * n), random.bytes(10)), UserNo(1 + n % 7)
    run = run_id(event_id, "news", user)
    verdict = Verdict(rule="frequency_cap", result="allow", reason="below_cap", inputs={"count": n % 5})
    sent = ChannelDecision(
        step="send",
        channel=Channel.EMAIL,
        status=Status.QUEUED,
        message_id=message_id(run, "send", "email"),
        said=packed(verdict),
    )
    return Run(
        id=run,
        tenant=TenantId(1 + n % 2),
        user=user,
        event_id=event_id,
        lane=Lane.BULK if n % 3 else Lane.NORMAL,
        workflow="news",
        workflow_version=1,
        at=Instant(1_000 * n),
        channels=(SKIPPED, sent) if n % 3 else (sent,),
    )


def older_changes(n: int, run: Run) -> list[Change]:
    """What became of its message."""
    (message,) = [plan.message_id for plan in run.channels if plan.message_id]
    detail = f"250 ok {n}" if n % 2 else None
    waits = {"status": Status.DEFERRED, "reason": Reason.RETRY, "due_at": Instant(run.at + 9)}
    steps = (
        {"status": Status.QUEUED},
        {"integration": "main", "outcome": "retry", "took_ms": n, "attempt": 1} | waits,
        {"status": Status.SENT, "integration": "main", "outcome": "accepted", "detail": detail, "attempt": 2},
        {"status": Status.SENT, "outcome": "clicked", "attempt": 2, "traceparent": "00-1-2-03"},
    )
    return [
        Change(message_id=message, tenant=run.tenant, at=Instant(run.at + place), **step)  # type: ignore[arg-type]
        for place, step in enumerate(steps)
    ]


@pytest.fixture
def runs(random) -> list[Run]:
    return [older_run(n, random) for n in range(COUNT)]


@pytest.fixture
def told(runs) -> dict[MessageId, list[Change]]:
    """The timeline of every message."""
    changes = (older_changes(n, run) for n, run in enumerate(runs))
    return {its[0].message_id: its for its in changes}


@pytest.fixture
def path(tmp_path, runs, told) -> Path:
    """The older file."""
    path = tmp_path / "clarion.db"
    migrate(path, to="0022")
    with closing(sqlite3.connect(path)) as older:
        for run, message in zip(runs, told, strict=True):
            number = runs.index(run)
            values = (
                run.tenant,
                run.user,
                run.event_id,
                run.lane.value,
                number,
                run.workflow,
                1,
                run.at,
            )
            packed = packed_explanation(run.channels)
            older.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (run.id, *values, packed))
            older.execute(
                """INSERT INTO messages
                (id, user, event_id, event_seq, route, queue, status, created_at, fence, tenant)
                VALUES (?, ?, ?, ?, 1, 33, ?, ?, 1, ?)""",
                (message, run.user, run.event_id, number, CODES[Status.SENT], run.at, run.tenant),
            )
        for steps in zip(*told.values(), strict=True):  # what happened to all at once lies together
            for c in steps:
                reason = c.reason and c.reason.value
                said = (
                    reason,
                    c.attempt,
                    c.integration,
                    c.outcome,
                    c.took_ms,
                    c.detail,
                    c.due_at,
                    c.traceparent,
                )
                older.execute(
                    """INSERT INTO changes (message_id, at, status, reason, attempt, integration, outcome, took_ms,
                    detail, due_at, traceparent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                    (c.message_id, c.at, CODES[c.status], *said),
                )
        older.execute("INSERT INTO changes (message_id, at, status) VALUES (x'77', 1, 0)")  # of no message
        older.commit()
    return path


async def test_an_older_file_keeps_every_history(path, opened, runs, told):
    """Timelines, explanations, the list of events, what receipts were taken, and the order of it all."""
    migrate(path)
    ledger = opened()
    try:
        for run in runs[:: COUNT // 50]:
            found = await ledger.plans.runs_of(run.tenant, run.event_id, run.user)
            assert list(found) == [run]
            assert await ledger.events.known(run.tenant, run.event_id)
        for message, changes in list(told.items())[:: COUNT // 50]:
            found = await ledger.records.changes(changes[0].tenant, message)
            assert [msgspec.structs.replace(change, seq=0) for change in found] == changes
        listed: list[EventRecord] = []
        before: bytes | None = first_id_at(Instant(2**40))
        while before is not None:
            page, before = await ledger.events.page(TenantId(2), None, before, COUNT)
            listed += page
        assert [one.id for one in listed] == [run.event_id for run in runs[::-1] if run.tenant == 2]
        tail = await ledger.records.tail(TenantId(1), 0, 5 * COUNT)
        theirs = [changes for changes in told.values() if changes[0].tenant == 1]
        assert [msgspec.structs.replace(change, seq=0) for change in tail] == [
            change for steps in zip(*theirs, strict=True) for change in steps
        ]
        ids = list(told)[:10]
        assert await ledger.receipts.known(ids, ReceiptKind.CLICKED) == set(ids)
        assert await ledger.receipts.known(ids, ReceiptKind.OPENED) == frozenset()
    finally:
        await ledger.close()


async def test_a_conversion_goes_on_where_it_was_cut_off(path, opened, told):
    """Whatever slice it had come to, also once the old tables were empty."""
    for slices in (1, 3, 99):
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            v0023_journal.begin(connection)
            done = [v0023_journal.convert(connection) for _ in range(slices)]
        engine.dispose()
        assert max(done) <= v0023_journal.AT_ONCE
    migrate(path)
    assert revision(path) == REVISION
    ledger = opened()
    try:
        for message, changes in list(told.items())[:: COUNT // 20]:
            found = await ledger.records.changes(changes[0].tenant, message)
            assert [msgspec.structs.replace(change, seq=0) for change in found] == changes
    finally:
        await ledger.close()

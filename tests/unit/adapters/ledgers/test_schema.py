"""The tables, the steps that make them, and the guards that hold every writer to the status table."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event

from clarion.adapters.ledgers import migrations
from clarion.adapters.ledgers.migrate import PAGE_BYTES, migrate
from clarion.adapters.ledgers.revision import UNFINISHED, revision
from clarion.adapters.ledgers.schema import CODES, REVISION, metadata
from clarion.adapters.ledgers.sqlite import SqliteLedger, inbox_statements, message_statements
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import INBOX, Integration, Money, SendLadder, Tenant, Workflow
from clarion.model.status import ACTIVE, MOVES, Reason, Status, may_move
from clarion.model.user import Day, Window

MIGRATIONS = Path(migrations.__file__).parent

INSERT = """
    INSERT INTO messages (id, user, event_id, route, queue, status, reason, created_at, due_at, fence)
    VALUES (?, 1, x'00', 1, 0, ?, ?, 0, ?, 0)
"""

OLD_INSERT = """
    INSERT INTO messages (id, user, event_id, event_seq, route, queue, status, reason, created_at, due_at, fence)
    VALUES (?, 1, x'00', 1, 1, 0, ?, ?, 0, ?, 0)
"""

OLD_ROUTE = "tenant, workflow, workflow_version, category, step, template, channel, lane, until"


def definitions(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table and index as SQL, spaces apart."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {
        name: " ".join(sql.split()).replace(" ,", ",").replace(" )", ")")
        for name, sql in found
        if not name.startswith(("alembic", "sqlite"))
    }


@pytest.fixture
def step():
    """Brings a new file to an older revision, as the release of that day did."""

    def to(revision: str, path: Path) -> None:
        migrate(path, to=revision)

    return to


@pytest.fixture
def raw(path):
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def test_the_migrations_make_what_the_schema_says(raw, tmp_path):
    """All steps together give exactly the tables and indexes of `schema.py`."""
    engine = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    metadata.create_all(engine)
    engine.dispose()
    created = sqlite3.connect(tmp_path / "created.db")
    assert definitions(raw) == definitions(created)
    created.close()


def test_the_code_is_written_for_the_last_migration(raw):
    """A new step raises `REVISION` with it, and has one predecessor."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [REVISION]
    steps = [step.revision for step in scripts.walk_revisions()][::-1]
    assert all(scripts.get_revision(b).down_revision == a for a, b in pairwise(steps))


def test_migrating_again_changes_nothing(path, raw):
    """And keeps what is stored."""
    raw.execute("INSERT INTO meta VALUES ('setup_revision', 7)")
    before = definitions(raw)
    migrate(path)
    assert definitions(raw) == before
    assert raw.execute("SELECT value FROM meta").fetchall() == [(7,)]


def test_a_new_file_has_small_pages(raw):
    """What costs a page of its own costs less; a file that has larger ones keeps them."""
    assert raw.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)


def test_what_an_older_process_held_is_due(tmp_path, step):
    """It had a lease for each message, which is worth nothing any more; what waits keeps its time."""
    path = tmp_path / "older.db"
    step("0021", path)
    older = sqlite3.connect(path)
    fields = "(id, user, event_id, event_seq, route, queue, status, created_at, due_at, fence, holder)"
    for row in ("x'01', 1, x'00', 1, 1, 1, 0, 5, 900, 1, 7", "x'02', 1, x'00', 1, 1, 1, 0, 5, 900, 0, NULL"):
        older.execute(f"INSERT INTO messages {fields} VALUES ({row})")
    older.commit()
    older.close()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        found = newer.execute("SELECT due_at, fence, holder FROM messages ORDER BY id").fetchall()
    assert found == [(5, 2, None), (900, 0, None)]


def test_what_had_gone_ahead_of_a_flood_is_not_planned_again(tmp_path, step):
    """A cursor of before knew only up to where everything was planned or set aside."""
    path = tmp_path / "older.db"
    step("0025", path)
    older = sqlite3.connect(path)
    older.execute("INSERT INTO cursors (lane, position) VALUES ('normal', 1)")
    for seq in range(1, 6):
        values = (seq, bytes([seq]), 1, "w", 1, b"s")
        older.execute(
            "INSERT INTO log_normal (seq, event_id, tenant, workflow, sealed_for, sealed) VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )
    fields = "id, journal, workflow, tenant, lane, seq, first_user, last_user"
    older.executemany(
        f"INSERT INTO events ({fields}) VALUES (?, ?, 'w', 1, ?, ?, 1, 1)",
        [(b"\1", 1, 2, 1), (b"\3", 1, 2, 3), (b"\3", 2, 3, 4)],
    )
    fields = "event_id, tenant, lane, event_seq, workflow, reason, detail, at"
    older.execute(
        f"INSERT INTO set_aside ({fields}) VALUES (x'05', 1, 'normal', 5, 'w', 'unreadable', '', 0)"
    )
    older.commit()
    older.close()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        assert newer.execute("SELECT lane, seq FROM planned_ahead").fetchall() == [
            ("normal", 3),
            ("normal", 5),
        ]


def test_an_event_set_aside_in_several_parts_is_in_the_list_once(tmp_path, step):
    """The newest part that nobody has discarded: it is planned again as a whole."""
    path = tmp_path / "older.db"
    step("0027", path)
    older = sqlite3.connect(path)
    fields = "seq, event_id, tenant, lane, event_seq, workflow, reason, detail, at, discarded_at"
    older.executemany(
        f"INSERT INTO set_aside ({fields}) VALUES (?, ?, 1, 'normal', ?, ?, 'unreadable', '', 5, ?)",
        [(1, b"e", 1, "w", None), (2, b"e", 2, "w", None), (3, b"e", 3, "w", 9), (4, b"e", 4, "v", 9)],
    )
    older.commit()
    older.close()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        found = newer.execute(
            "SELECT seq, event_id, workflow, discarded_at FROM set_aside ORDER BY seq"
        ).fetchall()
        newer.execute(
            "INSERT INTO set_aside SELECT NULL, x'00', 1, lane, 'w', reason, '', 5, NULL FROM set_aside LIMIT 1"
        )
        assert newer.execute("SELECT max(seq) FROM set_aside").fetchone() == (5,)
    assert found == [(2, b"e", "w", None), (4, b"e", "v", 9)]


def test_messages_of_an_older_file_stay_as_they_are(tmp_path, step):
    """A route of before keeps its number and knows no template version; new ones count on behind it."""
    path = tmp_path / "older.db"
    step("0001", path)
    older = sqlite3.connect(path)
    older.execute(
        f"INSERT INTO routes (no, {OLD_ROUTE}) VALUES (7, 1, 'w', 2, 'c', 's', 't', 'sms', 'bulk', '')"
    )
    older.commit()
    older.close()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        found = newer.execute(f"SELECT no, template_version, {OLD_ROUTE} FROM routes").fetchall()
        assert found == [(7, 0, 1, "w", 2, "c", "s", "t", "sms", "bulk", "")]
        newer.execute(
            f"INSERT INTO routes ({OLD_ROUTE}) VALUES (1, 'w', 3, 'c', 's', 't', 'sms', 'bulk', '')"
        )
        assert newer.execute("SELECT max(no) FROM routes").fetchall() == [(8,)]


def test_what_an_older_file_counted_and_claimed_still_holds(tmp_path, step):
    """Every use of a cap becomes a mark of its message among those of its user; claims are kept as they are."""
    path = tmp_path / "older.db"
    step("0004", path)
    with closing(sqlite3.connect(path)) as older:
        for number, uses in enumerate((("tenant/*", "category/news/*"), ())):
            older.execute(
                """INSERT INTO messages (id, user, event_id, event_seq, route, queue, status, created_at, fence)
                VALUES (?, 5, ?, 1, 1, 1, 3, 1000, 1)""",
                (bytes([number]) * 16, bytes(16)),
            )
            for scope in uses:
                older.execute(
                    "INSERT INTO cap_uses (user, scope, at, message_id, expires_at) VALUES (5, ?, 1234, ?, 9999)",
                    (scope, bytes([number]) * 16),
                )
        older.execute(
            "INSERT INTO claims (tenant, key, fingerprint, answer, expires_at) VALUES (1, x'0a', x'0b', x'0c', 99)"
        )
        older.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        found = newer.execute("SELECT counted_at FROM user_messages ORDER BY id").fetchall()
        claims = newer.execute(
            "SELECT seq, tenant, key, fingerprint, answer, expires_at FROM claims"
        ).fetchall()
    assert found == [(1234,), (None,)]
    assert claims == [(1, 1, b"\x0a", b"\x0b", b"\x0c", 99)]


def test_reasons_of_an_older_file_get_their_new_names(tmp_path, step):
    """Of messages and of their changes."""
    path = tmp_path / "older.db"
    step("0006", path)
    with closing(sqlite3.connect(path)) as older:
        older.execute(OLD_INSERT, (bytes(16), CODES[Status.QUEUED], "redriven", 1))
        older.execute("INSERT INTO changes (message_id, at, status, reason) VALUES (x'00', 1, 0, 'redriven')")
        older.commit()
    step("0021", path)
    with closing(sqlite3.connect(path)) as newer:
        for table in ("messages", "changes"):
            assert newer.execute(f"SELECT reason FROM {table}").fetchall() == [(Reason.RETRIED,)]


def test_ladders_of_an_older_file_are_read_by_their_new_words(tmp_path, step):
    """The workflow, the message that waits, its timeline and the explanation of its run."""
    path = tmp_path / "older.db"
    step("0007", path)
    ladder = {"mode": "ladder", "rungs": [{"channel": "push", "wait_s": 30}, {"channel": "sms"}]}
    workflow = {"key": "w", "category": "c", "steps": [{"key": "s", "template": "t", "to": ladder}]}
    said = {
        "rule": "ladder",
        "result": "defer",
        "reason": "waiting_for_rung",
        "inputs": {"rung": 2, "after": "push"},
    }
    first = {"rule": "ladder", "result": "allow", "reason": "first_rung"}
    plans = [
        {"step": "s", "channel": "push", "status": "queued", "message_id": bytes(16), "verdicts": [first]},
        {
            "step": "s",
            "channel": "sms",
            "status": "deferred",
            "reason": "waiting_for_rung",
            "verdicts": [said],
        },
    ]
    with closing(sqlite3.connect(path)) as older:
        older.execute(
            "INSERT INTO documents (shelf, tenant, key, version, live, body) VALUES ('workflow', 1, 'w', 1, 1, ?)",
            (msgspec.json.encode(workflow),),
        )
        older.execute(OLD_INSERT, (bytes(16), CODES[Status.DEFERRED], "waiting_for_rung", 1))
        older.execute(
            "INSERT INTO changes (message_id, at, status, reason) VALUES (x'00', 1, 1, 'waiting_for_rung')"
        )
        older.execute(
            """INSERT INTO runs (id, tenant, user, event_id, lane, event_seq, workflow, workflow_version, at, explanation)
            VALUES (x'01', 1, 1, x'00', 'normal', 1, 'w', 1, 1, ?)""",
            (msgspec.msgpack.encode(plans),),
        )
        older.commit()
    step("0021", path)
    with closing(sqlite3.connect(path)) as newer:
        for table in ("messages", "changes"):
            assert newer.execute(f"SELECT reason FROM {table}").fetchall() == [
                (Reason.WAITING_FOR_EARLIER_CHANNEL,)
            ]
        ((body,),) = newer.execute("SELECT body FROM documents").fetchall()
        ((packed,),) = newer.execute("SELECT explanation FROM runs").fetchall()
    to = msgspec.json.decode(body, type=Workflow).steps[0].to
    assert isinstance(to, SendLadder)
    assert [(one.channel, one.wait_s) for one in to.channels] == [(Channel.PUSH, 30), (Channel.SMS, 30)]
    push, sms = msgspec.msgpack.decode(packed)
    assert (push["message_id"], push["verdicts"][0]["reason"]) == (bytes(16), "first_channel")
    assert sms["reason"] == Reason.WAITING_FOR_EARLIER_CHANNEL
    waits = sms["verdicts"][0]
    assert (waits["reason"], waits["inputs"]) == (
        "waiting_for_earlier_channel",
        {"place": 2, "after": "push"},
    )


async def test_tenants_of_an_older_file_get_the_inbox_that_new_ones_begin_with(tmp_path, step, clock, random):
    """Once: who has an in-app integration keeps it, and who deletes it later is without."""
    path = tmp_path / "older.db"
    step("0009", path)
    with closing(sqlite3.connect(path)) as older:
        for no, key in ((1, "acme"), (2, "globex")):
            body = msgspec.json.encode(Tenant(id=TenantId(no), key=key))
            older.execute("INSERT INTO tenants (id, key, body) VALUES (?, ?, ?)", (no, key, body))
        own = Integration(key="own", channel=Channel.IN_APP, provider="capture")
        vault = LocalVault(b"k" * 32, random)
        sealed = vault.seal(vault.tenant_key(TenantId(2)), msgspec.json.encode(own))
        older.execute("INSERT INTO documents VALUES ('integration', 2, 'own', 1, 1, ?)", (sealed,))
        older.commit()
    migrate(path)
    for opening in range(2):
        ledger = SqliteLedger.open(path, vault=vault, clock=clock, random=random)
        setup = SetupView(ledger.setup)
        await setup.catch_up()
        shelf = setup.integrations
        found = [dict(shelf.all(TenantId(no))) for no in (1, 2)]
        assert found == [{} if opening else {"inbox": INBOX}, {"own": own}]
        await shelf.delete(TenantId(1), "inbox")
        await ledger.close()


def test_a_step_that_breaks_leaves_nothing_behind(tmp_path, step, monkeypatch):
    """A power cut in the middle: the file is as before, and the next start takes the whole step."""
    path = tmp_path / "older.db"
    step("0001", path)
    with closing(sqlite3.connect(path)) as older:
        before = definitions(older)

    def cut(connection, cursor, statement, *rest):
        if statement.startswith("DROP TABLE routes_before"):
            raise OSError("no power")

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(OSError, match="no power"):
            migrate(path)
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    with closing(sqlite3.connect(path)) as kept:
        found = definitions(kept)
    del found[UNFINISHED]  # what tells a server that it may not start
    assert found == before
    migrate(path)
    assert revision(path) == REVISION


def test_the_file_tells_what_its_status_numbers_mean(raw):
    """The numbers are for ever: a status may be added behind the others, never between them."""
    stored = raw.execute("SELECT name, code FROM statuses ORDER BY code").fetchall()
    assert stored == [(status.value, code) for status, code in CODES.items()]


@pytest.mark.parametrize("status", Status)
def test_a_reason_and_a_due_time_stand_where_they_must(raw, status):
    """The database itself refuses a failure without a reason and a finished message with a due time."""

    def stored(reason: Reason | None, due_at: int | None) -> bool:
        try:
            raw.execute(
                INSERT,
                (
                    bytes([len(raw.execute("SELECT id FROM messages").fetchall())]),
                    CODES[status],
                    reason and reason.value,
                    due_at,
                ),
            )
        except sqlite3.IntegrityError:
            return False
        return True

    assert stored(Reason.RETRY, None)
    assert stored(None, None) is not status.needs_reason
    assert stored(Reason.RETRY, 5) is (status in ACTIVE)


@pytest.mark.parametrize("number", [-1, len(Status)])
def test_an_unknown_status_is_refused(raw, number):
    """There is no message without a known status."""
    with pytest.raises(sqlite3.IntegrityError, match="status_known"):
        raw.execute(INSERT, (b"x", number, "retry", None))


@pytest.mark.parametrize("old", Status)
def test_the_guard_of_moves_is_the_table_of_moves(raw, old):
    """Every pair of statuses; what is active may also stay."""
    raw.execute(INSERT, (b"x", CODES[old], "retry", None))
    guard = f"SELECT 1 FROM messages WHERE {message_statements.may_move('?1')}"
    allowed = {new for new in Status if raw.execute(guard, (CODES[new],)).fetchone()}
    assert allowed == {new for new in Status if may_move(old, new) or (new is old and old in ACTIVE)}
    assert MOVES[old] <= allowed


async def test_a_missing_file_is_not_created_by_opening(tmp_path, clock, random):
    """The operator is told which command makes it."""
    with pytest.raises(ConfigError, match="clarion migrate"):
        SqliteLedger.open(
            tmp_path / "none.db", vault=LocalVault(b"k" * 32, random), clock=clock, random=random
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", ["0000", None])
async def test_a_file_of_another_version_is_not_opened(opened, raw, found):
    """The operator is told what was found, what is needed and what to run."""
    raw.execute("DELETE FROM alembic_version")
    if found:
        raw.execute("INSERT INTO alembic_version VALUES (?)", (found,))
    with pytest.raises(ConfigError, match=rf"schema {found or 'none'}.*{REVISION}.*clarion migrate"):
        opened()


async def test_another_file_is_not_opened(opened, path):
    """Nor one that is no database at all."""
    path.write_bytes(b"something else entirely" * 300)
    with pytest.raises(ConfigError, match="cannot be read as a database"):
        opened()


def test_weekdays_of_an_older_file_get_their_names(tmp_path, step):
    """In every version of categories and workflows; what names no days stays as it was."""
    path = tmp_path / "older.db"
    step("0012", path)
    hours = [{"start": "09:00", "end": "17:00", "days": [0, 6]}, {"start": "20:00", "end": "21:00"}]
    with closing(sqlite3.connect(path)) as older:
        for shelf, version in (("category", 0), ("workflow", 1), ("workflow", 2)):
            older.execute(
                "INSERT INTO documents (shelf, tenant, key, version, live, body) VALUES (?, 1, 'x', ?, 0, ?)",
                (shelf, version, msgspec.json.encode({"key": "x", "category": "c", "send_window": hours})),
            )
        older.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        bodies = [
            body for (body,) in newer.execute("SELECT body FROM documents WHERE shelf <> 'integration'")
        ]
    assert len(bodies) == 3
    for body in bodies:
        windows = msgspec.json.decode(body, type=dict[str, Any])["send_window"]
        assert msgspec.convert(windows, tuple[Window, ...]) == (
            Window(start="09:00", end="17:00", days=(Day.MON, Day.SUN)),
            Window(start="20:00", end="21:00"),
        )


def test_prices_of_an_older_file_become_exact_money(tmp_path, step):
    """Numbers become what people wrote; a list that named no currency has that of ISO 4217 for none."""
    path = tmp_path / "older.db"
    step("0017", path)
    bodies = [
        {"id": 1, "key": "a", "sms_prices": {"DE": 0.075, "+1787": 1e-05}, "sms_currency": "EUR"},
        {"id": 2, "key": "b", "sms_prices": {"US": 1}},
        {"id": 3, "key": "c", "sms_currency": "EUR"},
    ]
    with closing(sqlite3.connect(path)) as older:
        for body in bodies:
            older.execute(
                "INSERT INTO tenants (id, key, body) VALUES (?, ?, ?)",
                (body["id"], body["key"], msgspec.json.encode(body)),
            )
        older.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        rows = newer.execute("SELECT body FROM tenants ORDER BY id").fetchall()
    tenants = [msgspec.json.decode(body, type=Tenant) for (body,) in rows]
    assert [tenant.prices.get(Channel.SMS, {}) for tenant in tenants] == [
        {"DE": Money(amount="0.075", currency="EUR"), "+1787": Money(amount="0.00001", currency="EUR")},
        {"US": Money(amount="1", currency="XXX")},
        {},
    ]


def test_messages_of_an_older_file_get_their_tenant(tmp_path, step):
    """So that what waits in it has its turn."""
    path = tmp_path / "older.db"
    step("0019", path)
    with closing(sqlite3.connect(path)) as older:
        for number in (3, 4):
            values = (number, number)
            older.execute(
                f"""INSERT INTO routes (no, template_version, {OLD_ROUTE})
                VALUES (?, 1, ?, 'w', 2, 'c', 's', 't', 'sms', 'bulk', '')""",
                values,
            )
            row = OLD_INSERT.replace("1, 1, 0, ?", f"1, {number}, 0, ?")
            older.execute(row, (bytes([number]), 1, None, 9))
        older.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        found = newer.execute("SELECT route, tenant FROM messages ORDER BY route").fetchall()
    assert found == [(3, 3), (4, 4)]


INBOX_ROW = (
    'INSERT INTO inbox (message_id, user, "offset", at, seen_at, archived_at) VALUES (?, ?, ?, 7, ?, ?)'
)


@pytest.fixture
def older_inboxes(tmp_path, step) -> Path:
    """Three people: items as they came, items that moved, and one who was erased."""
    path = tmp_path / "older.db"
    step("0021", path)
    with closing(sqlite3.connect(path)) as older:
        for user in (1, 2, 3):
            for number in range(4):
                row = OLD_INSERT.replace("(?, 1, x'00'", f"(?, {user}, x'00'")
                older.execute(row, (bytes([user, number]) * 8, CODES[Status.DELIVERED], None, None))
        older.execute("UPDATE messages SET counted_at = 99 WHERE id = ?", (bytes([1, 3]) * 8,))
        for user, number, offset, seen_at, archived_at in (
            (1, 0, 1, None, None),
            (1, 1, 2, None, None),
            (2, 0, 5, 8, None),
            (2, 1, 2, None, None),
            (2, 2, 6, None, 9),
            (2, 3, 4, None, None),
        ):
            older.execute(INBOX_ROW, (bytes([user, number]) * 8, user, offset, seen_at, archived_at))
        older.execute("INSERT INTO erased VALUES (3)")
        older.commit()
    return path


def test_inboxes_of_an_older_file_are_as_they_were(older_inboxes, clock, random):
    """Every item at its offset with its marks; the counters are those of the newest change."""
    migrate(older_inboxes)
    with closing(sqlite3.connect(older_inboxes)) as newer:
        found = newer.execute(
            """SELECT user, substr(hex(id), 3, 2), "offset", moved_to, seen_at, archived_at, counted_at
            FROM user_messages ORDER BY user, id"""
        ).fetchall()
        moves = newer.execute('SELECT user, "offset", hex(message_id) FROM inbox_moves').fetchall()
        heads = [rows(newer, inbox_statements.INBOX_HEADS, (f"[{user}]",)) for user in (1, 2, 3)]
    assert found == [
        (1, "00", 1, None, None, None, None),
        (1, "01", 2, None, None, None, None),
        (1, "02", None, None, None, None, None),
        (1, "03", None, None, None, None, 99),
        (2, "00", None, 5, 8, None, None),
        (2, "01", 2, None, None, None, None),
        (2, "02", None, 6, None, 9, None),
        (2, "03", 4, None, None, None, None),
    ]
    assert moves == [(2, 5, "0200" * 8), (2, 6, "0202" * 8)]
    assert heads == [
        [[1, "0101" * 8, 2, 2, 2, 2, None, None, None, None]],
        [[2, "0203" * 8, 4, 0, 0, 0, 6, 2, 3, 3]],
        [[3, "", *[None] * 8]],
    ]


def test_converting_inboxes_goes_on_where_it_was_cut_off(older_inboxes):
    """What was stored is stored once, and until the end no server takes the file for a new one."""
    with closing(sqlite3.connect(older_inboxes)) as older:
        older.execute(
            f"""WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 30000)
            {OLD_INSERT.partition("VALUES")[0]} SELECT randomblob(16), 4 + n / 25000, x'00', 1, 1, 0, 3, NULL, 0, NULL, 0
            FROM number"""
        )
        older.commit()
    slices = 0

    def cut(connection, cursor, statement, *rest):
        nonlocal slices
        slices += "INSERT INTO user_messages" in statement
        if slices == 2:
            raise OSError("no power")

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(OSError, match="no power"):
            migrate(older_inboxes)
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert revision(older_inboxes) == "0021"
    stored = "SELECT user, count(*) FROM user_messages GROUP BY user"
    with closing(sqlite3.connect(older_inboxes)) as half:
        assert half.execute(stored).fetchall() == [(1, 4), (2, 4), (4, 24_999)]
    migrate(older_inboxes)
    with closing(sqlite3.connect(older_inboxes)) as newer:
        assert newer.execute(stored).fetchall() == [(1, 4), (2, 4), (4, 24_999), (5, 5_001)]


def test_keys_of_claims_are_converted_slice_by_slice(tmp_path, step):
    """Cut off, it goes on behind the last slice; every claim keeps its position, and no position is given away twice."""
    path = tmp_path / "older.db"
    step("0028", path)
    with closing(sqlite3.connect(path)) as older:
        older.execute(
            """WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50000)
            INSERT INTO claims (tenant, key, fingerprint, answer, expires_at)
            SELECT 1 + n % 2, randomblob(16), x'', x'0c', 99 FROM number"""
        )
        older.execute("DELETE FROM claims WHERE seq <= 10 OR seq > 49990")
        before = older.execute("SELECT * FROM claims ORDER BY seq").fetchall()
        older.commit()
    slices = 0

    def cut(connection, cursor, statement, *rest):
        nonlocal slices
        slices += statement.startswith("INSERT INTO claims SELECT")
        if slices == 2:
            raise OSError("no power")

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(OSError, match="no power"):
            migrate(path)
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert revision(path) == "0028"
    migrate(path)
    with closing(sqlite3.connect(path)) as newer:
        assert [row[:-1] for row in newer.execute("SELECT * FROM claims ORDER BY seq")] == before
        keys = newer.execute("SELECT tenant, key, seq FROM claim_keys ORDER BY seq").fetchall()
        assert keys == [(tenant, key, seq) for seq, tenant, key, *_ in before]
        assert newer.execute("SELECT value FROM meta WHERE key = 'claim_keys'").fetchall() == [(49_990,)]
        newer.execute(
            "INSERT INTO claims (tenant, key, fingerprint, answer, expires_at) VALUES (1, x'ff', x'', x'', 99)"
        )
        assert newer.execute("SELECT max(seq) FROM claims").fetchall() == [(50_001,)]

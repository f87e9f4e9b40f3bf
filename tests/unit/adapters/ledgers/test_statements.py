"""The hot statements find their rows by an index, whatever the tables hold."""

import re
import sqlite3

import pytest

from clarion.adapters.ledgers.sqlite import (
    endpoint_statements,
    lease_statements,
    receipt_statements,
    statements,
)

STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")

WALKS = {
    "ANY_CANCELED_EVENT": "one row tells",
    "DEAD": "a row per process that lives or died lately",
    "END_ALL": "the same",
    "REAP": "the same",
    "CAPTURES_PAGE": "from the end until the page is full; captures are for rehearsals",
    "DELIVERIES_PURGE": "the oldest 200",
    "SETUP_LIVE": "all of the set-up is wanted, once per process",
    "TENANTS_LIVE": "the same",
    "END": "a table of one row per log",
    "LAST_USER": "a table of one row per table",
}
"""Statements that may walk along a table, and why that is all right."""


def hot() -> dict[str, str]:
    """All statements of the modules, those in tables and tuples too."""
    found: dict[str, str] = {}
    files = (endpoint_statements, lease_statements, receipt_statements, statements)
    modules = {name: value for file in files for name, value in vars(file).items()}
    for name, value in modules.items():
        if name.isupper() and not name.startswith("_"):
            several = (
                value.items()
                if isinstance(value, dict)
                else enumerate(value)
                if isinstance(value, tuple)
                else [("", value)]
            )
            found |= {
                f"{name} {key}".strip(): sql
                for key, sql in several
                if isinstance(sql, str) and STATEMENT.match(sql)
            }
    return found


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    """What SQLite is going to do."""
    named = set(re.findall(r":(\w+)", sql))
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    unknown = dict.fromkeys(named) if named else (None,) * (max(numbered) if numbered else sql.count("?"))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", unknown)]


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def test_there_are_statements_to_look_at():
    """The search finds them at all."""
    assert len(hot()) > 60


@pytest.mark.parametrize("name", hot())
def test_a_statement_never_walks_a_table(connection, name):
    """It searches by key or index; only parameters and its own results are walked."""
    steps = plan(connection, hot()[name])
    own = {step.split()[-1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    walked = [step for step in steps if (m := re.match(r"SCAN (\w+)", step)) and m[1] in tables - own]
    if name.split()[0] in WALKS:
        return
    assert walked == []


@pytest.mark.parametrize("name", hot())
def test_an_index_is_used_as_far_as_it_goes(connection, name):
    """A search in a big table names more than the tenant, which would be half the table."""
    vague = [step for step in plan(connection, hot()[name]) if step.endswith("(tenant=?)")]
    assert vague == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("QUEUES_DUE", "SEARCH messages USING INDEX messages_due (queue=? AND due_at<?)"),
        ("DUE", "SEARCH messages USING INDEX messages_turn (queue=? AND tenant=? AND due_at<?)"),
        ("CLAIM", "SEARCH messages USING INDEX messages_turn (queue=? AND tenant=? AND due_at<?)"),
        ("FREE_CLAIMED", "SEARCH messages USING INDEX messages_claimed (holder=?)"),
        ("FREE_BEHIND", "SEARCH messages USING PRIMARY KEY (id>?)"),
        ("TENANTS_WAITING", "SEARCH messages USING INDEX messages_turn (queue=? AND tenant>?)"),
        ("JOURNAL_ROW", "SEARCH journal USING INTEGER PRIMARY KEY (rowid=?)"),
        ("JOURNAL_BEHIND", "SEARCH journal USING INTEGER PRIMARY KEY (rowid>?)"),
        ("JOURNAL_NEWEST", "SEARCH journal USING INTEGER PRIMARY KEY (rowid>?)"),
        ("EVENTS_KNOWN", "SEARCH events USING PRIMARY KEY (id=?)"),
        ("HELD", "SEARCH messages USING PRIMARY KEY (id=?)"),
        ("SETTLE", "SEARCH messages USING PRIMARY KEY (id=?)"),
        ("RELEASE", "SEARCH messages USING COVERING INDEX messages_waiting (waits_for=?)"),
        ("CAPS_USES", "SEARCH user_messages USING PRIMARY KEY (user=?)"),
        ("INBOX_SINCE", "SEARCH user_messages USING PRIMARY KEY (user=? AND id>?)"),
        ("INBOX_SINCE", "SEARCH inbox_moves USING PRIMARY KEY (user=? AND offset>?)"),
        ("INBOX_PAGE", "SEARCH user_messages USING PRIMARY KEY (user=? AND id<?)"),
        ("INBOX_NAMED", "SEARCH user_messages USING PRIMARY KEY (user=? AND id=?)"),
        ("SEARCH user", "SEARCH user_messages USING PRIMARY KEY (user=? AND id>? AND id<?)"),
        ("USERS_BY_ID", "SEARCH users USING INDEX sqlite_autoindex_users_1 (tenant=? AND user_id=?)"),
        (
            "CLAIMS_FIND",
            "SEARCH claims USING INDEX sqlite_autoindex_claims_1 (tenant=? AND key=? AND rowid<?)",
        ),
        ("CLAIMS_PURGE", "SEARCH claims USING INTEGER PRIMARY KEY (rowid<?)"),
    ],
)
def test_the_hottest_go_the_way_they_were_made_for(connection, name, expected):
    """Queues by due time, the journal by position, settlements by id, inboxes and caps by user."""
    assert expected in plan(connection, hot()[name])

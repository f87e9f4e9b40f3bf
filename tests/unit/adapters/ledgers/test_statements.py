"""The hot statements find their rows by an index, whatever the tables hold."""

import re
import sqlite3
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

import pytest

from clarion.adapters.ledgers import sqlite
from clarion.adapters.ledgers.sqlite import claims

SEARCH = re.compile(
    r"SEARCH (?:TABLE )?(\w+).* USING (?:(?:COVERING )?INDEX (?!sqlite_autoindex)(\w+)|.*PRIMARY KEY|.*sqlite_autoindex_\w+) \((.*)\)"
)
SCAN = re.compile(r"SCAN (?:TABLE )?(\w+)")
"""Releases of SQLite word their plans differently; what is searched by what is in all of them."""
STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")

WALKS = {
    "ANY_CANCELED_EVENT": "one row tells",
    "DEAD": "a row per process that lives or died lately",
    "END_ALL": "the same",
    "REAP": "the same",
    "WORKERS": "the same",
    "DRAIN": "the same",
    "CALLS_UNDER_WAY": "a few rows for every integration that is being called",
    "CAPTURES_PAGE": "from the end until the page is full; captures are for rehearsals",
    "DELIVERIES_PURGE": "the oldest 200",
    "SETUP_LIVE": "all of the set-up is wanted, once per process",
    "TENANTS_LIVE": "the same",
    "END": "a table of one row per log",
    "RECENT_LOAD": "all of a small table is wanted, once per process",
    "LAST_USER": "a table of one row per table",
}
"""Statements that may walk along a table, and why that is all right."""


class Search(NamedTuple):
    """One step of a plan that finds rows: in which table, by which index, and the columns it knows."""

    table: str
    by: str
    columns: frozenset[str]


def hot() -> dict[str, str]:
    """All statements of the modules, those in tables and tuples too."""
    found: dict[str, str] = {}
    names = [one.name for one in iter_modules(sqlite.__path__) if one.name.endswith("_statements")]
    files = (claims, *[import_module(f"{sqlite.__name__}.{name}") for name in names])
    modules: dict[str, Any] = {}
    for file in files:
        for name, value in vars(file).items():
            modules[name if modules.get(name, value) is value else f"{name} of {file.__name__}"] = value
    for name, value in modules.items():
        if name.split()[0].isupper() and not name.startswith("_"):
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


def searches(steps: list[str]) -> list[Search]:
    """The searches among the steps; primary keys and those of UNIQUE are `its key`."""
    found = [match for step in steps if (match := SEARCH.match(step))]
    return [Search(m[1], m[2] or "its key", frozenset(re.findall(r"\b[a-z_]\w*", m[3]))) for m in found]


def walks(connection: sqlite3.Connection, steps: list[str]) -> list[str]:
    """Steps that look at every row of a table."""
    own = {step.split()[-1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [step for step in steps if (m := SCAN.match(step)) and m[1] in tables - own]


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path)
    claims.prepare(connection)
    yield connection
    connection.close()


def test_there_are_statements_to_look_at():
    """The search finds them at all."""
    assert len(hot()) > 60


def test_walks_and_searches_are_told_apart(connection):
    """The words of this release of SQLite are understood: a check that sees nothing would find nothing."""
    whole = plan(connection, "SELECT * FROM messages")
    assert (len(walks(connection, whole)), searches(whole)) == (1, [])
    one = plan(connection, "SELECT * FROM messages WHERE id = ?")
    assert (walks(connection, one), searches(one)) == ([], [Search("messages", "its key", frozenset({"id"}))])


@pytest.mark.parametrize("name", hot())
def test_a_statement_never_walks_a_table(connection, name):
    """It searches by key or index; only parameters and its own results are walked."""
    if name.split()[0] not in WALKS:
        assert walks(connection, plan(connection, hot()[name])) == []


@pytest.mark.parametrize("name", hot())
def test_an_index_is_used_as_far_as_it_goes(connection, name):
    """A search in a big table names more than the tenant, which would be half the table."""
    found = searches(plan(connection, hot()[name]))
    assert [search for search in found if search.columns == {"tenant"}] == []


@pytest.mark.parametrize(
    ("name", "table", "index", "columns"),
    [
        ("QUEUES_DUE", "messages", "messages_due", "queue due_at"),
        ("DUE", "messages", "messages_turn", "queue tenant due_at"),
        ("CLAIM", "messages", "messages_turn", "queue tenant due_at"),
        ("FREE_CLAIMED", "messages", "messages_claimed", "holder"),
        ("FREE_BEHIND", "messages", "its key", "id"),
        ("TENANTS_WAITING", "messages", "messages_turn", "queue tenant"),
        ("JOURNAL_ROW", "journal", "its key", "rowid"),
        ("JOURNAL_BEHIND", "journal", "its key", "rowid"),
        ("JOURNAL_NEWEST", "journal", "its key", "rowid"),
        ("EVENTS_KNOWN", "events", "its key", "id"),
        ("HELD", "messages", "its key", "id"),
        ("SETTLE", "messages", "its key", "id"),
        ("RELEASE", "messages", "messages_waiting", "waits_for"),
        ("CAPS_USES", "user_messages", "its key", "user"),
        ("CAPS_USES", "recent_messages", "its key", "id"),
        ("INBOX_PAGE", "recent_messages", "its key", "id"),
        ("INBOX_SINCE", "recent_messages", "its key", "id"),
        ("SEARCH user", "recent_messages", "its key", "id"),
        ("RECENT_MOVE", "recent_messages", "its key", "id"),
        ("RECENT_OLDEST", "recent_messages", "its key", "id"),
        ("INBOX_SINCE", "user_messages", "its key", "user id"),
        ("INBOX_SINCE", "inbox_moves", "its key", "user offset"),
        ("INBOX_PAGE", "user_messages", "its key", "user id"),
        ("INBOX_NAMED", "user_messages", "its key", "user id"),
        ("SEARCH user", "user_messages", "its key", "user id id"),
        ("USERS_BY_ID", "users", "its key", "tenant user_id"),
        ("FIND", "claims", "its key", "rowid"),
        ("FIND", "claim_keys", "its key", "key tenant"),
        ("PURGE", "claims", "its key", "rowid"),
        ("LOAD", "claims", "its key", "rowid"),
        ("PURGE_KEYS", "claim_keys", "its key", "key key"),
    ],
)
def test_the_hottest_go_the_way_they_were_made_for(connection, name, table, index, columns):
    """Queues by due time, the journal by position, settlements by id, inboxes and caps by user."""
    assert Search(table, index, frozenset(columns.split())) in searches(plan(connection, hot()[name]))

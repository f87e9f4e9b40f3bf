"""Which tables are moved, and how their rows are found in the file where its tables are others than the server's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from sqlalchemy import LargeBinary, Table

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.sqlite.call_statements import (
    integration_now,
    journal_now,
    status_now,
    updated_now,
)
from clarion.model.status import Status

ELSEWHERE = {
    "statuses": "every database has the same ones from its beginning",
    "claim_keys": "an index by hand: the server has one of `claims`",
    "calls": "what is being called stands in `messages`",
    "planned_ahead": "`planned_ranges`",
    "recent_messages": "the newest rows of `user_messages`, and moved with these",
}
"""Tables of the file that the server has not, and what it has instead."""


class Moved(NamedTuple):
    """One table of the server, and where its rows are in the file. What a statement finds are its columns."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """By which a row is named while it is moved."""
    row: str
    """SQL for the row of a key."""
    rows: str
    """SQL for all rows."""
    watched: Mapping[str, tuple[str, ...]]
    """The tables of the file by whose changes it changes, with the columns that are its key there."""
    pages: tuple[str, str] | None = None
    """SQL for the first keys and rows in order of the key, and for those behind a key."""
    first: str | None = None
    """SQL for keys that are not among the pages."""
    until: str | None = None
    """A column with the time when a row is of no use any more: then it may be missing on either side."""
    only: str = "true"
    """SQL, on both sides: which rows are moved."""
    bytes: frozenset[str] = frozenset()
    """Which parts of the key are bytes."""


@cache
def moved() -> tuple[Moved, ...]:
    """Every table, in the order they are copied."""
    return (*_moved(),)


def _moved() -> Iterator[Moved]:
    tables = schema.metadata.tables
    for table in schema.metadata.sorted_tables:
        if table.name not in ELSEWHERE and table.name not in _OTHERWISE:
            yield _plain(table)
    yield _plain(tables["meta"], "key = 'setup_revision'")
    yield _messages(tables["messages"])
    yield _plain(tables["claims"], without=("seq",))._replace(until="expires_at")
    yield _user_messages(tables["user_messages"])
    yield _plain(tables["inbox_moves"], without=_COUNTERS)
    yield _inbox_heads()
    yield _planned_ranges()


_COUNTERS = ("unseen", "unread", "total")
_OTHERWISE = ("meta", "messages", "claims", "user_messages", "inbox_moves")


def _plain(
    table: Table,
    only: str = "true",
    *,
    without: tuple[str, ...] = (),
    computed: Mapping[str, str] = {},
) -> Moved:
    """The same table on both sides, but for what is computed."""
    key = tuple(column.name for column in table.primary_key.columns)
    columns = tuple(dict.fromkeys([c.name for c in table.columns if c.name not in without] + [*computed]))
    values = ", ".join(f'{computed[c]} AS "{c}"' if c in computed else f'"{c}"' for c in columns)
    order, places = _listed(key), ", ".join("?" * len(key))
    page = f"SELECT {order}, {values} FROM {table.name} WHERE {only}"
    return Moved(
        name=table.name,
        columns=columns,
        key=key,
        row=f"SELECT {values} FROM {table.name} WHERE {only} AND ({order}) = ({places})",
        rows=f"SELECT {values} FROM {table.name} WHERE {only}",
        watched={table.name: key},
        only=only,
        pages=(
            f"{page} ORDER BY {order} LIMIT ?",
            f"{page} AND ({order}) > ({places}) ORDER BY {order} LIMIT ?",
        ),
        bytes=frozenset(c.name for c in table.columns if isinstance(c.type, LargeBinary)),
    )


def _messages(table: Table) -> Moved:
    """What is being called says so itself, and by which integration."""
    begun = f"status <> {schema.CODES[Status.SENDING]} AND {status_now()} = {schema.CODES[Status.SENDING]}"
    computed = {
        "status": status_now(),
        "updated_at": updated_now(),
        "journal": journal_now(),
        "called": f"CASE WHEN {begun} THEN {integration_now()} END",
    }
    plain = _plain(table, computed=computed)
    return plain._replace(watched={**plain.watched, "calls": ("ids",)})


def _user_messages(table: Table) -> Moved:
    """A row counts that is only in `recent_messages`; the counters are those of `inbox_heads`."""
    plain = _plain(table, without=_COUNTERS)
    newer = f"""SELECT {_listed(plain.columns)} FROM recent_messages WHERE NOT EXISTS (
        SELECT 1 FROM user_messages AS moved WHERE moved.user = recent_messages.user AND moved.id = recent_messages.id)"""
    return plain._replace(
        row=f"SELECT * FROM ({plain.rows} AND user = ?1 AND id = ?2 UNION ALL {newer} AND user = ?1 AND id = ?2)",
        rows=f"{plain.rows} UNION ALL {newer}",
        watched={"user_messages": plain.key, "recent_messages": plain.key},
        first="SELECT user, id FROM recent_messages",
    )


_INBOX_TABLES = ("user_messages", "recent_messages", "inbox_moves")


def _inbox_heads() -> Moved:
    """Offset and counters of a user stand at the item that came in last or at the last move, whichever was later."""

    def rows(where: str) -> str:
        items = " UNION ALL ".join(
            f"""SELECT user, "offset", unseen, unread, total, id FROM {table} WHERE "offset" IS NOT NULL {where}"""
            for table in _INBOX_TABLES[:2]
        )
        moves = f'SELECT user, "offset", unseen, unread, total, NULL FROM inbox_moves WHERE true {where}'
        return f"""SELECT user, "offset", unseen, unread, total, newest FROM (
            SELECT user, max("offset") AS "offset", unseen, unread, total FROM ({items} UNION ALL {moves}) GROUP BY user
        ) LEFT JOIN (SELECT user AS whose, max(id) AS newest FROM ({items}) GROUP BY user) ON whose = user"""

    return Moved(
        name="inbox_heads",
        columns=("user", "offset", *_COUNTERS, "newest"),
        key=("user",),
        row=rows("AND user = ?1"),
        rows=rows(""),
        watched=dict.fromkeys(_INBOX_TABLES, ("user",)),
        first=" UNION ".join(f"SELECT user FROM {table}" for table in _INBOX_TABLES),
    )


def _planned_ranges() -> Moved:
    """Each a range of one."""
    rows = "SELECT lane, seq AS first, seq AS last FROM planned_ahead"
    return Moved(
        name="planned_ranges",
        columns=("lane", "first", "last"),
        key=("lane", "first"),
        row=f"{rows} WHERE (lane, seq) = (?, ?)",
        rows=rows,
        watched={"planned_ahead": ("lane", "seq")},
        first="SELECT lane, seq AS first FROM planned_ahead",
    )


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)

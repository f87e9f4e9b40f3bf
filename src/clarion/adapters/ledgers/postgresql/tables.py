"""The tables as PostgreSQL makes them: those of `schema`, and what they need here besides.

A table that is made otherwise here (partitions, other keys, tables of this engine alone) stands in `OWN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from sqlalchemy import BigInteger, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from clarion.adapters.ledgers.postgresql import queue_tables
from clarion.adapters.ledgers.schema import CODES, metadata

_DIALECT = PGDialect()  # type: ignore[no-untyped-call]

OWN: Mapping[str, tuple[str, ...]] = queue_tables.OWN
"""The statements that make a table, instead of those that follow from `schema`; or that make one that only this engine has.
None at all: this engine has no such table."""

INDEXES = ("CREATE INDEX users_open ON users USING gin (open_attributes jsonb_path_ops)",)
"""Those that only this engine has."""

OPTIONS: Mapping[str, str] = queue_tables.OPTIONS
"""What is said about the storage of a table that follows from `schema`, such as `fillfactor = 80`."""


@cache
def statements() -> tuple[str, ...]:
    """Everything that makes an empty database, in order."""
    made: list[str] = []
    for table in metadata.sorted_tables:
        if table.name not in OWN:
            made += _created(_here(table))
    for own in OWN.values():
        made += own
    made += INDEXES
    names = ", ".join(f"({code}, '{status.value}')" for status, code in CODES.items())
    return (*made, f"INSERT INTO statuses (code, name) VALUES {names}")


def _here(table: Table) -> Table:
    """The table with the types of this engine, and without what only SQLite is told."""
    here = table.to_metadata(MetaData())
    for column in here.columns:
        if isinstance(column.type, Integer):
            column.type = BigInteger()
        elif column.info.get("json"):
            column.type = JSONB()
        elif isinstance(column.type, Text):
            column.type = Text(collation="C")  # by bytes, as everywhere else
    return here


def _created(table: Table) -> Iterator[str]:
    options = OPTIONS.get(table.name)
    storage = f" WITH ({options})" if options else ""
    yield str(CreateTable(table).compile(dialect=_DIALECT)).strip() + storage
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        where = index.dialect_options["sqlite"]["where"]
        made = str(CreateIndex(index).compile(dialect=_DIALECT))
        yield made if where is None else f"{made} WHERE {_condition(where)}"


def _condition(where: ClauseElement) -> str:
    return str(where.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))

"""Runs SQLAlchemy Core expressions on the ledger's own connections. Each is compiled once."""

from __future__ import annotations

import sqlite3
from functools import cached_property
from typing import Any

from sqlalchemy import LargeBinary, Select, func, select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Executable

from clarion.adapters.ledgers.sqlite.files import changed, rows

_DIALECT = SQLiteDialect_pysqlite(paramstyle="named")


class Command:
    """An expression that writes; its `bindparam`s are filled by keyword."""

    def __init__(self, expression: Executable) -> None:
        self._expression = expression

    def __call__(self, connection: sqlite3.Connection, **values: Any) -> int:
        """How many rows it wrote."""
        return changed(connection, str(self._compiled), self._filled(values))

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled = self._expression.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        return compiled

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        return dict(self._compiled.construct_params(values))


class Query(Command):
    """A select whose rows come back as one, see `files.rows`. Give it a limit, so that its order counts."""

    def __init__(self, expression: Select[Any]) -> None:
        inner = expression.subquery()
        self._blobs = [place for place, column in enumerate(inner.c) if isinstance(column.type, LargeBinary)]
        columns = [func.hex(c) if isinstance(c.type, LargeBinary) else c for c in inner.c]
        super().__init__(select(func.json_group_array(func.json_array(*columns))))

    def rows(self, connection: sqlite3.Connection, **values: Any) -> list[Any]:
        """Lists of columns, bytes where the table has bytes."""
        found = rows(connection, str(self._compiled), self._filled(values))
        for row in found:
            for place in self._blobs:
                row[place] = bytes.fromhex(row[place])
        return found

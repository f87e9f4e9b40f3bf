"""New outbox tables on the PostgreSQL of the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from clarion.adapters.outbox import postgresql_sql
from clarion.testing.source_contract import Publication
from tests.servers.postgresql import PostgreSql


class Outbox(NamedTuple):
    """Where it is."""

    url: str
    connection: dict[str, Any]
    """As in a source."""

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Add rows, as an application does, in one transaction."""
        with psycopg.connect(self.url) as application:
            for one in publications:
                application.execute(
                    f"INSERT INTO {self.connection['table']} (key, headers, body) VALUES (%s, %s, %s)",
                    (one.key, json.dumps(dict(one.headers)), one.value.decode()),
                )


def new_outbox(server: PostgreSql) -> Outbox:
    """In a schema of its own; Clarion logs in there as somebody who may do no more than it needs."""
    schema = f"app_{uuid4().hex[:12]}"
    table = f"{schema}.clarion_outbox"
    with psycopg.connect(server.url()) as owner:
        owner.execute(
            """DO $$ BEGIN CREATE ROLE outbox_reader LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
        )
        owner.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO outbox_reader")
        owner.execute(postgresql_sql(table, "outbox_reader"))
    connection = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "postgres",
        "username": "outbox_reader",
        "table": table,
    }
    return Outbox(server.url(), connection)

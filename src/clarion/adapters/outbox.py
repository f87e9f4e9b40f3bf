"""What outbox tables have in common: their settings, their rows, and the SQL that makes them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from clarion.errors import InvalidInput
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import HostName, ProviderSettings
from clarion.ports.source import Position

TABLE = "clarion_outbox"

TableName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[a-z_][a-z0-9_]{0,50}(\.[a-z_][a-z0-9_]{0,50})?\Z",
        description="the name of a table in lower case, behind its schema and a dot if it is not found without",
    ),
]


class OutboxTable(ProviderSettings, frozen=True, kw_only=True):
    """Where an outbox is, and who we are there."""

    host: HostName
    database: str
    username: str
    password: str = ""
    table: TableName = TABLE
    tls: bool = False
    ca: str = ""
    """PEM of the authority that signed the certificate of the server; empty: one that the system trusts."""


SECRETS = frozenset({"password"})


def begin(to: Position | StartAt | Instant) -> Position:
    """An outbox begins with what waits in it, and keeps no positions. Raises InvalidInput for any other place."""
    if isinstance(to, StartAt) or to == {}:
        return {}
    raise InvalidInput("Rows of an outbox are deleted when they are done: it cannot go back to them.")


POSTGRESQL = """\
-- An outbox: whoever adds a row in a transaction of their own starts a workflow when it is committed.
CREATE TABLE {table} (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    key text,
    headers json NOT NULL DEFAULT '{{}}',
    body json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Tells Clarion at once. Without it Clarion looks every second.
CREATE FUNCTION {table}_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{channel}', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_tell();

-- SELECT {table}_add('order-paid', '["ada"]', '{{"order": "A-1042"}}');
CREATE FUNCTION {table}_add(workflow text, recipients json, data json DEFAULT '{{}}', id uuid DEFAULT gen_random_uuid())
RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO {table} (id, body)
    VALUES ($4, json_build_object('workflow', $1, 'recipients', $2, 'data', $3)) RETURNING id
$$;

-- Whoever Clarion logs in as needs no more than this.
GRANT SELECT, DELETE ON {table} TO {reader};
"""


def postgresql_sql(table: str = TABLE, reader: str = "clarion") -> str:
    """What an application runs once in its database, or has as a migration."""
    return POSTGRESQL.format(table=table, reader=reader, channel=channel_of(table))


def channel_of(table: str) -> str:
    """Where PostgreSQL tells of new rows."""
    return table.replace(".", "_")

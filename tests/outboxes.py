"""New outbox tables on the servers of the tests, and who reads them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import django
import psycopg
import pymysql
from django.conf import settings
from django.db import connections

from clarion.adapters.outbox import mysql_sql, postgresql_sql
from clarion.testing.source_contract import Publication
from tests.architecture.source_tree import ROOT
from tests.servers.mariadb import MariaDb
from tests.servers.postgresql import PostgreSql

FOREVER_S = 60.0


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


class MySqlOutbox(NamedTuple):
    """Where it is."""

    port: int
    connection: dict[str, Any]
    """As in a source."""

    def application(self) -> pymysql.Connection[Any]:
        """Logged in as the owner."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=self.connection["database"]
        )

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Add rows, as an application does, in one transaction."""
        with self.application() as application, application.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO clarion_outbox (`key`, headers, body) VALUES (%s, %s, %s)",
                [(one.key, json.dumps(dict(one.headers)), one.value.decode()) for one in publications],
            )
            application.commit()


def new_mysql_outbox(server: MariaDb) -> MySqlOutbox:
    """In a database of its own; Clarion logs in there as somebody who may do no more than it needs."""
    name = f"app_{uuid4().hex[:12]}"
    outbox = MySqlOutbox(
        server.port,
        {
            "host": "127.0.0.1",
            "port": server.port,
            "database": name,
            "username": f"{name}_reader",
            "password": "s3cret \N{EURO SIGN}",
        },
    )
    with (
        pymysql.connect(host="127.0.0.1", port=server.port, user="root") as owner,
        owner.cursor() as cursor,
    ):
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        cursor.execute(f"CREATE USER {name}_reader IDENTIFIED BY %s", [outbox.connection["password"]])
        for statement in mysql_sql(reader=f"{name}_reader").split(";\n")[:-1]:
            cursor.execute(statement)
    return outbox


PAGE = (ROOT / "docs/how-to/send-from-your-transactions.md").read_text(encoding="utf-8")
ON_POSTGRESQL, ON_MYSQL = (
    dict(re.findall(r"^(?:In|With) (\S+):\n\n```\w+\n(.*?)```", part, re.DOTALL | re.MULTILINE))
    for part in PAGE.split("## On MySQL and MariaDB")
)
"""What the page shows, by what it is for."""


def shown(blocks: dict[str, str], what: str) -> Callable[..., None]:
    """The function of the page."""
    names: dict[str, Any] = {}
    exec(blocks[what], names)
    pay: Callable[..., None] = names["pay"]
    return pay


def connect_django(database: dict[str, Any]) -> None:
    """Let Django's default connection of this thread be one to this database."""
    if not settings.configured:
        settings.configure()
        django.setup()
    connections.settings = connections.configure_settings({"default": database})
    with contextlib.suppress(AttributeError):  # None was opened in this thread.
        del connections["default"]


async def fetched(reader: Any, count: int) -> list[Any]:
    """So many records."""
    found: list[Any] = []
    async with asyncio.timeout(FOREVER_S):
        while len(found) < count:
            found += await reader.fetch(100)
    return found


async def asked_until_it_fails(reader: Any) -> None:
    """The server may take a moment to cut a connection."""
    async with asyncio.timeout(FOREVER_S):
        while True:
            await reader.lag()

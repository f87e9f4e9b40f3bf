"""An outbox: what an application commits starts its workflow once, in every way the documentation shows."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from clarion.adapters.sources import postgresql as source
from clarion.errors import ConfigError, Unavailable
from clarion.model.reading import DeadRecordFilter
from clarion.model.source import RecordMap, Source, StartAt
from clarion.plugins import sources
from clarion.testing.source_contract import Publication
from tests.contract.test_source import tools
from tests.engine import engine, sms_text, workflow
from tests.outboxes import (
    FOREVER_S,
    ON_POSTGRESQL,
    Outbox,
    asked_until_it_fails,
    connect_django,
    fetched,
    new_outbox,
    shown,
)

PLUGIN = sources()["postgresql"]


@pytest.fixture
def outbox(postgresql) -> Outbox:
    """A new one, beside the orders of a shop."""
    made = new_outbox(postgresql)
    with psycopg.connect(made.url) as owner:
        owner.execute(f"CREATE TABLE {_schema(made)}.orders (id text PRIMARY KEY, customer text NOT NULL)")
    return made


def _schema(outbox: Outbox) -> str:
    return outbox.connection["table"].partition(".")[0]


def _path(outbox: Outbox) -> str:
    """Where the names of the page are found."""
    return f"-c search_path={_schema(outbox)}"


def by_sql(outbox: Outbox) -> None:
    with psycopg.connect(outbox.url, options=_path(outbox), autocommit=True) as application:
        application.execute(ON_POSTGRESQL["SQL"])


def by_psycopg(outbox: Outbox) -> None:
    with psycopg.connect(outbox.url, options=_path(outbox), autocommit=True) as application:
        shown(ON_POSTGRESQL, "psycopg")(application, "A-1", "ada")


def by_sqlalchemy(outbox: Outbox) -> None:
    url = outbox.url.replace("postgresql:", "postgresql+psycopg:")
    database = create_engine(url, connect_args={"options": _path(outbox)})
    with Session(database) as session:
        shown(ON_POSTGRESQL, "SQLAlchemy")(session, "A-1", "ada")
    database.dispose()


def by_django(outbox: Outbox) -> None:
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": outbox.connection["host"],
        "PORT": outbox.connection["port"],
        "NAME": "postgres",
        "USER": "app",
        "OPTIONS": {"options": _path(outbox)},
    }
    connect_django(database)
    from django.db import connection

    shown(ON_POSTGRESQL, "Django")("A-1", "ada")
    connection.close()


def reader_of(outbox: Outbox, **changed: Any) -> Any:
    return PLUGIN.open(PLUGIN.config(**outbox.connection | changed), tools())


@pytest.mark.parametrize("way", [by_sql, by_psycopg, by_sqlalchemy, by_django], ids=lambda way: way.__name__)
async def test_every_way_of_the_page_adds_one_row(outbox, way):
    """As the `map` of the page reads it."""
    await asyncio.to_thread(way, outbox)
    reader = reader_of(outbox)
    (record,) = await fetched(reader, 1)
    assert b'"workflow" : "order-paid"' in record.value
    assert record.place == f"{outbox.connection['table']}/{record.id}"
    await reader.done([record])
    assert await reader.lag() == {"": 0}
    await reader.close()


async def test_a_commit_is_told_at_once(outbox, monkeypatch):
    """Whoever waits is woken by the commit, and not by the time: a minute here."""
    monkeypatch.setattr(source, "WAIT_S", FOREVER_S)
    reader = reader_of(outbox)
    waiting = asyncio.create_task(fetched(reader, 1))
    while not waiting.done():  # The first rows may come before it listens.
        await outbox.publish([Publication(b"{}")])
        await asyncio.sleep(0)
    assert await waiting
    await reader.close()


async def test_without_the_trigger_rows_are_found_a_little_later(outbox):
    """As behind PgBouncer."""
    with psycopg.connect(outbox.url) as owner:
        owner.execute(f"DROP TRIGGER tell ON {outbox.connection['table']}")
    reader = reader_of(outbox)
    assert await reader.fetch(10) == ()
    await outbox.publish([Publication(b"{}")])
    assert len(await fetched(reader, 1)) == 1
    await reader.close()


async def test_what_is_rolled_back_never_comes(outbox):
    """And holds up nothing that was committed behind it."""
    reader = reader_of(outbox)
    with psycopg.connect(outbox.url, options=_path(outbox)) as application:
        application.execute("SELECT clarion_outbox_add('order-paid', '[]')")
        await outbox.publish([Publication(b'{"committed": true}')])
        (record,) = await fetched(reader, 1)
        assert record.value == b'{"committed": true}'
        await reader.done([record])
        application.rollback()
    assert await reader.lag() == {"": 0}
    await reader.close()


async def test_a_connection_that_was_cut_is_opened_anew(outbox):
    """What was fetched and is not done comes again."""
    await outbox.publish([Publication(b"{}")])
    reader = reader_of(outbox)
    assert len(await fetched(reader, 1)) == 1
    with psycopg.connect(outbox.url) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'outbox_reader' AND query LIKE %s",
            [f"%{_schema(outbox)}%"],
        )
    with pytest.raises(Unavailable, match="does not answer"):
        await asked_until_it_fails(reader)
    assert len(await fetched(reader, 1)) == 1
    await reader.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"table": "nowhere"}, "clarion sources outbox"),
        ({"database": "nowhere"}, "no such database"),
        ({"table": "pg_authid"}, "GRANT SELECT, DELETE"),
    ],
)
async def test_what_is_set_up_wrongly_is_said(outbox, changed, said):
    """With what to do."""
    reader = reader_of(outbox, **changed)
    with pytest.raises(ConfigError, match=said):
        await reader.lag()
    await reader.close()


@pytest.fixture
async def shop(tmp_path):
    """An engine with one workflow and one person."""
    async with engine(tmp_path, sources={"postgresql": PLUGIN}) as one:
        await one.create_setup(workflow("order-paid"))
        await one.put_user("ada")
        yield one


async def test_a_committed_row_starts_its_workflow_once(shop, outbox):
    """A bad one becomes a dead letter with its reason; all of them leave the table."""
    await asyncio.to_thread(by_sql, outbox)
    await outbox.publish([Publication(b'{"workflow": "order-paid"}')])
    mapped = RecordMap(
        workflow="data.workflow", recipients="data.recipients", data="{'text': data.data.order}"
    )
    made = Source(
        key="shop",
        kind="postgresql",
        connection=outbox.connection,
        map=mapped,
        start_at=StartAt.LATEST,
        paused=False,
    )
    await shop.ledger.setup.sources.put(shop.tenant, made)
    reader = reader_of(outbox)
    async with asyncio.timeout(FOREVER_S):
        while (await reader.lag())[""] or not shop.provider.effects:
            await shop.pass_time(1)
    await reader.close()
    await shop.pass_time(60)
    assert [sms_text(one) for one in shop.provider.effects] == ["A-1"]
    (dead,) = await shop.ledger.dead_records.page(shop.tenant, DeadRecordFilter(), None, 10)
    assert dead.reason == "mapping_failed"
    assert "recipients" in dead.detail

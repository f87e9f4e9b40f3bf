"""An outbox in MariaDB: what an application commits starts its workflow once, in every way the documentation shows."""

import asyncio
import time
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session

from clarion.errors import ConfigError, Unavailable
from clarion.model.source import RecordMap, Source, StartAt
from clarion.plugins import sources
from clarion.testing.source_contract import Publication
from tests.contract.test_source import tools
from tests.engine import engine, sms_text, workflow
from tests.outboxes import (
    FOREVER_S,
    ON_MYSQL,
    MySqlOutbox,
    asked_until_it_fails,
    connect_django,
    fetched,
    new_mysql_outbox,
    shown,
)

PLUGIN = sources()["mysql"]


@pytest.fixture
def outbox(mariadb) -> MySqlOutbox:
    """A new one, beside the orders of a shop."""
    made = new_mysql_outbox(mariadb)
    with made.application() as owner, owner.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id varchar(20) PRIMARY KEY, customer text NOT NULL)")
    return made


def by_sql(outbox: MySqlOutbox) -> None:
    with outbox.application() as application, application.cursor() as cursor:
        for statement in ON_MYSQL["SQL"].split(";\n")[:-1]:
            cursor.execute(statement)


def by_pymysql(outbox: MySqlOutbox) -> None:
    with outbox.application() as application:
        shown(ON_MYSQL, "PyMySQL")(application, "A-1", "ada")


def by_sqlalchemy(outbox: MySqlOutbox) -> None:
    where = {"host": "127.0.0.1", "port": outbox.port, "database": outbox.connection["database"]}
    database = create_engine(URL.create("mysql+pymysql", username="root", **where))
    with Session(database) as session:
        shown(ON_MYSQL, "SQLAlchemy")(session, "A-1", "ada")
    database.dispose()


def by_django(outbox: MySqlOutbox) -> None:
    pymysql.install_as_MySQLdb()
    connect_django(
        {
            "ENGINE": "django.db.backends.mysql",
            "HOST": "127.0.0.1",
            "PORT": outbox.port,
            "NAME": outbox.connection["database"],
            "USER": "root",
        }
    )
    from django.db import connection

    shown(ON_MYSQL, "Django")("A-1", "ada")
    connection.close()


def reader_of(outbox: MySqlOutbox, **changed: Any) -> Any:
    return PLUGIN.open(PLUGIN.config(**outbox.connection | changed), tools())


@pytest.mark.parametrize("way", [by_sql, by_pymysql, by_sqlalchemy, by_django], ids=lambda way: way.__name__)
async def test_every_way_of_the_page_adds_one_row(outbox, way):
    """As the `map` of the page reads it; its id tells it apart."""
    await asyncio.to_thread(way, outbox)
    reader = reader_of(outbox)
    (record,) = await fetched(reader, 1)
    assert b'"workflow": "order-paid"' in record.value
    assert record.place == f"clarion_outbox/{record.id}"
    assert abs(record.at - time.time() * 1000) < FOREVER_S * 1000
    await reader.done([record])
    assert await reader.lag() == {"": 0}
    await reader.close()


async def test_a_row_that_is_committed_later_with_an_earlier_number_comes(outbox):
    """It is neither waited for nor passed over, and what is done around it is deleted without waiting for it."""
    reader = reader_of(outbox)
    with outbox.application() as slow, slow.cursor() as cursor:
        cursor.execute("INSERT INTO clarion_outbox (body) VALUES ('1')")
        await outbox.publish([Publication(b"%d" % number) for number in range(2, 102)])
        records = await fetched(reader, 100)
        assert [record.receipt for record in records] == [*range(2, 102)]
        await reader.done(records)
        slow.commit()
    (record,) = await fetched(reader, 1)
    assert (record.value, record.receipt) == (b"1", 1)
    await reader.close()


async def test_what_is_rolled_back_never_comes(outbox):
    """And holds up nothing that was committed behind it."""
    reader = reader_of(outbox)
    with outbox.application() as application, application.cursor() as cursor:
        cursor.execute("INSERT INTO clarion_outbox (body) VALUES ('{}')")
        await outbox.publish([Publication(b'{"committed": true}')])
        (record,) = await fetched(reader, 1)
        assert record.value == b'{"committed": true}'
        await reader.done([record])
        application.rollback()
    assert await reader.lag() == {"": 0}
    await reader.close()


async def test_a_row_that_comes_while_nothing_waits_is_picked_up_by_the_fetch_that_waits(outbox):
    """Nobody is told, so it looks again and again."""
    reader = reader_of(outbox)
    await reader.lag()
    waiting = asyncio.create_task(fetched(reader, 1))
    await asyncio.sleep(0)
    await outbox.publish([Publication(b"{}")])
    assert len(await waiting) == 1
    await reader.close()


async def test_a_connection_that_was_cut_is_opened_anew(outbox):
    """What was fetched and is not done comes again."""
    await outbox.publish([Publication(b"{}")])
    reader = reader_of(outbox)
    assert len(await fetched(reader, 1)) == 1
    assert list(await reader.fetch(1)) == []
    with outbox.application() as owner, owner.cursor() as cursor:
        cursor.execute(f"KILL CONNECTION USER {outbox.connection['username']}")
    with pytest.raises(Unavailable, match="does not answer"):
        await asked_until_it_fails(reader)
    assert len(await fetched(reader, 1)) == 1
    await reader.close()


async def test_whoever_stops_waiting_for_an_answer_can_ask_again(outbox):
    """An answer that nobody waited for is not taken for the next one."""
    await outbox.publish([Publication(b"{}")] * 3)
    reader = reader_of(outbox)
    asked = asyncio.create_task(reader.lag())
    for _ in range(30):
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert [record.value for record in await fetched(reader, 3)] == [b"{}"] * 3
    await reader.close()


async def test_the_certificate_of_the_server_is_checked(outbox, mariadb):
    """One of an authority that nobody named is refused; a user that may come only with TLS gets in."""
    with outbox.application() as owner, owner.cursor() as cursor:
        cursor.execute(f"ALTER USER {outbox.connection['username']} REQUIRE SSL")
    for changed, refused in (({}, ConfigError), ({"tls": True}, Unavailable)):
        reader = reader_of(outbox, **changed)
        with pytest.raises(refused):
            await reader.lag()
        await reader.close()
    reader = reader_of(outbox, tls=True, ca=mariadb.ca)
    assert await reader.lag() == {"": 0}
    await reader.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"table": "orders"}, r"GRANT SELECT, DELETE ON orders"),
        ({"table": "nowhere"}, r"GRANT SELECT, DELETE ON nowhere"),
        ({"database": "nowhere"}, "no such database"),
        ({"password": "wrong"}, "lets nobody in"),
        ({"username": "root", "password": "", "table": "nowhere"}, "sources outbox --kind mysql"),
        ({"username": "root", "password": "", "table": "orders"}, "sources outbox --kind mysql"),
    ],
)
async def test_what_is_set_up_wrongly_is_said(outbox, changed, said):
    """With what to do."""
    reader = reader_of(outbox, **changed)
    with pytest.raises(ConfigError, match=said):
        await reader.peek(1)
    await reader.close()


async def test_a_server_that_is_not_there_is_asked_again_later(outbox):
    """It is nobody's mistake."""
    reader = reader_of(outbox, port=1)
    with pytest.raises(Unavailable, match="does not answer"):
        await reader.peek(1)
    await reader.close()


async def test_a_committed_row_starts_its_workflow_once(outbox, tmp_path):
    """And leaves the table."""
    async with engine(tmp_path, sources={"mysql": PLUGIN}) as shop:
        await shop.create_setup(workflow("order-paid"))
        await shop.put_user("ada")
        await asyncio.to_thread(by_sql, outbox)
        made = Source(
            key="shop",
            kind="mysql",
            connection=outbox.connection,
            map=RecordMap(
                workflow="data.workflow", recipients="data.recipients", data="{'text': data.data.order}"
            ),
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

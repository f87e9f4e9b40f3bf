"""On filled tables every statement finds its rows through an index."""

import asyncio
import os
from typing import Any

import asyncpg
import msgspec
import pytest

from clarion.adapters.ledgers.postgresql import (
    conversations,
    devices,
    directory,
    endpoints,
    erasure,
    inbound,
    lives,
    quarantine,
    quotas,
    setup,
    spending,
    states,
    suppressions,
    topics,
    users,
    verifications,
)
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.revision import migrate

HASH = "decode(md5(n::text), 'hex')"
FILL = f"""
    INSERT INTO users SELECT n, n % 5, 'u' || n, 'k', 'p', 1, 'e', 0, 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO contact_hashes SELECT n % 5, {HASH}, 'email', n FROM generate_series(1, 4000) AS n;
    INSERT INTO suppressions SELECT n % 5, {HASH}, 'email', 'r', n FROM generate_series(1, 4000) AS n;
    INSERT INTO devices (tenant, device_id, "user", hash, seen_at)
        SELECT n % 5, 'd' || n, n, {HASH}, n FROM generate_series(1, 4000) AS n;
    INSERT INTO endpoints (tenant, id, "user", failing_since)
        SELECT n % 5, {HASH}, n, CASE WHEN n % 500 = 0 THEN n END FROM generate_series(1, 4000) AS n;
    INSERT INTO topics SELECT n % 5, 't' || n, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO subscriptions SELECT n % 5, 't' || n % 50, n FROM generate_series(1, 4000) AS n;
    INSERT INTO conversations SELECT n % 5, 'i' || n % 5, {HASH}, n FROM generate_series(1, 4000) AS n;
    INSERT INTO strays (tenant, digest, why, sealed, at) SELECT n % 5, {HASH}, '', '', n FROM generate_series(1, 4000) AS n;
    INSERT INTO inbound (tenant, digest, channel, integration, sender, "user", verdict, at, sealed, reply_due_at)
        SELECT n % 5, {HASH}, 'sms', 'i', {HASH}, n, 'help', n, '', CASE WHEN n % 500 = 0 THEN n END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO lives SELECT n % 5, 'l' || n, {HASH}, 1, '', 0, NULL, CASE WHEN n % 500 = 0 THEN n END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO charges SELECT {HASH}, 0, n % 5, '2026', 'sms', 'DE', 'i', '1', 'EUR' FROM generate_series(1, 4000) AS n;
    INSERT INTO spending SELECT n % 5, 'd' || n, 'sms', 'DE', 'i', 'EUR', '1', 1 FROM generate_series(1, 4000) AS n;
    INSERT INTO quotas SELECT n % 5, 'i' || n, 1, 0, '', 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO number_ranges SELECT n % 50, '49' || n, 0, 0, 0, 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO verifications SELECT {HASH}, n % 5, n, {HASH}, '', '', 6, '', 'pending', 1, 0, 0, 0, 0
        FROM generate_series(1, 4000) AS n;
    INSERT INTO documents SELECT 'template', n % 5, 'k' || n, 1, 1, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO setup_changes SELECT 'template', n % 5, 'k' || n, n FROM generate_series(1, 4000) AS n;
    INSERT INTO api_keys SELECT 'k' || n, n % 500, '', {HASH}, 'send', 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO deliveries (endpoint, message_id, tenant, "user", ok, status, took_ms, at, sealed)
        SELECT {HASH}, {HASH}, 1, n, 1, 200, 1, n, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO inbox_cards SELECT n, {HASH}, {HASH}, 1 FROM generate_series(1, 4000) AS n;
    INSERT INTO captures (message_id, "user", route, integration, sealed, at)
        SELECT {HASH}, n, 1, 'i', '', n FROM generate_series(1, 4000) AS n;
    INSERT INTO inbox_content SELECT {HASH}, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO inbox_heads ("user") SELECT n FROM generate_series(1, 4000) AS n;
    INSERT INTO inbox_moves SELECT n, 1, {HASH} FROM generate_series(1, 4000) AS n;
    INSERT INTO user_messages ("user", route, at, id) SELECT n, 1, 1, {HASH} FROM generate_series(1, 4000) AS n;
"""
DIGEST = bytes.fromhex("c4ca4238a0b923820dcc509a6f75849b")
SMALL = {"meta", "statuses", "tenants", "workers", "cursors", "messages"}
"""Tables that are read whole, or of which there is another test."""
END = 2**62

STATEMENTS: dict[str, tuple[Any, ...]] = {
    "users by id": (users.FIND, 1, ["u1", "u6"], [0, 0], [0, 0]),
    "users by number": (users.GET, [1, 2], [0, 0]),
    "users held by number": (users.HELD_BY_NUMBER, [1, 2]),
    "users held by id": (users.HELD_BY_ID, 1, ["u1", "u6"]),
    "a page of users": (users.PAGE, 1, END, 50),
    "users seen": (users.SEEN, [1, 2]),
    "a user held": (users.HELD, 1, "u1"),
    "contacts dropped": (users.CONTACTS_DROP, [1, 2]),
    "what is suppressed": (users.SUPPRESSED, [1, 1], [DIGEST, DIGEST]),
    "users changed": (users.REPLACE, [1], [1], [1], [b""]),
    "suppression of an address": (suppressions.FIND, 1, DIGEST),
    "a page of suppressions": (suppressions.PAGE, 1, END, b"", 50),
    "devices registered since": (suppressions.REGISTERED_SINCE, [1], [1], [DIGEST]),
    "a suppression lifted": (suppressions.ALLOW, 1, DIGEST, "email"),
    "a device": (devices.FIND, 1, "d1"),
    "a page of devices": (devices.PAGE, 1, END, 50),
    "devices of a user": (devices.PAGE_OF_USER, 1, END, 50, 1),
    "holders of a device": (devices.HOLDERS, 1, "d1", DIGEST),
    "devices refused": (devices.REFUSED, [1], [DIGEST], ["r"], ["d"], [1]),
    "devices dropped": (devices.DROP, 1, 1, ["d1"]),
    "an endpoint": (endpoints.FIND, 1, DIGEST),
    "a page of endpoints": (endpoints.PAGE, 1, b"\xff" * 17, 50),
    "endpoints of a user": (endpoints.PAGE_OF_USER, 1, b"\xff" * 17, 50, 1),
    "endpoints that fail": (endpoints.FAILING, 1, 50),
    "a topic": (topics.FIND, 1, "t1"),
    "a page of topics": (topics.PAGE, 1, "", 50),
    "members of a topic": (topics.MEMBERS, 1, "t1", 0, 50),
    "members leave": (topics.UNSUBSCRIBE, 1, "t1", [1, 2]),
    "people with a contact": (directory.OWNERS, 1, DIGEST, "email", 50),
    "users near": (directory.USERS_NEAR, 1, "u4", 5),
    "topics near": (directory.TOPICS_NEAR, 1, "t4", 5),
    "topics known": (directory.TOPICS_KNOWN, 1, ["t1", "t6"]),
    "who wrote": (conversations.HEARD, 1, "i1", [DIGEST]),
    "who wrote long ago": (conversations.FORGET, 5),
    "one in quarantine": (quarantine.GET, 1, 1),
    "a page of quarantine": (quarantine.PAGE, 1, END, None, None, 0, END, 50),
    "what came in": (inbound.KNOWN, 1, DIGEST),
    "a page of what came in": (inbound.PAGE, 1, END, [], [], None, [], 0, END, 50),
    "what a user wrote": (inbound.PAGE_OF_USER, 1, END, [], [], None, [], 0, END, 50, 1),
    "who was replied to": (inbound.REPLIED, 1, DIGEST, "help", 1),
    "replies that are due": (inbound.DUE, END, 50),
    "live resources": (lives.NAMED, 1, ["l1", "l6"]),
    "a page of live resources": (lives.PAGE, 1, "", None, 50),
    "live resources that are due": (lives.DUE, 100, 50),
    "a limit": (quotas.QUOTA, 1, "i1"),
    "what is paid": (spending.PAID, [DIGEST]),
    "what was spent": (spending.SPENT_ON, 1, "d1", "d2"),
    "what is given back": (spending.GIVE_BACK, [DIGEST], [0]),
    "ranges of numbers": (spending.RANGES, 1, ["491"]),
    "ranges that are blocked": (spending.BLOCKED, 1, 1),
    "a code": (verifications.GET, DIGEST, 1),
    "codes of an address": (verifications.LATELY, 1, DIGEST, 0),
    "pending codes of an address": (verifications.PENDING, 1, DIGEST),
    "a document": (setup.LIVE, "template", 1, "k1"),
    "what changed in the set-up": (setup.DELTA, 3_990),
    "an API key": (setup.KEY_FIND, DIGEST),
    "API keys of a tenant": (setup.KEYS_PAGE, 1),
    **{
        f"state of a {kind}": (found.statement, 1, found.key("1" * 32))
        for kind, found in states.KINDS.items()
    },
    **{f"erasing, {number}": (statement, 1) for number, statement in enumerate(erasure.ERASE)},
}


@pytest.fixture(scope="module")
def filled(postgresql):
    """The URL of a database with thousands of everything."""
    name = f"plans_{os.getpid()}"

    async def fill() -> None:
        await say(f"CREATE DATABASE {name}")
        await migrate(read_address(postgresql.url(name)))
        connection = await asyncpg.connect(postgresql.url(name))
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
        await connection.close()

    async def say(statement: str) -> None:
        connection = await asyncpg.connect(postgresql.url())
        await connection.execute(statement)
        await connection.close()

    asyncio.run(fill())
    yield postgresql.url(name)
    asyncio.run(say(f"DROP DATABASE {name} WITH (FORCE)"))


async def test_nothing_reads_a_big_table_from_one_end_to_the_other(filled):
    """Whatever a statement is for; those of a tenant may be many, so a page of them is read in order."""
    connection = await asyncpg.connect(filled)
    whole = {}
    for name, (statement, *values) in STATEMENTS.items():
        (plan,) = await connection.fetchrow(f"EXPLAIN (FORMAT JSON) {statement}", *values)
        read = {table for table in scanned(msgspec.json.decode(plan)[0]["Plan"]) if table not in SMALL}
        if read:
            whole[name] = read
    await connection.close()
    assert whole == {}


def scanned(plan):
    """The tables that a plan reads whole."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)

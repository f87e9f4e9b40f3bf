"""On filled tables every statement finds its rows through an index."""

import asyncio
import os
from typing import Any

import asyncpg
import msgspec
import pytest

from clarion.adapters.ledgers.audience_sql import PostgresAudience
from clarion.adapters.ledgers.postgresql import (
    campaigns,
    captures,
    consents,
    continuations,
    conversations,
    deliveries,
    devices,
    digests,
    directory,
    endpoints,
    erasure,
    event_statements,
    inbound,
    lives,
    operations,
    quarantine,
    quotas,
    receipt_statements,
    record_statements,
    retention_statements,
    runs,
    schedules,
    segments,
    set_aside,
    setup,
    spending,
    states,
    suppressions,
    topics,
    users,
    verifications,
    withdrawals,
)
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.revision import migrate
from clarion.adapters.ledgers.schema import CODES
from clarion.model.audience import AttributeType, Comparison, Operator
from clarion.model.channel import Lane
from clarion.model.ids import Instant
from clarion.model.status import Status

FAILED, SENT = CODES[Status.DEAD_LETTERED], CODES[Status.SENT]
HASH = "decode(md5(n::text), 'hex')"
FILL = f"""
    INSERT INTO users SELECT n, n % 5, 'u' || n, 'k', 'p', 1, 'e', 0, 0, jsonb_build_object('city', 'c' || n % 1000) FROM generate_series(1, 4000) AS n;
    INSERT INTO contact_hashes SELECT n % 5, {HASH}, 'email', n FROM generate_series(1, 4000) AS n;
    INSERT INTO suppressions SELECT n % 5, {HASH}, 'email', 'r', n, '', CASE WHEN n % 500 = 0 THEN n END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO consents SELECT {HASH}, n % 5, n, 'p', NULL, 'granted', n, n, 's', '', '' FROM generate_series(1, 4000) AS n;
    INSERT INTO devices (tenant, device_id, "user", hash, seen_at)
        SELECT n % 5, 'd' || n, n, {HASH}, n FROM generate_series(1, 4000) AS n;
    INSERT INTO endpoints (tenant, id, "user", failing_since)
        SELECT n % 5, {HASH}, n, CASE WHEN n % 500 = 0 THEN n END FROM generate_series(1, 4000) AS n;
    INSERT INTO topics SELECT n % 5, 't' || n, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO subscriptions SELECT n % 5, 't' || n % 50, n FROM generate_series(1, 4000) AS n;
    INSERT INTO segment_members SELECT n % 5, 's' || n % 50, n FROM generate_series(1, 4000) AS n;
    INSERT INTO segment_changes (tenant, "user") SELECT n % 5, n FROM generate_series(1, 4000) AS n;
    INSERT INTO segment_looks SELECT n, n % 5, n FROM generate_series(1, 4000) AS n;
    INSERT INTO refreshes SELECT n % 5, 's' || n, '', NULL, 0, 0, NULL FROM generate_series(1, 4000) AS n;
    INSERT INTO conversations SELECT n % 5, 'i' || n % 5, {HASH}, n FROM generate_series(1, 4000) AS n;
    INSERT INTO strays (tenant, digest, why, sealed, at) SELECT n % 5, {HASH}, '', '', n FROM generate_series(1, 4000) AS n;
    INSERT INTO inbound (tenant, digest, channel, integration, sender, "user", verdict, at, sealed, reply_due_at)
        SELECT n % 5, {HASH}, 'sms', 'i', {HASH}, n, 'help', n, '', CASE WHEN n % 500 = 0 THEN n END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO dead_records (tenant, kind, origin, place, reason, detail, sealed, at)
        SELECT n % 5, 'source_record', 's', 'p' || n, 'r', '', '', n FROM generate_series(1, 4000) AS n;
    INSERT INTO runs (id, tenant, "user", event_id, workflow, version, lane, status, step, part, due_at, started_at,
        updated_at, cancellation_key, holder)
        SELECT {HASH}, n % 5, n, {HASH}, 'w' || n % 40, 1, 'normal', CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'finished' END,
            's', 1, CASE WHEN n % 2 = 0 THEN n END, 0, 0, {HASH}, CASE WHEN n % 500 = 0 THEN 1 END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO digests (id, tenant, "user", workflow, step, slot, number, opened_at, closes_at, window_ms, most_items,
        touched_at, closed_at, total)
        SELECT {HASH}, n % 5, n, 'w', 's', {HASH}, n, 0, n, 1, 1, 0, CASE WHEN n % 2 = 0 THEN n END,
            CASE WHEN n % 2 = 0 THEN 1 END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO digest_items SELECT {HASH}, {HASH}, {HASH}, n, NULL, '', {HASH} FROM generate_series(1, 4000) AS n;
    INSERT INTO lives SELECT n % 5, 'l' || n, {HASH}, 1, '', 0, NULL, CASE WHEN n % 500 = 0 THEN n END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO campaigns (id, tenant, status, lane, revision, sealed, due_at, event_id, holder)
        SELECT {HASH}, n % 5, CASE WHEN n % 500 = 0 THEN 'paused' ELSE 'done' END, 'bulk', 1, '',
            CASE WHEN n % 500 = 1 THEN n END, {HASH}, CASE WHEN n % 500 = 2 THEN 1 END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO withdrawals SELECT {HASH}, n % 5, n, n, n, 0, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO campaign_ranges (campaign, begin_user, tenant, lane, after_user, end_user, holder)
        SELECT {HASH}, n, n % 5, CASE WHEN n % 100 = 0 THEN 'bulk' ELSE 'high' END, n, n + 1,
            CASE WHEN n % 500 = 2 THEN 1 END
        FROM generate_series(1, 4000) AS n;
    INSERT INTO schedules SELECT n % 5, 's' || n, {HASH}, 1, '', CASE WHEN n % 500 = 0 THEN n END
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
    INSERT INTO routes (tenant, workflow, workflow_version, category, step, template, channel, lane, until)
        SELECT n % 5, 'w' || n % 40, n, '', '', '', 'sms', 'normal', '' FROM generate_series(1, 400) AS n;
    INSERT INTO messages ("user", route, queue, status, created_at, fence, tenant, id, event_id, reason)
        SELECT n, 1 + n % 400, 1, CASE WHEN n % 50 = 0 THEN {FAILED} ELSE {SENT} END, 0, 1, n % 5, {HASH}, {HASH}, 'r'
        FROM generate_series(1, 4000) AS n;
    INSERT INTO events SELECT {HASH}, n, 'w', n % 5, 1, 1, 1 FROM generate_series(1, 4000) AS n;
    INSERT INTO canceled_events SELECT {HASH} FROM generate_series(1, 4000) AS n;
    INSERT INTO set_aside (event_id, tenant, lane, workflow, reason, detail, at)
        SELECT {HASH}, n % 5, 'bulk', 'w', 'r', '', 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO continuations (event_id, workflow, tenant, lane, topic, after_user, setup_revision, due_at)
        SELECT {HASH}, 'w', n % 5, 'bulk', 't', 0, 0, 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO operations (id, tenant, kind, body, template_version, status, done, failed, swept, created_at, updated_at,
        finished_at) SELECT {HASH}, n % 5, 'messages.retry', '', '', 'succeeded', 1, 0, 1, 0, 0, nullif(n % 100, 0)
        FROM generate_series(1, 4000) AS n;
    INSERT INTO operation_errors SELECT {HASH}, n, {HASH}, '', '', 0 FROM generate_series(1, 4000) AS n;
    INSERT INTO collapses SELECT {HASH}, {HASH} FROM generate_series(1, 4000) AS n;
    INSERT INTO journal (tenant, at, body) SELECT n % 5, n, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO log_normal (event_id, tenant, workflow, sealed_for, sealed)
        SELECT {HASH}, n % 5, 'w', 0, '' FROM generate_series(1, 4000) AS n;
    INSERT INTO message_totals SELECT n % 5, n, 'w', 'sms', 1, '', 1 FROM generate_series(1, 4000) AS n;
"""
DIGEST = bytes.fromhex("c4ca4238a0b923820dcc509a6f75849b")
SMALL = {
    "meta",
    "routes",
    "statuses",
    "tenants",
    "workers",
    "cursors",
    "journal_2",
    "journal_3",
    "journal_4",
    "journal_rest",
}
"""Tables that are read whole, or of which there is another test."""
END = 2**62
ANY_ID = b"\xff" * 17

_IN_A_CITY = Comparison(field="city", type=AttributeType.STRING, operator=Operator.EQUAL, value="c7")
CITY = PostgresAudience(_IN_A_CITY, Instant(0), first=2)
CITY_OF = PostgresAudience(_IN_A_CITY, Instant(0), first=4)
"""A condition, with its parameters behind those of the statements it stands in."""

STATEMENTS: dict[str, tuple[Any, ...]] = {
    "users by id": (users.FIND, 1, ["u1", "u6"], [0, 0], [0, 0]),
    "users by number": (users.GET, [1, 2], [0, 0]),
    "users held by number": (users.HELD_BY_NUMBER, [1, 2]),
    "users held by id": (users.HELD_BY_ID, 1, ["u1", "u6"]),
    "a page of users": (users.PAGE, 1, END, 50, False),
    "users seen": (users.SEEN, [1, 2]),
    "a user held": (users.HELD, 1, "u1"),
    "contacts dropped": (users.CONTACTS_DROP, [1, 2]),
    "what is suppressed": (users.SUPPRESSED, [1, 1], [DIGEST, DIGEST]),
    "users changed": (users.REPLACE, [1], [1], [1], [b""], ["{}"]),
    "suppression of an address": (suppressions.FIND, 1, DIGEST),
    "a page of suppressions": (suppressions.PAGE, 1, END, b"", 50, 0, END, None, None, None),
    "suppressions that are over": (suppressions.EXPIRE, 9, 50),
    "a page of consents": (consents.PAGE, 1, DIGEST, b"", END, 50, None, None, None, None),
    "a page of the consents of a user": (
        consents.PAGE_OF_USER,
        1,
        DIGEST,
        b"",
        END,
        50,
        None,
        None,
        None,
        None,
        1,
    ),
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
    "users of a condition": (
        f"SELECT u.no FROM users AS u WHERE u.tenant = $1 AND {CITY.where}",
        1,
        *CITY.values,
    ),
    "who leaves a segment": (segments.LEFT.format(where=CITY_OF.where), 1, [1, 2], "s1", *CITY_OF.values),
    "who enters a segment": (segments.ENTERED.format(where=CITY_OF.where), 1, [1, 2], "s1", *CITY_OF.values),
    "users to be gone through": (segments.PEOPLE, 1, 10, 50),
    "how many users there are": (segments.HOW_MANY, 1),
    "how far a segment is": (segments.STATE, 1, "s1"),
    "how far all segments are": (segments.STATES, 1),
    "members of a segment": (segments.MEMBERS, 1, "s1", 0, 50),
    "members of a segment counted": (segments.MEMBERS_COUNTED, 1, ["s1"]),
    "members of a segment that goes": (segments.MEMBERS_DROP, 1, "s1"),
    "users who were changed": (segments.CHANGES, 1, 50),
    "users whose changes are known": (segments.CHANGES_DROP, [1, 2]),
    "users whom time changes": (segments.LOOKS, 1, 50, 50),
    "users whom time changed": (segments.LOOKS_DROP, [1, 2]),
    "whether segments are behind": (segments.ANY_DUE, 1, 50),
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
    "a campaign": (campaigns.GET, DIGEST, 1),
    "a page of campaigns": (campaigns.PAGE, 1, ANY_ID, [], 50),
    "a page of the campaigns of all tenants": (campaigns.PAGE_OF_ALL, ANY_ID, ["running", "testing"], 50),
    "whether a campaign is due": (campaigns.ANY_DUE, "bulk", 100, 1),
    "campaigns that are due": (campaigns.CLAIM, "bulk", 100, 1, 50),
    "what follows a campaign": (
        *(campaigns.REPLACE, DIGEST, 1, "done", "bulk", 2, b"", None, None, 0, 1, False, None),
    ),
    "a campaign whose members go on": (campaigns.MOVE, DIGEST, 1, 1, 0, 1, 1, None, 0, 0),
    "campaigns of events": (campaigns.OF_EVENTS, [DIGEST]),
    "a campaign that goes": (campaigns.DROP, DIGEST, 1),
    "ranges that a campaign sets free": (campaigns.FREE_RANGES, DIGEST, 0),
    "what was planned of ranges": (campaigns.ADD_RANKS, DIGEST),
    "ranges of a campaign that go": (campaigns.DROP_RANGES, DIGEST),
    "whether a range is free": (campaigns.ANY_FREE, "bulk", 1),
    "ranges that are free": (campaigns.CLAIM_RANGES, "bulk", 1, 3),
    "a range that goes on": (campaigns.MOVE_RANGE, DIGEST, 1, 1, 1, 1, 2, 1),
    "a range that ends": (campaigns.DROP_RANGE, DIGEST, 1),
    "what is asked of messages that are out": (withdrawals.ASK, [DIGEST], [1], [1], [0], [0], [0], [b""]),
    "what waits to be withdrawn": (withdrawals.WAITING, [DIGEST]),
    "what is due to be withdrawn": (withdrawals.CLAIM, 1, 2, 3),
    "what is withdrawn later": (withdrawals.PUT_OFF, [DIGEST], [0], [1], [1]),
    "what is withdrawn": (withdrawals.END, [DIGEST], [0]),
    "a schedule": (schedules.GET, 1, "s1"),
    "a page of schedules": (schedules.PAGE, 1, "", 50),
    "schedules that are due": (schedules.DUE, 100, 50),
    "what follows a schedule": (schedules.REPLACE, 1, "s1", DIGEST, 2, b"", None, 1),
    "a schedule that goes": (schedules.DROP, 1, "s1"),
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

SEARCHED: tuple[Any, ...] = (b"", ANY_ID, 1, None, None, ["w1"], ["sms"], [SENT], ["r"])
OF_USER: tuple[Any, ...] = (b"", ANY_ID, 1, 1, None, [], [], [], [])
LANE = Lane.NORMAL

STATEMENTS |= {
    "messages by id": (record_statements.NAMED, [DIGEST]),
    "a page of messages": (record_statements.SEARCH["all"], *SEARCHED, 200, 50),
    "messages of a user": (record_statements.SEARCH["user"], *OF_USER, 200, 50),
    "messages that failed": (record_statements.SEARCH["failed"], *SEARCHED, 200, 50),
    "messages counted": (record_statements.COUNT["all"], *SEARCHED, 200),
    "the end of a page": (record_statements.END["all"], b"", ANY_ID, 199),
    "the end of a page of a user": (record_statements.END["user"], b"", ANY_ID, 199, 1),
    "the end of a page of what failed": (record_statements.END["failed"], b"", ANY_ID, 199),
    "what may be sent again": (record_statements.RETRYABLE, *SEARCHED, 50),
    "what is named to be sent again": (record_statements.RETRYABLE_NAMED, *SEARCHED, 50, [DIGEST]),
    "what is sent again": (record_statements.REQUEUE, [DIGEST], [1], [1], 1),
    "rows of an event": (event_statements.ROWS, DIGEST, 1, None),
    "an event known": (event_statements.KNOWN, DIGEST, 1),
    "what is active of an event": (event_statements.ACTIVE_OF, DIGEST, DIGEST, DIGEST),
    "a page of events": (event_statements.PAGE, 1, b"", ANY_ID, 200, 50),
    "the end of a page of events": (event_statements.PAGE_END, b"", ANY_ID, 199),
    "what an event started": (event_statements.PLANNED, DIGEST, 1),
    "messages of an event counted": (event_statements.COUNTS, DIGEST, DIGEST, DIGEST),
    "messages of events counted": (event_statements.COUNTS_OF_EVENTS, [DIGEST], [DIGEST], [DIGEST]),
    "messages of an event to cancel": (event_statements.STOPPABLE, DIGEST, DIGEST, DIGEST, b"", [0], 50),
    "receipts known": (receipt_statements.RECEIPTS_KNOWN, [DIGEST], 1),
    "messages that receipts are about": (receipt_statements.RECEIVABLE, [DIGEST], [1], [None], [True]),
    "what receipts change": (receipt_statements.RECEIVE, [DIGEST], [1], [1], [None], [1], [1]),
    "soft bounces": (receipt_statements.SOFT_BOUNCES, [1], b"", 1),
    "a page of what was set aside": (set_aside.PAGE, 1, END, 50),
    "what was set aside of an event": (set_aside.OF_EVENT, 1, DIGEST),
    "what is left of an event": (continuations.LEFT, DIGEST, 1),
    "what is continued": (continuations.END, DIGEST, "w", 1, 1),
    "an operation": (operations.ONE, 1, DIGEST),
    "a page of operations": (operations.PAGE, 1, ANY_ID, b"", None, [], 50),
    "operations of a tenant that are not over": (operations.UNFINISHED, 1),
    "operations that wait": (operations.WAITING, 0, 50),
    "errors of an operation": (operations.ERRORS, DIGEST, -1, 50),
    "errors to try again": (operations.AGAIN, DIGEST, 50),
    "a page of captures": (captures.PAGE, 1, END, [], 0, END, 50),
    "captures of a user": (captures.PAGE_OF_USER, 1, END, [], 0, END, 50, 1),
    "captures of a message": (captures.OF_MESSAGE, 1, DIGEST),
    "a page of calls": (deliveries.PAGE, 1, DIGEST, END, None, 0, END, 50),
    "whether a run is due": (runs.ANY_DUE, "normal", 50, 1, [DIGEST]),
    "tenants with runs that are due": (runs.TENANTS, "normal", 50, -1, 50),
    "runs of tenants that are due": (runs.CLAIM, "normal", 50, 1, [1], 50),
    "runs that the worker holds already": (runs.CLAIM_OURS, "normal", 50, 1, [DIGEST], 50),
    "a run": (runs.GET, DIGEST, 1),
    "a page of runs": (runs.PAGE, 1, ANY_ID, 50),
    "runs that a plan goes on with": (runs.HELD, [DIGEST]),
    "runs of a user to cancel": (runs.CANCELABLE.format(' AND "user" = $3'), 1, 50, 1),
    "runs to cancel by key": (runs.CANCELABLE.format(" AND cancellation_key = $3"), 1, 50, DIGEST),
    "runs that are canceled": (runs.END, "", 0, [DIGEST]),
    "runs of an event that end": (runs.END_OF_EVENT, "", 0, DIGEST, DIGEST, DIGEST),
    "runs of a user that end": (runs.END_OF_USER, "", 0, 1),
    "whether a run of an event waits": (runs.WAITS, DIGEST, DIGEST, DIGEST, 1),
    "runs that wait, by version": (runs.WAITING, 1, "w1"),
    "the last digests of slots": (digests.LATEST, [DIGEST]),
    "digests to close at another time": (digests.MOVE, [DIGEST], [1]),
    "digests to close": (digests.CLOSE, [DIGEST], 50),
    "runs whose digests stay open": (digests.GIVE_BACK, [DIGEST], [DIGEST], [1], 1),
    "runs whose digests have closed": (digests.DUE, [DIGEST], [1]),
    "digests that closed": (digests.WITH_PREVIOUS, [DIGEST]),
    "some digests": (digests.GET, [DIGEST], 1),
    "items of digests": (digests.ITEMS, [DIGEST]),
    "digests that were told": (digests.TOLD, [DIGEST], [1]),
    "items that were told": (digests.EMPTIED, [DIGEST]),
    "open digests of an event": (digests.OPEN_OF_EVENT, DIGEST, DIGEST, DIGEST),
    "items of an event": (digests.OF_EVENT, DIGEST, DIGEST, DIGEST),
    "open digests by key": (digests.OPEN_OF_KEY, DIGEST, 1, "w"),
    "items by key": (digests.OF_KEY, DIGEST, [DIGEST], 50),
    "items to withdraw": (digests.WITHDRAW, [DIGEST], [DIGEST], 1),
    "digests that end": (digests.END, [DIGEST], 1),
    "digests of a user that end": (digests.END_OF_USER, 1, 1),
    "old digests": (retention_statements.DIGESTS_OLD, b"", ANY_ID, 50),
    "digests to drop": (retention_statements.DIGESTS_DROP, [DIGEST]),
    "old runs": (retention_statements.RUNS_OLD, b"", ANY_ID, 50),
    "old messages": (retention_statements.MESSAGES_OLD, b"", ANY_ID, 5),
    "old messages that go": (retention_statements.MESSAGES_DROP, [DIGEST]),
    "their rows that go": (retention_statements.USER_MESSAGES_DROP, [1], [DIGEST]),
    "the oldest message that is left": (retention_statements.OLDEST_LEFT, [1], [ANY_ID]),
    "totals of days": (retention_statements.TOTALS, 1, [1, 2], [b"", b"\x01"], [b"\x01", b"\x02"]),
    "old items": (retention_statements.ITEMS_OLD, b"", ANY_ID, 5),
    "old devices": (retention_statements.DEVICES_OLD, 0, 0, 50, 50),
    "old entries of a lane": (retention_statements.EVENTS_OLD[LANE], 0, 5_000, 50),
    "what still needs them": (
        retention_statements.EVENTS_NEEDED,
        [1],
        [DIGEST],
        ["w"],
        [1],
        [DIGEST],
        [DIGEST],
    ),
    "old events": (retention_statements.PLANNED_OLD, b"", ANY_ID, 50),
    "old rows of the journal": (retention_statements.JOURNAL_OLD, 0, 50),
    "old keys": (retention_statements.POINTERS_OLD.format(table="collapses"), b"", ANY_ID, 5),
    "old ranges": (retention_statements.RANGES_OLD, 0, 1, 50),
    "old errors": (retention_statements.OPERATION_ERRORS_OLD, b"", -1, ANY_ID, 50),
    **{f"old rows of {table}": (statement, 0, 50) for table, statement in retention_statements.TIMES.items()},
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

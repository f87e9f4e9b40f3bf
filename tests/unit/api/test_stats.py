"""`/v1/stats`: how many messages ended how."""

from __future__ import annotations

import asyncio

import pytest

from clarion.model.setup import Scope
from tests.unit.api.conftest import OTHER

PATH = "/v1/stats"


async def sent(api) -> int:
    """How many messages became of one event, once they are planned."""
    await api.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}})
    planned = 0
    async with asyncio.timeout(30):
        while not planned:
            planned = len((await api.ok("GET", "/v1/messages"))["items"])
            await asyncio.sleep(0.01)
    return planned


async def test_messages_are_counted_by_what_is_asked_for(admin, ada):
    """By day and status unless something else is asked for; the sum is that of all messages."""
    count = await sent(admin)
    whole = await admin.ok("GET", PATH)
    assert {*whole["rows"][0]["keys"]} == {"day", "status"}
    assert sum(row["values"]["messages"] for row in whole["rows"]) == count
    rows = (await admin.ok("GET", PATH, params={"by": "workflow"}))["rows"]
    nothing_paid = {"calls": None, "cost": None}
    assert rows == [{"keys": {"workflow": "order-paid"}, "values": {"messages": count, **nothing_paid}}]


async def test_days_outside_are_not_counted(admin, ada):
    """A day counts whole."""
    await sent(admin)
    (day,) = {row["keys"]["day"] for row in (await admin.ok("GET", PATH))["rows"]}
    assert (await admin.ok("GET", PATH, params={"until": f"{day}T00:00:00Z"}))["rows"] == []
    assert (await admin.ok("GET", PATH, params={"since": f"{day}T23:59:59Z"}))["rows"] != []


async def test_nobody_else_is_counted(clarion, admin, ada):
    """Each tenant has its own numbers."""
    await sent(admin)
    stranger = await clarion.client(Scope.READ, OTHER)
    assert (await stranger.ok("GET", PATH))["rows"] == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"by": "dya"}, "by"),
        ({"by": ""}, "by"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ({"bye": "day"}, "bye"),
    ],
)
async def test_what_cannot_be_counted_is_refused_by_name(admin, query, parameter):
    """An unknown key, no time, or more than a year."""
    problem = await admin.problem("GET", PATH, params=query)
    assert (problem["status"], problem["errors"][0]["parameter"]) == (400, parameter)

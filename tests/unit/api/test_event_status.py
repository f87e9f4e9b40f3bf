"""How an event to a topic is doing: not done before everybody in the topic is planned."""

import pytest

from clarion.flow.plan import planner
from clarion.model.setup import Scope
from clarion.model.status import ACTIVE, Status


@pytest.fixture
def one_a_page(monkeypatch):
    """One member of a topic is a page."""
    monkeypatch.setattr(planner, "FANOUT_PAGE", 1)


async def test_an_event_is_in_progress_while_some_of_its_topic_is_left(
    clarion, admin, one_a_page, monkeypatch
):
    """On every page of its messages and in the list, although what is planned is sent."""
    await admin.ok("PUT", "/v1/topics/all", {})
    for name in ("ada", "bob"):
        await admin.ok("PUT", f"/v1/users/{name}", {"email": f"{name}@example.org"})
        await admin.ok("PUT", f"/v1/topics/all/subscriptions/{name}")

    async def nothing(*_):
        return ()

    sender = await clarion.client(Scope.SEND)
    with monkeypatch.context() as held:
        held.setattr(clarion.ledger.continuations, "claim", nothing)
        asked = {"recipients": [{"topic": "all"}], "data": {"id": "1"}}
        event = (await sender.ok("POST", "/v1/workflows/order-paid/trigger", asked))["event_id"]
        path = f"/v1/events/{event}"
        shown = await over(clarion, admin, path)
        assert shown["status"] == "in_progress"
        cursor = (await admin.ok("GET", f"{path}?limit=1"))["next_cursor"]
        assert (await admin.ok("GET", f"{path}?limit=1&cursor={cursor}"))["status"] == "in_progress"
        (line,) = (await admin.ok("GET", "/v1/events"))["items"]
        assert line["status"] == "in_progress"
    for _ in range(500):
        if (await admin.ok("GET", path))["status"] == "done":
            break
        await clarion.clock.sleep(0.02)
    assert (await admin.ok("GET", "/v1/events"))["items"][0]["status"] == "done"
    assert len({one["user_id"] for one in (await admin.ok("GET", path))["messages"]}) == 2


async def over(clarion, admin, path):
    """The event, once every message that is planned is over."""
    for _ in range(500):
        shown = await admin.ok("GET", path)
        statuses = [Status(one["status"]) for one in shown["messages"]]
        if len(statuses) > 1 and not ACTIVE & {*statuses}:
            return shown
        await clarion.clock.sleep(0.02)
    raise AssertionError(await admin.ok("GET", path))

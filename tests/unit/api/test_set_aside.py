"""Events that could not be planned: listed, inspected, retried, discarded, and warned of."""

from __future__ import annotations

import msgspec

from clarion.model.channel import Lane
from clarion.model.event import SetAside
from clarion.model.ids import EventId, Instant, TenantId, id_text
from clarion.model.status import Reason


def event(number: int, tenant: int = 1) -> SetAside:
    return SetAside(
        event_id=EventId(bytes([number]) * 16),
        tenant=TenantId(tenant),
        lane=Lane.BULK,
        workflow="welcome",
        reason=Reason.UNREADABLE,
        detail="SealBroken",
        at=Instant(1_000),
    )


async def test_set_aside_events_are_listed_inspected_and_discarded(clarion, admin):
    """Those of one's own tenant; once discarded they are gone from the list, and so is the warning."""
    await clarion.ledger.set_aside.keep([event(1), event(2), event(3), event(4, tenant=2)], [], [])
    ready = await admin.ok("GET", "/readyz")
    assert (ready["status"], ready["warnings"]) == (
        "ready",
        {"planning": "4 events could not be planned: see `clarion dead-letters events`"},
    )
    first = await admin.ok("GET", "/v1/dead-letters/events?limit=2")
    rest = await admin.ok("GET", f"/v1/dead-letters/events?limit=2&cursor={first['next_cursor']}")
    listed = first["items"] + rest["items"]
    assert [one["event_id"] for one in listed] == [id_text(bytes([n]) * 16) for n in (3, 2, 1)]
    assert listed[0] == {
        "id": "3", "event_id": id_text(b"\3" * 16), "workflow": "welcome", "lane": "bulk",
        "reason": "unreadable", "detail": "SealBroken", "created_at": "1970-01-01T00:00:01Z",
    }  # fmt: skip
    assert await admin.ok("GET", "/v1/dead-letters/events/2") == listed[1]
    await admin.ok("DELETE", "/v1/dead-letters/events/2")
    for method in ("GET", "DELETE"):
        assert (await admin.problem(method, "/v1/dead-letters/events/2"))["code"] == "not_found"
        assert (await admin.problem(method, "/v1/dead-letters/events/4"))["code"] == "not_found"
        assert (await admin.problem(method, "/v1/dead-letters/events/x"))["code"] == "not_found"


async def test_set_aside_events_are_retried_by_id_or_all(clarion, admin, monkeypatch):
    """Whichever are still in the list, and of the own tenant."""
    await clarion.ledger.set_aside.keep([event(1), event(2), event(3), event(4, tenant=2)], [], [])
    asked = []

    async def plan_again(tenant, numbers):
        asked.append((tenant, list(numbers)))
        return len(numbers)

    monkeypatch.setattr(clarion.services.set_aside_events, "plan_again", plan_again)
    path = "/v1/dead-letters/events/retry"
    assert await admin.ok("POST", path, {"ids": ["1", "9"]}) == {"retried": 2}
    assert await admin.ok("POST", path, {"all": True}) == {"retried": 3}
    assert asked == [(1, [1, 9]), (1, [3, 2, 1])]
    for wrong in ({}, {"ids": ["1"], "all": True}, {"all": False}):
        assert (await admin.problem("POST", path, wrong))["code"] == "invalid_request"


def test_a_set_aside_event_holds_nothing_of_its_content():
    """Only what stands in the clear in the log."""
    assert "sealed" not in msgspec.json.encode(event(1)).decode()

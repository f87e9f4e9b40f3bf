"""Schedules over HTTP: when they occur, and what people do about it."""

import pytest

from clarion.model.setup import Scope
from clarion.rules.time_format import rfc3339

SMS = {"mode": "all", "channels": ["sms"]}
WEEKLY = {"workflow": "news", "recipients": ["ada", {"topic": "readers"}], "cron": "0 9 * * mon"}


@pytest.fixture
async def sender(clarion, admin):
    """A workflow, a user, a topic, and a key that may send."""
    steps = [{"key": "tell", "template": "paid", "to": SMS}]
    await admin.ok("PUT", "/v1/workflows/news", {"category": "orders", "steps": steps})
    await admin.ok("PUT", "/v1/users/ada", {"phone": "+4915112345678"})
    await admin.ok("PUT", "/v1/topics/readers", {})
    return await clarion.client(Scope.SEND)


async def test_a_schedule_shows_when_it_occurs(admin, sender):
    """In the zone of the tenant, in one it names, or by the clock of each recipient."""
    made = await admin.ok(
        "PUT", "/v1/schedules/weekly", {**WEEKLY, "timezone": "Asia/Tokyo", "data": {"id": "1"}}
    )
    assert (made["key"], made["name"], made["catch_up"], made["last_at"]) == ("weekly", None, "once", None)
    assert made["next_at"].endswith("T00:00:00Z")
    assert await sender.ok("GET", "/v1/schedules/weekly") == made
    assert (await sender.ok("GET", "/v1/schedules"))["items"] == [made]
    changed = await admin.ok("PATCH", "/v1/schedules/weekly", {"timezone": "recipient", "name": "Weekly"})
    assert (changed["name"], changed["data"], changed["created_at"]) == (
        "Weekly",
        {"id": "1"},
        made["created_at"],
    )
    assert changed["next_local"].endswith("T09:00:00")
    assert changed["next_at"].endswith("T18:59:00Z")
    first = await sender.ok("GET", "/v1/schedules/weekly/occurrences?limit=2")
    rest = await sender.ok("GET", f"/v1/schedules/weekly/occurrences?limit=2&cursor={first['next_cursor']}")
    both = [*first["items"], *rest["items"]]
    assert [one["at"] for one in both] == sorted({one["at"] for one in both})
    assert {one["outcome"] for one in both} == {"planned"}
    await admin.ok("DELETE", "/v1/schedules/weekly")
    assert (await admin.problem("GET", "/v1/schedules/weekly"))["status"] == 404
    assert (await admin.problem("DELETE", "/v1/schedules/weekly"))["status"] == 404


async def test_what_a_schedule_cannot_do_is_refused(admin, sender):
    """With the field, and the name that was probably meant; nothing is stored."""
    for change, pointer, code in (
        ({"workflow": "new"}, "#/workflow", "invalid_request"),
        ({"recipients": ["bob"]}, "#/recipients/0", "unknown_reference"),
        ({"recipients": [{"topic": "reader"}]}, "#/recipients/0/topic", "unknown_reference"),
        ({"cron": "0 9 * *"}, "#/cron", "invalid_request"),
        ({"rrule": "FREQ=DAILY"}, "#/cron", "invalid_request"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "#", "invalid_request"),
        ({"catch_up_within_s": 59}, "#/catch_up_within_s", "invalid_request"),
    ):
        refused = await admin.problem("PUT", "/v1/schedules/weekly", {**WEEKLY, **change})
        assert refused["code"] == code, refused
        assert refused["errors"][0]["pointer"] == pointer, refused
    assert (await sender.problem("PUT", "/v1/schedules/weekly", WEEKLY))["status"] == 403
    assert (await admin.ok("GET", "/v1/schedules"))["items"] == []


async def test_people_pause_skip_and_run_a_schedule(clarion, admin, sender):
    """The next occurrence moves accordingly; a rehearsal changes nothing."""
    made = await admin.ok("PUT", "/v1/schedules/weekly", WEEKLY)
    await sender.ok("POST", "/v1/schedules/weekly/skip?dry_run=true")
    await sender.ok("POST", "/v1/schedules/weekly/skip")
    await sender.ok("POST", "/v1/schedules/weekly/skip", {"at": made["next_at"]})
    shown = await sender.ok("GET", "/v1/schedules/weekly/occurrences?limit=2")
    assert [one["outcome"] for one in shown["items"]] == ["skipped", "planned"]
    refused = await sender.problem("POST", "/v1/schedules/weekly/skip", {"at": "2030-01-01T00:00:01Z"})
    assert refused["errors"][0]["pointer"] == "#/at"
    paused = await sender.ok("POST", "/v1/schedules/weekly/pause")
    assert (paused["next_at"], paused["paused_at"] is None) == (None, False)
    assert await sender.ok("POST", "/v1/schedules/weekly/pause") == paused
    assert (await sender.ok("GET", "/v1/schedules/weekly/occurrences"))["items"] == []
    resumed = await sender.ok("POST", "/v1/schedules/weekly/resume")
    assert (resumed["next_at"], resumed["paused_at"]) == (made["next_at"], None)
    assert (await sender.ok("POST", "/v1/schedules/weekly/run?dry_run=true"))["event_id"] is None
    event = (await sender.ok("POST", "/v1/schedules/weekly/run"))["event_id"]
    found: list[dict[str, object]] = []
    for _ in range(500):
        found = (await admin.ok("GET", f"/v1/messages?event_id={event}"))["items"]
        if found:
            break
        await clarion.clock.sleep(0.02)
    assert [one["user_id"] for one in found] == ["ada"]
    assert (await admin.problem("POST", "/v1/schedules/other/run"))["status"] == 404


async def test_a_change_depends_on_what_was_read(admin, sender):
    """`If-Match` refuses a change of something else."""
    await admin.ok("PUT", "/v1/schedules/weekly", WEEKLY)
    tag = (await admin("GET", "/v1/schedules/weekly")).headers["etag"]
    await admin.ok("PATCH", "/v1/schedules/weekly", {"name": "Weekly"}, headers={"if-match": tag})
    late = await admin.problem("PATCH", "/v1/schedules/weekly", {"name": "x"}, headers={"if-match": tag})
    assert late["status"] == 412


async def test_an_occurrence_is_fired_and_listed(clarion, admin, sender):
    """Once, with its event; the schedule is over then."""
    once = {"workflow": "news", "recipients": ["ada"], "starts_at": rfc3339(clarion.clock.now() + 2_000)}
    await admin.ok("PUT", "/v1/schedules/once", once)
    shown: dict[str, object] = {}
    for _ in range(500):
        (shown, *_) = (await sender.ok("GET", "/v1/schedules/once/occurrences"))["items"]
        if shown["outcome"] == "fired":
            break
        await clarion.clock.sleep(0.02)
    event = await admin.ok("GET", f"/v1/events/{shown['event_id']}")
    assert event["event_id"] == shown["event_id"]
    after = await sender.ok("GET", "/v1/schedules/once")
    assert (after["next_at"], after["last_at"]) == (None, shown["at"])

"""Runs over HTTP: who waits, what their steps did, and stopping them."""

import pytest

from clarion.api import ApiLimits
from clarion.model.setup import Scope

SMS = {"mode": "all", "channels": ["sms"]}
STEPS = [
    {"key": "hello", "template": "paid", "to": SMS},
    {"key": "pause", "type": "wait", "for_s": 86_400},
    {"key": "fork", "type": "branch", "cases": [{"when": "steps.hello.read", "steps": []}]},
]
SERIES = {"category": "orders", "steps": STEPS, "cancellation_key": "/order"}


@pytest.fixture
async def sender(clarion, admin):
    """A workflow that waits, two users, and a key that may send."""
    await admin.ok("PUT", "/v1/workflows/series", SERIES)
    for name in ("ada", "bob"):
        await admin.ok("PUT", f"/v1/users/{name}", {"phone": "+4915112345678"})
    return await clarion.client(Scope.SEND)


async def trigger(sender, *users, order="A-1", query=""):
    """The answer to an event for these users."""
    asked = {"recipients": [*users], "data": {"id": "1", "order": order}}
    return await sender.ok("POST", f"/v1/workflows/series/trigger{query}", asked)


async def waiting(clarion, admin, count, query=""):
    """The runs, once so many are there."""
    for _ in range(500):
        found = (await admin.ok("GET", f"/v1/runs{query}"))["items"]
        if len(found) == count:
            return found
        await clarion.clock.sleep(0.02)
    raise AssertionError(await admin.ok("GET", "/v1/runs"))


async def test_runs_that_wait_are_listed_and_explained(clarion, admin, sender):
    """The message leads to its run, the run to its event; everything says what it waits for."""
    event = (await trigger(sender, "ada", "bob"))["event_id"]
    found = await waiting(clarion, admin, 2)
    assert {one["user_id"] for one in found} == {"ada", "bob"}
    (ada,) = (await admin.ok("GET", "/v1/runs?user_id=ada&status=waiting&workflow=series&version=1"))["items"]
    assert (ada["event_id"], ada["step"], ada["status"], ada["reason"]) == (event, "pause", "waiting", None)
    detail = await admin.ok("GET", f"/v1/runs/{ada['id']}")
    assert [(one["step"], one["result"]) for one in detail["history"]] == [
        *(("hello", "sent"), ("pause", "waits")),
    ]
    assert detail["history"][1]["text"] == f"Step 'pause': waits until {ada['due_at']}."
    shown = await admin.ok("GET", f"/v1/events/{event}")
    assert shown["status"] == "in_progress"
    (message,) = [one for one in shown["messages"] if one["user_id"] == "ada"]
    assert message["run_id"] == ada["id"]
    told = await admin.ok("GET", f"/v1/events/{event}/explanation?user_id=ada")
    assert told["runs"][0]["run_id"] == ada["id"]
    assert told["text"].endswith(detail["history"][1]["text"])
    assert (await admin.ok("GET", "/v1/runs?user_id=nobody"))["items"] == []
    assert (await admin.ok("GET", f"/v1/runs?event_id={event}&status=finished"))["items"] == []
    first = await admin.ok("GET", "/v1/runs?limit=1")
    rest = await admin.ok("GET", f"/v1/runs?limit=1&cursor={first['next_cursor']}")
    assert [*first["items"], *rest["items"]] == found


async def test_a_run_is_canceled_once(clarion, admin, sender):
    """With its messages that are not sent yet; a rehearsal cancels nothing."""
    await trigger(sender, "ada")
    (one,) = await waiting(clarion, admin, 1)
    path = f"/v1/runs/{one['id']}/cancel"
    assert (await sender.ok("POST", f"{path}?dry_run=true"))["status"] == "canceled"
    assert (await admin.ok("GET", f"/v1/runs/{one['id']}"))["status"] == "waiting"
    done = await sender.ok("POST", path)
    assert (done["status"], done["reason"], done["due_at"]) == ("canceled", "canceled_by_caller", None)
    refused = await sender.problem("POST", path)
    assert (refused["status"], refused["detail"]) == (
        *(409, "The run is canceled: only one that waits can be canceled."),
    )


async def test_runs_are_canceled_by_what_they_have_in_common(clarion, admin, sender):
    """Whoever their users are, and no others."""
    await trigger(sender, "ada", "bob", order="A-1")
    await trigger(sender, "ada", order="A-2")
    await waiting(clarion, admin, 3)
    asked = {"workflow": "series", "cancellation_key": "A-1"}
    assert (await sender.ok("POST", "/v1/runs/cancel", asked))["runs"] == 2
    assert (await sender.ok("POST", "/v1/runs/cancel", asked))["runs"] == 0
    (left,) = await waiting(clarion, admin, 1, "?status=waiting")
    assert left["user_id"] == "ada"
    wrong = await sender.problem("POST", "/v1/runs/cancel", {**asked, "workflow": "serise"})
    assert "'series'" in wrong["detail"]
    wrong = await sender.problem("POST", "/v1/runs/cancel", {**asked, "workflow": "order-paid"})
    assert wrong["errors"][0]["pointer"] == "#/cancellation_key"


async def test_versions_say_how_many_runs_wait_in_each(clarion, admin, sender):
    """A run keeps the version it started with."""
    await trigger(sender, "ada")
    await waiting(clarion, admin, 1)
    await admin.ok("PUT", "/v1/workflows/series", {**SERIES, "jitter_s": 60})
    await trigger(sender, "bob")
    await waiting(clarion, admin, 2)
    assert (await admin.ok("GET", "/v1/workflows/series/versions"))["items"] == [
        {"version": 2, "live": True, "waiting_runs": 1},
        {"version": 1, "live": False, "waiting_runs": 1},
    ]
    assert (await admin.problem("GET", "/v1/workflows/serise/versions"))["status"] == 404


async def test_a_dry_run_names_what_each_step_does(admin, sender):
    """Up to the first wait; nobody waits because of it."""
    (run,) = (await trigger(sender, "ada", query="?dry_run=true"))["runs"]
    assert [(one["step"], one["result"]) for one in run["steps"]] == [("hello", "sent"), ("pause", "waits")]
    assert (await admin.ok("GET", "/v1/runs"))["items"] == []


async def test_steps_go_in_and_come_out_as_they_were(admin):
    """A workflow with steps, and one that only sends."""
    for body in (SERIES, {"category": "orders", "steps": STEPS[:1]}):
        stored = await admin.ok("PUT", "/v1/workflows/w", body)
        assert stored["steps"] == body["steps"]
        assert (await admin.ok("PUT", "/v1/workflows/w", stored))["steps"] == body["steps"]


async def test_steps_that_could_not_work_are_refused_with_their_place(admin):
    """Also what a step inside a branch names."""
    inside = {"key": "mail", "template": "payd", "to": SMS}
    fork = {"key": "fork", "type": "branch", "cases": [{"when": "steps.helo.read", "steps": [inside]}]}
    shown = await admin.problem("PUT", "/v1/workflows/w", {"category": "orders", "steps": [STEPS[0], fork]})
    found = {one["pointer"]: one for one in shown["errors"]}
    assert "did you mean `hello`?" in found["#/steps/1/cases/0/when"]["detail"]
    assert found["#/steps/1/cases/0/steps/0/template"]["did_you_mean"] == "paid"


async def test_there_are_no_others(admin):
    """Not of another tenant, nor what never waited."""
    for id_ in ("0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e", "nonsense"):
        assert (await admin.problem("GET", f"/v1/runs/{id_}"))["status"] == 404
        assert (await admin.problem("POST", f"/v1/runs/{id_}/cancel"))["status"] == 404
    assert (await admin.problem("GET", "/v1/runs?workflow=nothing"))["status"] == 422


async def test_digests_are_listed_and_explained(clarion, admin, sender):
    """An event says which digest it went into, and the digest what it tells of; what is canceled by its key is not told."""
    steps = [
        {"key": "collect", "type": "digest", "by": "/order", "window_s": 3_600},
        {"key": "tell", "template": "paid", "to": SMS},
    ]
    await admin.ok("PUT", "/v1/workflows/series", {**SERIES, "steps": steps, "cancellation_key": "/id"})
    asked = {"recipients": ["ada"], "data": {"id": "1", "order": "A-1"}}
    (dry,) = (await sender.ok("POST", "/v1/workflows/series/trigger?dry_run=true", asked))["runs"]
    assert dry["steps"][0]["result"] == "opened"
    event = (await trigger(sender, "ada"))["event_id"]
    (run,) = await waiting(clarion, admin, 1)
    digest = run["digest"]
    assert (digest["items"], digest["closed_at"], digest["total"]) == (1, None, None)
    assert digest["closes_at"] == run["due_at"]
    told = await admin.ok("GET", f"/v1/events/{event}/explanation?user_id=ada")
    assert told["text"] == (
        f"Nothing is sent so far. Step 'collect': opens a digest, which collects until {run['due_at']}."
    )
    assert told["runs"][0]["steps"][0]["inputs"]["digest"] == run["event_id"]
    detail = await admin.ok("GET", f"/v1/runs/{run['id']}")
    assert [(one["event_id"], one["withdrawn_at"]) for one in detail["items"]] == [(event, None)]
    canceled = await sender.ok("POST", "/v1/runs/cancel", {"workflow": "series", "cancellation_key": "1"})
    assert canceled == {"runs": 1, "messages": 0}
    (run,) = await waiting(clarion, admin, 1)
    assert run["digest"]["withdrawn"] == 1
    canceled = await sender.ok("POST", f"/v1/runs/{run['id']}/cancel")
    assert (canceled["status"], canceled["digest"]["closed_by"]) == ("canceled", "canceled")


async def test_a_run_is_acknowledged(clarion, admin, sender):
    """From the answer on it repeats nothing; a rehearsal acknowledges nothing, and a run without a repetition is refused."""
    page = {"key": "page", "template": "paid", "to": SMS}
    alarm = {"key": "alarm", "type": "repeat", "every_s": 86_400, "at_most": 9, "until": "acknowledged"}
    await admin.ok(
        "PUT", "/v1/workflows/alarm", {"category": "orders", "steps": [{**alarm, "steps": [page]}]}
    )
    await sender.ok("POST", "/v1/workflows/alarm/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    (run,) = await waiting(clarion, admin, 1)
    path = f"/v1/runs/{run['id']}/acknowledge"
    assert (await sender.ok("POST", f"{path}?dry_run=true"))["status"] == "waiting"
    assert (await admin.ok("GET", f"/v1/runs/{run['id']}"))["due_at"] == run["due_at"]
    assert (await sender.ok("POST", path))["status"] == "waiting"
    await waiting(clarion, admin, 1, "?status=finished")
    assert (await sender.ok("POST", path))["status"] == "finished"
    told = await admin.ok("GET", f"/v1/runs/{run['id']}")
    assert told["history"][-1]["text"] == "Step 'alarm': is over after 1 rounds: acknowledged."
    await trigger(sender, "ada")
    (other,) = await waiting(clarion, admin, 1, "?workflow=series")
    assert (await sender.problem("POST", f"/v1/runs/{other['id']}/acknowledge"))["status"] == 409


async def test_a_question_is_answered(clarion, admin, sender):
    """The first answer counts; the same again is no error, another one is, and says which one counts. A rehearsal answers
    nothing."""
    ask = {"key": "ok", "type": "ask", "template": "paid", "to": SMS, "options": {"yes": "Yes", "no": "No"}}
    await admin.ok("PUT", "/v1/workflows/ask", {"category": "orders", "steps": [ask]})
    await sender.ok("POST", "/v1/workflows/ask/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    (run,) = await waiting(clarion, admin, 1)
    path = f"/v1/runs/{run['id']}/answer"
    assert (await sender.problem("POST", path, {"answer": "yess"}))["detail"].endswith("Did you mean 'yes'?")
    assert (await sender.ok("POST", f"{path}?dry_run=true", {"answer": "no"}))["status"] == "waiting"
    assert (await admin.ok("GET", f"/v1/runs/{run['id']}"))["answers"] == {}
    for _ in range(2):
        await sender.ok("POST", path, {"answer": "yes", "by": "misaki"})
    await waiting(clarion, admin, 1, "?status=finished")
    refused = await sender.problem("POST", path, {"answer": "no"})
    assert (refused["code"], refused["detail"]) == ("already_answered", "Already answered: 'yes', on api.")
    told = await admin.ok("GET", f"/v1/runs/{run['id']}")
    assert told["answers"]["ok"] | {"at": ""} == {
        "answer": "yes",
        "text": None,
        "channel": "api",
        "at": "",
        "by": "misaki",
    }
    assert told["history"][-1]["text"] == "Step 'ok': is answered on api: yes."
    nowhere = "/v1/runs/0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e/answer"
    assert (await sender.problem("POST", nowhere, {"answer": "yes"}))["status"] == 404


async def test_steps_that_ask_are_checked(admin, sender):
    """How many options there are, what stands on them, and where the step stands."""
    ask = {"key": "ok", "type": "ask", "template": "paid", "to": SMS, "options": {"yes": "Yes", "no": "No"}}
    alarm = {"key": "alarm", "type": "repeat", "every_s": 60, "at_most": 2, "until": "acknowledged"}
    for wrong, pointer in (
        ({**ask, "options": {"yes": "Yes"}}, "#/steps/0/options"),
        ({**ask, "options": {"yes": "Yes", "Nö": "No"}}, "#/steps/0/options/Nö"),
        ({**ask, "options": {"yes": "Yes", "no": " yes "}}, "#/steps/0/options/no"),
        ({**ask, "options": {"yes": "Yes", "no": {"en": ""}}}, "#/steps/0/options/no"),
        ({**ask, "options": {"yes": "Yes", "other": "?"}, "other": True}, "#/steps/0/options/other"),
        ({**ask, "template": "lost"}, "#/steps/0/template"),
        ({**ask, "cases": [{"steps": []}]}, "#/steps/0/cases"),
        ({**alarm, "steps": [ask]}, "#/steps/0/steps/0"),
    ):
        refused = await admin.problem("PUT", "/v1/workflows/ask", {"category": "orders", "steps": [wrong]})
        assert pointer in [one["pointer"] for one in refused["errors"]]


async def test_a_dry_run_goes_on_behind_waits_when_asked(sender, admin):
    """To the end, each step with its time; only a dry run does."""
    (dry,) = (await trigger(sender, "ada", query="?dry_run=true"))["runs"]
    assert [one["result"] for one in dry["steps"]] == ["sent", "waits"]
    (dry,) = (await trigger(sender, "ada", query="?dry_run=true&skip_waits=true"))["runs"]
    assert [one["result"] for one in dry["steps"]] == ["sent", "waits", "over", "no_case"]
    assert dry["steps"][2]["at"] == dry["steps"][1]["due_at"]
    assert (await admin.ok("GET", "/v1/runs"))["items"] == []
    body = {"recipients": ["ada"], "data": {"id": "1"}}
    refused = await sender.problem("POST", "/v1/workflows/series/trigger?skip_waits=true", body)
    assert "only a dry run skips waits" in refused["errors"][0]["detail"]


async def over(clarion, sender, answer):
    """An operation, once it is finished."""
    place = f"/v1/operations/{answer['id']}"
    for _ in range(500):
        found = await sender.ok("GET", place)
        if found["finished_at"]:
            return found
        await clarion.services.operations.round()
    raise AssertionError(answer)


async def test_a_wait_is_skipped_only_where_that_is_allowed(clarion, admin, sender):
    """Nobody finds out by chance that production can be hurried."""
    await trigger(sender, "ada")
    (one,) = await waiting(clarion, admin, 1)
    path = f"/v1/runs/{one['id']}/advance"
    refused = await sender.problem("POST", path)
    assert (refused["status"], refused["code"]) == (403, "forbidden")
    assert "allow_advance" in refused["detail"]
    hurried = await clarion.client(Scope.SEND, edge=clarion.with_limits(ApiLimits(), may_advance=True))
    assert (await hurried.ok("POST", path))["status"] == "waiting"
    await waiting(clarion, admin, 1, "?status=finished")
    assert (await hurried.problem("POST", path))["code"] == "conflict"


async def test_runs_that_match_are_canceled_as_an_operation(clarion, admin, sender):
    """Of one version, of one user, or of a time; a rehearsal only counts them."""
    await trigger(sender, "ada", "bob")
    await waiting(clarion, admin, 2)
    asked = {"filter": {"workflow": "series", "version": 1, "user_id": "ada"}}
    told = await sender.ok("POST", "/v1/runs/cancel?dry_run=true", asked)
    assert (told["kind"], told["progress"]["total"]) == ("runs.cancel", 1)
    done = await over(clarion, sender, await sender.ok("POST", "/v1/runs/cancel", asked))
    assert (done["status"], done["progress"]) == ("succeeded", {"done": 1, "failed": 0, "total": 1})
    assert [one["user_id"] for one in await waiting(clarion, admin, 1, "?status=canceled")] == ["ada"]
    assert [one["user_id"] for one in await waiting(clarion, admin, 1, "?status=waiting")] == ["bob"]
    assert len(await waiting(clarion, admin, 1, "?reason=canceled_by_caller,expired")) == 1
    assert await waiting(clarion, admin, 0, "?until=2020-01-01T00:00:00Z") == []
    for wrong in ({}, {"filter": {}, "workflow": "series", "cancellation_key": 1}, {"workflow": "series"}):
        assert (await sender.problem("POST", "/v1/runs/cancel", wrong))["status"] == 400
    wrong = await sender.problem("POST", "/v1/runs/retry", {"filter": {"workflow": "serise"}})
    assert "'series'" in wrong["detail"]


async def test_a_run_that_failed_is_retried(clarion, admin, sender):
    """By its id, or all that match."""
    throttle = {"key": "most", "type": "throttle", "limit": 1, "per_s": 60, "by": "user.attributes.team"}
    await admin.ok("PUT", "/v1/workflows/teams", {"category": "orders", "steps": [throttle, STEPS[0]]})
    await sender.ok("POST", "/v1/workflows/teams/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    (one,) = await waiting(clarion, admin, 1, "?status=failed")
    assert (one["reason"], one["step"]) == ("key_missing", "most")
    assert (await sender.ok("POST", f"/v1/runs/{one['id']}/retry?dry_run=true"))["status"] == "waiting"
    await admin.ok("PATCH", "/v1/users/ada", {"attributes": {"team": "blue"}})
    asked = {"filter": {"reason": "key_missing"}}
    done = await over(clarion, sender, await sender.ok("POST", "/v1/runs/retry", asked))
    assert (done["kind"], done["progress"]["done"]) == ("runs.retry", 1)
    (one,) = await waiting(clarion, admin, 1, "?status=finished")
    assert (await sender.problem("POST", f"/v1/runs/{one['id']}/retry"))["code"] == "conflict"


async def test_runs_move_to_the_live_version_or_say_why_not(clarion, admin, sender):
    """A rehearsal says so too, and moves none."""
    await trigger(sender, "ada")
    (one,) = await waiting(clarion, admin, 1)
    changed = {**SERIES, "steps": [STEPS[0], {"key": "other", "type": "wait", "for_s": 86_400}]}
    await admin.ok("PUT", "/v1/workflows/series", changed)
    path = "/v1/workflows/series/migrate-runs"
    told = await admin.ok("POST", f"{path}?dry_run=true", {"from_version": 1})
    assert told["progress"] == {"done": 0, "failed": 1, "total": 1}
    (error,) = told["errors"]
    assert (error["run_id"], error["message_id"]) == (one["id"], None)
    assert error["error"]["detail"] == "There is no step 'pause' in version 2."
    await admin.ok("PUT", "/v1/workflows/series", {**SERIES, "jitter_s": 60})
    done = await over(clarion, sender, await admin.ok("POST", path, {"from_version": 1, "to_version": 3}))
    assert (done["status"], done["progress"]["done"]) == ("succeeded", 1)
    assert len(await waiting(clarion, admin, 1, "?version=3&status=waiting")) == 1
    for wrong in ({"from_version": 3}, {"from_version": 1, "to_version": 2}):
        assert (await admin.problem("POST", path, wrong))["status"] == 400


async def test_a_workflow_is_not_deleted_under_its_runs(clarion, admin, sender):
    """Unless whoever deletes it says that they are canceled."""
    await trigger(sender, "ada")
    await waiting(clarion, admin, 1)
    refused = await admin.problem("DELETE", "/v1/workflows/series")
    assert (refused["status"], refused["detail"].split(". ")[0]) == (
        *(409, "1 runs of the workflow 'series' wait"),
    )
    await admin.ok("DELETE", "/v1/workflows/series?runs=cancel")
    (asked,) = (await admin.ok("GET", "/v1/operations?kind=runs.cancel"))["items"]
    assert (await over(clarion, admin, asked))["status"] == "succeeded"
    (one,) = await waiting(clarion, admin, 1)
    assert (one["status"], one["reason"]) == ("canceled", "workflow_deleted")

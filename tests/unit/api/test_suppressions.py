"""Suppression lists over the API: who added an address, why and until when; in and out in bulk."""

import msgspec

PATH = "/v1/suppressions"
CSV = {"content-type": "text/csv"}


async def rows(admin, **query):
    """Reasons and sources of those that match, oldest first."""
    found = (await admin.ok("GET", PATH, params=query))["items"]
    return [(one["channel"], one["reason"], one["source"]) for one in reversed(found)]


async def test_a_suppression_says_who_added_it_and_until_when(admin, ada):
    """As it was given; what is there already and lasts longer stays."""
    body = {"channel": "email", "address": "ada@example.com", "reason": "holiday", "source": "crm"}
    made = await admin.ok("POST", PATH, body | {"expires_at": "2999-01-01T00:00:00+01:00"})
    assert (made["source"], made["expires_at"]) == ("crm", "2998-12-31T23:00:00Z")
    assert await admin.ok("GET", f"{PATH}/{made['id']}") == made
    shorter = body | {"reason": "test", "expires_at": "2998-01-01T00:00:00Z"}
    assert await admin.ok("POST", PATH, shorter) == made
    for_good = await admin.ok("POST", PATH, body)
    assert (for_good["id"], for_good["expires_at"]) == (made["id"], None)
    await admin.ok("DELETE", f"{PATH}/{made['id']}")
    assert await rows(admin) == []


async def test_a_time_that_is_over_is_refused(admin):
    """By its place."""
    body = {"channel": "email", "address": "ada@example.com", "expires_at": "2020-01-01T00:00:00Z"}
    problem = await admin.problem("POST", PATH, body)
    assert [one["pointer"] for one in problem["errors"]] == ["#/expires_at"]


async def test_a_list_comes_as_csv(admin):
    """With its columns in any order; a wrong line does not stop the others, and is named by its place."""
    body = "address,channel\nada@example.com,email\nnobody,email\n+447700900123,sms\n,\nbob@example.com,email,too much\n"
    answer = await admin("POST", f"{PATH}/bulk", content=body, headers=CSV)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["accepted"], found["rejected"]) == (2, 2)
    assert [one["index"] for one in found["items"] if "error" in one] == [1, 3]
    assert await rows(admin, channel="sms") == [("sms", "by_caller", "api")]
    problem = await admin.problem("POST", f"{PATH}/bulk", content="chanel,address\n", headers=CSV)
    assert "did you mean channel?" in problem["detail"]


async def test_what_was_exported_can_be_imported_again(admin):
    """By its id, since nobody has the addresses any more; an id and an address together are too much."""
    lines = [
        {"channel": "email", "address": f"{name}@example.com", "reason": "legal", "source": "crm"}
        for name in ("ada", "bob")
    ]
    ndjson = b"\n".join(map(msgspec.json.encode, lines))
    await admin.ok("POST", f"{PATH}/bulk", content=ndjson)
    exported = (await admin.ok("GET", PATH))["items"]
    for one in exported:
        await admin.ok("DELETE", f"{PATH}/{one['id']}")
    names = ("id", "channel", "reason", "source")
    again = [{name: one[name] for name in names} for one in exported]
    again.append(again[0] | {"address": "ada@example.com"})
    answer = await admin.ok("POST", f"{PATH}/bulk", content=b"\n".join(map(msgspec.json.encode, again)))
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert await rows(admin, reason="legal") == [("email", "legal", "crm")] * 2
    found = await admin.ok("POST", f"{PATH}/search", {"channel": "email", "address": "ada@example.com"})
    assert [one["id"] in {one["id"] for one in exported} for one in found["items"]] == [True]

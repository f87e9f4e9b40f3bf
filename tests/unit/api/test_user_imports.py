"""Users from files over HTTP: whatever is wrong with a line, a piece or a process, everybody else is there, once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from clarion.model.ids import Instant, parse_id
from clarion.model.setup import Scope
from clarion.rules.exact import operations as kept
from clarion.services import user_imports
from tests.unit.api.conftest import ACME, OTHER, Api, Installation
from tests.unit.api.test_operations import finished, stopped

CSV = {"content-type": "text/csv"}
NDJSON = {"content-type": "application/x-ndjson"}


async def imported(
    api: Api, content: bytes, query: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The operation of an import, once it is over."""
    answer = await api("POST", f"/v1/users/import{query}", content=content, headers=headers or CSV)
    assert answer.status_code == 202, answer.text
    return await finished(api, answer.headers["location"])


async def begun(api: Api, content: bytes, *, complete: bool = False) -> dict[str, Any]:
    """An import of which the first piece was sent."""
    headers = CSV | {"upload-complete": f"?{int(complete)}"}
    answer = await api("POST", "/v1/users/import", content=content, headers=headers)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def sent(api: Api, operation: dict[str, Any], start: int, content: bytes, last: bool) -> Any:
    """The answer to the next piece."""
    headers = {
        "content-type": "application/partial-upload",
        "upload-offset": str(start),
        "upload-complete": f"?{int(last)}",
    }
    return await api("PATCH", f"/v1/operations/{operation['id']}/file", content=content, headers=headers)


async def test_lines_become_users_and_a_wrong_one_stops_nobody(admin):
    """Each wrong line is told by its number, field and value, and given back as it was."""
    content = b"user_id;email;locale\nada;ada@example.com;en\nbob;nobody;de\ncarl;carl@example.com;fr\n"
    shown = await imported(admin, content)
    assert (shown["kind"], shown["status"]) == ("users.import", "partly_failed")
    assert shown["progress"] == {"done": 2, "failed": 1, "total": 3}
    assert (shown["file"]["delimiter"], shown["file"]["encoding"]) == (";", "utf-8")
    (error,) = shown["errors"]
    assert (error["index"], error["column"], error["value"]) == (3, "email", "nobody")
    assert error["line"] == "bob;nobody;de"
    assert (await admin.ok("GET", "/v1/users/carl"))["locale"] == "fr"
    assert (await admin("GET", "/v1/users/bob")).status_code == 404
    lines = await admin("GET", f"{shown['errors_url']}?lines=true")
    assert lines.content == b"user_id;email;locale\nbob;nobody;de\n"


async def test_a_line_says_topics_contacts_and_consents_too(admin):
    """All of it in one transaction; the consents with when, how and the proof."""
    await admin.ok("PUT", "/v1/categories/news", {"name": "News", "purpose": "newsletter"})
    line = {
        "user_id": "ada",
        "contacts": [{"channel": "email", "address": "ada@example.com", "verified": True}],
        "topics": ["orders.eu", "news"],
        "consents": [
            {
                "purpose": "newsletter",
                "action": "granted",
                "at": "2025-03-01T10:00:00Z",
                "source": "shop",
                "proof": {"ip": "::1"},
            }
        ],
    }
    shown = await imported(admin, json.dumps(line).encode(), headers=NDJSON)
    assert shown["status"] == "succeeded", shown
    members = await admin.ok("GET", "/v1/topics/orders.eu/subscriptions")
    assert [one["user_id"] for one in members["items"]] == ["ada"]
    (consent,) = (await admin.ok("GET", "/v1/users/ada/consents"))["items"]
    assert (consent["source"], consent["at"], consent["proof"]) == (
        "shop",
        "2025-03-01T10:00:00Z",
        {"ip": "::1"},
    )
    rows = "user_id,contacts.email,topics,consents.newsletter.email,consent_source\nbob,b@example.com,news x,granted,fair\n"
    assert (await imported(admin, rows.encode()))["status"] == "succeeded"
    (consent,) = (await admin.ok("GET", "/v1/users/bob/consents"))["items"]
    assert (consent["purpose"], consent["channel"], consent["source"]) == ("newsletter", "email", "fair")
    members = await admin.ok("GET", "/v1/topics/news/subscriptions")
    assert sorted(one["user_id"] for one in members["items"]) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("encoding", "query", "source"),
    [
        ("utf-8", "", "detected"),
        ("utf-16", "", "mark"),
        ("utf-8-sig", "", "mark"),
        ("utf-16-le", "", "detected"),
        ("cp1252", "", "detected"),
        ("shift_jis", "?encoding=shift_jis", "told"),
    ],
)
async def test_any_encoding_is_read_and_reported(admin, encoding, query, source):
    """Told, said by a mark, or detected; names arrive as they were written."""
    name = "東京" if encoding == "shift_jis" else "Jürgen Müller-Lüdenscheidt"
    content = f"user_id,attributes.name\nu1,{name}\n".encode(encoding)
    shown = await imported(admin, content, query)
    assert (shown["status"], shown["file"]["encoding_source"]) == ("succeeded", source)
    assert (await admin.ok("GET", "/v1/users/u1"))["attributes"]["name"] == name


async def test_columns_of_other_names_are_mapped_and_others_left_out(admin):
    """Types are those that the tenant says; a name that is nowhere is refused with the nearest."""
    await admin.ok(
        "PATCH", "/v1/tenant", {"attributes": {"points": {"type": "number"}, "vip": {"type": "boolean"}}}
    )
    rows = b"Id,E-Mail,Points,VIP,Note\nu1,u1@example.com,12,yes,x\n"
    columns = {
        "Id": "user_id",
        "E-Mail": "email",
        "Points": "attributes.points",
        "VIP": "attributes.vip",
        "Note": None,
    }
    query = f"?columns={json.dumps(columns)}"
    assert (await imported(admin, rows, query))["status"] == "succeeded"
    shown = await admin.ok("GET", "/v1/users/u1")
    assert (shown["email"], shown["attributes"]) == ("u1@example.com", {"points": 12, "vip": True})
    wrong = await imported(admin, rows, '?columns={"E-Mial":"email"}')
    assert (wrong["status"], wrong["progress"]["failed"]) == ("failed", 1)
    assert "did you mean E-Mail" in wrong["errors"][0]["error"]["detail"]


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {"content-type": "application/json"}, "unsupported_media_type"),
        ("", {"content-type": "text/plain"}, "unsupported_media_type"),
        ("?encoding=klingon", CSV, "invalid_request"),
        ("?delimiter=ab", CSV, "invalid_request"),
        ("?columns=[1]", CSV, "invalid_request"),
        ("?mode=mrege", CSV, "invalid_request"),
        ("?delimiter=,", NDJSON, "invalid_request"),
        ("", CSV | {"upload-complete": "yes"}, "invalid_request"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_stored(admin, query, headers, code):
    """With the code of the catalogue."""
    answer = await admin("POST", f"/v1/users/import{query}", content=b"user_id\nu1\n", headers=headers)
    assert answer.json()["code"] == code
    assert (await admin.ok("GET", "/v1/operations"))["items"] == []


async def test_replace_says_all_and_merge_only_what_it_names(admin):
    """As PUT and PATCH do."""
    await imported(admin, b"user_id,email,attributes.a,attributes.b\nu1,u1@example.com,1,2\n")
    await imported(admin, b"user_id,attributes.a\nu1,3\n", "?mode=merge")
    assert (await admin.ok("GET", "/v1/users/u1"))["attributes"] == {"a": "3", "b": "2"}
    await imported(admin, b"user_id,attributes.a\nu1,4\n")
    shown = await admin.ok("GET", "/v1/users/u1")
    assert (shown["attributes"], shown["email"]) == ({"a": "4"}, "u1@example.com")


async def test_a_dry_run_shows_the_first_errors_and_what_would_change(admin):
    """And stores nothing."""
    await imported(admin, b"user_id,locale\nu1,en\n")
    content = b"user_id,locale\nu1,de\nu2,fr\nu3,?!\n"
    answer = await admin("POST", "/v1/users/import?dry_run=true", content=content, headers=CSV)
    shown = answer.json()
    assert (answer.status_code, shown["lines"], shown["wrong"], shown["dry_run"]) == (200, 3, 1, True)
    assert [(one["user_id"], one["line"], one["before"] is None) for one in shown["users"]] == [
        ("u1", 2, False),
        ("u2", 3, True),
    ]
    assert (shown["users"][0]["before"]["locale"], shown["users"][0]["after"]["locale"]) == ("en", "de")
    assert shown["errors"][0]["line"] == "u3,?!"
    assert (await admin.ok("GET", "/v1/users/u1"))["locale"] == "en"
    assert len((await admin.ok("GET", "/v1/operations"))["items"]) == 1


async def test_a_file_comes_in_pieces_and_an_upload_that_broke_off_goes_on(admin):
    """Cut anywhere, also inside of a character; a piece that is sent twice is refused, and nothing is doubled."""
    content = "user_id,attributes.name\nu1,Jürgen\nu2,Zoë\n".encode()
    operation = await begun(admin, content[:30])
    assert (operation["status"], operation["file"]["bytes"]) == ("queued", 30)
    assert operation["file"]["upload_url"] == f"/v1/operations/{operation['id']}/file"
    assert (await sent(admin, operation, 30, content[30:35], False)).status_code == 200
    twice = await sent(admin, operation, 30, content[30:35], False)
    assert (twice.status_code, twice.json()["code"]) == (409, "conflict")
    assert "byte 35" in twice.json()["detail"]
    assert (await sent(admin, operation, 35, content[35:], True)).status_code == 200
    shown = await finished(admin, f"/v1/operations/{operation['id']}")
    assert (shown["status"], shown["progress"]["done"]) == ("succeeded", 2)
    assert (await admin.ok("GET", "/v1/users/u2"))["attributes"]["name"] == "Zoë"
    late = await sent(admin, operation, 99, b"x", True)
    assert "complete" in late.json()["detail"]


async def test_nobody_else_adds_to_a_file_or_reads_its_lines(admin, clarion: Installation):
    """Operations of another tenant do not exist."""
    operation = await begun(admin, b"user_id\n")
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await sent(stranger, operation, 8, b"u1\n", True)).status_code == 404
    assert (await stranger("GET", f"/v1/operations/{operation['id']}/errors")).status_code == 404


async def test_a_file_that_is_too_large_is_refused(admin, monkeypatch):
    """Whatever comes in pieces."""
    monkeypatch.setattr(user_imports, "LARGEST_FILE", 15)
    operation = await begun(admin, b"user_id\nu1\n")
    answer = await sent(admin, operation, 11, b"u2\nu3\nu4\n", True)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_canceled_upload_ends_and_its_file_goes(admin, clarion: Installation):
    """What is stored of it is deleted."""
    operation = await begun(admin, b"user_id\nu1\n")
    await admin.ok("POST", f"/v1/operations/{operation['id']}/cancel")
    async with asyncio.timeout(20):
        while (shown := await admin.ok("GET", f"/v1/operations/{operation['id']}"))["file"][  # noqa: ASYNC110 - another task ends it
            "bytes"
        ]:
            await asyncio.sleep(0.01)
    assert (shown["status"], shown["finished_at"] is None) == ("canceled", False)
    assert (await admin("GET", "/v1/users/u1")).status_code == 404


async def test_what_failed_is_tried_again_after_it_was_corrected(admin):
    """Here the tenant's attribute; only the lines that failed, and they keep their numbers."""
    await admin.ok("PATCH", "/v1/tenant", {"attributes": {"size": {"type": "number"}}})
    content = b'{"user_id":"u1"}\n{"user_id":"u2","attributes":{"size":"L"}}\n'
    shown = await imported(admin, content, headers=NDJSON)
    assert (shown["status"], shown["actions"]) == ("partly_failed", ["retry-failed"])
    await admin.ok("PATCH", "/v1/tenant", {"attributes": {"size": {"type": "string"}}})
    await admin.ok("POST", f"/v1/operations/{shown['id']}/retry-failed")
    again = await finished(admin, f"/v1/operations/{shown['id']}")
    assert (again["status"], again["progress"]) == ("succeeded", {"done": 2, "failed": 0, "total": 2})
    assert (await admin.ok("GET", "/v1/users/u2"))["attributes"] == {"size": "L"}


async def test_every_way_in_is_sealed_and_gone_when_it_is_done(admin, clarion: Installation, tmp_path):
    """Neither the file nor a line that failed can be read from the database; the file goes with the end."""
    await stopped(clarion)
    operation = await begun(admin, b"user_id,email\nu1,secret@example.com\nu2,hidden\n", complete=True)
    stored = (tmp_path / "clarion.db").read_bytes() + (tmp_path / "clarion.db-wal").read_bytes()
    assert b"secret@example.com" not in stored
    while not (await clarion.ledger.operations.get(ACME, _id(operation))).finished_at:  # type: ignore[union-attr]
        await clarion.services.operations.round()
    assert await clarion.ledger.files.read(_id(operation), 0) is None
    (error,) = await clarion.ledger.operations.errors(ACME, _id(operation), -1, 10)
    assert b"hidden" not in error.line
    later = Instant(clarion.clock.now() + kept.LINES_KEPT_MS + 1)
    assert await clarion.ledger.files.expire(later, 10) == 1
    (error,) = await clarion.ledger.operations.errors(ACME, _id(operation), -1, 10)
    assert error.line == b""


def _id(operation: dict[str, Any]) -> Any:
    return parse_id(operation["id"])


async def test_a_batch_waits_for_nobody_and_overwrites_nobody(admin, clarion: Installation, monkeypatch):
    """Somebody who is changed while a batch is made is read again."""
    await imported(admin, b"user_id,attributes.a\nu1,1\n")
    find = clarion.ledger.users.find
    changed: list[int] = []

    async def found(tenant, ids):
        users = await find(tenant, ids)
        if "u2" in ids and not changed:
            changed.append(1)
            await admin.ok("PATCH", "/v1/users/u1", {"attributes": {"b": "2"}})
        return users

    monkeypatch.setattr(clarion.ledger.users, "find", found)
    shown = await imported(admin, b"user_id,attributes.a\nu1,3\nu2,4\n", "?mode=merge")
    assert (shown["status"], changed) == ("succeeded", [1])
    assert (await admin.ok("GET", "/v1/users/u1"))["attributes"] == {"a": "3", "b": "2"}


async def test_users_are_exported_and_come_back(admin, clarion: Installation):
    """In both formats, all or those of a condition; whoever imports the file changes nothing."""
    await admin.ok("PATCH", "/v1/tenant", {"attributes": {"plan": {"type": "string", "searchable": True}}})
    rows = "user_id,email,locale,attributes.plan,attributes.note\n"
    rows += "".join(
        f'u{n},u{n}@example.com,de,{"pro" if n % 2 else "free"},"a;""{n}""\nb"\n' for n in range(5)
    )
    await imported(admin, rows.encode())
    before = (await admin.ok("GET", "/v1/users"))["items"]
    for format_, headers in (("csv", CSV), ("ndjson", NDJSON)):
        answer = await admin("POST", "/v1/exports", {"resource": "users", "format": format_})
        shown = await finished(admin, answer.headers["location"])
        assert (shown["status"], shown["progress"]["done"]) == ("succeeded", len(before))
        file = await admin("GET", shown["result_url"])
        assert (await imported(admin, file.content, headers=headers))["status"] == "succeeded"
        now = (await admin.ok("GET", "/v1/users"))["items"]
        strip = lambda users: [{**one, "updated_at": ""} for one in users]  # noqa: E731
        assert strip(now) == strip(before)
    where = {"where": "user.attributes.plan == 'pro'"}
    answer = await admin("POST", "/v1/exports", {"resource": "users", "filter": where})
    shown = await finished(admin, answer.headers["location"])
    file = await admin("GET", shown["result_url"])
    assert [json.loads(line)["user_id"] for line in file.content.splitlines()] == ["u3", "u1"]


async def test_an_export_is_for_admins_and_goes_after_a_day(admin, clarion: Installation):
    """Neither reading keys nor other tenants get it."""
    await imported(admin, b"user_id\nu1\n")
    answer = await admin("POST", "/v1/exports", {"resource": "users"})
    shown = await finished(admin, answer.headers["location"])
    sender = await clarion.client(Scope.SEND)
    assert (await sender("POST", "/v1/exports", {"resource": "users"})).status_code == 403
    assert (await sender("GET", shown["result_url"])).status_code == 403
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await stranger("GET", shown["result_url"])).status_code == 404
    await clarion.ledger.files.expire(Instant(clarion.clock.now() + kept.EXPORT_KEPT_MS + 1), 10)
    assert (await admin("GET", shown["result_url"])).status_code == 404
    assert (await admin.ok("GET", f"/v1/operations/{shown['id']}"))["result_url"] is None

"""The same call under the same key, on every POST there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.api.idempotency import key_of
from clarion.api.problems import RejectedRequest
from clarion.model.setup import Scope
from tests.unit.api.conftest import ACME, OTHER
from tests.unit.api.test_every_operation import OPERATIONS, named, things

POSTS = [(path, one) for path, method, one in OPERATIONS if method == "post"]
KEY = {"idempotency-key": '"k-1"'}
ADA = {"channel": "email", "address": "another@example.com"}


def read(*values: str) -> str:
    """The key of a call with these headers."""
    return key_of([(b"idempotency-key", value.encode("latin-1")) for value in values])


@pytest.mark.parametrize(
    "value",
    ['"k"', "k", '"k"; a=1', '"k";a', '"k" ; a=?1;b="x;y"', "k;a=1", ' "k" ', '"k"; a=1; a=2', '"k";a=1.5'],
)
def test_parameters_and_quotes_are_not_part_of_a_key(value):
    """A structured-field string, or bare: the same key."""
    assert read(value) == "k"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (r'"a\"b\\c"', 'a"b\\c'),
        ('"a b; c=1"', "a b; c=1"),
        ('"a,b"', "a,b"),
        ("order-4711:paid/2", "order-4711:paid/2"),
        ("01980000-0000-7000-8000-000000000000", "01980000-0000-7000-8000-000000000000"),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_what_is_in_quotes_is_the_key(value, key):
    """Escapes are taken out, everything else stays."""
    assert read(value) == key


@pytest.mark.parametrize(
    "value",
    ['"', '"k', 'k"', '""', "", " ", '"k" x', '"k"x', r'"\k"', '"k"; A=1', '"k";', '"k"; =1', "a, b", '"a", "b"',
     '("k")', "kö", '"kö"', "k\tx", '"k\x7f"', "x" * 256, '"' + "x" * 256 + '"', ";a=1", '"k"; a="'],
)  # fmt: skip
def test_a_broken_key_is_refused(value):
    """Never read as some other key."""
    with pytest.raises(RejectedRequest) as refused:
        read(value)
    assert (refused.value.status, refused.value.faults[0].header) == (400, "Idempotency-Key")


def test_two_keys_are_refused_and_none_is_fine():
    """Also when they are the same."""
    assert read() == ""
    with pytest.raises(RejectedRequest, match="twice"):
        read("k", "k")


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_every_printable_string_can_be_a_key(text):
    """Quoted and escaped, it comes back as it was."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert read(f'"{escaped}"; x=1') == text


async def test_every_post_refuses_a_broken_key_and_says_it_takes_one(admin):
    """None is forgotten: the description of each names the header."""
    assert len(POSTS) > 15
    for path, operation in POSTS:
        if operation.get("x-scope") == "operator":
            continue  # refused before the key is looked at
        names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"]
        assert names.count("Idempotency-Key") == 1, path
        for values in (['"k'], ["k", "k"]):
            sent: list[tuple[str, str]] = [("idempotency-key", value) for value in values]
            answer = await admin._http.post(
                named(path), headers=[*sent, ("content-type", "application/json")], content=b"{}"
            )
            if "message/rfc822" not in str(operation.get("requestBody")) or answer.status_code != 200:
                assert answer.status_code in (400, 415), (path, answer.text)


def bodies(names: dict[str, str]) -> dict[str, Any]:
    """Something that succeeds, for routes where a repeat would show."""
    return {
        "/v1/keys": {"name": "theirs", "scope": "read"},
        "/v1/endpoints": {"url": "https://example.com/hook"},
        f"/v1/endpoints/{names['endpoint_id']}/rotate-secret": None,
        "/v1/suppressions": {"channel": "email", "address": "y@example.com"},
        "/v1/users/ada/contacts": ADA,
        "/v1/users/ada/tokens": {"ttl_s": 900},
        "/v1/users/ada/inbox/mark": {"action": "read", "filter": {}},
        "/v1/workflows/order-paid/trigger": {"recipients": ["ada"], "data": {"id": 7}},
        "/v1/events": {"workflow": "order-paid", "recipients": ["ada"], "data": {"id": 8}},
    }


async def test_a_repeat_gets_the_first_answer_and_does_nothing(clarion, admin, ada):
    """Byte by byte, with the header that says so, also where a second call would answer something else."""
    for number, (path, body) in enumerate(bodies(await things(clarion, admin)).items()):
        key = {"idempotency-key": f"same-{number}"}
        first = await admin("POST", path, body, headers=key)
        assert first.is_success, (path, first.text)
        assert "idempotency-replayed" not in first.headers
        again = await admin("POST", path, body, headers={"idempotency-key": f'"same-{number}"; a=1'})
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers.get("etag") == first.headers.get("etag")
        other = await admin.problem("POST", path, {**(body or {}), "x": 1}, headers=key)
        assert (other["status"], other["code"]) in [(422, "idempotency_key_reused"), (400, "invalid_request")]
    assert len((await admin.ok("GET", "/v1/endpoints"))["items"]) == 2


async def test_a_key_belongs_to_one_request(admin, ada):
    """Another body, another path, another query: refused, and nothing happens."""
    await admin.ok("POST", "/v1/users/ada/contacts", ADA, headers=KEY)
    for path, body in (
        ("/v1/users/ada/contacts", {**ADA, "label": "x"}),
        ("/v1/endpoints", {"url": "https://example.com/hook"}),
        ("/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}}),
    ):
        shown = await admin.problem("POST", path, body, headers=KEY)
        assert (shown["status"], shown["code"]) == (422, "idempotency_key_reused"), path
    assert (await admin.ok("GET", "/v1/endpoints"))["items"] == []


async def test_only_successes_are_kept(admin, ada):
    """After an error the call is tried afresh, under the same key and with another body."""
    assert (await admin("POST", "/v1/endpoints", {"url": "ftp://x"}, headers=KEY)).status_code == 400
    assert (await admin("POST", "/v1/users/nobody/contacts", ADA, headers=KEY)).status_code == 404
    first = await admin("POST", "/v1/endpoints", {"url": "https://example.com/hook"}, headers=KEY)
    assert (first.is_success, "idempotency-replayed" in first.headers) == (True, False)


async def test_a_repeat_while_the_first_is_running_is_told_to_wait(clarion, admin, ada, monkeypatch):
    """409 with Retry-After, and the effect happens once."""
    entered, leave = asyncio.Event(), asyncio.Event()
    mark = clarion.ledger.inboxes.matching

    async def slow(*given: Any, **more: Any) -> Any:
        entered.set()
        await leave.wait()
        return await mark(*given, **more)

    monkeypatch.setattr(clarion.ledger.inboxes, "matching", slow)
    body = {"action": "read", "filter": {}}
    first = asyncio.ensure_future(admin("POST", "/v1/users/ada/inbox/mark", body, headers=KEY))
    await entered.wait()
    again = await admin("POST", "/v1/users/ada/inbox/mark", body, headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_in_flight")
    assert again.headers["retry-after"] == "1"
    leave.set()
    assert (await first).status_code == 200
    again = await admin("POST", "/v1/users/ada/inbox/mark", body, headers=KEY)
    assert again.headers["idempotency-replayed"] == "true"


async def test_keys_of_tenants_and_of_people_never_meet(clarion, admin, ada):
    """The same key is another one for another tenant, and for a user's own token."""
    await admin.ok("PUT", "/v1/users/grace", {})
    body = {"action": "read", "filter": {}}
    for client, user, replayed in (
        (await clarion.own("ada"), "ada", False),
        (await clarion.own("grace"), "grace", False),
        (admin, "ada", False),
        (await clarion.client(Scope.ADMIN), "ada", True),
    ):
        answer = await client("POST", f"/v1/users/{user}/inbox/mark", body, headers=KEY)
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, replayed)
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    answer = await stranger("POST", "/v1/keys", {"name": "x", "scope": "read"}, headers=KEY)
    assert (answer.is_success, "idempotency-replayed" in answer.headers) == (True, False)


async def test_who_may_not_make_the_call_does_not_get_its_answer(clarion, admin):
    """The credential comes first."""
    body = {"name": "theirs", "scope": "read"}
    await admin.ok("POST", "/v1/keys", body, headers=KEY)
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("POST", "/v1/keys", body, headers=KEY))["code"] == "forbidden"


async def test_an_answer_is_kept_sealed(clarion, admin):
    """A fresh API key stands in it: nobody reads it in the file."""
    made = await admin.ok("POST", "/v1/keys", {"name": "theirs", "scope": "read"}, headers=KEY)
    held = clarion.ledger.store._local.execute("SELECT answer FROM claims").fetchall()
    assert len(held) == 1
    assert made["key"].encode() not in held[0][0]


async def test_a_returned_mail_handed_in_again_gets_the_same_answer(admin):
    """Also the route that reads no JSON."""
    mail = b"From: a@example.com\r\nSubject: hi\r\n\r\nhello"
    first = await admin("POST", "/v1/inbound/email", content=mail, headers=KEY)
    again = await admin("POST", "/v1/inbound/email", content=mail, headers=KEY)
    assert (first.content, again.headers["idempotency-replayed"]) == (again.content, "true")
    other = await admin("POST", "/v1/inbound/email", content=mail + b"!", headers=KEY)
    assert other.status_code == 422
    assert ACME == 1


async def test_a_dry_run_takes_no_key(admin, ada):
    """It stores nothing, the key included."""
    body = {"recipients": ["ada"], "data": {"id": 1}}
    trigger = "/v1/workflows/order-paid/trigger"
    for path in (f"{trigger}?dry_run=true", f"{trigger}?dry_run=true", trigger):
        answer = await admin("POST", path, body, headers=KEY)
        assert "idempotency-replayed" not in answer.headers

"""CloudEvents over HTTP, as the HTTP protocol binding 1.0.2 has it."""

from __future__ import annotations

from base64 import b64encode

import msgspec
import pytest

from clarion.api import cloudevents
from clarion.api.problems import RejectedRequest

HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "order.paid"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "subject": "ada"}


def read(subject: bytes, *more: tuple[bytes, bytes]) -> str:
    """The subject of a binary event whose header has this value."""
    sent = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    return cloudevents.binary([*sent, (b"ce-subject", subject), *more], b"").subject


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"ada", "ada"),
        (b'"ada"', "ada"),
        (rb'"a\"d\\a"', 'a"d\\a'),
        (b'"zo%C3%AB"', "zoë"),
        (b"zo%c3%ab", "zoë"),
        ("zoë".encode(), "zoë"),
        (b"a%20b", "a b"),
        (b"%61da", "ada"),
        (b"a%2525", "a%25"),
        (b"a%22b", 'a"b'),
        (b"%F0%9F%98%80", "😀"),
        (b'a"b', 'a"b'),
    ],
)
def test_a_header_value_is_unquoted_then_unescaped_once(value, text):
    """Quotes around it are not part of it; what did not need an escape may have one."""
    assert read(value) == text


@pytest.mark.parametrize(
    "value",
    [
        b"%FF",
        b"%C0%A0",
        b"%ED%A0%80",
        b"%F4%90%80%80",
        b"%C3",
        b"\xff",
        b"50% off",
        b"%zz",
        b"%u00e9",
        b'"ada',
        b'"a"b"',
        b"a%00b",
        b"a%0d%0ab",
        b"a%7fb",
        b"a%C2%85b",
        b"",
    ],
)
def test_a_header_value_that_is_no_text_is_refused_by_name(value):
    """Overlong and broken UTF-8, surrogates, broken escapes and quotes, control characters, nothing at all."""
    with pytest.raises(RejectedRequest) as refused:
        read(value)
    assert (refused.value.status, refused.value.faults[0].header) == (400, "ce-subject")
    assert "ce-subject" in refused.value.detail


def test_a_header_that_is_there_twice_is_refused():
    """Nobody guesses which of the two was meant."""
    with pytest.raises(RejectedRequest, match="twice"):
        read(b"ada", (b"ce-subject", b"grace"))


def test_null_attributes_are_unset():
    """All that may be left out may be null."""
    optional = ("subject", "time", "datacontenttype", "dataschema", "data_base64", "traceparent", "myext")
    event = {**EVENT, **dict.fromkeys(optional), "data": {"id": 1}}
    found = cloudevents.structured(msgspec.json.encode(event))
    assert (found.subject, found.time, bytes(found.data)) == ("", None, b'{"id":1}')
    assert bytes(cloudevents.structured(msgspec.json.encode({**EVENT, "data": None})).data) == b"{}"


async def test_the_media_type_decides_on_the_mode(admin, ada):
    """`ce-` headers beside a structured, batched or line-by-line call are ignored, not read instead."""
    misleading = {**HEADERS, "ce-subject": "grace", "ce-type": "nobody.cares"}
    for media_type, body, accepted in (
        ("application/cloudevents+json", msgspec.json.encode({**EVENT, "id": "s"}), 1),
        ("Application/CloudEvents+JSON; charset=UTF-8", msgspec.json.encode({**EVENT, "id": "t"}), 1),
        ("application/cloudevents-batch+json", msgspec.json.encode([{**EVENT, "id": "b"}]), 1),
        ("application/x-ndjson", msgspec.json.encode({**EVENT, "id": "n"}), 1),
    ):
        headers = {**misleading, "content-type": media_type}
        answer = await admin("POST", "/v1/events", content=body, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, accepted), (media_type, answer.text)
    shown = await admin.ok("POST", "/v1/events", {"id": "x"}, headers={**HEADERS, "ce-subject": "ada"})
    assert shown["accepted"] == 1


async def test_two_events_with_broken_ids_are_not_taken_for_one(admin, ada):
    """Both are refused, and nothing is remembered under a replacement character."""
    for broken in ("%FF", "%FE", "%C0%A0"):
        headers = {**HEADERS, "ce-id": f"n-{broken}", "ce-subject": "ada"}
        shown = await admin.problem("POST", "/v1/events", {}, headers=headers)
        assert (shown["status"], shown["errors"][0]["header"]) == (400, "ce-id")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/cloudevents+xml",
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/json; charset=utf-16",
        "application/cloudevents+json; charset=iso-8859-1",
    ],
)
async def test_formats_that_are_not_read_are_refused_by_name(admin, media_type):
    """415 and what is read, whatever `ce-` headers say."""
    headers = {**HEADERS, "content-type": media_type}
    shown = await admin.problem("POST", "/v1/events", content=b"{}", headers=headers)
    assert shown["code"] == "unsupported_media_type"


async def test_types_of_our_own_are_refused_from_outside(admin, ada):
    """In every mode: nobody makes Clarion believe its own reports."""
    ours = "clarion.message.delivered"
    shown = await admin.problem("POST", "/v1/events", {}, headers={**HEADERS, "ce-type": ours})
    assert shown["errors"][0]["header"] == "ce-type"
    shown = await admin.problem("POST", "/v1/events", {**EVENT, "type": ours})
    assert shown["errors"][0]["pointer"] == "#/type"
    answer = await admin("POST", "/v1/events", [{**EVENT, "type": ours}])
    assert answer.status_code == 422


async def test_data_in_base64_is_checked_like_any_other(admin, ada):
    """Its nesting, its encoding, and that it is an object."""
    for data, code in (
        (b'{"a":' * 500 + b"1" + b"}" * 500, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":"\xff"}', "malformed_json"),
        (b"[1]", "invalid_request"),
        (b"", "invalid_request"),
    ):
        event = {**EVENT, "data_base64": b64encode(data).decode()}
        assert (await admin.problem("POST", "/v1/events", event))["code"] == code, data[:20]

"""Reading bodies within limits, whatever they are made of."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.api.request_bodies import check_depth
from clarion.errors import InvalidInput
from tests.unit.api.test_ingest import TRIGGER

LIMIT = 8
MILLIONS = 4 * 1024 * 1024

values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a[]{}"\\/\n ü'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k[{"\\'), inner, max_size=3)
    ),
    max_leaves=30,
)


def depth_of(value: object) -> int:
    """How deeply a value is nested."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def is_too_deep(raw: bytes, limit: int = LIMIT) -> bool:
    """Whether it is refused, for this reason."""
    try:
        check_depth(raw, limit)
    except InvalidInput as refused:
        return refused.code == "too_deep"
    return False


@given(values, st.integers(0, 12))
def test_a_document_is_refused_exactly_when_it_is_deeper_than_the_limit(value, levels):
    """Brackets in strings and names do not count, whatever is escaped around them."""
    for _ in range(levels):
        value = [value]
    assert is_too_deep(json.dumps(value).encode()) == (depth_of(value) > LIMIT)


@pytest.mark.parametrize(
    ("raw", "deep"),
    [
        (b"[" * (MILLIONS // 2) + b"]" * (MILLIONS // 2), True),
        (b'{"a":' * (MILLIONS // 5), True),
        (b"[" + b"[]," * (MILLIONS // 3) + b"[]]", False),
        (b"[" * LIMIT + b"]" * LIMIT + b"[]" * (MILLIONS // 2), False),
        (b"[" + b'"[",' * (MILLIONS // 4) + b"1]", False),
        (b'["' + rb"\"[" * (MILLIONS // 3) + b'"]', False),
        (b'"' + rb"\"" * (MILLIONS // 2) + b"[" * 40, False),
        (b'"' + b"\\" * MILLIONS + b'"' + b"[" * 40, True),
        (b'"' * MILLIONS + b"[" * 40, True),
        (b"]" * MILLIONS + b"[" * 40, False),
        (b'{"' + b"k" * MILLIONS + b'":' + b"[" * 40, True),
        (b"{" + b'"k":[],' * (MILLIONS // 7) + b'"k":0}', False),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else str(value),
)
def test_four_megabytes_of_anything_are_looked_at_once(raw, deep):
    """Brackets, strings, escapes, strings without end, many names, the same name again and again."""
    assert is_too_deep(raw) == deep


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"1e999999", "invalid_request"),
        (b"-1e999999", "invalid_request"),
        (b"9" * 100_000, "invalid_request"),
        (b"NaN", "malformed_json"),
        (b"Infinity", "malformed_json"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b'"\\ud800"', "malformed_json"),
    ],
    ids=lambda value: str(value[:12]),
)
async def test_what_no_program_can_hold_is_refused(admin, ada, raw, code):
    """Numbers beyond every bound, and what is no JSON, at every way in: alone, in a batch, in a line."""
    trigger = b'{"recipients":["ada"],"data":{"a":%s}}' % raw
    json_type = {"content-type": "application/json"}
    shown = await admin.problem("POST", TRIGGER, content=trigger, headers=json_type)
    assert shown["code"] in (code, "invalid_request"), shown
    line = b'{"workflow":"order-paid",' + trigger[1:]
    for content, media_type in ((line, "application/x-ndjson"), (b"[" + line + b"]", "application/json")):
        answer = await admin("POST", "/v1/events", content=content, headers={"content-type": media_type})
        assert answer.status_code in (400, 413, 422), answer.text
    put = b'{"attributes":{"a":%s}}' % raw
    assert (await admin("PUT", "/v1/users/ada", content=put, headers=json_type)).status_code in (400, 413)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, gzip", "nonsense"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", TRIGGER), ("POST", "/v1/events"), ("PUT", "/v1/users/ada"), ("POST", "/v1/inbound/email")],
)
async def test_a_compressed_body_is_refused_by_its_header(admin, coding, method, path):
    """415 and what to do, instead of a riddle about JSON; nothing is unpacked."""
    headers = {"content-type": "application/json", "content-encoding": coding}
    shown = await admin.problem(method, path, content=b"\x1f\x8b", headers=headers)
    assert shown["code"] == "unsupported_media_type"
    assert "compressed" in shown["detail"]


async def test_a_form_is_refused_by_its_type(admin):
    """Multipart and urlencoded bodies are not read anywhere."""
    for media_type in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        for method, path in (("POST", TRIGGER), ("POST", "/v1/events"), ("PUT", "/v1/users/ada")):
            shown = await admin.problem(method, path, content=b"--x", headers={"content-type": media_type})
            assert shown["code"] == "unsupported_media_type", (media_type, path)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("PUT", "/v1/categories/orders", {"critical": "true"}, "#/critical"),
        ("PUT", "/v1/categories/orders", {"critical": 1}, "#/critical"),
        (
            "PUT",
            "/v1/integrations/mail",
            {"channel": "email", "provider": "capture", "weight": "7"},
            "#/weight",
        ),
        ("POST", "/v1/keys", {"name": "x", "scope": "read", "expires_at": 1_900_000_000}, "#/expires_at"),
        ("POST", "/v1/keys", {"name": "x", "scope": "read", "expires_at": "1900000000"}, "#/expires_at"),
        ("POST", "/v1/dead-letters/retry", {"filter": {"since": 5}}, "#/filter/since"),
        ("POST", "/v1/users/ada/tokens", {"ttl_s": "60"}, "#/ttl_s"),
        ("PUT", "/v1/users/ada/preferences", {"channels": {"email": "null"}}, "#/channels/email"),
    ],
)
async def test_a_value_of_another_type_is_refused_however_it_could_be_read(
    admin, ada, method, path, body, pointer
):
    """A text is no number, a number no time and no choice: what was meant is not guessed."""
    problem = await admin.problem(method, path, body)
    assert problem["status"] == 400
    assert problem["errors"][0]["pointer"] == pointer


async def test_a_body_over_every_limit_is_told_the_one_that_counts(admin):
    """Also one that the framework would refuse in its own words."""
    problem = await admin.problem("PUT", "/v1/users/ada", content=b'"' + b"x" * 12_000_000 + b'"')
    assert (problem["status"], problem["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("PUT", "/v1/users/ada/preferences", {"quiet_hours": [{"start": "08:00", "end": "09:00"}] * 101}, "#/quiet_hours"),
        ("PUT", "/v1/categories/orders", {"send_window": [{"start": "08:00", "end": "09:00"}] * 101}, "#/send_window"),
        ("PUT", "/v1/categories/orders", {"caps": [{"limit": 1, "window_s": 60}] * 101}, "#/caps"),
        ("PATCH", "/v1/tenant", {"caps": [{"limit": 1, "window_s": 60}] * 101}, "#/caps"),
        ("PUT", "/v1/workflows/w", {"category": "orders", "steps": [{"key": "a", "template": "b", "to": {"mode": "all", "channels": ["sms"]}}] * 101}, "#/steps"),
    ],
)  # fmt: skip
async def test_what_every_decision_looks_at_has_a_limit(admin, ada, method, path, body, pointer):
    """Forty thousand quiet hours of one user would keep everybody waiting."""
    problem = await admin.problem(method, path, body)
    assert (problem["status"], problem["errors"][0]["pointer"]) == (400, pointer)
    assert "100" in problem["detail"]


@pytest.mark.parametrize("name", ["authorization", "content-type"])
@pytest.mark.parametrize("path", ["/v1/users/search", "/v1/events", TRIGGER])
async def test_who_calls_and_what_is_sent_is_said_once(admin, name, path):
    """Of two credentials none is chosen, also where the other would do."""
    doubled = [
        (name, "Bearer clr_x"),
        ("authorization", f"Bearer {admin.credential}"),
        ("content-type", "text/plain"),
    ]
    answer = await admin._http.post(path, content=b"{}", headers=doubled)
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, name)

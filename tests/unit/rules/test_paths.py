"""One normal form for the path of a request."""

import pytest

from clarion.rules.paths import SLASH, path_of, segments_of


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", ()),
        (b"/v1/users", ("v1", "users")),
        (b"/v1/users/", ("v1", "users")),
        (b"/v1/users/a%2Fb", ("v1", "users", f"a{SLASH}b")),
        (b"/v1/users/a%2fb", ("v1", "users", f"a{SLASH}b")),
        (b"/v1/users/j%C3%BCrgen", ("v1", "users", "jürgen")),
        ("/v1/users/jürgen".encode(), ("v1", "users", "jürgen")),
        (b"/v1/users/x%252fy", ("v1", "users", "x%2fy")),
        (b"/%76%31/users", ("v1", "users")),
        (b"/%2f%2fv1/users", (f"{SLASH}{SLASH}v1", "users")),
        (b"/v1/users;a=b", ("v1", "users;a=b")),
        (b"/V1/Users", ("V1", "Users")),
        (b"/v1/users/...", ("v1", "users", "...")),
        (b"/v1/users/a%5Cb", ("v1", "users", "a\\b")),
    ],
)
def test_a_path_is_decoded_once_segment_by_segment(raw, segments):
    """An escaped slash stays inside its segment, and what was escaped twice is still escaped once."""
    assert segments_of({"path": "ignored", "raw_path": raw}) == segments


@pytest.mark.parametrize(
    "raw",
    [
        b"//v1/users",
        b"///v1/users",
        b"/v1//users",
        b"/v1/users//",
        b"//",
        b"/./v1/users",
        b"/v1/../v1/users",
        b"/v1/users/.",
        b"/%2e/v1/users",
        b"/v1/%2E%2e/v1/users",
        b"/v1\\users",
        b"\\v1/users",
        b"/v1/users%00",
        b"/v1/us\x00ers",
        b"/v1/users%0d%0aX: y",
        b"/v1/users%7f",
        b"/v1/users/%ff",
        b"/v1/users/%C0%AF",
        b"/v1/users/%",
        b"/v1/users/%zz",
        b"/v1/users/%u002f",
        b"/v1/users/%EE%80%80",
        b"v1/users",
        b"*",
        b"",
        b"http://clarion/v1/users",
        b"/v1/users/\xff",
    ],
)
def test_a_path_without_a_normal_form_leads_nowhere(raw):
    """Empty and dot segments, control characters, broken escapes, bytes that are no text."""
    assert segments_of({"path": "*", "raw_path": raw}) is None


def test_a_server_that_keeps_no_raw_path_is_understood():
    """ASGI makes it optional; what was decoded is not decoded again."""
    assert segments_of({"path": "/v1/users/x%2fy"}) == ("v1", "users", "x%2fy")
    assert segments_of({"path": "//v1"}) is None


def test_the_normal_form_is_its_own_normal_form():
    """Whatever reads it again finds the same."""
    for raw in (b"/", b"/v1/users/", b"/%76%31/users"):
        found = segments_of({"path": "", "raw_path": raw})
        assert found is not None
        assert segments_of({"path": path_of(found)}) == found

"""Devices on the command line: the requests that they become."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program
from tests.unit.cli.recorded_calls import RecordedCalls

DEVICE = {
    "device_id": "install-1",
    "user_id": "ada",
    "platform": "android",
    "app": None,
    "token": "token-12345",
    "last_seen_at": "2030-06-01T18:00:00.000Z",
    "last_error": {"reason": "address_gone", "detail": None, "at": "2030-06-01T18:00:00.000Z"},
}


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server."""
    server = RecordedCalls(DEVICE)
    monkeypatch.setattr(client, "connect", lambda *_: server)
    return server.calls


def run(*words: str) -> str:
    done = CliRunner().invoke(program, ["devices", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_device_is_set_changed_and_deleted(asked):
    """Names are parts of the path, whatever is in them."""
    run("set", "ada", "a/b", "--set", "platform=android", "--set", "token=token-12345")
    run("update", "ada", "a/b", "--set", "locale=null", "--if-match", "x7")
    run("delete", "ada", "a/b")
    path = "/v1/users/ada/devices/a%2Fb"
    assert [call[:3] for call in asked] == [
        ("PUT", path, {"platform": "android", "token": "token-12345"}),
        ("PATCH", path, {"locale": None}),
        ("DELETE", path, None),
    ]
    assert "x7" in str(asked[1][3])


def test_a_list_says_when_a_device_was_seen_and_what_was_refused(asked):
    """Of all users or of one; never the token."""
    said = run("list", "--user-id", "ada")
    assert asked == [("GET", "/v1/devices", {"user_id": "ada"})]
    assert "address_gone" in said
    assert "token-12345" not in said


def test_one_device_is_shown_with_all_its_fields(asked):
    """Also the token."""
    assert "token-12345" in run("show", "ada", "install-1")


@pytest.mark.parametrize("verb", ["set", "update"])
def test_a_change_without_a_field_is_refused(asked, verb):
    """Before anything is asked."""
    done = CliRunner().invoke(program, ["devices", verb, "ada", "install-1"])
    assert done.exit_code == 2
    assert asked == []

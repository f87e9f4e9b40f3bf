"""Preferences, their defaults and pages on the command line: the requests that they become."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program
from tests.unit.cli.recorded_calls import RecordedCalls

PAGE = {
    "page": "preferences",
    "url": "https://notify.example/p/abc",
    "expires_at": "2030-06-01T18:00:00.000Z",
}


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server."""
    server = RecordedCalls(PAGE)
    monkeypatch.setattr(client, "connect", lambda *_: server)
    return server.calls


def test_defaults_are_shown_replaced_and_changed(asked, tmp_path):
    """As a whole from a file, or single ones; without a change nothing is asked."""
    file = tmp_path / "defaults.json"
    file.write_text(json.dumps({"quiet_hours": []}))
    for words in (["show"], ["set", str(file)], ["update", "--set", "digest=null", "--if-match", "x7"]):
        done = CliRunner().invoke(program, ["preferences", "defaults", *words])
        assert done.exit_code == 0, done.output
    assert [call[:3] for call in asked] == [
        ("GET", "/v1/preferences"),
        ("PUT", "/v1/preferences", {"quiet_hours": []}),
        ("PATCH", "/v1/preferences", {"digest": None}),
    ]
    assert "x7" in str(asked[2][3])
    assert CliRunner().invoke(program, ["preferences", "defaults", "update"]).exit_code == 2
    assert len(asked) == 3


def test_the_link_of_a_page_is_all_that_is_printed_for_a_script(asked):
    """Until when it changes something goes to the other output."""
    done = CliRunner().invoke(program, ["pages", "create", "a/b"])
    assert done.exit_code == 0, done.output
    assert asked[0][:3] == ("POST", "/v1/users/a%2Fb/pages", {"page": "preferences"})
    assert done.stdout == f"{PAGE['url']}\n"
    assert PAGE["expires_at"] in done.stderr

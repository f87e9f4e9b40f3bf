"""Objects on the command line: KEY is the type and the id."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

SHOWN = {
    "type": "team",
    "object_id": "eu/payments",
    "name": "Payments",
    "channels": {},
    "members": 2,
    "rota": None,
}


@pytest.fixture
def calls(monkeypatch):
    """What was asked of the server."""
    made: list[tuple] = []

    class Server:
        def call(self, method, path, body=None, headers=None):
            made.append((method, path, body))
            return {
                "added": 1,
                "event_id": "0",
                "accepted": 1,
                "created_users": [],
                "warnings": [],
                "id": "0",
            }

        def get(self, path):
            made.append(("GET", path, None))
            return {"user_id": "ada", "until": "2026-01-12T08:00:00Z", "override": False}

        def pages(self, path, limit):
            made.append(("GET", path, limit))
            return [SHOWN if path == "/v1/objects/team" else {"user_id": "ada"}]

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    return made


def run(*words: str) -> str:
    """What is printed."""
    done = CliRunner().invoke(program, [*words])
    assert done.exit_code == 0, done.output
    return done.output


def test_an_object_is_stored_as_it_was_shown_and_found_by_its_type_and_id(calls, tmp_path):
    """Each part of the key is one of the path; an id may hold a slash."""
    file = tmp_path / "team.json"
    file.write_text(json.dumps(SHOWN))
    run("objects", "set", "team/eu/payments", str(file))
    assert "team/eu/payments" in run("objects", "list", "team")
    assert "ada" in run("objects", "members", "team/payments")
    run("objects", "add", "team/payments", "ada")
    run("objects", "remove", "team/payments", "ada")
    assert "ada is on duty until 2026-01-12T08:00:00Z" in run("objects", "on-duty", "team/payments")
    stored: dict[str, object] = {"name": "Payments", "channels": {}, "rota": None}
    assert calls == [
        ("PUT", "/v1/objects/team/eu%2Fpayments", stored),
        ("GET", "/v1/objects/team", 20),
        ("GET", "/v1/objects/team/payments/members", 20),
        ("POST", "/v1/objects/team/payments/members", {"user_ids": ["ada"]}),
        ("DELETE", "/v1/objects/team/payments/members/ada", None),
        ("GET", "/v1/objects/team/payments/on-duty", None),
    ]


def test_objects_are_recipients_and_audiences(calls):
    """Of a trigger, and of a campaign."""
    run("trigger", "alert", "--object", "team/payments")
    run("campaigns", "create", "alert", "--object", "team/payments")
    wanted = {"type": "team", "id": "payments"}
    assert calls[0][2]["recipients"] == [{"object": wanted}]
    assert calls[1][2]["audience"] == {"topic": None, "segment": None, "object": wanted, "user_ids": None}


@pytest.mark.parametrize("words", [("objects", "show", "team"), ("trigger", "alert", "--object", "team")])
def test_a_key_without_an_id_is_refused(calls, words):
    """With an example of one."""
    done = CliRunner().invoke(program, [*words])
    assert (done.exit_code, calls) == (2, [])
    assert "team/payments" in done.output

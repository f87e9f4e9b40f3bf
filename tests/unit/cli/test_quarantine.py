"""`clarion quarantine`: what waits for a person, and what a person says about it."""

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

MAIL = {
    "id": "7", "kind": "email", "why": "no_message", "sender": "Bob <bob@example.org>", "subject": "Re: [x]",
    "integration": None, "error": None, "size_bytes": 812, "created_at": "2026-06-01T10:00:00.000Z",
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server that keeps one mail."""
    calls: list[tuple] = []

    class Server:
        def pages(self, path, limit, **query):
            calls.append(("GET", path, query))
            return iter([MAIL])

        def get(self, path):
            calls.append(("GET", path))
            return MAIL

        def fetch(self, method, path):
            calls.append((method, path))
            return b"From: bob\r\n\r\n\xff"

        def call(self, method, path, body=None):
            calls.append((method, path, body))
            return {"message_id": "m1", "verdict": "hard", "changed": True}

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    return calls


def run(*args: str):
    done = CliRunner().invoke(program, ["quarantine", *args])
    assert done.exit_code == 0, done.output
    return done


def test_mails_are_listed_and_shown(asked):
    """With who wrote them and why they are kept; nothing in a subject is read as markup."""
    assert "Re: [x]" in run("list", "--why", "no_message").output
    assert "size_bytes: 812" in run("show", "7").output
    assert run("show", "7", "--raw").stdout_bytes == b"From: bob\r\n\r\n\xff"
    assert asked == [
        ("GET", "/v1/quarantine", {"why": "no_message", "kind": None}),
        ("GET", "/v1/quarantine/7"),
        ("GET", "/v1/quarantine/7/raw"),
    ]


def test_a_verdict_and_a_deletion_are_handed_on(asked):
    """An id is one segment of the path, whatever is in it."""
    assert "m1: hard" in run("resolve", "7", "--verdict", "hard", "--message-id", "m1").output
    run("delete", "7", "8/9")
    assert asked == [
        ("POST", "/v1/quarantine/7/resolve", {"verdict": "hard", "message_id": "m1"}),
        ("DELETE", "/v1/quarantine/7", None),
        ("DELETE", "/v1/quarantine/8%2F9", None),
    ]

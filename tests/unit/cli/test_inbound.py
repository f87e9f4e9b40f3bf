"""`clarion inbound`: what people wrote, and what a person says about it."""

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

MESSAGE = {
    "id": "7", "channel": "sms", "integration": "texts", "user_id": "ada", "message_id": None, "verdict": "unclear",
    "needs_review": True, "reply": None, "created_at": "2026-06-01T10:00:00.000Z", "reviewed_at": None,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server that keeps one message."""
    calls: list[tuple] = []

    class Server:
        def pages(self, path, limit, **query):
            calls.append(("GET", path, {name: value for name, value in query.items() if value is not None}))
            return iter([MESSAGE])

        def get(self, path):
            calls.append(("GET", path))
            return {**MESSAGE, "text": "don't [stop]"}

        def call(self, method, path, body=None):
            calls.append((method, path, body))
            return {**MESSAGE, "verdict": body["verdict"]}

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    return calls


def run(*args: str):
    done = CliRunner().invoke(program, ["inbound", *args])
    assert done.exit_code == 0, done.output
    return done.output


def test_messages_are_listed_and_shown(asked):
    """Nothing in a text is read as markup."""
    assert "needed" in run("list", "--needs-review", "--channel", "sms")
    run("list", "--reviewed", "--verdict", "help", "--user", "ada")
    assert "don't [stop]" in run("show", "7")
    assert asked == [
        ("GET", "/v1/inbound", {"needs_review": "true", "channel": "sms"}),
        ("GET", "/v1/inbound", {"needs_review": "false", "verdict": "help", "user_id": "ada"}),
        ("GET", "/v1/inbound/7"),
    ]


def test_a_verdict_is_handed_on(asked):
    """An id is one segment of the path, whatever is in it."""
    assert "7/8: opt_out" in run("resolve", "7/8", "--verdict", "opt_out")
    assert asked == [("POST", "/v1/inbound/7%2F8/resolve", {"verdict": "opt_out"})]

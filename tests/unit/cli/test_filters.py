"""The filters of commands on many messages: one set of options for all of them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server."""
    calls: list[tuple] = []

    class Server:
        def call(self, method, path, body=None):
            calls.append((path, body))
            return {"id": "op", "kind": "x"}

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    return calls


@pytest.mark.parametrize("words", [("messages", "cancel"), ("messages", "retry"), ("dead-letters", "retry")])
def test_only_the_filters_that_were_given_are_sent(asked, words):
    """Under the names of the API."""
    given = ["--all", "--workflow", "news", "--user-id", "ada", "--no-wait"]
    done = CliRunner().invoke(program, [*words, *given])
    assert done.exit_code == 0, done.output
    ((path, body),) = asked
    assert path == "/v1/" + "/".join(words)
    assert body["filter"] == {"workflow": "news", "user_id": "ada"}


def test_ids_and_filters_do_not_go_together(asked):
    """Nothing is asked then."""
    done = CliRunner().invoke(program, ["messages", "cancel", "m1", "--status", "queued"])
    assert done.exit_code == 2
    assert asked == []


def test_dead_letters_are_not_filtered_by_event(asked):
    """The API has no such filter there."""
    done = CliRunner().invoke(program, ["dead-letters", "retry", "--all", "--event-id", "e1"])
    assert done.exit_code == 2
    assert asked == []

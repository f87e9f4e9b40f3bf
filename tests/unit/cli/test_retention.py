"""`clarion retention`: how long data is kept, and what a run says it does."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

NONE = {"events": 0, "messages": 0}


class Server:
    """Deletes a part of what is old whenever it is asked how much that is."""

    def __init__(self, *counts: int) -> None:
        self.counts = list(counts)
        self.calls: list[str] = []

    def call(self, method, path, body=None):
        self.calls.append(f"{method} {path}")
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return {"expired": NONE | {"messages": count}}


@pytest.fixture
def pauses(monkeypatch):
    """What is waited between calls."""
    waited: list[float] = []
    monkeypatch.setattr(client, "pause", waited.append)
    return waited


@pytest.fixture
def run(monkeypatch, pauses):
    """Runs the command against a server."""

    def run(server: Server, *words: str) -> str:
        monkeypatch.setattr(client, "connect", lambda *_: server)
        done = CliRunner().invoke(program, ["retention", "run", *words])
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_nothing_to_delete_is_said(run, pauses):
    """And nothing is waited for."""
    assert run(Server(0)).strip() == "Nothing is older than it is kept: nothing to delete."
    assert pauses == []


def test_a_run_waits_until_nothing_is_left(run, pauses):
    """Then it says how many went; how many are left is asked without deleting more."""
    server = Server(1_200, 700, 200, 0)
    shown = run(server)
    assert "1,200 were deleted." in shown
    assert "messages" in shown
    assert "events" not in shown
    assert server.calls[0] == "POST /v1/retention/run?dry_run=false"
    assert {*server.calls[1:]} == {"POST /v1/retention/run?dry_run=true"}
    assert len(pauses) == 3


def test_a_dry_run_says_that_nothing_was_deleted(run):
    """It only counts."""
    server = Server(1_200)
    assert "1,200 would be deleted. Nothing was deleted." in run(server, "--dry-run")
    assert server.calls == ["POST /v1/retention/run?dry_run=true"]


def test_without_waiting_it_says_that_it_goes_on(run):
    """And how to see how far it is."""
    server = Server(1_200)
    shown = run(server, "--no-wait")
    assert "1,200 are being deleted; `clarion retention --dry-run` shows how many are left." in shown
    assert len(server.calls) == 1


def test_a_script_gets_the_numbers(run):
    """As one document, after the end."""
    assert json.loads(run(Server(3, 0), "--json")) == {"expired": NONE | {"messages": 3}}

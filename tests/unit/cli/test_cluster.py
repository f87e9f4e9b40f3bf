"""`clarion cluster`: the processes, for people and for scripts."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program
from tests.unit.cli.recorded_calls import RecordedCalls

FOUND = {
    "processes": [
        {
            "node": "web-1:4711",
            "version": "1.4",
            "roles": ["worker"],
            "lanes": ["critical", "high", "normal", "bulk"],
            "channels": ["email"],
            "status": "draining",
            "started_at": "2026-01-05T12:00:00.000Z",
            "renewed_at": "2026-01-05T12:00:03.000Z",
            "lease_until": "2026-01-05T12:00:18.000Z",
            "plans": ["bulk"],
            "timers": True,
            "held": 1234,
        }
    ],
    "lanes": [{"lane": "bulk", "events": 5, "oldest_at": "2026-01-05T12:00:00.000Z", "messages": 60_000}],
    "versions": ["1.4"],
    "warnings": {"lane critical": "no process works on it"},
}


@pytest.fixture
def server(monkeypatch):
    """A server with one process."""
    found = RecordedCalls(FOUND)
    monkeypatch.setattr(client, "connect", lambda *_: found)
    return found


def test_the_processes_are_a_table_and_warnings_are_said(server):
    """Everything is `all`; what waits is counted."""
    done = CliRunner().invoke(program, ["cluster"])
    assert done.exit_code == 0, done.output
    (row,) = [line.split() for line in done.output.splitlines() if "web-1:4711" in line]
    assert row[:6] == ["web-1:4711", "1.4", "worker", "all", "email", "draining"]
    assert row[-3:] == ["bulk,", "timers", "1,234"]
    assert "60,000" in done.output
    assert "clarion: lane critical: no process works on it" in done.output


def test_scripts_get_what_the_server_says(server):
    """Whole."""
    done = CliRunner().invoke(program, ["cluster", "--json"])
    assert json.loads(done.stdout) == FOUND
    assert server.calls == [("GET", "/v1/cluster")]


def test_a_process_is_asked_to_stop(server):
    """By its name."""
    done = CliRunner().invoke(program, ["cluster", "drain", "web-1:4711"])
    assert done.exit_code == 0, done.output
    assert server.calls == [("POST", "/v1/cluster/drain", {"node": "web-1:4711"}, None)]

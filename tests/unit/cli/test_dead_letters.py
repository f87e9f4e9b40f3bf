"""`clarion dead-letters events` as a table."""

from __future__ import annotations

from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

ONE = {
    "id": 7,
    "event_id": "0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e",
    "workflow": None,
    "lane": "normal",
    "reason": "unreadable",
    "detail": None,
    "created_at": "2030-06-01T18:00:00.000Z",
}


class Server:
    """Answers every list with one event that was set aside."""

    def pages(self, path, limit, **query):
        return iter([ONE])


def test_events_that_could_not_be_planned_are_listed_as_a_table(monkeypatch):
    """Every column is a field of the answer; nothing is written as nothing."""
    monkeypatch.setattr(client, "connect", lambda *chosen: Server())
    done = CliRunner().invoke(program, ["dead-letters", "events"])
    assert done.exit_code == 0, done.exception
    assert "2030-06-01T18:00:00.000Z" in done.output
    assert "None" not in done.output

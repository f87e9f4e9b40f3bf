"""Live resources on the command line: the requests that they become."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program
from tests.unit.cli.recorded_calls import RecordedCalls

LIVE = {
    "key": "order-1",
    "workflow": "order-live",
    "sequence": 7,
    "updated_at": "2030-06-01T18:00:00.000Z",
    "ended_at": None,
}


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask of a server."""
    server = RecordedCalls(LIVE)
    monkeypatch.setattr(client, "connect", lambda *_: server)
    return server.calls


def run(*words: str) -> str:
    done = CliRunner().invoke(program, ["live", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_state_is_set_and_ended(asked):
    """What is not given is left to the server."""
    said = run(
        "set", "a/b", "--workflow", "w", "--to", "ada", "--topic", "fans", "--set", "n=1", "--sequence", "7"
    )
    run("end", "a/b", "--set", "n=2", "--dismiss-at", "2030-06-01T18:00:00Z")
    run("end", "a/b")
    run("delete", "a/b", "--if-match", "x7")
    put, last, end, delete = asked
    assert put[:3] == (
        "PUT",
        "/v1/live/a%2Fb",
        {
            "workflow": "w",
            "recipients": ["ada", {"topic": "fans"}],
            "state": {"n": 1},
            "sequence": 7,
            "stale_at": None,
        },
    )
    assert "7" in said
    assert last[:3] == (
        "POST",
        "/v1/live/a%2Fb/end",
        {"state": {"n": 2}, "sequence": None, "dismiss_at": "2030-06-01T18:00:00Z"},
    )
    assert end[2] == {"state": None, "sequence": None, "dismiss_at": None}
    assert delete[:2] == ("DELETE", "/v1/live/a%2Fb")
    assert "x7" in str(delete[3])


def test_live_resources_are_listed_and_shown(asked):
    """All, those that have ended, or those that go on."""
    assert "order-1" in run("list")
    run("list", "--ended")
    run("list", "--running")
    assert "order-live" in run("show", "order-1")
    assert [call[1:] for call in asked] == [
        ("/v1/live", {}),
        ("/v1/live", {"ended": "true"}),
        ("/v1/live", {"ended": "false"}),
        ("/v1/live/order-1",),
    ]


def test_a_state_without_recipients_is_refused(asked):
    """Before anything is asked."""
    done = CliRunner().invoke(program, ["live", "set", "order-1", "--workflow", "w"])
    assert done.exit_code == 2
    assert asked == []

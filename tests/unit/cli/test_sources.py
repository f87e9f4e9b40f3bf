"""`clarion sources`: what it asks of the server, and how the answers read."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program
from tests.unit.cli.recorded_calls import RecordedCalls

STATUS = {
    "paused": False,
    "position": {"0": "41"},
    "lag": 3,
    "readers": 2,
    "error": "the server is away",
    "updated_at": "2030-06-01T18:00:00Z",
}


def one_record(**more):
    """One record of a test."""
    return {
        "place": "orders/0/41",
        "key": None,
        "outcome": "starts",
        "workflow": None,
        "type": "order.paid",
        "recipients": [{"user_id": "zoe"}, {"topic": "readers"}],
        "messages": [],
        "reason": None,
        "detail": None,
        **more,
    }


def run(monkeypatch, answer, *arguments):
    """The command on a server that answers so; what it said, and what it asked."""
    server = RecordedCalls(answer)
    monkeypatch.setattr(client, "connect", lambda *chosen: server)
    return CliRunner().invoke(program, [*arguments]), server.calls


def test_a_test_reads_as_a_table_and_fails_for_dead_letters(monkeypatch):
    """What each record starts, or why not."""
    message = {
        "user_id": "ada",
        "workflow": "paid",
        "channel": "sms",
        "status": "deferred",
        "reason": "quiet_hours",
    }
    items = [
        one_record(messages=[message], recipients=[]),
        one_record(),
        one_record(outcome="passed_over"),
        one_record(
            outcome="refused", reason="mapping_failed", detail="map.data: column 6: there is no field `id`"
        ),
    ]
    done, calls = run(monkeypatch, {"items": items}, "sources", "test", "orders", "--limit", "4")
    assert done.exit_code == 1
    for said in (
        "sms deferred (quiet_hours)",
        "starts nothing: no workflow listens",
        "passed over",
        "column 6: there is no field `id`",
        "zoe, readers",
        "1 of 4 would become dead letters",
    ):
        assert said in done.output
    assert calls == [("POST", "/v1/sources/orders/test", {"limit": 4}, None)]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("--to", "latest"), {"to": "latest", "send_again": False}),
        (
            ("--to", "2030-06-01T18:00:00Z", "--send-again"),
            {"at": "2030-06-01T18:00:00Z", "send_again": True},
        ),
        (
            ("--position", "0=41", "--position", "1=7"),
            {"position": {"0": "41", "1": "7"}, "send_again": False},
        ),
    ],
)
def test_a_source_is_rewound(monkeypatch, arguments, body):
    """To an end, a time or a place; it says how far it is then."""
    done, calls = run(monkeypatch, STATUS, "sources", "rewind", "orders", *arguments)
    assert done.exit_code == 0, done.output
    assert calls == [("POST", "/v1/sources/orders/rewind", body, None)]
    for said in ("running", "waiting: 3", "0=41", "the server is away"):
        assert said in done.output


def test_a_rewind_says_where_to(monkeypatch):
    """Not nowhere, nor to two places."""
    for arguments in ((), ("--to", "latest", "--position", "0=1")):
        done, calls = run(monkeypatch, STATUS, "sources", "rewind", "orders", *arguments)
        assert (done.exit_code, calls) == (2, [])


def test_dead_records_are_done_again_or_discarded(monkeypatch):
    """All of a source, or those that are named; what is refused again is told."""
    answer = {
        "retried": 1,
        "discarded": 1,
        "refused": [{"id": "7", "reason": "not_found", "detail": "no workflow"}],
    }
    done, calls = run(monkeypatch, answer, "dead-letters", "retry-records", "--all", "--origin", "orders")
    assert done.exit_code == 1
    assert "7: not_found: no workflow" in done.output
    assert calls[0][1:3] == ("/v1/dead-letters/records/retry", {"all": True, "origin": "orders"})
    done, calls = run(monkeypatch, answer, "dead-letters", "discard-records", "7")
    assert (done.exit_code, calls[0][2]) == (0, {"ids": ["7"]})
    done, calls = run(monkeypatch, answer, "dead-letters", "discard-records")
    assert (done.exit_code, calls) == (2, [])


def test_an_outbox_is_printed_as_sql():
    """For psql, mysql or a migration; a name that SQL would understand otherwise is refused."""
    done = CliRunner().invoke(program, ["sources", "outbox", "--table", "app.told", "--reader", "somebody"])
    assert "CREATE TABLE app.told (" in done.output
    assert done.output.endswith("GRANT SELECT, DELETE ON app.told TO somebody;\n")
    mysql = CliRunner().invoke(program, ["sources", "outbox", "--kind", "mysql", "--reader", "somebody"])
    assert "ENGINE = InnoDB" in mysql.output
    assert mysql.output.endswith("GRANT SELECT, DELETE ON clarion_outbox TO somebody;\n")
    refused = CliRunner().invoke(program, ["sources", "outbox", "--reader", "a; DROP TABLE b"])
    assert refused.exit_code == 2
    assert "--reader" in refused.output

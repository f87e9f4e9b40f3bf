"""`clarion integrations test`: one message, followed to its receipt in the terminal."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

CALLBACK = "https://notify.example/v1/callbacks/sms/token"
PLANNED = {
    "at": "2026-05-04T10:00:00.010Z",
    "status": "queued",
    "reason": None,
    "attempt": 0,
    "integration": None,
    "outcome": None,
    "provider_id": None,
    "took_ms": None,
    "detail": None,
    "due_at": None,
}
SENT = PLANNED | {
    "at": "2026-05-04T10:00:01.250Z",
    "status": "sent",
    "attempt": 1,
    "integration": "sms",
    "outcome": "accepted",
    "provider_id": "SM1",
    "took_ms": 250,
}
DELIVERED = PLANNED | {"at": "2026-05-04T10:00:04Z", "status": "delivered", "outcome": "delivered"}
BOUNCED = DELIVERED | {
    "status": "undelivered",
    "reason": "unreachable",
    "outcome": "undelivered",
    "detail": "30003",
}
REFUSED = SENT | {
    "status": "rejected",
    "reason": "provider_rejected",
    "outcome": "rejected",
    "provider_id": None,
}
PUT_OFF = PLANNED | {"status": "deferred", "reason": "circuit_open", "due_at": "2026-05-04T10:01:00Z"}


def message(*timeline: dict) -> dict:
    """What the API shows of it after these changes."""
    last = timeline[-1]
    return {
        "id": "m1",
        "created_at": "2026-05-04T10:00:00Z",
        "status": last["status"],
        "reason": last["reason"],
        "timeline": list(timeline),
    }


class Server:
    """Answers with one state after the other, and keeps to the last."""

    def __init__(self) -> None:
        self.looks: list[dict | Exception | type[BaseException]] = []
        self.callback_url: str | None = CALLBACK
        self.asked: dict = {}

    def call(self, method, path, body):
        self.asked = {"path": path, **body}
        return {"event_id": "e1", "message_id": "m1", "user_id": "ada", "callback_url": self.callback_url}

    def get(self, path):
        assert path == "/v1/messages/m1"
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, dict):
            return look
        raise look


@pytest.fixture
def server(monkeypatch):
    """A server, and a wait that costs no time."""
    one = Server()
    monkeypatch.setattr(client, "connect", lambda *_: one)
    monkeypatch.setattr(client, "pause", lambda seconds: None)
    return one


def run(*words: str, code: int = 0):
    done = CliRunner().invoke(program, ["integrations", "test", "sms", *words])
    assert done.exit_code == code, done.output
    return done


def test_a_message_is_followed_from_its_acceptance_to_its_receipt(server):
    """Each step once, each with its time; the call began when the outcome came less what it took."""
    unplanned = client.Answered(404, "not_found", "There is no message m1.")
    server.looks = [
        unplanned,
        message(PLANNED),
        message(PLANNED, SENT),
        message(PLANNED, SENT),
        message(PLANNED, SENT, DELIVERED),
    ]
    lines = run("--to", "+4915112345678").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["accepted", "planned", "called", "outcome", "receipt"]
    assert [line.split()[0][6:] for line in lines] == ["00.000", "00.010", "01.000", "01.250", "04.000"]
    assert lines[2].endswith("called    attempt 1")
    assert lines[3].endswith("accepted after 250 ms, provider id SM1: sent")
    assert server.asked == {
        "path": "/v1/integrations/sms/test",
        "to": "+4915112345678",
        "user_id": None,
        "template": None,
    }


def test_a_provider_that_reports_nothing_is_done_when_it_has_accepted(server):
    """Nobody waits for a receipt that never comes."""
    server.callback_url = None
    server.looks = [message(PLANNED, SENT)]
    assert "reports nothing more" in run("--user-id", "ada").stderr


@pytest.mark.parametrize(
    ("timeline", "step", "said"),
    [
        ((PLANNED, SENT, BOUNCED), "receipt", "undelivered (unreachable): 30003"),
        ((PLANNED, REFUSED), "outcome", "rejected (provider_rejected)"),
        ((PLANNED | {"status": "suppressed", "reason": "suppressed_address"},), "planned", "suppressed"),
    ],
)
def test_a_message_that_did_not_arrive_is_exit_code_1(server, timeline, step, said):
    """Whether it was not sent, refused, or reported lost."""
    server.looks = [message(*timeline)]
    done = run("--user-id", "ada", code=1)
    assert done.stdout.splitlines()[-1].split()[1] == step
    assert said in done.stdout
    assert f"The message is {timeline[-1]['status']}" in done.stderr


def test_no_receipt_in_time_says_where_the_provider_must_report_to(server, monkeypatch):
    """Exit code 3; the message goes on by itself."""
    passed_s = iter(range(0, 100, 5))
    monkeypatch.setattr("clarion.adapters.system.SystemClock.monotonic", lambda self: next(passed_s))
    server.looks = [message(PLANNED, SENT)]
    said = run("--user-id", "ada", "--timeout", "10", code=3).stderr
    assert "No receipt within 10 s: the message is sent." in said
    assert CALLBACK in said
    assert "clarion messages show m1" in said


def test_a_message_that_waits_says_why(server, monkeypatch):
    """With the time of the next try."""
    passed_s = iter(range(0, 100, 5))
    monkeypatch.setattr("clarion.adapters.system.SystemClock.monotonic", lambda self: next(passed_s))
    server.looks = [message(PLANNED, PUT_OFF)]
    done = run("--user-id", "ada", "--timeout", "1", code=3)
    assert "waits" in done.stdout
    assert "circuit_open" in done.stdout
    assert "2026-05-04T10:01:00Z" in done.stdout


def test_interrupted_it_says_what_is_left(server):
    """The message goes on; Ctrl-C ends the watching only."""
    server.looks = [KeyboardInterrupt]
    said = run("--user-id", "ada", code=130).stderr
    assert "goes on without this command" in said
    assert "clarion messages cancel m1" in said


def test_a_script_gets_the_message_as_json(server):
    """One document on standard output, nothing beside it."""
    server.looks = [message(PLANNED, SENT, DELIVERED)]
    done = run("--user-id", "ada", "--set", "name=Ada", "--template", "hello", "--json")
    assert json.loads(done.stdout) == message(PLANNED, SENT, DELIVERED)
    assert (server.asked["template"], server.asked["data"]) == ("hello", {"name": "Ada"})


@pytest.mark.parametrize("words", [(), ("--to", "a@b.example", "--user-id", "ada")])
def test_exactly_one_recipient_is_named(server, words):
    """Nothing is sent else."""
    run(*words, code=2)
    assert server.asked == {}

"""`clarion stats`: how many messages ended how."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clarion.cli import client
from clarion.cli.main import program

STATS = {
    "rows": [{"keys": {"day": "2026-05-04", "reason": None}, "values": {"messages": 1200}}],
    "as_of": "2026-05-04T10:00:00.000Z",
}


@pytest.fixture
def asked(monkeypatch):
    """What was asked of a server that has counted something."""
    calls: list[dict] = []

    class Server:
        def get(self, path, **query):
            calls.append(query)
            return STATS if query["since"] is None else {**STATS, "rows": []}

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    return calls


def run(*words: str) -> str:
    done = CliRunner().invoke(program, ["stats", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_numbers_are_a_table_with_a_column_for_each_key(asked):
    """What has no reason leaves its cell empty."""
    shown = run("--by", "day,reason")
    assert asked == [{"metrics": "messages", "by": "day,reason", "since": None, "until": None}]
    assert "reason" in shown
    assert "1,200" in shown
    assert "None" not in shown


def test_a_script_gets_the_answer(asked):
    """As it came."""
    assert json.loads(run("--json")) == STATS


def test_where_nothing_was_counted_that_is_said(asked):
    """Instead of an empty table."""
    assert "Nothing found." in run("--since", "2030-01-01T00:00:00Z")


def test_costs_are_a_table_of_calls_and_money(asked):
    """Each currency has its own row."""
    costs = [
        {
            "keys": {"country": "LV"},
            "values": {"messages": None, "calls": 1200, "cost": {"amount": "90.00", "currency": "EUR"}},
        }
    ]
    asked.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(STATS, "rows", costs)
        shown = run("--metrics", "cost", "--by", "country")
    assert asked == [{"metrics": "cost", "by": "country", "since": None, "until": None}]
    assert all(text in shown for text in ("LV", "1,200", "90.00 EUR"))

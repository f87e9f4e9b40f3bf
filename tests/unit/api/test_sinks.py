"""Sinks over HTTP: stored with their secrets hidden, tried, resumed, rewound; and their dead letters."""

from __future__ import annotations

import json
import re

import pytest

from clarion.plugins import sinks
from tests.architecture.source_tree import ROOT
from tests.unit.api.test_sources import until

SINK = {"kind": "memory", "connection": {"password": "s3cret"}, "types": ["clarion.message.*"]}
PAGE = (ROOT / "docs/how-to/events-out.md").read_text(encoding="utf-8")


async def notify(admin) -> None:
    """Send something to ada."""
    body = {"recipients": ["ada"], "data": {"id": "A-1"}}
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", body)


async def test_a_sink_is_stored_and_its_secret_never_shown(admin, clarion):
    """It is paused until somebody resumes it; a mask that is sent back keeps the secret."""
    stored = await admin.ok("PUT", "/v1/sinks/warehouse", SINK)
    assert (stored["paused"], stored["connection"]) == (True, {"password": "********"})
    assert await admin.ok("PUT", "/v1/sinks/warehouse", stored) == stored
    (kept,) = clarion.ledger.setup.sinks.all(1).values()
    assert kept.connection == {"password": "s3cret"}
    changed = await admin.ok("PATCH", "/v1/sinks/warehouse", {"where": "data.channel == 'sms'"})
    assert (await admin.ok("GET", "/v1/sinks"))["items"] == [changed]
    await admin.ok("DELETE", "/v1/sinks/warehouse")
    assert (await admin.problem("GET", "/v1/sinks/warehouse"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"kind": "memry"}, "#/kind", "Did you mean 'memory'?"),
        ({"connection": {"passwort": "s3cret"}}, "#/connection/passwort", "password"),
        ({"types": ["clarion.message.delivred"]}, "#/types/0", "clarion.message.delivered"),
        ({"where": "data.channel ="}, "#/where", "column 14"),
    ],
)
async def test_a_sink_that_cannot_work_is_refused(admin, change, pointer, said):
    """With the field that is wrong, the nearest name, and no secret."""
    problem = await admin.problem("PUT", "/v1/sinks/warehouse", {**SINK, **change})
    assert pointer in [one["pointer"] for one in problem["errors"]]
    assert said in json.dumps(problem)
    assert "s3cret" not in json.dumps(problem)


async def test_a_sink_is_tried_resumed_and_rewound(admin, clarion, ada):
    """What happens from then on is written; a rewind writes the same events again."""
    await admin.ok("PUT", "/v1/sinks/warehouse", SINK)
    await notify(admin)
    before = await admin.ok("GET", "/v1/sinks/warehouse/status")
    assert (before["paused"], before["updated_at"], before["error"]) == (True, None, None)

    async def shown() -> bool:
        return len((await admin.ok("POST", "/v1/sinks/warehouse/test", {}))["items"]) >= 6

    await until(shown)
    assert clarion.receiver.events == []
    await admin.ok("POST", "/v1/sinks/warehouse/resume")
    await admin.ok("POST", "/v1/sinks/warehouse/rewind", {"to": "earliest"})

    async def written() -> bool:
        return len(clarion.receiver.events) >= 6

    await until(written)
    assert (await admin.ok("POST", "/v1/sinks/warehouse/pause"))["paused"] is True
    status = await admin.ok("POST", "/v1/sinks/warehouse/rewind", {"at": "1999-01-01T00:00:00Z"})
    assert (status["paused"], status["error"]) == (True, None)
    problem = await admin.problem("POST", "/v1/sinks/warehouse/rewind", {})
    assert problem["detail"] == "send one of `to` and `at`."
    clarion.receiver.trouble = "the receiver is away"
    assert (await admin.problem("POST", "/v1/sinks/warehouse/test", {}))["code"] == "unavailable"


async def test_dead_letters_of_events_are_written_again(admin, clarion, ada):
    """Those that are refused again stay, with the reason."""
    clarion.receiver.refused["clarion.message.queued"] = "too large"
    await admin.ok(
        "PUT", "/v1/sinks/warehouse", {**SINK, "paused": False, "types": ["clarion.message.queued"]}
    )
    await admin.ok("POST", "/v1/sinks/warehouse/rewind", {"to": "earliest"})
    await notify(admin)

    async def dead() -> bool:
        return len((await admin.ok("GET", "/v1/dead-letters/records?kind=sink_event"))["items"]) >= 2

    await until(dead)
    chosen = {"all": True, "kind": "sink_event"}
    answer = await admin.ok("POST", "/v1/dead-letters/records/retry", chosen)
    assert answer["retried"] == 0
    assert {one["detail"] for one in answer["refused"]} == {"too large"}
    assert (await admin.ok("POST", "/v1/dead-letters/records/retry?dry_run=true", chosen))["refused"] == []
    clarion.receiver.refused.clear()
    assert (await admin.ok("POST", "/v1/dead-letters/records/retry", chosen))["retried"] >= 2


@pytest.mark.parametrize("block", re.findall(r"```json\n(\{\n  \"kind\".*?)```", PAGE, re.DOTALL))
async def test_the_documented_sinks_are_accepted(admin, clarion, block):
    """By their real kinds, which reach nobody for that."""
    clarion.services.sinks.kinds = sinks()
    sink = json.loads(block)
    stored = await admin.ok("PUT", "/v1/sinks/documented", sink)
    assert stored["kind"] == sink["kind"]


def test_every_kind_is_documented():
    """With its settings."""
    assert [name for name in sinks() if f"`{name}`" not in PAGE] == []

"""The metrics page: every number of every part, named as Prometheus wants it."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clarion.adapters.telemetry.prometheus import METRICS, Metrics
from tests.architecture.source_tree import ROOT


async def page(**parts) -> str:
    metrics = Metrics()
    for name, numbers in parts.items():
        metrics.add(name, numbers.copy)
    return (await metrics.render(""))[0].decode()


async def test_dotted_names_become_labels():
    """Channel, status and reason are labels of one counter, not parts of its name."""
    shown = await page(
        pipeline={"settled.email.sent.": 3, "settled.sms.failed.template_error": 1, "accepted": 4}
    )
    assert 'clarion_message_status_changes_total{channel="email",reason="",status="sent"} 3.0' in shown
    assert (
        'clarion_message_status_changes_total{channel="sms",reason="template_error",status="failed"} 1.0'
        in shown
    )
    assert "clarion_events_accepted_total 4.0" in shown


async def test_a_label_value_may_contain_dots():
    """An integration's key is the tenant's choice."""
    shown = await page(pipeline={"circuit.1.smtp.eu-1": 2})
    assert 'clarion_integration_circuit{integration="1.smtp.eu-1"} 2.0' in shown


async def test_numbers_nobody_described_are_shown_all_the_same():
    """A new counter of a part is never lost; what is not a number is left out."""
    shown = await page(store={"pages": 7, "path": "/x", "none": None})
    assert "clarion_store_pages 7.0" in shown
    assert "path" not in re.sub(r"python_\w+", "", shown)


async def test_the_page_is_read_anew_at_every_scrape():
    """Nothing is copied before somebody asks."""
    metrics, numbers = Metrics(), {"accepted": 1}
    metrics.add("pipeline", lambda: numbers)
    assert b"clarion_events_accepted_total 1.0" in (await metrics.render(""))[0]
    numbers["accepted"] = 2
    assert b"clarion_events_accepted_total 2.0" in (await metrics.render(""))[0]


async def test_prometheus_can_parse_it():
    """Types and help included."""
    shown = await page(pipeline={"accepted": 1, "in_flight.normal.email": 2}, gateway={"closed_slow": 1})
    families = {family.name: family for family in text_string_to_metric_families(shown)}
    assert families["clarion_events_accepted"].type == "counter"
    assert families["clarion_messages_in_flight"].type == "gauge"
    assert families["clarion_gateway_closed"].samples[0].labels == {"reason": "slow"}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
async def test_names_follow_the_conventions_and_are_documented(metric):
    """One prefix, plain words, `_total` on what only grows, and a line in the reference."""
    assert re.fullmatch(r"clarion(_[a-z]+)+", metric.name)
    assert metric.help.endswith(".")
    assert not {"user", "email", "address", "message_id"} & set(metric.labels)
    reference = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {labels} | {metric.help} |" in reference

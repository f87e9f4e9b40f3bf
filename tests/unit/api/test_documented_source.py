"""What `docs/how-to/use-your-own-topic.md` shows can be stored, and does what the page says."""

from __future__ import annotations

import json
import re

from clarion.plugins import formats, sources
from tests.architecture.source_tree import ROOT

PAGE = (ROOT / "docs/how-to/use-your-own-topic.md").read_text(encoding="utf-8")
RECORD, SOURCE = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[:2])


async def test_the_documented_source_is_accepted(admin, clarion):
    """By its real kind, which reaches nobody for that."""
    clarion.services.sources.kinds = sources()
    stored = await admin.ok("PUT", "/v1/sources/orders", SOURCE)
    assert stored["paused"] is True
    assert "secret" not in stored["connection"].values()


async def test_the_documented_record_starts_the_documented_workflow(admin, clarion, ada):
    """And one with another status is passed over."""
    clarion.topic.publish(json.dumps(RECORD).encode(), key="ada")
    clarion.topic.publish(json.dumps({**RECORD, "status": "open"}).encode(), key="ada")
    await admin.ok("PUT", "/v1/sources/orders", {**SOURCE, "kind": "memory", "connection": {}})
    starts, passed = (await admin.ok("POST", "/v1/sources/orders/test", {}))["items"]
    assert (starts["outcome"], starts["workflow"], starts["recipients"]) == ("starts", "order-paid", ["ada"])
    assert passed["outcome"] == "passed_over"


def test_every_kind_is_documented_with_its_settings():
    """In the table of kinds."""
    table = PAGE.split("| `kind` | reads |")[1].split("\n\n")[0]
    rows = {row.split("`")[1]: row for row in table.splitlines() if row.startswith("| `")}
    for name, plugin in sources().items():
        missing = [field for field in plugin.config.__struct_fields__ if f"`{field}`" not in rows[name]]
        assert missing == [], name


def test_every_format_is_documented():
    """In the table of formats."""
    assert [name for name in formats() if f"| `{name}` |" not in PAGE] == []

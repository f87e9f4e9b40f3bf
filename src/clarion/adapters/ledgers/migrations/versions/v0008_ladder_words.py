"""Ladders list their `channels`, and what waits in one has another reason: in workflows, messages and explanations."""

from typing import Any

import msgspec
from alembic import op

revision = "0008"
down_revision = "0007"

_REASONS = {"waiting_for_rung": "waiting_for_earlier_channel", "first_rung": "first_channel"}
_AT_ONCE = 1_000


def upgrade() -> None:
    """Stored words get their new names."""
    connection = op.get_bind()
    for statement in (
        "UPDATE messages SET reason = 'waiting_for_earlier_channel' WHERE reason = 'waiting_for_rung'",
        "UPDATE changes SET reason = 'waiting_for_earlier_channel' WHERE reason = 'waiting_for_rung'",
    ):
        connection.exec_driver_sql(statement)
    workflows = "SELECT tenant, key, version, body FROM documents WHERE shelf = 'workflow'"
    for *place, body in connection.exec_driver_sql(workflows).fetchall():
        connection.exec_driver_sql(
            "UPDATE documents SET body = ? WHERE shelf = 'workflow' AND tenant = ? AND key = ? AND version = ?",
            (_workflow(body), *place),
        )
    page = """
        SELECT id, explanation FROM runs WHERE id > ? AND (
            instr(explanation, CAST('waiting_for_rung' AS BLOB)) OR instr(explanation, CAST('first_rung' AS BLOB))
        ) ORDER BY id LIMIT ?
    """
    last = b""
    while found := connection.exec_driver_sql(page, (last, _AT_ONCE)).fetchall():
        last = found[-1][0]
        for run, explanation in found:
            connection.exec_driver_sql(
                "UPDATE runs SET explanation = ? WHERE id = ?", (_explanation(explanation), run)
            )


def _workflow(body: bytes) -> bytes:
    document = msgspec.json.decode(body)
    for step in document.get("steps", ()):
        if "rungs" in step["to"]:
            step["to"]["channels"] = step["to"].pop("rungs")
    return msgspec.json.encode(document)


def _explanation(packed: bytes) -> bytes:
    plans: list[dict[str, Any]] = msgspec.msgpack.decode(packed)
    for plan in plans:
        for verdict in (plan, *plan.get("verdicts", ())):
            verdict["reason"] = _REASONS.get(verdict.get("reason"), verdict.get("reason"))
            if "rung" in (inputs := verdict.get("inputs", {})):
                inputs["place"] = inputs.pop("rung")
    return msgspec.msgpack.encode(plans)

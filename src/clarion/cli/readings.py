"""How far sources and sinks have come, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENDS = ("earliest", "latest")
"""Where to go on, in words."""


def place(to: str) -> dict[str, Any]:
    """Where to go on: an end, or else a time."""
    return {"to": to} if to in ENDS else {"at": to}


def show(status: Mapping[str, Any], own: Mapping[str, str], *, json: bool) -> None:
    """The status, with fields that only its kind has."""
    from clarion.cli import output

    if json:
        output.as_json(status)
        return
    output.field("state", "paused" if status["paused"] else "running")
    for name, value in own.items():
        output.field(name, value)
    output.field("as of", output.clock(status["updated_at"]) or "never")
    if status["error"]:
        output.field("error", status["error"])

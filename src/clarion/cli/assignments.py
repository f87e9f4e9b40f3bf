"""`NAME=VALUE` on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer


def assigned(pairs: Iterable[str]) -> dict[str, Any]:
    """The values by name. A value that is JSON is taken as such, everything else is text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        values[name] = _value(value)
    return values


def _value(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text

"""A document in a file: JSON, TOML when its name ends in `.toml`, or JSON on standard input for `-`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def read(file: str) -> dict[str, Any]:
    """The object in the file. Raises BadParameter that says what is wrong, and where."""
    import sys
    import tomllib

    from clarion.rules.text_lines import text_of

    try:
        text = text_of(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
        return tomllib.loads(text) if file.endswith(".toml") else json_object(text, file)
    except OSError as wrong:
        raise typer.BadParameter(f"{file}: {(wrong.strerror or 'cannot be read').lower()}") from None
    except (ValueError, RecursionError) as wrong:
        raise typer.BadParameter(f"{file}: {wrong}") from None


def json_object(text: str, place: str) -> dict[str, Any]:
    """The JSON object in `text`, which came from `place`."""
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
        raise typer.BadParameter(f"{place}: not a JSON object ({wrong})") from None

"""Data on the command line: as one JSON document, and `NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

EventData = Annotated[
    str | None, typer.Option("--data", help="All data as one JSON object; @FILE reads a file.")
]


def event_data(text: str | None, pairs: Iterable[str]) -> dict[str, Any]:
    """The object in `text`, or in the file it names, with the given values in it."""
    from clarion.cli import document_file

    data = {}
    if text is not None:
        data = (
            document_file.read(text[1:])
            if text.startswith("@")
            else document_file.json_object(text, "--data")
        )
    return data | assigned(pairs)


def assigned(pairs: Iterable[str]) -> dict[str, Any]:
    """The values by name. A value that is JSON is taken as such, everything else is text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        values[name] = value_of(value)
    return values


def value_of(text: str) -> Any:
    """What a text says as JSON, else the text."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text

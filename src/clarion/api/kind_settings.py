"""The `connection` of a source or a sink: the settings of its kind, with secrets that are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from clarion.api import secret_fields
from clarion.api.references import unknown_in
from clarion.errors import ConfigError, InvalidInput, UnknownReference
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.ports.provider import ProviderTools
from clarion.ports.sink import SinkPlugin
from clarion.ports.source import SourcePlugin

T = TypeVar("T")


def named_in(field: str, name: str, there: Mapping[str, T]) -> T:
    """What a field names. Raises UnknownReference with the nearest."""
    if name not in there:
        advice = f"There are {', '.join(sorted(there))}."
        raise UnknownReference(unknown_in(field, [(name, f"#/{field}")], there, advice))
    return there[name]


def unmasked(
    sent: Source | Sink, stored: Source | Sink | None, kind: SourcePlugin | SinkPlugin
) -> dict[str, Any]:
    """The connection that was sent, with the secrets that are stored of the same kind."""
    known = stored.connection if stored is not None and stored.kind == sent.kind else {}
    return secret_fields.unmasked(sent.connection, known, kind.secrets, "connection")


def require_usable(
    connection: Mapping[str, Any], kind: SourcePlugin | SinkPlugin, tools: ProviderTools
) -> None:
    """Raises InvalidInput where settings cannot work. Nobody is reached."""
    settings = secret_fields.check(connection, kind.config, "connection", kind.title)
    try:
        kind.open(settings, tools)
    except ConfigError as wrong:
        raise not_connected(wrong) from None


def not_connected(wrong: ConfigError) -> InvalidInput:
    """The settings cannot work, as was found out by trying them."""
    return InvalidInput(f"{wrong.detail}.", pointer=f"#/connection{(wrong.pointer or '#')[1:]}")

"""How the records of a source are written. A format is one file plus one entry-point line in the group
`clarion.formats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from clarion.ports.provider import ProviderTools
from clarion.ports.source import SourceRecord


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says."""

    data: Any
    """As JSON would have it: texts, numbers, lists and maps."""
    event: Mapping[str, Any] = {}
    """The attributes of the CloudEvent, if it is one."""


class RecordFormat(Protocol):
    """Reads the records of one source."""

    async def prepare(self, records: Sequence[SourceRecord]) -> None:
        """Fetch what is needed to read these, such as schemas. Raises Unavailable; what cannot be had at all is said
        by `decode`."""

    def decode(self, record: SourceRecord) -> Decoded:
        """What it says. Raises InvalidInput when it cannot be read."""

    async def close(self) -> None:
        """Release connections; called once."""


class FormatPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a format brings."""

    name: str
    title: str
    config: type[msgspec.Struct]
    """The `schema_registry` of a source is validated against this."""
    open: Callable[[Any, ProviderTools], RecordFormat]
    """`open(config, tools)`. Raises ConfigError when a package is missing."""
    secrets: frozenset[str] = frozenset()
    """Names of config fields that must never be returned or logged."""

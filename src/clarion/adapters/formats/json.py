"""Records in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.errors import InvalidInput
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import Decoded, FormatPlugin
from clarion.ports.source import SourceRecord

_decode = msgspec.json.Decoder().decode


class NoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is nothing to set."""


def json_of(body: bytes) -> Any:
    """What it says. Raises InvalidInput."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise InvalidInput(f"the record is not JSON: {wrong}.") from None


class JsonFormat:
    """Implements `ports.record_format.RecordFormat`."""

    async def prepare(self, records: Sequence[SourceRecord]) -> None:
        """Nothing is needed."""

    def decode(self, record: SourceRecord) -> Decoded:
        return Decoded(data=json_of(record.value))

    async def close(self) -> None:
        """Nothing is open."""


def opened(config: NoSettings, tools: ProviderTools) -> JsonFormat:
    """Reads every record alike."""
    return JsonFormat()


plugin = FormatPlugin(name="json", title="JSON", config=NoSettings, open=opened)

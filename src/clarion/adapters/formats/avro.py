"""Records in Avro, with a schema registry."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clarion.adapters.extras import needs
from clarion.adapters.schema_registry import (
    HEAD,
    SECRETS,
    RegisteredSchema,
    Registry,
    RegistrySettings,
    plain,
)
from clarion.errors import InvalidInput
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import Decoded, FormatPlugin
from clarion.ports.source import SourceRecord


class AvroFormat:
    """Implements `ports.record_format.RecordFormat`."""

    def __init__(self, config: RegistrySettings, tools: ProviderTools) -> None:
        self._registry: Registry[Any] = Registry(config, tools, "AVRO", _compiled)

    async def prepare(self, records: Sequence[SourceRecord]) -> None:
        await self._registry.prepare(records)

    def decode(self, record: SourceRecord) -> Decoded:
        import fastavro

        schema = self._registry.schema(record.value)
        try:
            found = fastavro.schemaless_reader(io.BytesIO(record.value[HEAD:]), schema, None)
        except Exception as wrong:  # noqa: BLE001 - the library raises whatever its bytes make it raise
            raise InvalidInput(f"the record does not fit its schema ({type(wrong).__name__}).") from None
        return Decoded(data=plain(found))

    async def close(self) -> None:
        await self._registry.close()


def _compiled(stored: RegisteredSchema, named: Mapping[str, str]) -> Any:
    import fastavro

    known: dict[str, Any] = {}
    try:
        for text in named.values():
            fastavro.parse_schema(msgspec.json.decode(text), named_schemas=known)
        return fastavro.parse_schema(msgspec.json.decode(stored.schema), named_schemas=known)
    except Exception as wrong:  # noqa: BLE001 - a schema that others wrote
        raise InvalidInput(f"it is no Avro schema ({type(wrong).__name__}).") from None


def opened(config: RegistrySettings, tools: ProviderTools) -> AvroFormat:
    """Reaches nobody."""
    with needs("schemas", "Avro", pointer="#"):
        import fastavro  # noqa: F401
    return AvroFormat(config, tools)


plugin = FormatPlugin(name="avro", title="Avro", config=RegistrySettings, open=opened, secrets=SECRETS)

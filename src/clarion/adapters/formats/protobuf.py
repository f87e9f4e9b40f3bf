"""Records in Protobuf, with a schema registry that gives its schemas as file descriptors (`?format=serialized`)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.schema_registry import HEAD, SECRETS, RegisteredSchema, Registry, RegistrySettings
from clarion.errors import InvalidInput
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import Decoded, FormatPlugin
from clarion.ports.source import SourceRecord

WELL_KNOWN = (
    *("any", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp"),
    *("wrappers", "type", "api"),
)
"""Google's own files, those first that others import."""


class ProtobufFormat:
    """Implements `ports.record_format.RecordFormat`."""

    def __init__(self, config: RegistrySettings, tools: ProviderTools) -> None:
        self._registry: Registry[Any] = Registry(
            config, tools, "PROTOBUF", _compiled, query="?format=serialized"
        )

    async def prepare(self, records: Sequence[SourceRecord]) -> None:
        await self._registry.prepare(records)

    def decode(self, record: SourceRecord) -> Decoded:
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message_factory import GetMessageClass

        file = self._registry.schema(record.value)
        path, start = _message_path(record.value)
        try:
            kind = file.message_types_by_name[list(file.message_types_by_name)[path[0]]]
            for index in path[1:]:
                kind = kind.nested_types[index]
            message = GetMessageClass(kind).FromString(record.value[start:])
            data = MessageToDict(
                message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        except Exception as wrong:  # noqa: BLE001 - the library raises whatever its bytes make it raise
            raise InvalidInput(f"the record does not fit its schema ({type(wrong).__name__}).") from None
        return Decoded(data=data)

    async def close(self) -> None:
        await self._registry.close()


def _message_path(value: bytes) -> tuple[list[int], int]:
    """Which message of the schema it is, by places, and where it begins."""
    place = HEAD
    count, place = _number(value, place)
    if count == 0:  # short for the first one
        return [0], place
    path = []
    for _ in range(count):
        index, place = _number(value, place)
        path.append(index)
    return path, place


def _number(value: bytes, place: int) -> tuple[int, int]:
    """A number in zigzag encoding, and what is behind it."""
    number = shift = 0
    while place < len(value) and shift < 35:
        byte = value[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), place
    raise InvalidInput("the record ends before its message begins.")


def _compiled(stored: RegisteredSchema, named: Mapping[str, str]) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    for name in WELL_KNOWN:
        pool.AddSerializedFile(_well_known(name))
    try:
        for name, text in named.items():
            file = FileDescriptorProto.FromString(b64decode(text, validate=True))
            file.name = name
            pool.Add(file)
        last = FileDescriptorProto.FromString(b64decode(stored.schema, validate=True))
        pool.Add(last)
        return pool.FindFileByName(last.name)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "the registry does not give it as a file descriptor (`?format=serialized`)."
        ) from None
    except Exception as wrong:  # noqa: BLE001 - a schema that others wrote
        raise InvalidInput(f"it is no Protobuf schema ({type(wrong).__name__}).") from None


def _well_known(name: str) -> bytes:
    from importlib import import_module

    module = import_module(f"google.protobuf.{name}_pb2")
    serialized: bytes = module.DESCRIPTOR.serialized_pb
    return serialized


def opened(config: RegistrySettings, tools: ProviderTools) -> ProtobufFormat:
    """Reaches nobody."""
    return ProtobufFormat(config, tools)


plugin = FormatPlugin(
    name="protobuf", title="Protobuf", config=RegistrySettings, open=opened, secrets=SECRETS
)

"""A real schema registry: records are read by the schemas that it has. It starts slowly, so the deep profile only has it."""

from __future__ import annotations

import io
import json
import urllib.request
from typing import Any
from uuid import uuid4

import fastavro
import pytest

from clarion.adapters.schema_registry import RegistrySettings
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import InvalidInput
from clarion.plugins import formats
from clarion.ports.source import SourceRecord
from clarion.testing.ports import provider_tools
from tests.needs import DEEP
from tests.servers.apicurio import Apicurio

pytestmark = pytest.mark.skipif(not DEEP, reason="the deep profile runs it")

ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
ID, TO = {"name": "id", "type": "string"}, {"name": "to", "type": "Address"}
GIFT = {"name": "gift", "type": "boolean", "default": False}
FIRST: dict[str, Any] = {"type": "record", "name": "Order", "fields": [ID, TO]}
SECOND: dict[str, Any] = {"type": "record", "name": "Order", "fields": [ID, TO, GIFT]}
VALUES = {"id": "A-1", "to": {"city": "Berlin"}}


def registered(registry: Apicurio, subject: str, schema: str, **more: Any) -> int:
    """The number of a schema."""
    request = urllib.request.Request(
        f"{registry.url}/subjects/{subject}/versions",
        json.dumps({"schema": schema, **more}).encode(),
        {"content-type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.load(answer)["id"])


def record(number: int, body: bytes) -> SourceRecord:
    """In the wire format of the registry."""
    return SourceRecord(topic="orders", offset="1", value=b"\x00" + number.to_bytes(4, "big") + body)


def order(number: int, schema: Any, values: dict[str, Any]) -> SourceRecord:
    """As the shop writes it."""
    named: dict[str, Any] = {}
    fastavro.parse_schema(ADDRESS, named_schemas=named)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas=named), values)
    return record(number, out.getvalue())


async def read(registry: Apicurio, kind: str, *records: SourceRecord) -> list[Any]:
    """What the records say; an error in place of what cannot be read."""
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(b"k" * 32, random))
    format_ = formats()[kind].open(RegistrySettings(url=registry.url), tools)
    found: list[Any] = []
    try:
        await format_.prepare(records)
        for one in records:
            try:
                found.append(format_.decode(one).data)
            except InvalidInput as wrong:
                found.append(wrong.detail)
    finally:
        await format_.close()
    return found


async def test_records_of_two_versions_are_read_by_the_schemas_of_a_registry(apicurio):
    """With the schema that both name; a number that the registry does not know is said."""
    subject = uuid4().hex
    registered(apicurio, f"{subject}-address", json.dumps(ADDRESS))
    reference = {"name": "Address", "subject": f"{subject}-address", "version": 1}
    first, second = (
        registered(apicurio, subject, json.dumps(schema), references=[reference])
        for schema in (FIRST, SECOND)
    )
    assert first != second
    found = await read(
        apicurio,
        "avro",
        order(first, FIRST, VALUES),
        order(second, SECOND, VALUES | {"gift": True}),
        record(2_000_000, b""),
    )
    assert found == [VALUES, VALUES | {"gift": True}, "the registry has no schema 2000000."]


async def test_protobuf_schemas_that_a_registry_gives_as_text_are_refused(apicurio):
    """Apicurio knows no `?format=serialized`: the records become dead letters that say so."""
    text = 'syntax = "proto3"; package shop; message Order { string id = 1; }'
    number = registered(apicurio, uuid4().hex, text, schemaType="PROTOBUF")
    (found,) = await read(apicurio, "protobuf", record(number, b"\x00\x0a\x03A-1"))
    assert "does not give it as a file descriptor (`?format=serialized`)" in found

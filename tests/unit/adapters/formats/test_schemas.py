"""Records in Avro and Protobuf, written by the libraries' own encoders, with schemas from a registry that stands in for
Confluent's: it answers as its API is described."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import DESCRIPTOR as TIMESTAMP
from msgspec.structs import replace

from clarion.adapters.schema_registry import RegistrySettings
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, InvalidInput, Unavailable
from clarion.plugins import formats
from clarion.ports.source import SourceRecord
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, Received, scripted_server

RANDOM = SystemRandom()
TOOLS = provider_tools(SystemClock(), RANDOM, LocalVault(b"k" * 32, RANDOM))
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "to", "type": "Address"},
    ],
}
VALUES = {
    "id": "A-1",
    "total": Decimal("24.90"),
    "at": datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
    "day": date(2026, 5, 1),
    "note": None,
    "to": {"city": "Berlin"},
}


class Registry:
    """Schemas by number, and those that others name by subject."""

    def __init__(self) -> None:
        self.ids: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, dict[str, Any]] = {}
        self.status = 200

    def answer(self, request: Received) -> Answer:
        path = request.path.partition("?")[0].split("/")[1:]
        found = self.ids.get(int(path[2])) if path[0] == "schemas" else self.subjects.get(unquote(path[1]))
        if self.status != 200 or found is None:
            return Answer.json(404 if self.status == 200 else self.status, {"error_code": 40403})
        return Answer.json(200, found)


def record(number: int, body: bytes) -> SourceRecord:
    """In the wire format of the registry."""
    return SourceRecord(topic="orders", offset="1", value=b"\x00" + number.to_bytes(4, "big") + body)


def avro(values: Any, *schemas: Any) -> bytes:
    """As Avro writes it; the last schema is the record's."""
    named: dict[str, Any] = {}
    parsed = [fastavro.parse_schema(one, named_schemas=named) for one in schemas]
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed[-1], values)
    return out.getvalue()


def proto(name: str, message: str, imports: tuple[str, ...] = (), **fields: str) -> FileDescriptorProto:
    """A file with one message; a field is of a type of another message, or a text. A message lies inside it."""
    file = FileDescriptorProto(name=name, package="shop", syntax="proto3", dependency=imports)
    made = file.message_type.add(name=message)
    for number, (field, kind) in enumerate(fields.items(), 1):
        of_message = kind.startswith(".")
        made.field.add(
            name=field,
            number=number,
            type=FieldDescriptorProto.TYPE_MESSAGE if of_message else FieldDescriptorProto.TYPE_STRING,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            type_name=kind if of_message else None,
        )
    inner = made.nested_type.add(name="Line")
    inner.field.add(
        name="sku_code",
        number=1,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    return file


def stored(file: FileDescriptorProto, **more: Any) -> dict[str, Any]:
    """As the registry gives it when it is asked for descriptors."""
    schema = b64encode(file.SerializeToString()).decode()
    return {"schema": schema, "schemaType": "PROTOBUF", **more}


@pytest.fixture
async def registry():
    """A registry on a real socket, with its URL."""
    answers = Registry()
    async with scripted_server(otherwise=answers.answer) as server:
        answers.url = server.url  # type: ignore[attr-defined]
        answers.requests = server.requests  # type: ignore[attr-defined]
        yield answers


async def read(kind: str, registry: Any, *records: SourceRecord) -> list[Any]:
    """What the records say; an error in place of what cannot be read."""
    format_ = formats()[kind].open(
        RegistrySettings(url=registry.url, username="clarion", password="s3cret"), TOOLS
    )
    try:
        found: list[Any] = []
        await format_.prepare(records)
        for one in records:
            try:
                found.append(format_.decode(one).data)
            except InvalidInput as wrong:
                found.append(wrong.detail)
        await format_.prepare(records)
        return found
    finally:
        await format_.close()


async def test_avro_becomes_what_json_would_have(registry):
    """Logical types become texts; a schema may name another, and each is fetched once."""
    registry.ids[7] = {
        "schema": json.dumps(ORDER),
        "references": [{"name": "Address", "subject": "shop/address", "version": 3}],
    }
    registry.subjects["shop/address"] = {"schema": json.dumps(ADDRESS)}
    body = avro(VALUES, ADDRESS, ORDER)
    one, again = await read("avro", registry, record(7, body), record(7, body))
    assert (
        one
        == again
        == {
            "id": "A-1",
            "total": "24.90",
            "at": "2026-05-01T09:30:00Z",
            "day": "2026-05-01",
            "note": None,
            "to": {"city": "Berlin"},
        }
    )
    assert [request.path for request in registry.requests] == [
        "/schemas/ids/7",
        "/subjects/shop%2Faddress/versions/3",
    ]
    assert registry.requests[0].headers["authorization"].startswith("Basic ")


async def test_protobuf_becomes_what_json_would_have(registry):
    """The first message of a file, or one inside it; a schema may name another and Google's own."""
    address = proto("address.proto", "Address", city="text")
    order = proto(
        "order.proto",
        "Order",
        ("address.proto", "google/protobuf/timestamp.proto"),
        order_id="text",
        to=".shop.Address",
        at=".google.protobuf.Timestamp",
    )
    reference = {"name": "address.proto", "subject": "address", "version": 1}
    registry.ids[9] = stored(order, references=[reference])
    registry.subjects["address"] = stored(address)
    pool = DescriptorPool()
    pool.AddSerializedFile(TIMESTAMP.serialized_pb)
    pool.Add(address)
    pool.Add(order)
    whole = GetMessageClass(pool.FindMessageTypeByName("shop.Order"))(order_id="A-1")
    whole.to.city = "Berlin"
    whole.at.FromJsonString("2026-05-01T09:30:00Z")
    line = GetMessageClass(pool.FindMessageTypeByName("shop.Order.Line"))(sku_code="S-1")
    found = await read(
        "protobuf",
        registry,
        record(9, b"\x00" + whole.SerializeToString()),
        record(9, b"\x02\x00" + whole.SerializeToString()),
        record(9, b"\x04\x00\x00" + line.SerializeToString()),
    )
    order_data = {"order_id": "A-1", "to": {"city": "Berlin"}, "at": "2026-05-01T09:30:00Z"}
    assert found == [order_data, order_data, {"sku_code": "S-1"}]
    assert registry.requests[0].path == "/schemas/ids/9?format=serialized"


@pytest.mark.parametrize(
    ("kind", "schema", "body", "said"),
    [
        ("avro", None, b"", "the registry has no schema 5"),
        ("avro", {"schema": "{"}, b"", "it is no Avro schema"),
        ("avro", {"schema": '"string"', "schemaType": "JSON"}, b"", "is JSON, not AVRO"),
        ("avro", {"schema": '"string"'}, b"\x08ab", "does not fit its schema"),
        (
            "avro",
            {"schema": '"string"', "references": [{"name": "A", "subject": "a", "version": 1}]},
            b"",
            "names A",
        ),
        ("protobuf", {"schema": "message A {}", "schemaType": "PROTOBUF"}, b"", "?format=serialized"),
        ("protobuf", stored(proto("a.proto", "A", a="text")), b"\x00\xff", "does not fit its schema"),
        ("protobuf", stored(proto("a.proto", "A", a="text")), b"\x80", "ends before its message"),
        ("protobuf", stored(proto("a.proto", "A", a="text")), b"\x02\x0e", "does not fit its schema"),
    ],
)
async def test_what_cannot_be_read_says_why(registry, kind, schema, body, said):
    """Each record for itself."""
    if schema is not None:
        registry.ids[5] = schema
    wrong, plain = await read(kind, registry, record(5, body), SourceRecord(topic="orders", value=b"{}"))
    assert said in wrong
    assert "does not begin with the number of a schema" in plain


async def test_records_of_two_versions_of_a_schema_are_read(registry):
    """Each as it was written: what a later version added is missing in earlier records, and no schema is fetched twice."""
    later = ORDER | {"fields": [*ORDER["fields"], {"name": "gift", "type": "boolean", "default": False}]}
    for number, schema in ((7, ORDER), (8, later)):
        registry.ids[number] = {
            "schema": json.dumps(schema),
            "references": [{"name": "Address", "subject": "shop/address", "version": 3}],
        }
    registry.subjects["shop/address"] = {"schema": json.dumps(ADDRESS)}
    before = record(7, avro(VALUES, ADDRESS, ORDER))
    after = record(8, avro(VALUES | {"gift": True}, ADDRESS, later))
    found = await read("avro", registry, before, after, before, after)
    assert [one.get("gift") for one in found] == [None, True, None, True]
    assert sorted(request.path for request in registry.requests if "/ids/" in request.path) == [
        "/schemas/ids/7",
        "/schemas/ids/8",
    ]


async def test_a_schema_that_comes_late_is_found(registry):
    """It was not there for the first records; later ones are read."""
    format_ = formats()["avro"].open(RegistrySettings(url=registry.url), TOOLS)
    body = record(5, avro("A-1", "string"))
    await format_.prepare([body])
    with pytest.raises(InvalidInput, match="no schema 5"):
        format_.decode(body)
    registry.ids[5] = {"schema": '"string"'}
    await format_.prepare([body])
    assert format_.decode(body).data == "A-1"
    await format_.close()


async def test_a_token_is_sent_instead_of_a_user(registry):
    """As registries with OAuth want it."""
    registry.ids[5] = {"schema": '"string"'}
    format_ = formats()["avro"].open(RegistrySettings(url=registry.url, token="t-1"), TOOLS)
    await format_.prepare([record(5, avro("A-1", "string"))])
    await format_.close()
    assert registry.requests[0].headers["authorization"] == "Bearer t-1"


async def test_a_registry_that_is_away_is_asked_again(registry):
    """Nothing becomes a dead letter because of it; one that refuses us says so."""
    registry.status = 500
    with pytest.raises(Unavailable, match="500"):
        await read("avro", registry, record(1, b""))
    registry.status = 401
    with pytest.raises(ConfigError, match="refuses the user"):
        await read("avro", registry, record(1, b""))
    format_ = formats()["avro"].open(
        RegistrySettings(url="http://169.254.169.254/"), replace(TOOLS, allowed_networks=())
    )
    with pytest.raises((ConfigError, Unavailable)):
        await format_.prepare([record(1, b"")])
    await format_.close()

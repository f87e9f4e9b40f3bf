"""Writes types of data as message descriptors, which is how the engine of expressions is told them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2, wrappers_pb2

from clarion.rules.data_types import DataType, ListOf, MapOf, Nullable, ObjectOf, Scalar

_FIELD = descriptor_pb2.FieldDescriptorProto
_ANY = (_FIELD.TYPE_MESSAGE, ".google.protobuf.Value")
_SCALARS: Mapping[Scalar, tuple[Any, str]] = {
    Scalar.TEXT: (_FIELD.TYPE_STRING, ""),
    Scalar.WHOLE: (_FIELD.TYPE_INT64, ""),
    Scalar.NUMBER: (_FIELD.TYPE_DOUBLE, ""),
    Scalar.BOOL: (_FIELD.TYPE_BOOL, ""),
    Scalar.MOMENT: (_FIELD.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
}
_WRAPPERS: Mapping[DataType, str] = {
    Scalar.TEXT: ".google.protobuf.StringValue",
    Scalar.WHOLE: ".google.protobuf.Int64Value",
    Scalar.NUMBER: ".google.protobuf.DoubleValue",
    Scalar.BOOL: ".google.protobuf.BoolValue",
}
_SIGNATURES: Mapping[Scalar, str] = {
    Scalar.TEXT: "string",
    Scalar.WHOLE: "int",
    Scalar.NUMBER: "double",
    Scalar.BOOL: "bool",
    Scalar.MOMENT: "timestamp",
}


class Descriptors:
    """The messages of some types. Each object is one, called `of.object` and a number."""

    def __init__(self) -> None:
        self.structs: dict[str, ObjectOf] = {}
        """By the name the engine says without `of.`."""
        self._file = descriptor_pb2.FileDescriptorProto(name="of.proto", package="of", syntax="proto3")
        for module in _KNOWN:
            self._file.dependency.append(module.DESCRIPTOR.name)

    def signature(self, type: DataType) -> str:
        """How the engine calls a type."""
        if isinstance(type, ObjectOf):
            return f"of.{self._struct(type)}"
        if isinstance(type, ListOf):
            return f"list<{self.signature(type.item)}>"
        if isinstance(type, MapOf):
            return f"map<string, {self.signature(type.value)}>"
        return _SIGNATURES.get(type, "dyn") if isinstance(type, Scalar) else "dyn"

    def pool(self) -> Any:
        """All of them, and what they are made of."""
        pool = descriptor_pool.DescriptorPool()
        for module in _KNOWN:
            known = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(known)
            pool.Add(known)
        pool.Add(self._file)
        return pool

    def _struct(self, type: ObjectOf) -> str:
        name = f"object{len(self.structs)}"
        self.structs[name] = type
        message = self._file.message_type.add(name=name)
        for number, (field, its) in enumerate(type.fields, 1):
            repeated = isinstance(its, ListOf) and not isinstance(its.item, ListOf | MapOf)
            inner = its.item if isinstance(its, ListOf) and repeated else its
            kind, known = self._field(inner)
            message.field.add(
                name=field,
                json_name=f"f{number}",
                number=number,
                type=kind,
                type_name=known or None,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
            )
        return name

    def _field(self, type: DataType) -> tuple[Any, str]:
        if isinstance(type, ObjectOf):
            return _FIELD.TYPE_MESSAGE, f".of.{self._struct(type)}"
        if isinstance(type, ListOf):
            return _FIELD.TYPE_MESSAGE, ".google.protobuf.ListValue"
        if isinstance(type, MapOf):
            return _FIELD.TYPE_MESSAGE, ".google.protobuf.Struct"
        if isinstance(type, Nullable):
            inner = type.type
            return (_FIELD.TYPE_MESSAGE, _WRAPPERS[inner]) if inner in _WRAPPERS else self._or_null(inner)
        return _SCALARS.get(type, _ANY)

    def _or_null(self, type: DataType) -> tuple[Any, str]:
        """Objects and moments may be null as they are; anything else is left open."""
        return self._field(type) if isinstance(type, ObjectOf) or type is Scalar.MOMENT else _ANY


_KNOWN = (struct_pb2, timestamp_pb2, wrappers_pb2)

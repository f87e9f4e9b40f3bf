"""Bulk operations as rows of a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from clarion.adapters.ledgers import schema
from clarion.model.message import MessageFilter
from clarion.model.operation import Operation, OperationKind, OperationStatus, RunSelection

COLUMNS = tuple(column.name for column in schema.operations.columns)

_filter = msgspec.msgpack.Decoder(MessageFilter)
_runs = msgspec.msgpack.Decoder(RunSelection)


def row_of(operation: Operation) -> dict[str, Any]:
    """Its row, by column, in their order."""
    fields = msgspec.structs.asdict(operation) | {
        "body": msgspec.msgpack.encode(operation.runs or operation.where),
        "kind": operation.kind.value,
        "status": operation.status.value,
        "swept": int(operation.swept),
    }
    return {name: fields[name] for name in COLUMNS}


def operation_of(row: Iterable[Any]) -> Operation:
    """What a whole row says."""
    fields = dict(zip(COLUMNS, row, strict=True))
    kind, body = OperationKind(fields.pop("kind")), fields.pop("body")
    return Operation(
        kind=kind,
        where=MessageFilter() if kind.of_runs else _filter.decode(body),
        runs=_runs.decode(body) if kind.of_runs else None,
        status=OperationStatus(fields.pop("status")),
        cursor=fields.pop("cursor") or None,
        swept=bool(fields.pop("swept")),
        **fields,
    )

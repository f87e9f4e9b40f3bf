"""Bulk operations as rows of a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from clarion.adapters.ledgers import schema
from clarion.model.message import MessageFilter
from clarion.model.operation import FileJob, Operation, OperationKind, OperationStatus, RunSelection

COLUMNS = tuple(column.name for column in schema.operations.columns)

_filter = msgspec.msgpack.Decoder(MessageFilter)
_runs = msgspec.msgpack.Decoder(RunSelection)
_job = msgspec.msgpack.Decoder(FileJob)


def row_of(operation: Operation) -> dict[str, Any]:
    """Its row, by column, in their order."""
    fields = msgspec.structs.asdict(operation) | {
        "body": msgspec.msgpack.encode(operation.runs or operation.job or operation.where),
        "kind": operation.kind.value,
        "status": operation.status.value,
        "swept": int(operation.swept),
        "uploading": int(operation.uploading),
    }
    return {name: fields[name] for name in COLUMNS}


def operation_of(row: Iterable[Any]) -> Operation:
    """What a whole row says."""
    fields = dict(zip(COLUMNS, row, strict=True))
    kind, body = OperationKind(fields.pop("kind")), fields.pop("body")
    return Operation(
        kind=kind,
        **_asked(kind, body),
        status=OperationStatus(fields.pop("status")),
        cursor=fields.pop("cursor") or None,
        swept=bool(fields.pop("swept")),
        uploading=bool(fields.pop("uploading")),
        **fields,
    )


def _asked(kind: OperationKind, body: bytes) -> dict[str, Any]:
    if kind.of_runs:
        return {"runs": _runs.decode(body)}
    return {"job": _job.decode(body)} if kind.has_file else {"where": _filter.decode(body)}

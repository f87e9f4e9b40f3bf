"""`POST /v1/exports`: what is stored, into a file, as an operation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, post

from clarion.api.guards import ADMIN, Caller, Parts
from clarion.api.operations import OperationView, started
from clarion.api.segments import checked
from clarion.model.audience import LONGEST_WHERE
from clarion.model.operation import FileJob, OperationKind, UserFileFormat
from clarion.model.user import Value


class ExportFilter(Value, frozen=True, kw_only=True):
    """Which; `{}`: all."""

    where: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WHERE)] | None = None
    """A condition in CEL over `user` and `now`, as in `POST /v1/users/search`."""


class ExportBody(Value, frozen=True, kw_only=True):
    """What to write."""

    resource: Literal["users"]
    format: UserFileFormat = UserFileFormat.NDJSON
    filter: ExportFilter = ExportFilter()


@post("/", opt=ADMIN, status_code=202)
async def export(data: ExportBody, caller: Caller, parts: Parts) -> Response[OperationView]:
    """Write users into a file, with their contacts, as an operation. `result_url` has the file for 24 hours, once it has ended.

    Each user is in it once, as they were when their part was written; who was created meanwhile is not.
    """
    where = data.filter.where or ""
    if where:
        checked(where, caller, parts)
    operation = await parts.services.operations.start_with_file(
        caller.tenant, OperationKind.EXPORT_USERS, FileJob(format=data.format, where=where), uploading=False
    )
    return await started(parts, operation)


router = Router("/v1/exports", route_handlers=[export], tags=["Users"])

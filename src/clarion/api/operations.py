"""`/v1/operations`: bulk operations, their progress and their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream

from clarion.api.auth import Identity
from clarion.api.conditions import STATE, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, SEND, Caller, Parts
from clarion.api.messages import LOOK_EVERY_S, Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf
from clarion.api.problems import CATALOGUE, Problem, cut_off, problem, wrong_header
from clarion.api.times import instant_of, text_or_none
from clarion.errors import ClarionError, Conflict, InvalidInput, NotFound
from clarion.model.ids import Instant, id_text, parse_id
from clarion.model.operation import (
    FileJob,
    Operation,
    OperationError,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationStatus,
    UserFileFormat,
)
from clarion.ports import terms
from clarion.rules.text_lines import LineWriter
from clarion.rules.time_format import rfc3339

PATH = "/v1/operations"
FIRST_ERRORS = 3
"""Shown with an operation; `errors_url` has all."""
PIECES = (
    "application/x-ndjson",
    "text/csv",
    "text/plain",
    "application/octet-stream",
    "application/partial-upload",
)
"""Media types of a piece of a file; all are the same."""
AT_ONCE = 1_000
"""Errors read at a time."""

_KINDS: dict[str, type[ClarionError]] = {"conflict": Conflict, "not_found": NotFound}
"""Those of `OperationError.code` that are not ours."""

Kind = Literal[
    "messages.retry",
    "messages.cancel",
    "messages.withdraw",
    "runs.retry",
    "runs.cancel",
    "runs.migrate",
    "users.import",
    "users.export",
]
ByKind = Annotated[str | None, Parameter(description="Only of this kind"), AnyOf(get_args(Kind))]
ByStatus = Annotated[
    str | None,
    Parameter(description="Only in one of these statuses, with commas between them"),
    AnyOf(tuple(OperationStatus)),
]


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """How far an operation is."""

    done: int
    failed: int
    total: int | None
    """Null until they are counted."""


class OperationFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operation could not do."""

    index: int
    """Its place in the order in which they were gone through, from 0; of a line its number in the file."""
    message_id: str | None
    """The message it is; null: it is a run or a line of a file."""
    run_id: str | None
    error: Problem
    column: str | None = None
    """Which field of the line is wrong."""
    value: str | None = None
    """What stands there, cut."""
    line: str | None = None
    """As it was in the file; null: it is no line, or is not kept any more."""


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an operation."""

    format: UserFileFormat
    bytes: int
    """So much of it is stored: where the next piece begins."""
    complete: bool
    encoding: str | None
    """null: not known yet."""
    encoding_source: Literal["told", "mark", "detected"] | None
    """`told` by the caller, said by a byte order `mark`, or `detected`."""
    delimiter: str | None
    upload_url: str | None
    """Where the next piece goes; null: there is none to come."""
    until: str | None
    """When it goes, with the lines that failed; of an upload, when that is given up."""


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """Work on many things."""

    id: str
    kind: str
    """`messages.retry`, `messages.cancel`, `messages.withdraw`, `runs.retry`, `runs.cancel`, `runs.migrate`, `users.import` or `users.export`."""
    status: OperationStatus
    """`partly_failed`: something was done and something was not. `failed`: nothing was done."""
    progress: ProgressView
    eta: str | None
    """When it is done if it goes on like this; null while that cannot be said, and once it is finished."""
    detail: str
    """The same in words."""
    errors: list[OperationFailure]
    """The first ones."""
    errors_url: str
    """All of them, one a line."""
    actions: list[str]
    """What can be done with it now: `cancel`, `retry-failed`."""
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    file: FileView | None
    """null: it has none."""
    result_url: str | None
    """What was written, for whoever has an admin's key; null: it is not complete, or gone."""


STARTED = {202: ResponseSpec(OperationView, generate_examples=False, description="The operation it became")}
"""What an action with a `filter` answers."""


@get("/", opt=READ)
async def list_operations(
    caller: Caller,
    parts: Parts,
    kind: ByKind = None,
    status: ByStatus = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[OperationView]:
    """Operations, newest first. Finished ones are kept as long as `/v1/retention` says."""
    kinds = {*(kind or "").split(",")}
    where = OperationFilter(
        kind=OperationKind(kinds.pop()) if kind and len(kinds) == 1 else None,
        statuses=frozenset(map(OperationStatus, status.split(","))) if status else frozenset(),
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    start = cursor.after(b"")
    before = OperationId(start) if start else None
    found = await parts.ledger.operations.page(caller.tenant, where, before, limit)
    following = cursor.to(found[-1].id) if len(found) == limit else None
    return Page(items=[await view(parts, one) for one in found], next_cursor=following)


@get("/{operation_id:str}", opt=READ)
async def get_operation(
    operation_id: str,
    caller: Caller,
    parts: Parts,
    request: Request[Any, Any, Any],
    wait_s: Annotated[int, Parameter(ge=0, le=25, description="Longest to wait for a change")] = 0,
) -> OperationView:
    """One operation. With `wait_s` it is answered as soon as something changed, at once when it is finished.

    When the server stops meanwhile, 503 `stopping`: ask again once it is back.
    """
    found = first = await the_operation(parts, caller, operation_id)
    give_up = parts.clock.monotonic() + wait_s
    while found == first and not found.status.is_finished and parts.clock.monotonic() < give_up:
        if parts.stopping.is_set():
            raise cut_off()
        await parts.clock.sleep(LOOK_EVERY_S)
        await request.scope[STATE].read()  # type: ignore[literal-required]
        found = await the_operation(parts, caller, operation_id)
    return await view(parts, found)


@post("/{operation_id:str}/cancel", opt=SEND, status_code=200)
async def cancel_operation(operation_id: str, caller: Caller, parts: Parts) -> OperationView:
    """Do nothing more of it. What is done stays done; `progress` says how much that is."""
    found = await parts.services.operations.cancel(caller.tenant, _id(operation_id))
    if found is None:
        raise _missing(operation_id)
    if found.status is not OperationStatus.CANCELED:
        raise Conflict(f"The operation is {found.status}: only one that is not finished can be canceled.")
    return await view(parts, found)


@post("/{operation_id:str}/retry-failed", opt=SEND, status_code=202)
async def retry_failed(operation_id: str, caller: Caller, parts: Parts) -> OperationView:
    """Retry only what failed."""
    before = await the_operation(parts, caller, operation_id)
    if not before.status.has_failures:
        raise Conflict(
            f"The operation is {before.status}: only one in which something failed can be retried."
        )
    found = await parts.services.operations.retry_failed(caller.tenant, before.id)
    return await view(parts, found or before)


@get("/{operation_id:str}/errors", opt=READ)
async def list_operation_errors(
    operation_id: str,
    caller: Caller,
    parts: Parts,
    lines: Annotated[
        bool,
        Parameter(
            description="The lines of a file as they were, under its header, to be corrected and imported again"
        ),
    ] = False,
) -> Stream:
    """Everything that failed, one JSON document (`OperationFailure`) a line."""
    found = await the_operation(parts, caller, operation_id)

    async def all_errors() -> AsyncIterator[Sequence[OperationError]]:
        after = -1
        while errors := await parts.ledger.operations.errors(caller.tenant, found.id, after, AT_ONCE):
            yield errors
            after = errors[-1].index

    async def documents() -> AsyncIterator[bytes]:
        async for errors in all_errors():
            yield b"".join(msgspec.json.encode(failure(parts, found, one)) + b"\n" for one in errors)

    async def originals(job: FileJob) -> AsyncIterator[bytes]:
        file = LineWriter(job.encoding or "utf-8")
        if job.heading:
            yield file.write([job.heading])
        async for errors in all_errors():
            kept = [parts.services.user_imports.line(one, caller.tenant) for one in errors]
            yield file.write(one.raw.decode("utf-8", "surrogatepass") for one in kept if one is not None)

    if lines and found.job is not None:
        return Stream(originals(found.job), media_type="application/octet-stream")
    return Stream(documents(), media_type="application/x-ndjson")


@get("/{operation_id:str}/file", opt=ADMIN)
async def get_file(operation_id: str, caller: Caller, parts: Parts) -> Stream:
    """What an export has written, until `file.until`."""
    found = await the_operation(parts, caller, operation_id)
    if not _has_result(found) or found.job is None:
        raise NotFound("The operation has no file: it is no export, not finished, or its file is gone.")
    media_type = (
        "text/csv; charset=utf-8" if found.job.format is UserFileFormat.CSV else "application/x-ndjson"
    )
    name = f'attachment; filename="users.{found.job.format}"'
    return Stream(
        parts.services.user_exports.content(found),
        media_type=media_type,
        headers={"content-disposition": name},
    )


@patch("/{operation_id:str}/file", opt={**SEND, "reads": PIECES})
async def append_file(
    operation_id: str, request: Request[Any, Any, Any], caller: Caller, parts: Parts
) -> OperationView:
    """Send the next piece of a file: `Upload-Offset` says where it begins, `Upload-Complete: ?1` that it is the last one.

    An upload that broke off goes on at `file.bytes` of the operation; a piece for any other place is 409 `conflict`.
    """
    found = await the_operation(parts, caller, operation_id)
    offset = request.headers.get("upload-offset", "")
    if not offset.isascii() or not offset.isdigit() or len(offset) > 15:
        raise wrong_header("Upload-Offset", "says at which byte of the file this piece begins")
    imports = parts.services.user_imports
    after = await imports.append(
        caller.tenant, found.id, int(offset), await request.body(), complete=is_complete(request)
    )
    parts.services.operations.wake()
    return await view(parts, after)


def is_complete(request: Request[Any, Any, Any]) -> bool:
    """Whether the file ends with this request."""
    said = request.headers.get("upload-complete", "?1").strip()
    if said not in ("?0", "?1"):
        raise wrong_header("Upload-Complete", "is ?1 (the file ends here) or ?0 (more is to come)")
    return said == "?1"


async def started(parts: ApiParts, operation: Operation) -> Response[Any]:
    """202, and where the operation is."""
    # A dry run leaves nothing behind that could be looked at.
    headers = {} if terms.dry_running() else {"location": f"{PATH}/{id_text(operation.id)}"}
    return Response(await view(parts, operation), status_code=202, headers=headers)


async def the_operation(parts: ApiParts, caller: Identity, text: str) -> Operation:
    """The operation of a path, in this tenant."""
    found = await parts.ledger.operations.get(caller.tenant, _id(text))
    if found is None:
        raise _missing(text)
    return found


async def view(
    parts: ApiParts, operation: Operation, errors: Sequence[OperationError] | None = None
) -> OperationView:
    """An operation as callers see it. `errors`: instead of those that are stored."""
    if errors is None:
        stored = parts.ledger.operations.errors
        errors = await stored(operation.tenant, operation.id, -1, FIRST_ERRORS) if operation.failed else ()
    place = f"{PATH}/{id_text(operation.id)}"
    return OperationView(
        id=id_text(operation.id),
        kind=operation.kind.value,
        status=operation.status,
        progress=ProgressView(done=operation.done, failed=operation.failed, total=operation.total),
        eta=text_or_none(_eta(operation, parts.clock.now())),
        detail=_told(operation),
        errors=[failure(parts, operation, one) for one in errors],
        errors_url=f"{place}/errors",
        actions=_actions(operation.status),
        created_at=rfc3339(operation.created_at),
        updated_at=rfc3339(operation.updated_at),
        started_at=text_or_none(operation.started_at),
        finished_at=text_or_none(operation.finished_at),
        file=_file(operation),
        result_url=f"{place}/file" if _has_result(operation) else None,
    )


def _has_result(operation: Operation) -> bool:
    over = operation.finished_at is not None and operation.status is not OperationStatus.CANCELED
    return over and operation.kind is OperationKind.EXPORT_USERS and operation.file_until is not None


def _file(operation: Operation) -> FileView | None:
    job = operation.job
    if job is None:
        return None
    known = bool(job.encoding) and operation.kind is OperationKind.IMPORT_USERS
    return FileView(
        format=job.format,
        bytes=operation.file_bytes,
        complete=not operation.uploading,
        encoding=job.encoding if known else None,
        encoding_source=job.encoding_source.value if known else None,
        delimiter=job.delimiter or None,
        upload_url=f"{PATH}/{id_text(operation.id)}/file" if operation.uploading else None,
        until=text_or_none(operation.file_until),
    )


def _actions(status: OperationStatus) -> list[str]:
    if not status.is_finished:
        return ["cancel"]
    return ["retry-failed"] if status.has_failures else []


def _eta(operation: Operation, now: Instant) -> Instant | None:
    gone_through = operation.done + operation.failed
    started = operation.started_at
    # What failed and is tried again goes at a pace of its own.
    unknown = operation.status.is_finished or operation.swept or operation.total is None
    if unknown or not gone_through or started is None or operation.total is None:
        return None
    left = max(0, operation.total - gone_through)
    return Instant(now + round(max(now - started, 1) * left / gone_through))


def _told(operation: Operation) -> str:
    if operation.uploading:
        return f"Its file is not complete: {operation.file_bytes:,} bytes are stored, send what follows."
    of = "" if operation.total is None else f" of {operation.total:,}"
    failed = f", {operation.failed:,} failed" if operation.failed else ""
    if operation.status is OperationStatus.CANCELED:
        return f"Canceled: {operation.done:,}{of} were done before and stay done{failed}."
    if operation.total == 0 and operation.status.is_finished:
        return "Nothing matched." if operation.job is None else "There was nothing."
    return f"{operation.done:,}{of} done{failed}."


def failure(parts: ApiParts, operation: Operation, one: OperationError) -> OperationFailure:
    """What failed as callers see it."""
    code = one.code if one.code in CATALOGUE else "internal"
    error = problem(_KINDS[code](one.detail) if code in _KINDS else InvalidInput(one.detail, code=code))
    item = id_text(one.item_id) if one.item_id else None
    is_run = operation.runs is not None
    refused = parts.services.user_imports.line(one, operation.tenant)
    raw = None if refused is None else refused.raw.decode("utf-8", "surrogatepass")
    return OperationFailure(
        index=one.index,
        message_id=None if is_run else item,
        run_id=item if is_run else None,
        error=error,
        column=None if refused is None else refused.column or None,
        value=None if refused is None else refused.value or None,
        line=None if raw is None else raw.encode(errors="replace").decode(),
    )


def _id(text: str) -> OperationId:
    try:
        return OperationId(parse_id(text))
    except ValueError:
        raise _missing(text) from None


def _missing(text: str) -> NotFound:
    return NotFound(f"There is no operation {text!r}, or it finished longer ago than they are kept.")


router = Router(
    PATH,
    route_handlers=[
        list_operations,
        get_operation,
        cancel_operation,
        retry_failed,
        list_operation_errors,
        get_file,
        append_file,
    ],
    opt=one("operation", "operation_id"),
    tags=["Messages"],
)

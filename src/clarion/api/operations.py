"""`/v1/operations`: bulk operations, their progress and their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream

from clarion.api.auth import Identity
from clarion.api.conditions import STATE, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts
from clarion.api.messages import LOOK_EVERY_S, Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf
from clarion.api.problems import Problem, cut_off, problem
from clarion.api.times import instant_of, text_or_none
from clarion.errors import ClarionError, Conflict, NotFound
from clarion.model.ids import Instant, id_text, parse_id
from clarion.model.operation import (
    Operation,
    OperationError,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationStatus,
)
from clarion.ports import terms
from clarion.rules.time_format import rfc3339

PATH = "/v1/operations"
FIRST_ERRORS = 3
"""Shown with an operation; `errors_url` has all."""
AT_ONCE = 1_000
"""Errors read at a time."""

_KINDS: dict[str, type[ClarionError]] = {"conflict": Conflict, "not_found": NotFound}
"""Those of `OperationError.code` that are not ours."""

Kind = Literal["messages.retry", "messages.cancel", "runs.retry", "runs.cancel", "runs.migrate"]
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
    """Its place in the order in which they were gone through, from 0."""
    message_id: str | None
    """The message it is; null: it is a run."""
    run_id: str | None
    error: Problem


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """Work on many things."""

    id: str
    kind: str
    """`messages.retry`, `messages.cancel`, `runs.retry`, `runs.cancel` or `runs.migrate`."""
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
async def list_operation_errors(operation_id: str, caller: Caller, parts: Parts) -> Stream:
    """Everything that failed, one JSON document (`OperationFailure`) a line."""
    found = await the_operation(parts, caller, operation_id)

    async def lines() -> AsyncIterator[bytes]:
        after = -1
        while errors := await parts.ledger.operations.errors(caller.tenant, found.id, after, AT_ONCE):
            yield b"".join(msgspec.json.encode(_failure(found, one)) + b"\n" for one in errors)
            after = errors[-1].index

    return Stream(lines(), media_type="application/x-ndjson")


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
        errors=[_failure(operation, one) for one in errors],
        errors_url=f"{place}/errors",
        actions=_actions(operation.status),
        created_at=rfc3339(operation.created_at),
        updated_at=rfc3339(operation.updated_at),
        started_at=text_or_none(operation.started_at),
        finished_at=text_or_none(operation.finished_at),
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
    of = "" if operation.total is None else f" of {operation.total:,}"
    failed = f", {operation.failed:,} failed" if operation.failed else ""
    if operation.status is OperationStatus.CANCELED:
        return f"Canceled: {operation.done:,}{of} were done before and stay done{failed}."
    if operation.total == 0 and operation.status.is_finished:
        return "Nothing matched."
    return f"{operation.done:,}{of} done{failed}."


def _failure(operation: Operation, one: OperationError) -> OperationFailure:
    is_run = operation.runs is not None
    item = id_text(one.item_id)
    error = problem(_KINDS.get(one.code, ClarionError)(one.detail))
    return OperationFailure(
        index=one.index, message_id=None if is_run else item, run_id=item if is_run else None, error=error
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
    route_handlers=[list_operations, get_operation, cancel_operation, retry_failed, list_operation_errors],
    opt=one("operation", "operation_id"),
    tags=["Messages"],
)

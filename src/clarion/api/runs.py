"""`/v1/runs`: runs of workflows that wait between two steps, and what became of those that did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.explanations import explained
from clarion.api.guards import READ, SEND, Caller, Parts, names_of
from clarion.api.messages import an_event_id, workflows_of
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import wrong_parameter
from clarion.api.stored_documents import found
from clarion.api.times import text_or_none
from clarion.errors import Conflict, InvalidInput, NotFound
from clarion.model.channel import Lane
from clarion.model.digest import DigestClose, DigestRow
from clarion.model.ids import RunId, id_text, parse_id
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.status import Reason
from clarion.model.user import Value
from clarion.rules.explain import StepExplanation, merged
from clarion.rules.time_format import rfc3339

ITEMS = 100
"""Of a digest, shown with its run."""


class DigestView(msgspec.Struct, frozen=True, kw_only=True):
    """The digest that a run waits for or tells of."""

    opened_at: str
    closes_at: str
    """When it closes; with items that move its end, at the earliest."""
    closed_at: str | None
    """From when on it takes no more. Null: it is open."""
    closed_by: DigestClose | None
    """Why it closed."""
    items: int
    withdrawn: int
    """Items whose events were canceled while it was open."""
    total: int | None
    """How many events its run tells of. Null: it has not gone on yet."""


class DigestItemView(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a digest."""

    event_id: str
    run_id: str
    """The run that ended in the digest."""
    at: str
    """When its event happened."""
    withdrawn_at: str | None
    """When its event was canceled, while the digest was open."""


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow on its way for one user because of one event, from its first wait on."""

    id: str
    event_id: str
    user_id: str | None
    """Null once the user was deleted."""
    workflow: str
    version: int
    """The version of the workflow that it started with, and keeps."""
    lane: Lane
    status: RunStatus
    reason: Reason | None
    """Why it did not finish."""
    step: str
    """The last step it came to."""
    due_at: str | None
    """When it goes on. Null: it is over."""
    started_at: str
    updated_at: str
    digest: DigestView | None
    """Null: it does not begin with one."""


class RunDetail(RunView, frozen=True, kw_only=True):
    """The same, with what its steps did."""

    history: list[StepExplanation]
    items: list[DigestItemView]
    """The first 100 items of its digest."""


class RunsCancel(Value, frozen=True, kw_only=True):
    """Which runs to cancel."""

    workflow: str
    cancellation_key: str | int | float | bool
    """What its `cancellation_key` leads to in the data of the events."""


class RunsCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """What a cancellation stopped."""

    runs: int
    messages: int
    """Messages of these runs that were not sent yet."""


@get("/", opt=READ)
async def list_runs(
    caller: Caller,
    parts: Parts,
    user_id: Annotated[str | None, Parameter(description="Only of this user")] = None,
    event_id: Annotated[str | None, Parameter(description="Only because of this event")] = None,
    workflow: Annotated[str | None, Parameter(description="Only of this workflow")] = None,
    version: Annotated[
        int | None, Parameter(ge=1, description="Only of this version of the workflow")
    ] = None,
    step: Annotated[str | None, Parameter(description="Only those that came to this step last")] = None,
    status: Annotated[RunStatus | None, Parameter(description="Only in this status")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[RunView]:
    """Runs that wait or have waited, newest first. A run that never waits is in the explanation of its event only. A page may be
    short when few runs match: continue while `next_cursor` is set."""
    if len(await workflows_of(parts, caller, workflow)) > 1:
        raise wrong_parameter("workflow", "name one workflow.")
    where = RunFilter(
        status=status,
        workflow=workflow,
        version=version,
        step=step,
        event_id=None if event_id is None else an_event_id(event_id),
    )
    if user_id is not None:
        user = (await parts.ledger.users.find(caller.tenant, [user_id])).get(user_id)
        if user is None:
            return Page(items=[])
        where = msgspec.structs.replace(where, user=user.no)
    start = cursor.after(b"")
    rows, following = await parts.ledger.runs.page(
        caller.tenant, where, RunId(start) if start else None, limit
    )
    return Page(items=await _views(parts, rows), next_cursor=cursor.to(following))


@get("/{run_id:str}", opt=READ | RECORD)
async def get_run(run_id: str, caller: Caller, parts: Parts) -> RunDetail:
    """One run, with what each of its steps did."""
    row = await _the_run(parts, caller, run_id)
    (shown,) = await _views(parts, [row])
    runs = await parts.ledger.plans.runs_of(caller.tenant, row.event_id, row.user)
    its = [run for run in merged(runs) if run.workflow == row.workflow]
    told = await explained(parts, its, {row.user: shown.user_id})
    items = await parts.ledger.digests.items([row.event_id]) if shown.digest is not None else ()
    return RunDetail(
        **msgspec.structs.asdict(shown),
        history=[step for one in told for step in one.steps],
        items=[
            DigestItemView(
                event_id=id_text(one.event_id),
                run_id=id_text(one.run),
                at=rfc3339(one.at),
                withdrawn_at=text_or_none(one.withdrawn_at),
            )
            for one in items[:ITEMS]
        ],
    )


@post("/{run_id:str}/cancel", opt=SEND, status_code=200)
async def cancel_run(run_id: str, caller: Caller, parts: Parts) -> RunView:
    """Cancel a run that waits, and its messages that have not started to be sent."""
    row = await _the_run(parts, caller, run_id)
    canceled = await parts.services.runs.cancel(row)
    if canceled is None:
        now = await _the_run(parts, caller, run_id)
        raise Conflict(f"The run is {now.status}: only one that waits can be canceled.")
    (shown,) = await _views(parts, [canceled])
    return shown


@post("/{run_id:str}/acknowledge", opt=SEND, status_code=200)
async def acknowledge_run(run_id: str, caller: Caller, parts: Parts) -> RunView:
    """Say that somebody has seen what the run is about. From this answer on no step that repeats until then begins another
    round or starts to send; the run goes on behind it. A run that is over stays as it is. You may repeat the call."""
    row = await _the_run(parts, caller, run_id)
    now = await parts.services.runs.acknowledge(caller.tenant, row.id)
    (shown,) = await _views(parts, [now or row])
    return shown


@post("/cancel", opt=SEND, status_code=200)
async def cancel_runs(data: RunsCancel, caller: Caller, parts: Parts) -> RunsCanceled:
    """Cancel the runs of a workflow that wait and have this value behind its `cancellation_key`, whoever their users are, and
    their messages that have not started to be sent. You may repeat the call."""
    workflow = found(parts.ledger.setup.workflows, caller.tenant, data.workflow, "workflow")
    if workflow.cancellation_key is None:
        raise InvalidInput(
            f"the workflow {workflow.key!r} has no `cancellation_key`: give it one, as a JSON pointer into data.",
            pointer="#/cancellation_key",
        )
    done = await parts.services.runs.cancel_keyed(caller.tenant, workflow.key, data.cancellation_key)
    return RunsCanceled(runs=done.runs, messages=done.messages)


async def _the_run(parts: ApiParts, caller: Identity, text: str) -> RunRow:
    try:
        row = await parts.ledger.runs.get(caller.tenant, RunId(parse_id(text)))
    except ValueError:
        raise NotFound("There is no such run: an id is a UUID.") from None
    if row is None:
        raise NotFound(f"There is no run {text} that waits or has waited.")
    return row


async def _views(parts: ApiParts, rows: Sequence[RunRow]) -> list[RunView]:
    names = await names_of(parts, {row.user for row in rows})
    digests = {
        one.id: _digest(one)
        for tenant in {row.tenant for row in rows}
        for one in await parts.ledger.digests.get(tenant, [row.event_id for row in rows])
    }
    return [
        RunView(
            id=id_text(row.id),
            event_id=id_text(row.event_id),
            user_id=names.get(row.user),
            workflow=row.workflow,
            version=row.version,
            lane=row.lane,
            status=row.status,
            reason=row.reason,
            step=row.step,
            due_at=text_or_none(row.due_at),
            started_at=rfc3339(row.started_at),
            updated_at=rfc3339(row.updated_at),
            digest=digests.get(row.event_id),
        )
        for row in rows
    ]


def _digest(row: DigestRow) -> DigestView:
    return DigestView(
        opened_at=rfc3339(row.opened_at),
        closes_at=rfc3339(row.closes_at),
        closed_at=text_or_none(row.closed_at),
        closed_by=row.cause,
        items=row.items,
        withdrawn=row.withdrawn,
        total=row.total,
    )


router = Router(
    "/v1/runs", route_handlers=[list_runs, get_run, cancel_run, acknowledge_run, cancel_runs], tags=["Events"]
)

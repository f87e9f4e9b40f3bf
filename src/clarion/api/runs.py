"""`/v1/runs`: runs of workflows that wait between two steps, and what became of those that did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.explanations import explained
from clarion.api.guards import READ, SEND, Caller, Parts, names_of, the_user
from clarion.api.messages import ByReason, Since, Until, an_event_id, workflows_of
from clarion.api.operations import STARTED, OperationView, started
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf, several
from clarion.api.problems import wrong_parameter
from clarion.api.stored_documents import found
from clarion.api.times import Moment, instant_of, instant_or_none, text_or_none
from clarion.errors import AlreadyAnswered, Conflict, Forbidden, InvalidInput, NotFound
from clarion.model.channel import Lane
from clarion.model.digest import DigestClose, DigestRow
from clarion.model.ids import RunId, TenantId, id_text, parse_id
from clarion.model.operation import OperationKind, RunSelection
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.status import Reason
from clarion.model.user import Value
from clarion.rules.explain import StepExplanation, merged
from clarion.rules.time_format import rfc3339
from clarion.services.responses import Given

ByStatus = Annotated[
    str | None,
    Parameter(description="Only in one of these statuses, with commas between them"),
    AnyOf(tuple(RunStatus)),
]
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


class AnswerView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the question of a step."""

    answer: str
    """The key of an option, or `other`."""
    text: str | None
    """With `other`: the person's own words."""
    channel: str
    """How it came: a channel, `link` or `api`."""
    at: str
    by: str | None
    """Who answered, where the channel or the caller says it."""


class RunDetail(RunView, frozen=True, kw_only=True):
    """The same, with what its steps did."""

    history: list[StepExplanation]
    items: list[DigestItemView]
    """The first 100 items of its digest."""
    answers: dict[str, AnswerView]
    """Answers to its questions, by step."""


class RunAnswer(Value, frozen=True, kw_only=True):
    """An answer to the question of a step."""

    answer: str
    """The key of an option, or `other`."""
    text: str = ""
    """With `other`: the answer in other words, at most 2,000 characters."""
    step: str = ""
    """Whose question it answers; empty: the one that the run waits for, or the only one of its workflow."""
    by: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Who answers, for the explanation and for steps behind it."""


class RunsFilter(Value, frozen=True, kw_only=True):
    """Which runs; `{}` means all of them."""

    user_id: str | None = None
    event_id: str | None = None
    workflow: str | None = None
    version: int | None = None
    step: str | None = None
    """The last one they came to."""
    reason: Reason | None = None
    since: Moment | None = None
    """Started at or after."""
    until: Moment | None = None
    """Started before."""


class RunsRetry(Value, frozen=True, kw_only=True):
    """Which of the runs that failed."""

    filter: RunsFilter


class RunsCancel(Value, frozen=True, kw_only=True):
    """Which runs to cancel: by `filter` as an operation, or at once those of a `workflow` with the same `cancellation_key`."""

    filter: RunsFilter | None = None
    workflow: str | None = None
    cancellation_key: str | int | float | bool | None = None
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
    status: ByStatus = None,
    reason: ByReason = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[RunView]:
    """Runs that wait or have waited, newest first. A run that never waits is in the explanation of its event only. A page may be
    short when few runs match: continue while `next_cursor` is set."""
    if len(await workflows_of(parts, caller, workflow)) > 1:
        raise wrong_parameter("workflow", "name one workflow.")
    where = RunFilter(
        statuses=frozenset(map(RunStatus, several(status))),
        reasons=frozenset(map(Reason, several(reason))),
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
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
        answers=await _answers(parts, row),
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


@post("/{run_id:str}/advance", opt=SEND, status_code=200)
async def advance_run(run_id: str, caller: Caller, parts: Parts) -> RunView:
    """Let a run that waits go on now, whatever it waits for: a time has passed then, an event has not come, a digest closes. For
    trying things out: 403 unless the setting `allow_advance` is on."""

    async def advance(tenant: TenantId, run: RunId) -> RunRow | None:
        if not parts.may_advance:
            raise Forbidden(
                "Runs keep their times here: waits are skipped only where `allow_advance` is set."
            )
        return await parts.services.runs.advance(tenant, run)

    return await _changed(parts, caller, run_id, advance)


@post("/{run_id:str}/retry", opt=SEND, status_code=200)
async def retry_run(run_id: str, caller: Caller, parts: Parts) -> RunView:
    """Let a run that failed go on: its step is done anew. What it did before is not done again."""
    return await _changed(parts, caller, run_id, parts.services.runs.retry)


@post("/retry", opt=SEND, status_code=202, responses=STARTED)
async def retry_runs(data: RunsRetry, caller: Caller, parts: Parts) -> Response[OperationView]:
    """Retry all runs that failed and match, as an operation. What they did before they failed is not done again."""
    return await _started(parts, caller, OperationKind.RETRY_RUNS, data.filter)


@post("/{run_id:str}/acknowledge", opt=SEND, status_code=200)
async def acknowledge_run(run_id: str, caller: Caller, parts: Parts) -> RunView:
    """Say that somebody has seen what the run is about. From this answer on no step that repeats until then begins another
    round or starts to send; the run goes on behind it. A run that is over stays as it is. You may repeat the call."""
    return await _changed(parts, caller, run_id, parts.services.responses.acknowledge)


@post("/{run_id:str}/answer", opt=SEND, status_code=200)
async def answer_run(run_id: str, data: RunAnswer, caller: Caller, parts: Parts) -> RunView:
    """Answer the question that a run waits for, for its user. The first answer on any channel counts, and the run goes on with
    it; another one is refused as `already_answered`. You may repeat the call."""
    row = await _the_run(parts, caller, run_id)
    given = Given(answer=data.answer, channel="api", text=data.text, by=data.by)
    reply = await parts.services.responses.answer(caller.tenant, row.id, given, data.step)
    if reply is None:
        raise NotFound(f"There is no run {run_id} that waits or has waited.")
    counts = reply.answer
    if not reply.accepted and (counts.answer, counts.text) != (data.answer, data.text):
        raise AlreadyAnswered(f"Already answered: {counts.text or counts.answer!r}, on {counts.channel}.")
    (shown,) = await _views(parts, [reply.run])
    return shown


@post("/cancel", opt=SEND, status_code=200, responses=STARTED)
async def cancel_runs(data: RunsCancel, caller: Caller, parts: Parts) -> Response[RunsCanceled]:
    """Cancel runs that wait, and their messages that have not started to be sent: as an operation all that match a `filter`, or
    at once those of a workflow that have this value behind its `cancellation_key`, whoever their users are. You may
    repeat the call."""
    keyed = data.workflow is not None and data.cancellation_key is not None
    if (data.filter is None) is not keyed:
        raise InvalidInput("Send either `filter`, or `workflow` and `cancellation_key`.", pointer="#")
    if data.filter is not None:
        return await _started(parts, caller, OperationKind.CANCEL_RUNS, data.filter)
    assert data.workflow is not None
    workflow = found(parts.ledger.setup.workflows, caller.tenant, data.workflow, "workflow")
    if workflow.cancellation_key is None:
        raise InvalidInput(
            f"the workflow {workflow.key!r} has no `cancellation_key`: give it one, as a JSON pointer into data.",
            pointer="#/cancellation_key",
        )
    done = await parts.services.runs.cancel_keyed(caller.tenant, workflow.key, data.cancellation_key)
    return Response(RunsCanceled(runs=done.runs, messages=done.messages), status_code=200)


async def _started(
    parts: ApiParts, caller: Identity, kind: OperationKind, chosen: RunsFilter
) -> Response[Any]:
    """The operation on all runs that match."""
    user, event, version = chosen.user_id, chosen.event_id, chosen.version
    if chosen.workflow is not None:
        await workflows_of(parts, caller, chosen.workflow)
    where = RunFilter(
        user=None if user is None else (await the_user(parts, caller, user, "#/filter/user_id")).no,
        event_id=None if event is None else an_event_id(event),
        workflow=chosen.workflow,
        version=version,
        step=chosen.step,
        reasons=frozenset() if chosen.reason is None else frozenset({chosen.reason}),
        since=instant_or_none(chosen.since),
        before=instant_or_none(chosen.until),
    )
    operations = parts.services.operations
    return await started(parts, await operations.start_runs(caller.tenant, kind, RunSelection(where=where)))


async def _changed(
    parts: ApiParts,
    caller: Identity,
    text: str,
    change: Callable[[TenantId, RunId], Awaitable[RunRow | None]],
) -> RunView:
    """The run of a path once it is changed. NotFound when there is none."""
    row = await _the_run(parts, caller, text)
    (shown,) = await _views(parts, [await change(caller.tenant, row.id) or row])
    return shown


async def _the_run(parts: ApiParts, caller: Identity, text: str) -> RunRow:
    try:
        row = await parts.ledger.runs.get(caller.tenant, RunId(parse_id(text)))
    except ValueError:
        raise NotFound("There is no such run: an id is a UUID.") from None
    if row is None:
        raise NotFound(f"There is no run {text} that waits or has waited.")
    return row


async def _answers(parts: ApiParts, row: RunRow) -> dict[str, AnswerView]:
    if row.answers is None:
        return {}
    user = (await parts.ledger.users.get([row.user])).get(row.user)
    return {
        step: AnswerView(
            answer=one.answer,
            text=one.text or None,
            channel=one.channel,
            at=rfc3339(one.at),
            by=one.by or None,
        )
        for step, one in parts.services.responses.answers(row, user).items()
    }


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
    "/v1/runs",
    route_handlers=[
        list_runs,
        get_run,
        cancel_run,
        advance_run,
        retry_run,
        acknowledge_run,
        answer_run,
        retry_runs,
        cancel_runs,
    ],
    tags=["Events"],
)

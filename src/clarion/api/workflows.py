"""`/v1/workflows`: workflows. Triggering one is in `events.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.operations import OperationView, started, view
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import Fault, RejectedRequest, unknown_name
from clarion.api.problems import faults_of as faults_in
from clarion.api.references import unknown_in
from clarion.api.stored_documents import found, found_version, missing, named, page_of_store, patched, shown
from clarion.content.templates.schema import reviewed
from clarion.errors import Conflict, InvalidInput, UnknownReference
from clarion.model.channel import Channel
from clarion.model.connection import Connection, HttpMethod
from clarion.model.operation import OperationKind, RunSelection
from clarion.model.run import RunFilter, by_version
from clarion.model.setup import (
    SENDING,
    Category,
    LadderChannel,
    SendAll,
    SendFirst,
    SendLadder,
    Step,
    StepType,
    Template,
    Workflow,
    channels_of,
)
from clarion.model.user import Value
from clarion.ports import terms
from clarion.rules import validation
from clarion.rules.data_types import ANYTHING, DataType, example, pointer_fault, type_of_data
from clarion.rules.match import check_pattern, check_pointer
from clarion.rules.quiet_hours import meet
from clarion.rules.steps.faults import event_faults, generated_decisions, placed
from clarion.rules.steps.faults import faults as step_faults


class WorkflowDocument(Workflow, frozen=True, kw_only=True, omit_defaults=False):
    """A workflow. Its key is in the path; Clarion counts its versions."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]


class WorkflowVersionView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a workflow."""

    version: int
    live: bool
    waiting_runs: int
    """Runs that started with it and wait between two steps."""


class RunsMigration(Value, frozen=True, kw_only=True):
    """Which runs go on with the live version."""

    from_version: int
    to_version: int | None = None
    """The live version, for whoever wants to be sure of it."""


class ExampleDataView(msgspec.Struct, frozen=True, kw_only=True):
    """Data of an event that would start a workflow."""

    data: Mapping[str, Any]


@get("/", opt=READ)
async def list_workflows(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[WorkflowDocument]:
    """All workflows in their live versions."""
    return page_of_store(WorkflowDocument, parts.ledger.setup.workflows, caller.tenant, cursor, limit)


@get("/{key:str}", opt=READ)
async def get_workflow(
    key: str, caller: Caller, parts: Parts, version: int | None = None
) -> WorkflowDocument:
    """One workflow: the live version, or an exact one."""
    return shown(
        WorkflowDocument,
        await found_version(parts.ledger.setup.workflows, caller.tenant, key, version, "workflow"),
    )


@get("/{key:str}/example-data", opt=READ)
async def get_example_data(key: str, caller: Caller, parts: Parts) -> ExampleDataView:
    """Data to try the workflow with: its `example_data`, and for what that leaves out an example of what its `data_schema`
    asks for."""
    live = found(parts.ledger.setup.workflows, caller.tenant, key, "workflow")
    return ExampleDataView(data=example(live.data_schema, live.example_data))


@put("/{key:str}", opt=ADMIN)
async def put_workflow(key: str, data: WorkflowDocument, caller: Caller, parts: Parts) -> WorkflowDocument:
    """Publish a workflow. The new version is live at once; messages and runs under way keep theirs."""
    return await _store(named(Workflow, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_workflow(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> WorkflowDocument:
    """Publish the workflow with some fields changed (JSON merge patch): null restores the default, what is not named stays."""
    live = found(parts.ledger.setup.workflows, caller.tenant, key, "workflow")
    body = patched(shown(WorkflowDocument, live), data)
    return await _store(named(Workflow, body, key), live, caller, parts)


@get("/{key:str}/versions", opt=READ)
async def list_workflow_versions(
    key: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[WorkflowVersionView]:
    """All versions, newest first, also of a workflow that was deleted, and how many runs wait in each."""
    workflows = parts.ledger.setup.workflows
    versions = await workflows.versions(caller.tenant, key, None if not cursor else cursor.after(0), limit)
    live = workflows.all(caller.tenant).get(key)
    if not versions and not cursor:
        raise missing("workflow", key, workflows.all(caller.tenant))
    waiting = by_version((await parts.ledger.runs.waiting(caller.tenant, key)).get(key, {}))
    return Page(
        items=[
            WorkflowVersionView(version=one.version, live=one == live, waiting_runs=waiting[one.version])
            for one in versions
        ],
        next_cursor=cursor.to(versions[-1].version if len(versions) == limit else None),
    )


@post("/{key:str}/migrate-runs", opt=ADMIN, status_code=202)
async def migrate_runs(
    key: str, data: RunsMigration, caller: Caller, parts: Parts
) -> Response[OperationView]:
    """Let the runs that wait in an earlier version go on with the live one, as an operation. A run moves where the live version
    has the step at which it waits, with the same type, and the run has what later steps ask of earlier ones; the time
    until which it waits is computed again from when it began to wait. The others stay, and its errors say why. A dry run
    says how many would move."""
    workflows = parts.ledger.setup.workflows
    live = found(workflows, caller.tenant, key, "workflow")
    if data.to_version not in (None, live.version):
        detail = f"the live version is {live.version}: runs can move to that one only."
        raise InvalidInput(detail, pointer="#/to_version")
    if data.from_version >= live.version:
        detail = f"name an earlier version than {live.version}, which is live."
        raise InvalidInput(detail, pointer="#/from_version")
    selection = RunSelection(
        where=RunFilter(workflow=key, version=data.from_version), to_version=live.version
    )
    operations = parts.services.operations
    operation = await operations.start_runs(caller.tenant, OperationKind.MIGRATE_RUNS, selection)
    if terms.dry_running():
        return Response(await view(parts, *await operations.rehearsed(operation)), status_code=202)
    return await started(parts, operation)


@delete("/{key:str}", opt=ADMIN)
async def delete_workflow(
    key: str,
    caller: Caller,
    parts: Parts,
    runs: Annotated[
        Literal["cancel"] | None, Parameter(description="What becomes of its runs that wait")
    ] = None,
) -> None:
    """Delete a workflow. Messages that wait to be sent are canceled. While runs of it wait, 409 unless `runs=cancel` says that
    they are canceled, which is an operation."""
    waiting = (await parts.ledger.runs.waiting(caller.tenant, key)).get(key, {})
    if waiting and runs is None:
        raise Conflict(
            f"{by_version(waiting).total()} runs of the workflow {key!r} wait. Cancel them with it (`runs=cancel`), or wait "
            "for their end."
        )
    await parts.services.setup.delete(caller.tenant, Workflow, key)
    if waiting:
        selection = RunSelection(where=RunFilter(workflow=key))
        await parts.services.operations.start_runs(caller.tenant, OperationKind.CANCEL_RUNS, selection)


async def _store(
    workflow: Workflow, before: Workflow | None, caller: Identity, parts: ApiParts
) -> WorkflowDocument:
    """Publish. `before`: what it was made from; Conflict when something else is live by now."""
    if faults := faults_of(workflow, parts, caller):
        names = all(fault.code == UnknownReference.code for fault in faults)
        code = UnknownReference.code if names else InvalidInput.code
        raise RejectedRequest(f"The workflow cannot work as it is: {faults[0].detail}", faults, code=code)
    stored = await parts.services.setup.put(caller.tenant, workflow, before)
    return shown(WorkflowDocument, stored)


def faults_of(workflow: Workflow, parts: ApiParts, caller: Identity) -> list[Fault]:
    """Everything that would keep the workflow from working."""
    setup = parts.ledger.setup
    categories, templates = setup.categories.all(caller.tenant), setup.templates.all(caller.tenant)
    faults: list[Fault] = []
    of_schema, of_example = reviewed(workflow.data_schema, workflow.example_data)
    faults += [Fault(detail=m.detail, pointer=f"#/data_schema{m.pointer}") for m in of_schema]
    faults += [
        Fault(detail=f"by the schema: {m.detail}", pointer=f"#/example_data{m.pointer}") for m in of_example
    ]
    data = ANYTHING if of_schema else type_of_data(workflow.data_schema)
    unknown = unknown_in("category", [(workflow.category, "#/category")], categories)
    faults += map(unknown_name, unknown)
    faults += [
        Fault(detail=one.detail, pointer=one.pointer, code=one.code)
        for one in (*step_faults(workflow.steps, data), *event_faults(workflow, data))
    ]
    faults += _generated(workflow, categories)
    for place, step in placed(workflow.steps):
        if step.type is StepType.TRIGGER and step.workflow is not None:
            known = {**setup.workflows.all(caller.tenant), workflow.key: workflow}
            faults += map(unknown_name, unknown_in("workflow", [(step.workflow, f"{place}/workflow")], known))
        if step.connection is not None:
            faults += _uncallable(step, setup.connections.all(caller.tenant), place)
        if step.type not in SENDING or step.to is None or not step.template:
            continue
        faults += _listed_twice(step.to, f"{place}/to")
        if step.template not in templates:
            unknown = unknown_in("template", [(step.template, f"{place}/template")], templates)
            faults += map(unknown_name, unknown)
        else:
            faults += _unwritten(step, templates[step.template], place)
    for field in ("collapse_key", "thread", "cancellation_key"):
        faults += _not_a_pointer(getattr(workflow, field), f"#/{field}", data)
    faults += _superseding(workflow)
    if workflow.dedupe is not None:
        faults += _not_a_pointer(workflow.dedupe.key, "#/dedupe/key", data)
    if workflow.on is not None:
        faults += _not_a_pointer(workflow.on.recipients, "#/on/recipients", data)
        if (wrong := check_pattern(workflow.on.type)) is not None:
            faults.append(Fault(detail=f"{wrong}.", pointer="#/on/type"))
    try:
        validation.check_windows(workflow.send_window, "#/send_window")
    except InvalidInput as refused:
        return [*faults, *faults_in(refused)]
    faults += _never_open(workflow, categories)
    return faults


def _generated(workflow: Workflow, categories: Mapping[str, Category]) -> Iterator[Fault]:
    """What is wrong with steps that have something written, and with what goes by it."""
    category = categories.get(workflow.category)
    if category is not None and category.critical:
        for one in generated_decisions(workflow.steps):
            yield Fault(detail=one.detail, pointer=one.pointer)
    for place, step in placed(workflow.steps):
        if step.type is StepType.GENERATE:
            of_output, of_fallback = reviewed(step.output, step.fallback or {})
            yield from (Fault(detail=m.detail, pointer=f"{place}/output{m.pointer}") for m in of_output)
            for m in of_fallback:
                yield Fault(detail=f"by `output`: {m.detail}", pointer=f"{place}/fallback{m.pointer}")


def _uncallable(step: Step, connections: Mapping[str, Connection], place: str) -> list[Fault]:
    assert step.connection is not None
    connection = connections.get(step.connection)
    if connection is None:
        unknown = unknown_in("connection", [(step.connection, f"{place}/connection")], connections)
        return [*map(unknown_name, unknown)]
    method, field = (
        (step.method, "method") if step.type is StepType.FETCH else (HttpMethod.POST, "connection")
    )
    if method in connection.methods:
        return []
    able = ", ".join(connection.methods)
    detail = f"the connection {connection.key!r} allows {able}, not {method}."
    return [Fault(detail=detail, pointer=f"{place}/{field}")]


def _superseding(workflow: Workflow) -> list[Fault]:
    if not workflow.supersedes:
        return []
    if workflow.thread is None:
        return [Fault(detail="`supersedes` needs `thread`: what belongs together.", pointer="#/supersedes")]
    if workflow.collapse_key is not None:
        return [Fault(detail="set `supersedes` or `collapse_key`, not both.", pointer="#/collapse_key")]
    return []


def _unwritten(step: Step, template: Template, place: str) -> list[Fault]:
    channels = channels_of(step)
    if not channels:
        return [Fault(detail="name at least one channel.", pointer=f"{place}/to/channels")]
    lacking = [channel for channel in dict.fromkeys(channels) if channel not in template.channels]
    if not lacking or isinstance(step.to, SendFirst):
        return []
    return [
        Fault(
            detail=f"the template {template.key!r} has no content for {', '.join(lacking)}.",
            pointer=f"{place}/to",
        )
    ]


def _listed_twice(to: SendAll | SendFirst | SendLadder, place: str) -> list[Fault]:
    """A channel is tried once in a step: a second mention would say something that does not happen."""
    channels: Sequence[Channel | LadderChannel] = to.channels
    listed = [
        (one.channel, f"{place}/channels/{index}/channel")
        if isinstance(one, LadderChannel)
        else (one, f"{place}/channels/{index}")
        for index, one in enumerate(channels)
    ]
    if isinstance(to, SendLadder):
        listed += [(channel, f"{place}/always/{index}") for index, channel in enumerate(to.always)]
    faults, seen = [], set[Channel]()
    for channel, where in listed:
        if channel in seen:
            faults.append(Fault(detail=f"the channel `{channel}` is listed twice: keep one.", pointer=where))
        seen.add(channel)
    return faults


def _never_open(workflow: Workflow, categories: Mapping[str, Category]) -> list[Fault]:
    category = categories.get(workflow.category)
    if category is None or meet(category.send_window, workflow.send_window):
        return []
    detail = f"the window is never open together with that of the category {category.key!r}: nothing would be sent."
    return [Fault(detail=detail, pointer="#/send_window")]


def _not_a_pointer(pointer: str | None, place: str, data: DataType) -> list[Fault]:
    if not pointer:
        return []
    if (wrong := check_pointer(pointer)) is not None:
        detail = f"this must be a JSON pointer into data, like /order_id, or empty: {wrong}."
        return [Fault(detail=detail, pointer=place)]
    if (wrong := pointer_fault(data, pointer)) is not None:
        return [Fault(detail=f"the pointer {pointer} leads to nothing: {wrong}.", pointer=place)]
    return []


router = Router(
    "/v1/workflows",
    route_handlers=[
        list_workflows,
        get_workflow,
        get_example_data,
        put_workflow,
        patch_workflow,
        list_workflow_versions,
        migrate_runs,
        delete_workflow,
    ],
    opt=one("workflow"),
    tags=["Set-up"],
)

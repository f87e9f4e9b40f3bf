"""The pages of workflows: the list, one workflow as a drawing with its runs, and one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.labels import because, workflow_name
from clarion.dashboard.message_feed import when
from clarion.dashboard.page_address import chosen, cursor, record_id
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.step_words import words
from clarion.dashboard.trigger_form import CHANNEL_NAMES, channels_of
from clarion.dashboard.user_list import people
from clarion.dashboard.workflow_graph import HEIGHT, LABEL, PILL, WIDTH, drawing
from clarion.errors import NotFound
from clarion.model.ids import RunId, id_text
from clarion.model.run import RunFilter, RunRow, RunStatus, by_version
from clarion.model.setup import Step, Workflow
from clarion.model.status import FAILED_FOR_GOOD
from clarion.rules.explain import explanation, merged
from clarion.rules.steps.faults import placed
from clarion.rules.totals import day_of

DAYS = 30
RUNS = 50
VERSIONS = 50
CUT = 30
"""Characters of a line that a box of the drawing has room for."""
TONES = {RunStatus.WAITING: "wait", RunStatus.FINISHED: "good", RunStatus.FAILED: "bad"}

route = PageRoutes()


@route("GET", "/ui/workflows", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """All workflows, with what became of their messages of late."""
    tenant, ledger = site.tenant(), site.parts.ledger
    to = day_of(site.parts.clock.now()) + 1
    messages: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for total in await site.parts.services.retention.totals(tenant, to - DAYS, to):
        messages[total.workflow] += total.count
        failed[total.workflow] += total.count * (total.status in FAILED_FOR_GOOD)
    waiting = await ledger.runs.waiting(tenant)
    rows = [
        {
            "key": workflow.key,
            "name": workflow_name(workflow, workflow.key),
            "category": workflow.category,
            "version": workflow.version,
            "steps": len(workflow.steps),
            "channels": [
                {"id": one.value, "name": CHANNEL_NAMES[one]} for one in channels_of(workflow.sends())
            ],
            "messages": f"{messages[workflow.key]:,}",
            "failed": f"{failed[workflow.key]:,}",
            "waiting": f"{sum(waiting.get(workflow.key, {}).values()):,}",
        }
        for workflow in sorted(ledger.setup.workflows.all(tenant).values(), key=lambda one: one.key)
    ]
    return Response(body=pages.render("workflows.html", here="workflows", rows=rows, days=DAYS))


@route("GET", "/ui/workflows/*", page=True)
async def one(site: Site, request: PageRequest, key: str) -> Response:
    """What a workflow does, and where its runs stand."""
    tenant, ledger = site.tenant(), site.parts.ledger
    workflow = ledger.setup.workflows.all(tenant).get(key)
    if workflow is None:
        raise NotFound(f"There is no workflow {key!r}.")
    where, before = _wanted(request, workflow)
    waiting = (await ledger.runs.waiting(tenant, key)).get(key, {})
    at: Counter[str] = Counter()
    for (_, step), count in waiting.items():
        at[step] += count
    found, following = await ledger.runs.page(tenant, where, before, RUNS)
    return Response(
        body=pages.render(
            "workflow.html",
            here="workflows",
            key=key,
            title=workflow_name(workflow, key),
            below=True,
            category=workflow.category,
            lane=str(workflow.lane),
            version=workflow.version,
            **graph(workflow, at),
            gone=sorted(set(at) - {step.key for _, step in placed(workflow.steps)}),
            versions=[
                {"number": number, "waiting": f"{count:,}"}
                for number, count in sorted(by_version(waiting).items())
            ],
            history=await _history(site, workflow, waiting),
            runs=await run_rows(site, found),
            statuses=[{"id": one.value, "name": one.value.capitalize()} for one in RunStatus],
            chosen={"status": "".join(where.statuses), "step": where.step or ""},
            older="" if following is None else following.hex(),
        )
    )


def graph(workflow: Workflow, at: Mapping[str, int]) -> dict[str, Any]:
    """A workflow as a drawing and as a list, with how many runs wait at each step."""
    drawn = drawing(workflow)
    begins = "when it is triggered" if workflow.on is None else f"on {workflow.on.type}"
    return {
        "begin": {"text": _cut(begins), "whole": begins},
        "drawn": {
            "width": drawn.width,
            "height": drawn.height,
            "lines": [line.path for line in drawn.lines],
        },
        "box": {"width": WIDTH, "height": HEIGHT, "label": LABEL, "pill": PILL},
        "nodes": [
            _node(node.step, at.get(node.step.key, 0)) | {"x": node.x, "y": node.y} for node in drawn.nodes
        ],
        "labels": [
            {"text": _cut(one.text), "whole": one.text, "x": one.x, "y": one.y} for one in drawn.labels
        ],
        "steps": list(_listed(workflow.steps, at, 0)),
    }


async def _history(
    site: Site, workflow: Workflow, waiting: Mapping[tuple[int, str], int]
) -> list[dict[str, Any]]:
    """The versions that were ever live, newest first, with the runs that wait in each."""
    found = await site.parts.ledger.setup.workflows.versions(site.tenant(), workflow.key, None, VERSIONS)
    counts = by_version(waiting)
    return [
        {
            "number": one.version,
            "live": one.version == workflow.version,
            "waiting": f"{counts[one.version]:,}",
        }
        for one in found
    ]


@route("GET", "/ui/runs/*", page=True)
async def run(site: Site, request: PageRequest, text: str) -> Response:
    """What the steps of one run did."""
    row = await _the_run(site, text)
    runs = await site.parts.ledger.plans.runs_of(row.tenant, row.event_id, row.user)
    told = [explanation(one, None) for one in merged(runs) if one.workflow == row.workflow]
    (shown,) = await run_rows(site, [row])
    there = row.workflow in site.parts.ledger.setup.workflows.all(row.tenant)
    return Response(
        body=pages.render(
            "run.html",
            here="workflows",
            below=True,
            run=shown,
            event_id=id_text(row.event_id),
            workflow_key=row.workflow if there else "",
            lane=str(row.lane),
            history=[msgspec.to_builtins(step) for one in told for step in one.steps],
            waits=row.status is RunStatus.WAITING,
        )
    )


@route("POST", "/ui/runs/*/cancel")
async def cancel(site: Site, request: PageRequest, text: str) -> Response:
    """End a run that waits, and go back to its page, which says what became of it."""
    row = await _the_run(site, text)
    await site.parts.services.runs.cancel(row)
    return Response(status=303, headers={"location": f"/ui/runs/{id_text(row.id)}"})


async def _the_run(site: Site, text: str) -> RunRow:
    row = await site.parts.ledger.runs.get(site.tenant(), RunId(record_id(text, "run")))
    if row is None:
        raise NotFound(
            "There is no such run: one that never waits is in the explanation of its messages only."
        )
    return row


def _wanted(request: PageRequest, workflow: Workflow) -> tuple[RunFilter, RunId | None]:
    """What the address asks for, and the run before which to go on."""
    status, before = chosen(request, "status", RunStatus, "runs"), cursor(request, "runs")
    where = RunFilter(
        workflow=workflow.key,
        statuses=frozenset({status} if status else ()),
        step=request.query.get("step") or None,
    )
    return where, None if before is None else RunId(before)


async def run_rows(site: Site, found: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Runs as a table shows them."""
    faces = await people(site.parts.ledger.users, [row.user for row in found])
    workflows = site.parts.ledger.setup.workflows.all(site.tenant())
    return [
        {
            "id": id_text(row.id),
            "person": faces[row.user],
            "workflow": workflow_name(workflows.get(row.workflow), row.workflow),
            "status": row.status.value.capitalize(),
            "tone": TONES.get(row.status, ""),
            "why": because(row.reason),
            "step": row.step,
            "version": row.version,
            "started": when(row.started_at),
            "due": None if row.due_at is None else when(row.due_at),
            "updated": when(row.updated_at),
        }
        for row in found
    ]


def _node(step: Step, waiting: int) -> dict[str, Any]:
    said = words(step)
    return {
        "key": step.key,
        "type": step.type.value,
        "title": _cut(f"{step.type.value.replace('_', ' ').capitalize()} {step.key}"),
        "words": _cut(said),
        "whole": said if step.when is None else f"{said}, if {step.when}",
        "when": step.when is not None,
        "waiting": f"{waiting:,}" if waiting else "",
    }


def _listed(steps: Sequence[Step], at: Mapping[str, int], depth: int) -> Iterator[dict[str, Any]]:
    """The steps as lines, those inside of others further in."""
    for step in steps:
        yield _node(step, at.get(step.key, 0)) | {
            "depth": depth,
            "say": words(step),
            "condition": step.when or "",
        }
        for case in step.cases:
            yield {"case": case.when or "otherwise", "depth": depth + 1}
            yield from _listed(case.steps, at, depth + 2)
        yield from _listed(step.steps, at, depth + 1)


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[: CUT - 1]}…"

"""The page that tries a workflow with one person: what each step would do, why, and what would be read. Nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec

from clarion.dashboard import pages
from clarion.dashboard.config_pages import read_text
from clarion.dashboard.context import Site
from clarion.dashboard.labels import workflow_name
from clarion.dashboard.message_page import channel_line
from clarion.dashboard.previews import shown
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.trigger_form import data_of, example_of
from clarion.dashboard.user_list import person
from clarion.errors import ClarionError, InvalidInput, NotFound
from clarion.model.message import Run
from clarion.model.setup import Step, StepType, Workflow, every
from clarion.model.status import Status
from clarion.model.submission import Submission
from clarion.model.user import User
from clarion.rules.explain import ChannelExplanation, StepExplanation, explanation

PEOPLE = 50
"""People that are offered, the newest; everybody else is found by their id."""
GOES = (Status.QUEUED, Status.DEFERRED)

route = PageRoutes()


class TestForm(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried."""

    user: str = ""
    data: str = ""
    skip_waits: bool = True
    text: str = ""
    """A definition that is not published; empty: the live one."""


@route("GET", "/ui/workflows/*/test", page=True)
async def begin(site: Site, request: PageRequest, key: str) -> Response:
    """The form, with example data."""
    return await _page(site, key, await _workflow(site, key, ""), TestForm())


@route("POST", "/ui/workflows/*/test")
async def test(site: Site, request: PageRequest, key: str) -> Response:
    """The form again, with what would happen; from the editor, with its text."""
    fields = request.form()
    text = "".join(fields.get("text", ())).replace("\r\n", "\n")
    workflow = await _workflow(site, key, text)
    if "user" not in fields:
        return await _page(site, key, workflow, TestForm(text=text))
    form = TestForm(
        user="".join(fields["user"]).strip(),
        data="".join(fields.get("data", ())),
        skip_waits="skip_waits" in fields,
        text=text,
    )
    try:
        runs = await _runs(site, workflow, form)
    except ClarionError as wrong:
        return await _page(site, key, workflow, form, wrong=wrong.detail)
    return await _page(site, key, workflow, form, runs=runs)


async def _workflow(site: Site, key: str, text: str) -> Workflow:
    """The live one, or what a text says."""
    if not text:
        live = site.parts.ledger.setup.workflows.all(site.tenant()).get(key)
        if live is None:
            raise NotFound(f"There is no workflow {key!r}.")
        return live
    read = await read_text(site, "workflows", key, text)
    if read.findings or read.checked is None or not isinstance(read.checked.document, Workflow):
        first = read.findings[0]
        raise InvalidInput(f"The text cannot be tried: line {first.line}: {first.detail}")
    fields = {name: getattr(read.checked.document, name) for name in Workflow.__struct_fields__}
    return Workflow(**fields | {"key": key, "name": fields["name"] or ""})


async def _runs(site: Site, workflow: Workflow, form: TestForm) -> list[dict[str, Any]]:
    tenant, services = site.tenant(), site.parts.services
    dry_runs = services.dry_runs
    if form.text:
        dry_runs = await dry_runs.trying(tenant, workflow)
    data = data_of(form.data)
    submission = Submission(workflow=workflow.key, recipients=(form.user,), data=data)
    found = await dry_runs.runs(tenant, submission, skip_waits=form.skip_waits)
    users = await site.parts.ledger.users.find(tenant, [user_id for user_id, _ in found])
    return [
        {
            "person": person(users[user_id]),
            "summary": explanation(run, user_id).text,
            "steps": [step async for step in _told(site, workflow, users[user_id], run, data)],
        }
        for user_id, run in found
        if user_id in users
    ]


async def _told(
    site: Site, workflow: Workflow, user: User, run: Run, data: msgspec.Raw
) -> AsyncIterator[dict[str, Any]]:
    """Step by step: its verdict, and each channel with all its rules and what would be read."""
    told, face = explanation(run, user.id), person(user)
    steps = {step.key: step for step in every(workflow.steps)}
    left = list(told.channels)
    for part in told.steps or _alone(told.channels):
        mine = _take(left, part.step)
        step = steps.get(part.step)
        yield {
            "key": part.step,
            "type": part.type.value.replace("_", " ").capitalize(),
            "text": part.text,
            "at": part.at,
            "channels": [
                {**channel_line(one), "shown": await _content(site, step, user, one, data)} for one in mine
            ],
            "person": face,
        }


def _alone(channels: list[ChannelExplanation]) -> Iterator[StepExplanation]:
    """A workflow that sends everything at once tells nothing of its steps but its messages."""
    for key in dict.fromkeys(one.step for one in channels):
        yield StepExplanation(
            step=key, type=StepType.SEND, result="sent", at="", due_at=None, inputs={}, text=""
        )


def _take(left: list[ChannelExplanation], step: str) -> list[ChannelExplanation]:
    """The channels of a step, each once: a step in a loop comes again."""
    mine: dict[str, ChannelExplanation] = {}
    for one in [one for one in left if one.step == step]:
        if one.channel in mine:
            break
        mine[one.channel] = one
        left.remove(one)
    return list(mine.values())


async def _content(
    site: Site, step: Step | None, user: User, channel: ChannelExplanation, data: msgspec.Raw
) -> dict[str, Any] | None:
    """What would be read; None where nothing would be sent."""
    tenant, setup = site.tenant(), site.parts.ledger.setup
    template = None if step is None or not step.template else setup.templates.all(tenant).get(step.template)
    if template is None or channel.status not in GOES:
        return None
    services = site.parts.services
    (found,) = await services.previews.of(
        template,
        setup.tenants.all()[tenant],
        user,
        msgspec.json.decode(data),
        [channel.channel],
        can_be_left=services.templates.can_be_left(tenant, template.key),
    )
    return shown(found, site.frames)


async def _page(
    site: Site,
    key: str,
    workflow: Workflow,
    form: TestForm,
    *,
    runs: Sequence[dict[str, Any]] | None = None,
    wrong: str = "",
) -> Response:
    tenant, ledger = site.tenant(), site.parts.ledger
    found = await ledger.users.page(tenant, None, PEOPLE)
    example = example_of(ledger.setup, tenant, workflow)
    body = pages.render(
        "workflow_test.html",
        here="workflows",
        below=True,
        key=key,
        title=workflow_name(workflow, key),
        people=[person(user) for user in found],
        user=form.user or (found[-1].id if found else ""),
        data=form.data or msgspec.json.format(msgspec.json.encode(example), indent=2).decode(),
        skip_waits=form.skip_waits,
        text=form.text,
        runs=runs,
        wrong=wrong,
    )
    return Response(body=body)

"""`/v1/templates`: content per channel, language and field, in versions: drafted, published, rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api import nulls
from clarion.api.conditions import one
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.problems import Fault, RejectedRequest
from clarion.api.stored_documents import found, found_version, missing, patched
from clarion.content import Finding
from clarion.errors import Conflict, InvalidInput
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Template, TemplateDraft
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.time_format import rfc3339
from clarion.services.templates import Published

DRAFT = one("draft")
"""These routes are about the draft, not the live version."""


class TemplateDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A template; its key stands in the path.

    `version`, `partials`, `published_at` and `origin` are Clarion's: sent back, they are passed over.
    """

    key: str = ""
    name: str | None = None
    version: int = 0
    default_locale: str = "en"
    channels: dict[Channel, dict[str, dict[str, str]]]
    """channel -> locale -> field (`subject`, `text`, `html`, `title`, `body`, `url`, ...) -> source."""
    example_data: dict[str, Any] = {}
    """Data for previews and checks."""
    data_schema: dict[str, Any] | None = None
    """JSON Schema (2020-12) that the data of an event must satisfy to start a workflow with this template."""
    partials: dict[str, str] = {}
    """The layouts and partials it uses, as they were when it was published."""
    published_at: str | None = None
    """When this version went live."""
    origin: str | None = None
    """What it was made from: `document`, `draft`, `version 3` or `partial footer`."""


class DraftBody(Value, frozen=True, kw_only=True):
    """A draft of a template."""

    template: TemplateDocument
    """In a new draft, `version` is the version it is based on. Default: the live one."""


class DraftView(msgspec.Struct, frozen=True, kw_only=True):
    """A draft and its findings."""

    template: TemplateDocument
    saved_at: str
    based_on: int
    """The version that was live when the draft was started; 0: none."""
    findings: list[Finding]


class PublishedView(msgspec.Struct, frozen=True, kw_only=True):
    """The new live version, and its findings."""

    template: TemplateDocument
    findings: list[Finding]


class PublishBody(Value, frozen=True, kw_only=True):
    """The version that is replaced. `If-Match` refers to the draft."""

    replaces: int | None = None
    """The live version that you compared with. Default: the version the draft is based on (`based_on`)."""


class RollbackBody(Value, frozen=True, kw_only=True):
    """The version to publish again."""

    version: int


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a template."""

    version: int
    published_at: str | None
    """When it went live."""
    origin: str | None
    """What it was made from: `document`, `draft`, `version 3` or `partial footer`."""
    live: bool


@get("/", opt=READ)
async def list_templates(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[TemplateDocument]:
    """All templates in their live versions."""
    return page_of_documents(parts.ledger.setup.templates.all(caller.tenant), document_of, cursor, limit)


@get("/{key:str}", opt=READ)
async def get_template(
    key: str, caller: Caller, parts: Parts, version: int | None = None
) -> TemplateDocument:
    """One template: the live version, or an exact one."""
    templates = parts.ledger.setup.templates
    return document_of(await found_version(templates, caller.tenant, key, version, "template"))


@put("/{key:str}", opt=ADMIN)
async def put_template(key: str, data: TemplateDocument, caller: Caller, parts: Parts) -> TemplateDocument:
    """Publish a template without a draft. The new version is live at once; messages planned before keep theirs.

    Every source is compiled, and rendered with `example_data` if given.
    """
    published = await parts.services.templates.publish(caller.tenant, template_of(data, key))
    return live_or_refused(published).template


@patch("/{key:str}", opt=ADMIN)
async def patch_template(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> TemplateDocument:
    """Publish the template with some fields changed (JSON merge patch): null restores the default or takes out a channel,
    language or field; what is not named stays."""
    live = found(parts.ledger.setup.templates, caller.tenant, key, "template")
    template = template_of(patched(document_of(live), data), key)
    published = await parts.services.templates.publish(caller.tenant, template, live.version)
    return live_or_refused(published).template


@delete("/{key:str}", opt=ADMIN)
async def delete_template(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a template that no workflow uses. Its versions stay readable."""
    workflows = parts.ledger.setup.workflows.all(caller.tenant).values()
    users = [w.key for w in workflows if key in w.templates()]
    if users:
        raise Conflict(f"The template is used by the workflows {', '.join(users)}: change those first.")
    await parts.services.setup.delete(caller.tenant, Template, key)


@get("/{key:str}/draft", opt=READ | DRAFT)
async def get_draft(key: str, caller: Caller, parts: Parts) -> DraftView:
    """The draft and its findings."""
    draft = parts.services.templates.draft(caller.tenant, key)
    return _draft_view(draft, await parts.services.templates.findings(caller.tenant, draft.template))


@put("/{key:str}/draft", opt=ADMIN | DRAFT)
async def put_draft(key: str, data: DraftBody, caller: Caller, parts: Parts) -> DraftView:
    """Save a draft. It may have errors, because drafts are never sent. The answer has the findings."""
    template = template_of(data.template, key, "#/template")
    draft = await parts.services.templates.save(caller.tenant, template, None, data.template.version or None)
    return _draft_view(draft, await parts.services.templates.findings(caller.tenant, template))


@delete("/{key:str}/draft", opt=ADMIN | DRAFT)
async def delete_draft(key: str, caller: Caller, parts: Parts) -> None:
    """Discard the draft."""
    await parts.services.templates.discard(caller.tenant, key)


@post("/{key:str}/publish", opt=ADMIN | DRAFT, status_code=200)
async def publish_draft(
    key: str, caller: Caller, parts: Parts, data: PublishBody | None = None
) -> PublishedView:
    """Publish the draft as the next version. If it has errors, all are returned and the draft stays.

    Refused with 412 if another version was published since the draft was started: compare the two, then name that
    version in `replaces`. A version that only has a changed partial does not count.
    """
    asked = data or PublishBody()
    return live_or_refused(
        await parts.services.templates.publish_draft(caller.tenant, key, replaces=asked.replaces)
    )


@post("/{key:str}/rollback", opt=ADMIN, status_code=200)
async def roll_back(key: str, data: RollbackBody, caller: Caller, parts: Parts) -> PublishedView:
    """Publish an old version again, exactly as it was, partials included. Findings are returned but do not prevent it."""
    return live_or_refused(await parts.services.templates.roll_back(caller.tenant, key, data.version))


@get("/{key:str}/versions", opt=READ)
async def list_versions(
    key: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[VersionView]:
    """All versions, newest first, also of a template that was deleted."""
    templates = parts.ledger.setup.templates
    before = None if not cursor else cursor.after(0)
    versions = await templates.versions(caller.tenant, key, before, limit)
    live = templates.all(caller.tenant).get(key)
    if not versions and not cursor:
        raise missing("template", key, templates.all(caller.tenant))
    return Page(
        items=[
            VersionView(
                version=one.version,
                published_at=_moment(one.published_at),
                origin=one.origin or None,
                live=one == live,
            )
            for one in versions
        ],
        next_cursor=cursor.to(versions[-1].version if len(versions) == limit else None),
    )


def template_of(body: TemplateDocument, key: str, place: str = "#") -> Template:
    """The template of a body whose key stands in the path."""
    if body.key not in ("", key):
        raise InvalidInput("key differs from the one in the path: leave it out.", pointer=f"{place}/key")
    validation.check_key(key, f"{place}/key")
    return Template(
        key=key,
        version=0,
        name=body.name or "",
        default_locale=body.default_locale,
        channels=body.channels,
        example_data=body.example_data,
        data_schema=body.data_schema,
    )


def document_of(template: Template) -> TemplateDocument:
    """The template with every field spelt out, as it can be sent back."""
    fields = nulls.shown(template)
    return TemplateDocument(**{**fields, "published_at": _moment(template.published_at)})


def live_or_refused(published: Published) -> PublishedView:
    """What is live now; Rejected with all errors when it was refused."""
    if published.template is None:
        faults = faults_of(published.findings)
        raise RejectedRequest(
            f"The template cannot be used: {faults[0].detail}", faults, code="content_error"
        )
    return PublishedView(template=document_of(published.template), findings=list(published.findings))


def faults_of(findings: Sequence[Finding], place: str | None = None) -> list[Fault]:
    """The errors among findings, as faults of the body; all at `place` when the body is another document."""
    return [
        Fault(
            detail=f"line {f.line}: {f.detail}" if f.line is not None else f.detail,
            pointer=f.pointer if place is None else place,
        )
        for f in findings
        if f.severity == "error"
    ]


def _draft_view(draft: TemplateDraft, findings: Sequence[Finding]) -> DraftView:
    return DraftView(
        template=document_of(draft.template),
        saved_at=rfc3339(draft.saved_at),
        based_on=draft.based_on,
        findings=list(findings),
    )


def _moment(at: Instant) -> str | None:
    return rfc3339(at) if at else None


router = Router(
    "/v1/templates",
    route_handlers=[
        list_templates,
        get_template,
        put_template,
        patch_template,
        delete_template,
        get_draft,
        put_draft,
        delete_draft,
        publish_draft,
        roll_back,
        list_versions,
    ],
    opt=one("template"),
    tags=["Set-up"],
)

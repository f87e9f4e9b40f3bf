"""`/v1/templates`: content per channel, language and field."""

from __future__ import annotations

from litestar import Router, delete, get, put

from clarion.api.access import ADMIN, READ, Parts, Who
from clarion.api.pages import Page
from clarion.api.problems import Fault, Rejected
from clarion.api.shelves import every, found_version, named, remove, shown
from clarion.errors import Conflict
from clarion.model.setup import Template


class TemplateDocument(Template, frozen=True, kw_only=True, omit_defaults=False):
    """A template; its key stands in the path, its version is counted by Clarion."""

    key: str = ""


@get("/", opt=READ)
async def list_templates(caller: Who, parts: Parts) -> Page[TemplateDocument]:
    """All templates in their live versions."""
    return Page(items=every(TemplateDocument, parts.ledger.setup.templates, caller.tenant))


@get("/{key:str}", opt=READ)
async def get_template(key: str, caller: Who, parts: Parts, version: int | None = None) -> TemplateDocument:
    """One template: the live version, or an exact one."""
    return shown(
        TemplateDocument,
        await found_version(parts.ledger.setup.templates, caller.tenant, key, version, "template"),
    )


@put("/{key:str}", opt=ADMIN)
async def put_template(key: str, data: TemplateDocument, caller: Who, parts: Parts) -> TemplateDocument:
    """Publish a template: every source is compiled, and rendered with `example_data` when there are any."""
    template = named(Template, data, key)
    faults = [
        Fault(detail=f"line {f.line}: {f.detail}" if f.line is not None else f.detail, pointer=f.pointer)
        for f in parts.check_template(template)
    ]
    if faults:
        raise Rejected(f"The template cannot be used: {faults[0].detail}", faults, code="content_error")
    return shown(TemplateDocument, await parts.ledger.setup.templates.put(caller.tenant, template))


@delete("/{key:str}", opt=ADMIN)
async def delete_template(key: str, caller: Who, parts: Parts) -> None:
    """Delete a template that no workflow uses."""
    workflows = parts.ledger.setup.workflows.all(caller.tenant).values()
    users = [w.key for w in workflows if any(step.template == key for step in w.steps)]
    if users:
        raise Conflict(f"The template is used by the workflows {', '.join(users)}: change those first.")
    await remove(parts.ledger.setup.templates, caller.tenant, key, "template")


router = Router(
    "/v1/templates",
    route_handlers=[list_templates, get_template, put_template, delete_template],
    tags=["Set-up"],
)

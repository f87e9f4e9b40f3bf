"""`/v1/partials`: layouts and pieces that templates share."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Router, delete, get, patch, put

from clarion.api.conditions import one
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.problems import Fault, RejectedRequest
from clarion.api.stored_documents import found, found_version, patched
from clarion.api.templates import faults_of
from clarion.errors import InvalidInput
from clarion.model.setup import Partial
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.time_format import rfc3339
from clarion.services.templates import PartialPublished


class PartialDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A layout (`{% extends "key" %}`) or a piece (`{% include "key" %}`); its key stands in the path.

    `version` and `published_at` are Clarion's: sent back, they are passed over.
    """

    key: str = ""
    name: str | None = None
    version: int = 0
    source: str
    published_at: str | None = None


class TemplateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A template that went live again."""

    key: str
    version: int


class PartialView(msgspec.Struct, frozen=True, kw_only=True):
    """A partial, and the versions of the templates that use it."""

    partial: PartialDocument
    templates: list[TemplateVersion]


@get("/", opt=READ)
async def list_partials(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[PartialDocument]:
    """All layouts and partials in their live versions."""
    return page_of_documents(parts.ledger.setup.partials.all(caller.tenant), document, cursor, limit)


@get("/{key:str}", opt=READ)
async def get_partial(key: str, caller: Caller, parts: Parts, version: int | None = None) -> PartialView:
    """One partial, the live version or an exact one, and the templates that use it now."""
    store = parts.ledger.setup.partials
    partial = await found_version(store, caller.tenant, key, version, "partial")
    return PartialView(
        partial=document(partial),
        templates=[
            TemplateVersion(key=template.key, version=template.version)
            for template in parts.services.templates.users_of(caller.tenant, key)
        ],
    )


@put("/{key:str}", opt=ADMIN)
async def put_partial(key: str, data: PartialDocument, caller: Caller, parts: Parts) -> PartialView:
    """Create or change a partial. At the same moment, each template that uses it gets a new live version with it.

    Refused if it would break a template; the errors name the templates.
    """
    return _view(await parts.services.templates.put_partial(caller.tenant, _partial(data, key)))


@patch("/{key:str}", opt=ADMIN)
async def patch_partial(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> PartialView:
    """Change some fields (JSON merge patch): null restores the default, what is not named stays."""
    live = found(parts.ledger.setup.partials, caller.tenant, key, "partial")
    partial = _partial(patched(document(live), data), key)
    return _view(await parts.services.templates.put_partial(caller.tenant, partial, live.version))


@delete("/{key:str}", opt=ADMIN)
async def delete_partial(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a partial that no template uses."""
    await parts.services.templates.delete_partial(caller.tenant, key)


def _view(published: PartialPublished) -> PartialView:
    if published.partial is None:
        if published.findings:
            own = faults_of(published.findings, "#/source")
            raise RejectedRequest(f"The partial cannot be used: {own[0].detail}", own, code="content_error")
        faults = [
            Fault(detail=f"template {key!r}: {fault.detail}", pointer="#/source")
            for key, findings in published.broken.items()
            for fault in faults_of(findings)
        ]
        broken = ", ".join(published.broken)
        raise RejectedRequest(f"It would break {broken}: {faults[0].detail}", faults, code="content_error")
    return PartialView(
        partial=document(published.partial),
        templates=[TemplateVersion(key=one.key, version=one.version) for one in published.templates],
    )


def _partial(body: PartialDocument, key: str) -> Partial:
    if body.key not in ("", key):
        raise InvalidInput("key differs from the one in the path: leave it out.", pointer="#/key")
    validation.check_key(key, "#/key")
    return Partial(key=key, name=body.name or "", source=body.source)


def document(partial: Partial) -> PartialDocument:
    """The partial with every field spelt out, as it can be sent back."""
    return PartialDocument(
        key=partial.key,
        name=partial.name or None,
        version=partial.version,
        source=partial.source,
        published_at=rfc3339(partial.published_at) if partial.published_at else None,
    )


router = Router(
    "/v1/partials",
    route_handlers=[list_partials, get_partial, put_partial, patch_partial, delete_partial],
    opt=one("partial"),
    tags=["Set-up"],
)

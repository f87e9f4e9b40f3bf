"""`/v1/categories`: the units of opt-out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from litestar import Router, delete, get, patch, put

from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.stored_documents import found, named, page_of_store, patched, shown
from clarion.errors import Conflict, InvalidInput, check_all
from clarion.model.setup import Category, Law, Workflow
from clarion.rules import validation
from clarion.rules.legal import ANYWHERE
from clarion.rules.quiet_hours import meet
from clarion.rules.steps.faults import generated_decisions


class CategoryDocument(Category, frozen=True, kw_only=True, omit_defaults=False):
    """A category. Its key is in the path."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]
    description: str | None = None  # type: ignore[assignment]


@get("/", opt=READ)
async def list_categories(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[CategoryDocument]:
    """All categories."""
    return page_of_store(CategoryDocument, parts.ledger.setup.categories, caller.tenant, cursor, limit)


@get("/{key:str}", opt=READ)
async def get_category(key: str, caller: Caller, parts: Parts) -> CategoryDocument:
    """One category."""
    return shown(CategoryDocument, found(parts.ledger.setup.categories, caller.tenant, key, "category"))


@put("/{key:str}", opt=ADMIN)
async def put_category(key: str, data: CategoryDocument, caller: Caller, parts: Parts) -> CategoryDocument:
    """Create or replace a category."""
    return await _store(named(Category, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_category(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> CategoryDocument:
    """Change some fields (JSON merge patch): null restores the default, what is not named stays."""
    live = found(parts.ledger.setup.categories, caller.tenant, key, "category")
    body = patched(shown(CategoryDocument, live), data)
    return await _store(named(Category, body, key), live, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_category(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a category that no workflow uses."""
    users = [w.key for w in parts.ledger.setup.workflows.all(caller.tenant).values() if w.category == key]
    if users:
        raise Conflict(f"The category is used by the workflows {', '.join(users)}: change those first.")
    await parts.services.setup.delete(caller.tenant, Category, key)


async def _store(
    category: Category, before: Category | None, caller: Identity, parts: ApiParts
) -> CategoryDocument:
    """Keep the category. `before`: what it was made from; Conflict when something else is live by now."""
    check_all(
        [
            partial(validation.check_windows, category.send_window, "#/send_window"),
            partial(validation.check_caps, category.caps, "#/caps"),
            partial(validation.check_countries, category.tracking, "#/tracking", others=ANYWHERE),
            partial(validation.check_digest, category.digest, "#/digest"),
            partial(_check_consent, category),
        ]
    )
    workflows = parts.ledger.setup.workflows.all(caller.tenant).values()
    _check_open(category, workflows)
    _check_decisions(category, workflows)
    stored = await parts.services.setup.put(caller.tenant, category, before)
    return shown(CategoryDocument, stored)


def _check_decisions(category: Category, workflows: Iterable[Workflow]) -> None:
    """No alarm goes by what a language model wrote."""
    going = [
        one.key
        for one in workflows
        if category.critical and one.category == category.key and any(generated_decisions(one.steps))
    ]
    if going:
        detail = (
            f"conditions of the workflows {', '.join(going)} go by what was generated: change those first."
        )
        raise InvalidInput(detail, pointer="#/critical")


def _check_open(category: Category, workflows: Iterable[Workflow]) -> None:
    """Every workflow of the category can still send at some time of the week."""
    shut = [
        w.key
        for w in workflows
        if w.category == category.key and not meet(category.send_window, w.send_window)
    ]
    if shut:
        raise InvalidInput(
            f"the window is never open together with those of the workflows {', '.join(shut)}: change those first.",
            pointer="#/send_window",
        )


def _check_consent(category: Category) -> None:
    """A critical category asks nobody, so it must not say that it does."""
    if category.critical and (category.consent is not None or category.law is Law.MARKETING):
        field = "consent" if category.consent is not None else "law"
        raise InvalidInput("a critical category is not a matter of consent.", pointer=f"#/{field}")
    if category.purpose:
        validation.check_key(category.purpose, "#/purpose")


router = Router(
    "/v1/categories",
    route_handlers=[list_categories, get_category, put_category, patch_category, delete_category],
    opt=one("category"),
    tags=["Set-up"],
)

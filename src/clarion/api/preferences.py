"""`/v1/users/{user_id}/preferences`: the preferences of a user, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from litestar import Router, delete, get, patch, put

from clarion.api import faults, request_bodies
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser
from clarion.api.merging import merge
from clarion.api.references import unknown_in
from clarion.api.stored_documents import missing
from clarion.errors import UnknownReference
from clarion.model.consent import ConsentSource
from clarion.model.user import CategoryPreference, Preferences, User
from clarion.rules import validation
from clarion.rules.preferences import effective
from clarion.services.consents import ConsentOrigin


class PreferencesDocument(Preferences, frozen=True, kw_only=True, omit_defaults=False):
    """All choices of a user."""


class PreferencesView(msgspec.Struct, frozen=True, kw_only=True):
    """A user's choices, and the effective settings."""

    stored: PreferencesDocument
    effective: dict[str, Any]
    """Category, channel, `{"enabled": ..., "decided_by": ...}`."""


@get("/", opt=READ)
async def get_preferences(person: PathUser, caller: Caller, parts: Parts) -> PreferencesView:
    """The user's choices, and the effective setting per category and channel with what decided it."""
    return _view(parts, caller, person)


@put("/", opt=SEND)
async def put_preferences(
    person: PathUser, data: PreferencesDocument, caller: Caller, parts: Parts
) -> PreferencesView:
    """Replace all choices of the user. Choices that are left out are removed; PATCH changes single ones.

    After the answer, no attempt starts that the choices forbid.
    """
    chosen = Preferences(**msgspec.structs.asdict(data))
    return await _choose(parts, caller, person, lambda _: chosen)


@patch("/", opt=SEND)
async def patch_preferences(
    person: PathUser, data: dict[str, Any], caller: Caller, parts: Parts
) -> PreferencesView:
    """Change some choices (JSON merge patch). null removes a choice; choices that are not named stay.

    After the answer, no attempt starts that the choices forbid.
    """
    return await _choose(
        parts,
        caller,
        person,
        lambda before: request_bodies.convert(merge(msgspec.to_builtins(before), data), Preferences),
    )


@put("/categories/{key:str}", opt=SEND)
async def put_category_preference(
    person: PathUser, key: str, data: CategoryPreference, caller: Caller, parts: Parts
) -> PreferencesView:
    """Set the user's choice for one category. All other choices stay."""
    categories = parts.ledger.setup.categories.all(caller.tenant)
    if key not in categories:
        raise missing("category", key, categories)
    return await _choose(
        parts,
        caller,
        person,
        lambda before: msgspec.structs.replace(before, categories={**before.categories, key: data}),
    )


@delete("/categories/{key:str}", opt=SEND)
async def delete_category_preference(person: PathUser, key: str, caller: Caller, parts: Parts) -> None:
    """Remove the user's choice for one category. The category's own setting applies again."""
    categories = parts.ledger.setup.categories.all(caller.tenant)
    if key not in categories and key not in person.profile.preferences.categories:
        raise missing("category", key, categories)

    def without(before: Preferences) -> Preferences:
        left = {name: choice for name, choice in before.categories.items() if name != key}
        return msgspec.structs.replace(before, categories=left)

    await _choose(parts, caller, person, without)


async def _choose(
    parts: ApiParts, caller: Identity, person: User, to: Callable[[Preferences], Preferences]
) -> PreferencesView:
    known = parts.ledger.setup.categories.all(caller.tenant)

    def chosen(user: User) -> Preferences:
        before = user.profile.preferences
        after = to(before)
        _check(after, known, before.categories)
        return after

    origin = ConsentOrigin(source=ConsentSource.PREFERENCES)
    recorded = await parts.services.consents.record(person, (), origin, chosen)
    await parts.services.consents.in_force()
    return _view(parts, caller, recorded.user)


def _check(preferences: Preferences, known: Collection[str], before: Collection[str]) -> None:
    """It can be worked with. Choices for a category that was deleted since stay: it may come back."""
    validation.check_preferences(preferences, "#")
    named = [
        (key, faults.pointer(["categories", key])) for key in preferences.categories if key not in before
    ]
    if unknown := unknown_in("category", named, known):
        raise UnknownReference(unknown)


def _view(parts: ApiParts, caller: Identity, user: User) -> PreferencesView:
    setup = parts.ledger.setup
    categories = setup.categories.all(caller.tenant).values()
    tenant = setup.tenants.all()[caller.tenant]
    chosen = user.profile.preferences
    return PreferencesView(
        stored=PreferencesDocument(**msgspec.structs.asdict(chosen)),
        effective=effective(tenant, categories, chosen),
    )


router = Router(
    "/v1/users/{user_id:str}/preferences",
    route_handlers=[
        get_preferences,
        put_preferences,
        patch_preferences,
        put_category_preference,
        delete_category_preference,
    ],
    opt=one("user", "user_id"),
    tags=["Users"],
)

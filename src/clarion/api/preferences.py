"""`/v1/users/{user_id}/preferences` and `/v1/preferences`: what a user chose, what holds for all, and what follows from both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, put

from clarion.api import faults, request_bodies
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, SEND, Caller, Parts, PathUser
from clarion.api.merging import merge
from clarion.api.references import unknown_in
from clarion.api.stored_documents import missing
from clarion.api.times import Moment, instant, text_or_none
from clarion.errors import InvalidInput, UnknownName, UnknownReference
from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.setup import Tenant
from clarion.model.user import (
    DefaultPreferences,
    DigestFrequency,
    FrequencyCap,
    Preferences,
    PreferenceSet,
    User,
    Value,
    Window,
)
from clarion.rules import validation
from clarion.rules.effective_preferences import Effective, effective_preferences
from clarion.services.consents import ConsentOrigin

LONGEST_SNOOZE_S = 366 * 86_400


class PreferencesDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All choices of a user."""

    channels: dict[Channel, bool] = {}
    """For all categories. A choice for a category overrides it."""
    categories: dict[str, PreferenceSet] = {}
    workflows: dict[str, PreferenceSet] = {}
    topics: dict[str, PreferenceSet] = {}
    """Holds below a topic, too: `orders` for `orders.eu`, unless something is chosen for `orders.eu`."""
    digest: DigestFrequency | None = None
    """When digests come, in the user's time zone. null: as the category or the tenant says."""
    quiet_hours: tuple[Window, ...] | None = None
    """null: those of the tenant. An empty list: none."""
    snoozed_until: Annotated[str, msgspec.Meta(description="RFC 3339, with an offset or `Z`")] | None = None
    """Messages wait until then, at most a year."""
    channel_order: tuple[Channel, ...] | None = None
    """Where a workflow sends to the first channel or up a ladder, these come first. null: as the tenant says."""
    caps: tuple[FrequencyCap, ...] = ()
    """Beside the caps of the tenant and of categories."""


class DefaultPreferencesDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What holds for all users who have not chosen. Categories have defaults of their own."""

    channels: dict[Channel, bool] = {}
    """For all categories; the same as `channels` of the tenant."""
    workflows: dict[str, PreferenceSet] = {}
    topics: dict[str, PreferenceSet] = {}
    """Holds below a topic, too."""
    digest: DigestFrequency | None = None
    quiet_hours: tuple[Window, ...] = ()
    channel_order: tuple[Channel, ...] = ()


class PreferencesView(msgspec.Struct, frozen=True, kw_only=True):
    """A user's choices, and what is in force."""

    stored: PreferencesDocument
    effective: Effective


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
    chosen = _chosen(data, parts)
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
        lambda before: _chosen(
            request_bodies.convert(merge(msgspec.to_builtins(_document(before)), data), PreferencesDocument),
            parts,
        ),
    )


@put("/categories/{key:str}", opt=SEND)
async def put_category_preference(
    person: PathUser, key: str, data: PreferenceSet, caller: Caller, parts: Parts
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


@get("/", opt=READ)
async def get_default_preferences(caller: Caller, parts: Parts) -> DefaultPreferencesDocument:
    """What holds for all users who have not chosen."""
    return _defaults(parts.ledger.setup.tenants.all()[caller.tenant])


@put("/", opt=ADMIN)
async def put_default_preferences(
    data: DefaultPreferencesDocument, caller: Caller, parts: Parts
) -> DefaultPreferencesDocument:
    """Replace all defaults."""
    return await _preset(parts, caller, lambda _: data)


@patch("/", opt=ADMIN)
async def patch_default_preferences(
    data: dict[str, Any], caller: Caller, parts: Parts
) -> DefaultPreferencesDocument:
    """Change some defaults (JSON merge patch): null removes one, what is not named stays."""
    return await _preset(
        parts,
        caller,
        lambda before: request_bodies.convert(
            merge(msgspec.to_builtins(before), data), DefaultPreferencesDocument
        ),
    )


async def _preset(
    parts: ApiParts,
    caller: Identity,
    to: Callable[[DefaultPreferencesDocument], DefaultPreferencesDocument],
) -> DefaultPreferencesDocument:
    setup, tenant = parts.ledger.setup, caller.tenant
    before = setup.tenants.all()[tenant]
    wanted = to(_defaults(before))
    await _check_names(parts, caller, wanted, before.preferences)

    def changed(stored: Tenant) -> Tenant:
        fields = msgspec.structs.asdict(to(_defaults(stored)))
        channels = fields.pop("channels")
        preferences = DefaultPreferences(**fields)
        validation.check_default_preferences(preferences, "#")
        return msgspec.structs.replace(stored, channels=channels, preferences=preferences)

    return _defaults(await parts.services.setup.change_tenant(tenant, changed))


def _defaults(tenant: Tenant) -> DefaultPreferencesDocument:
    fields = msgspec.structs.asdict(tenant.preferences)
    return DefaultPreferencesDocument(channels=tenant.channels, **fields)


async def _choose(
    parts: ApiParts, caller: Identity, person: User, to: Callable[[Preferences], Preferences]
) -> PreferencesView:
    before = person.profile.preferences
    await _check_names(parts, caller, to(before), before)

    def chosen(user: User) -> Preferences:
        after = to(user.profile.preferences)
        validation.check_preferences(after, "#")
        return after

    origin = ConsentOrigin(source=ConsentSource.PREFERENCES)
    recorded = await parts.services.consents.record(person, (), origin, chosen)
    await parts.services.consents.in_force()
    return _view(parts, caller, recorded.user)


async def _check_names(
    parts: ApiParts,
    caller: Identity,
    wanted: Preferences | DefaultPreferencesDocument,
    before: Preferences | DefaultPreferences,
) -> None:
    """What is named exists. Choices for what was deleted since stay: it may come back."""
    setup = parts.ledger.setup
    unknown = [
        *_unknown("category", "categories", wanted, before, setup.categories.all(caller.tenant)),
        *_unknown("workflow", "workflows", wanted, before, setup.workflows.all(caller.tenant)),
    ]
    if topics := [key for key in wanted.topics if key not in before.topics]:
        known = await parts.ledger.directory.topics(caller.tenant, topics)
        unknown += _unknown("topic", "topics", wanted, before, known)
    if unknown:
        raise UnknownReference(unknown)


def _unknown(
    noun: str, field: str, wanted: object, before: object, known: Collection[str]
) -> Iterator[UnknownName]:
    kept: Mapping[str, PreferenceSet] = getattr(before, field, {})
    named: Mapping[str, PreferenceSet] = getattr(wanted, field, {})
    yield from unknown_in(
        noun, [(key, faults.pointer([field, key])) for key in named if key not in kept], known
    )


def _chosen(document: PreferencesDocument, parts: ApiParts) -> Preferences:
    fields = msgspec.structs.asdict(document)
    if (until := document.snoozed_until) is not None:
        try:
            fields["snoozed_until"] = at = instant(msgspec.convert(until, Moment))
        except msgspec.ValidationError:
            raise InvalidInput(
                f"this is not an RFC 3339 time with an offset, like 2026-05-01T09:30:00Z, but {until[:40]!r}.",
                pointer="#/snoozed_until",
            ) from None
        if at > parts.clock.now() + LONGEST_SNOOZE_S * 1_000:
            raise InvalidInput("this is more than a year ahead.", pointer="#/snoozed_until")
    return Preferences(**fields)


def _document(preferences: Preferences) -> PreferencesDocument:
    fields = msgspec.structs.asdict(preferences)
    return PreferencesDocument(**{**fields, "snoozed_until": text_or_none(preferences.snoozed_until)})


def _view(parts: ApiParts, caller: Identity, user: User) -> PreferencesView:
    setup = parts.ledger.setup
    return PreferencesView(
        stored=_document(user.profile.preferences),
        effective=effective_preferences(
            setup.tenants.all()[caller.tenant],
            setup.categories.all(caller.tenant),
            setup.workflows.all(caller.tenant),
            user.profile,
        ),
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
defaults = Router(
    "/v1/preferences",
    route_handlers=[get_default_preferences, put_default_preferences, patch_default_preferences],
    opt=one("tenant"),
    tags=["Set-up"],
)

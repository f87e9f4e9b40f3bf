"""`/v1/consents` and `/v1/users/{user_id}/consents`: what users allowed and forbade. Records are only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser
from clarion.api.pages import PAGE, START, At, Cursor, Limit, Page
from clarion.api.references import unknown_in
from clarion.api.times import Moment, instant_of, instant_or_none
from clarion.errors import InvalidInput, UnknownReference
from clarion.model.channel import CHANNELS, Channel
from clarion.model.consent import (
    EVERY_PURPOSE,
    Consent,
    ConsentAction,
    ConsentFilter,
    ConsentId,
    ConsentRecord,
    ConsentSource,
    ConsentState,
    ConsentStatement,
)
from clarion.model.ids import Instant, id_text
from clarion.model.setup import Category
from clarion.model.user import Profile, User, Value
from clarion.rules.consents import GRANTED, States, verdict
from clarion.rules.time_format import rfc3339
from clarion.services.consents import ConsentOrigin

LONGEST_PROOF = 8 * 1024
"""Bytes of a proof."""

_RESERVED = frozenset(ConsentSource) - {ConsentSource.API}

ByPurpose = Annotated[str | None, Parameter(description="Only for this purpose")]
ByChannel = Annotated[Channel | None, Parameter(description="Only for this channel")]
ByAction = Annotated[ConsentAction | None, Parameter(description="Only these")]
BySource = Annotated[str | None, Parameter(description="Only from this source")]
Since = Annotated[str | None, Parameter(description="Recorded at or after this time")]
Until = Annotated[str | None, Parameter(description="Recorded before this time")]


class ConsentBody(Value, frozen=True, kw_only=True):
    """What a user allows or forbids."""

    action: ConsentAction
    purpose: str | None = None
    """The key of a category, or the `purpose` of one. null: every purpose, which can only be withdrawn."""
    channel: Channel | None = None
    """null: every channel."""
    at: Moment | None = None
    """When the user said so. Left out: now."""
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "api"
    """How you learned of it, in your words: `signup_form`, `shop_counter`, ..."""
    text_version: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    """Which text the user was shown."""
    proof: dict[str, Any] = {}
    """Anything that shows it: a form, an IP address, a recording. Encrypted with the user's own key."""


class ConsentView(msgspec.Struct, frozen=True, kw_only=True):
    """A record of what a user allowed or forbade."""

    id: str
    user_id: str | None
    """Null once the user was deleted."""
    purpose: str | None
    """Null: every purpose."""
    channel: Channel | None
    """Null: every channel."""
    action: ConsentAction
    at: str
    """When the user said so."""
    recorded_at: str
    source: str
    text_version: str | None
    proof: dict[str, Any] | None
    """Null: there is none, or its user was deleted and nobody can read it any more."""


class ConsentStateView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest record of a purpose and a channel."""

    purpose: str | None
    channel: Channel | None
    action: ConsentAction
    at: str
    consent_id: str


class ConsentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the consents of a user allow a category on a channel. Preferences and suppressions are asked besides."""

    allowed: bool
    reason: str
    """`granted`, `withdrawn`, `never_granted` (consent is required), `not_withdrawn` (none is required), or `not_asked`."""
    consent_id: str | None
    """The record that decides."""
    source: str | None
    """What requires consent, or says that none is required: a law, or the category."""


class ConsentStates(msgspec.Struct, frozen=True, kw_only=True):
    """What followed from the records at a time."""

    at: str | None
    """Null: now."""
    states: list[ConsentStateView]
    categories: dict[str, dict[str, ConsentAnswer]]
    """Category, channel, what the consents say. Categories as they are set up now."""


@get("/", opt=READ)
async def list_consents(
    caller: Caller,
    parts: Parts,
    purpose: ByPurpose = None,
    channel: ByChannel = None,
    action: ByAction = None,
    source: BySource = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[ConsentView]:
    """The records of all users, newest first."""
    where = _filter(purpose, channel, action, source, since, until)
    return await _page(parts, caller, where, cursor, limit)


@get("/", opt=READ)
async def list_user_consents(
    person: PathUser,
    caller: Caller,
    parts: Parts,
    purpose: ByPurpose = None,
    channel: ByChannel = None,
    action: ByAction = None,
    source: BySource = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[ConsentView]:
    """The records of a user, newest first."""
    where = msgspec.structs.replace(_filter(purpose, channel, action, source, since, until), user=person.no)
    return await _page(parts, caller, where, cursor, limit)


@post("/", opt=SEND | ADDS)
async def add_consent(person: PathUser, data: ConsentBody, caller: Caller, parts: Parts) -> ConsentView:
    """Record that a user granted or withdrew consent. After the answer to a withdrawal no attempt starts that it forbids."""
    check_consent(
        data, purposes_of(parts.ledger.setup.categories.all(caller.tenant).values()), parts.clock.now()
    )
    recorded = await parts.services.consents.record(person, [statement_of(data)], origin_of(data))
    await parts.services.consents.in_force()
    return _view(recorded.records[0], recorded.user, data.proof or None)


@get("/state", opt=READ | {"one": None})
async def get_consent_state(
    person: PathUser,
    caller: Caller,
    parts: Parts,
    at: Annotated[str | None, Parameter(description="As it was known at this time. Left out: now")] = None,
) -> ConsentStates:
    """What follows from the records of a user: the newest for each purpose and channel, and what that allows. With `at` it says
    whether a past message was allowed: `sent_at` of the message is the time."""
    when = instant_of(at, "at")
    states = await parts.services.consents.state(person, when)
    categories = parts.ledger.setup.categories.all(caller.tenant).values()
    return ConsentStates(
        at=None if when is None else rfc3339(when),
        states=[_state_view(one) for one in sorted(states, key=lambda one: (one.purpose, one.channel or ""))],
        categories=_answers(categories, person.profile, states),
    )


def statement_of(data: ConsentBody) -> ConsentStatement:
    """What is said."""
    return ConsentStatement(data.purpose or EVERY_PURPOSE, data.channel, data.action)


def origin_of(data: ConsentBody) -> ConsentOrigin:
    """How it came to us."""
    return ConsentOrigin(
        source=data.source,
        at=instant_or_none(data.at),
        text_version=data.text_version or "",
        proof=data.proof,
    )


def check_consent(data: ConsentBody, purposes: Set[str], now: Instant) -> None:
    """It can be recorded."""
    if data.source in _RESERVED:
        raise InvalidInput(
            f"Clarion itself writes {data.source!r}: choose a word of your own.", pointer="#/source"
        )
    if data.at is not None and (instant_or_none(data.at) or 0) > now:
        raise InvalidInput("`at` lies in the future.", pointer="#/at")
    if len(msgspec.json.encode(data.proof)) > LONGEST_PROOF:
        raise InvalidInput(f"a proof has at most {LONGEST_PROOF:,} bytes.", pointer="#/proof")
    if data.purpose is None:
        if data.action is GRANTED:
            raise InvalidInput(
                "a consent is for one purpose: name it. Only a withdrawal may be for every purpose.",
                pointer="#/purpose",
            )
        return
    _check_purpose(purposes, data.purpose, "#/purpose")


def check_purpose(parts: ApiParts, caller: Identity, purpose: str, pointer: str) -> None:
    """Some category has it. Raises UnknownReference."""
    categories = parts.ledger.setup.categories.all(caller.tenant).values()
    _check_purpose(purposes_of(categories), purpose, pointer)


def purposes_of(categories: Iterable[Category]) -> frozenset[str]:
    """What consents of a tenant may be for."""
    return frozenset(name for one in categories for name in (one.key, one.purpose) if name)


def _check_purpose(known: Set[str], purpose: str, pointer: str) -> None:
    advice = "It is the key or the `purpose` of a category: see GET /v1/categories."
    if unknown := unknown_in("purpose", [(purpose, pointer)], known, advice):
        raise UnknownReference(unknown)


def _filter(
    purpose: str | None,
    channel: Channel | None,
    action: ConsentAction | None,
    source: str | None,
    since: str | None,
    until: str | None,
) -> ConsentFilter:
    return ConsentFilter(
        purpose=purpose,
        channel=channel,
        action=action,
        source=source,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )


async def _page(
    parts: ApiParts, caller: Identity, where: ConsentFilter, cursor: At, limit: int
) -> Page[ConsentView]:
    before = ConsentId(cursor.after(b"")) if cursor else None
    found = await parts.ledger.consents.page(caller.tenant, where, before, limit)
    users = await parts.ledger.users.get(list({one.user for one in found}))
    return Page(
        items=[_read(parts, one, users.get(one.user)) for one in found],
        next_cursor=cursor.to(found[-1].id) if len(found) == limit else None,
    )


def _read(parts: ApiParts, one: Consent, user: User | None) -> ConsentView:
    proof = parts.services.consents.proof(one, user)
    return _view(one, user, None if proof is None else dict(proof))


def _view(one: Consent | ConsentRecord, user: User | None, proof: dict[str, Any] | None) -> ConsentView:
    assert one.at is not None, "it was stored"
    return ConsentView(
        id=id_text(one.id),
        user_id=None if user is None else user.id,
        purpose=one.purpose or None,
        channel=one.channel,
        action=one.action,
        at=rfc3339(one.at),
        recorded_at=rfc3339(one.recorded_at),
        source=one.source,
        text_version=one.text_version or None,
        proof=proof,
    )


def _state_view(one: ConsentState) -> ConsentStateView:
    return ConsentStateView(
        purpose=one.purpose or None,
        channel=one.channel,
        action=one.action,
        at=rfc3339(one.at),
        consent_id=id_text(one.id),
    )


def _answers(
    categories: Iterable[Category], profile: Profile, states: States
) -> dict[str, dict[str, ConsentAnswer]]:
    then = msgspec.structs.replace(profile, consents=states)
    return {
        category.key: {channel.value: _answer(category, then, channel) for channel in CHANNELS}
        for category in categories
    }


def _answer(category: Category, profile: Profile, channel: Channel) -> ConsentAnswer:
    said = verdict(category, profile, channel, next(iter(profile.contacts_on(channel)), None))
    if said is None:
        return ConsentAnswer(allowed=True, reason="not_asked", consent_id=None, source=None)
    return ConsentAnswer(
        allowed=said.result == "allow",
        reason=said.reason,
        consent_id=said.inputs.get("consent_id"),
        source=said.inputs.get("source"),
    )


router = Router("/v1/consents", route_handlers=[list_consents], tags=["Users"])
of_user = Router(
    "/v1/users/{user_id:str}/consents",
    route_handlers=[list_user_consents, add_consent, get_consent_state],
    opt=one("user", "user_id"),
    tags=["Users"],
)

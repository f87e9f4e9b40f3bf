"""`/v1/users`: users, and tokens for their inboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, delete, get, patch, post, put
from msgspec import UNSET, UnsetType

from clarion.api import request_bodies
from clarion.api.auth import Identity
from clarion.api.bulk import BulkView, answered
from clarion.api.conditions import ADDS, one
from clarion.api.contacts import ContactBody, ContactView, stored, views
from clarion.api.dependencies import ApiParts
from clarion.api.guards import FOR_GOOD, READ, SEND, Caller, Parts, PathUser, the_user
from clarion.api.merging import merge
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import refuse
from clarion.api.segments import checked
from clarion.errors import ClarionError, InvalidInput, NotFound, UserUnreadable, check_all
from clarion.model.audience import LONGEST_WHERE
from clarion.model.channel import Channel
from clarion.model.ids import Instant, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import Contact, Profile, User, Value
from clarion.ports.vault import contact_hash
from clarion.rules import attributes, validation
from clarion.rules.time_format import rfc3339

MOST_FOUND = 200
PRIMARY = ((Channel.EMAIL, "email"), (Channel.SMS, "phone"))
"""The shorthands for the first contact of a channel."""
Change = Callable[[Profile | None], Profile]
"""What is known about somebody afterwards; None: nobody with this id exists yet."""


class UserBody(Value, frozen=True, kw_only=True):
    """A user. Preferences are a separate resource and do not change."""

    user_id: str | None = None
    """Optional if the path names the user; required on each line of a bulk call."""
    email: str | UnsetType | None = UNSET
    """The first email contact. Left out: email contacts stay as they are; null: all of them are removed."""
    phone: str | UnsetType | None = UNSET
    """The first SMS contact, in E.164 form. Left out: SMS contacts stay; null: all of them are removed."""
    locale: str | None = None
    """Language tag (BCP 47); null: the tenant's."""
    timezone: str | None = None
    """IANA zone; null: the tenant's."""
    attributes: dict[str, Any] = {}
    contacts: tuple[ContactBody, ...] | UnsetType | None = UNSET
    """All contacts. Left out: they stay as they are; null: all are removed."""


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    user_id: str
    email: str | None
    phone: str | None
    locale: str | None
    timezone: str | None
    attributes: dict[str, Any]
    contacts: list[ContactView]
    created_at: str
    updated_at: str
    unreadable: bool
    """What is stored about them is damaged: nothing but their id can be shown, and nothing is sent to them."""


class ContactSearch(Value, frozen=True, kw_only=True):
    """An address on a channel."""

    channel: Channel
    address: str


class UserSearch(Value, frozen=True, kw_only=True):
    """What to search for: send one of the four."""

    where: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WHERE)] | None = None
    """A condition in CEL over `user` and `now`."""
    email: str | None = None
    phone: str | None = None
    """In E.164 form."""
    contact: ContactSearch | None = None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """How many items a list has on all its pages."""

    value: int
    exact: bool = True


class FoundUsers(msgspec.Struct, frozen=True, kw_only=True):
    """Users that were found."""

    items: list[UserView]
    next_cursor: str | None
    total: Total | None
    """null: it was not asked for."""


class TokenBody(Value, frozen=True, kw_only=True):
    """How long the token should live."""

    ttl_s: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 900


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token for this user's inbox, for the user's own devices."""

    token: str
    expires_at: str


@get("/", opt=READ)
async def list_users(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START, reserved: bool = False
) -> Page[UserView]:
    """All users, newest first. `reserved`: also those that Clarion made for itself, whose ids begin with `$`: the tenant's own,
    those of objects, and those to whom addresses belong that were only verified or typed in for a test."""
    before = UserNo(cursor.after(0)) if cursor else None
    found = await parts.ledger.users.page(caller.tenant, before, limit, reserved=reserved)
    following = cursor.to(found[-1].no) if len(found) == limit else None
    return Page(items=[view(user) for user in found], next_cursor=following)


@post("/search", opt=READ, status_code=200)
async def search_users(
    data: UserSearch,
    caller: Caller,
    parts: Parts,
    limit: Limit = PAGE,
    cursor: Cursor = START,
    total: bool = False,
) -> FoundUsers:
    """The users for whom a condition is true, newest first; or those who have an address: an email, a phone number, or any
    other contact, at most 200.

    A condition asks for what the tenant made searchable, and for channels, topics and times. All spellings of an address
    are found. The address is not part of a URL. `total`: also how many there are.
    """
    if data.where is not None and data == UserSearch(where=data.where):
        wanted = checked(data.where, caller, parts)
        at = cursor.bound_to(data.where)
        service = parts.services.segments
        users = await service.search(caller.tenant, wanted, UserNo(at.after(0)) if at else None, limit)
        return FoundUsers(
            items=[view(user) for user in users],
            next_cursor=at.to(users[-1].no) if len(users) == limit else None,
            total=Total(value=await service.count(caller.tenant, wanted)) if total else None,
        )
    given = [(channel, field) for channel, field in PRIMARY if getattr(data, field) is not None]
    named = [(channel, getattr(data, field), f"#/{field}") for channel, field in given]
    if data.contact is not None:
        named.append((data.contact.channel, data.contact.address, "#/contact/address"))
    if len(named) != 1 or data.where is not None:
        raise InvalidInput("search by one of `where`, `email`, `phone` and `contact`.", pointer="#")
    ((channel, address, place),) = named
    validation.check_address(channel, address, place)
    hashed = contact_hash(parts.vault, caller.tenant, channel, address)
    found = await parts.ledger.directory.with_contact(caller.tenant, channel, hashed, MOST_FOUND)
    return FoundUsers(
        items=[view(user) for user in found],
        next_cursor=None,
        total=Total(value=len(found)) if total else None,
    )


@get("/{user_id:str}", opt=READ)
async def get_user(person: PathUser) -> UserView:
    """One user with all contacts."""
    return view(person)


@put("/{user_id:str}", opt=SEND)
async def put_user(user_id: str, data: UserBody, caller: Caller, parts: Parts) -> UserView:
    """Create or replace a user. Contacts that are left out stay."""
    if data.user_id not in (None, user_id):
        raise InvalidInput("user_id differs from the one in the path: leave it out.", pointer="#/user_id")
    check_user(data, user_id, _tenant(parts, caller))
    (user,) = await parts.services.users.change_all(caller.tenant, {user_id: replacing(data)})
    return view(user)


@patch("/{user_id:str}", opt=SEND)
async def patch_user(
    user_id: str, data: dict[str, Any], caller: Caller, parts: Parts, create: bool = False
) -> UserView:
    """Change some fields (JSON merge patch): null removes, what is not named stays.

    With `create=true`, a user who does not exist is created. Without it, the answer is 404.
    """
    if not create:
        await the_user(parts, caller, user_id)
    merged = merging(user_id, data, _tenant(parts, caller))

    def changed(profile: Profile | None) -> Profile:
        if profile is None and not create:
            raise NotFound(f"The user {user_id!r} was deleted meanwhile.")
        return merged(profile)

    (user,) = await parts.services.users.change_all(caller.tenant, {user_id: changed})
    return view(user)


@delete("/{user_id:str}", opt=SEND)
async def delete_user(user_id: str, caller: Caller, parts: Parts) -> None:
    """Delete a user: their encryption key is destroyed and waiting messages are not sent. Anonymous statistics stay."""
    person = await the_user(parts, caller, user_id, readable=False)
    await parts.services.users.delete(person)


@post("/bulk", opt={**SEND, "ndjson": UserBody}, status_code=200)
async def put_users(
    request: Request[Any, Any, Any],
    caller: Caller,
    parts: Parts,
    mode: Literal["replace", "merge"] = "replace",
) -> BulkView:
    """Create or change many users: NDJSON, one user per line.

    `replace`: each line works like PUT. `merge`: each line works like PATCH, and fields that it does not name stay.
    Both create users who do not exist. Several lines for one user are applied in order.
    """
    lines = [line for line in (await request.body()).split(b"\n") if line and not line.isspace()]
    if len(lines) > parts.limits.batch:
        raise refuse("batch_too_large", f"One call takes at most {parts.limits.batch:,} users.")
    tenant = _tenant(parts, caller)
    errors: dict[int, ClarionError] = {}
    changes: dict[str, list[tuple[int, Change]]] = {}
    for index, line in enumerate(lines):
        try:
            request_bodies.check_depth(line, parts.limits.depth)
            name, change = _replacing(line, tenant) if mode == "replace" else _merging(line, tenant)
            changes.setdefault(name, []).append((index, change))
        except ClarionError as wrong:
            errors[index] = wrong
    for name in await parts.services.users.unreadable(caller.tenant, list(changes)):
        errors.update((index, UserUnreadable(name)) for index, _ in changes.pop(name))
    await parts.services.users.change_all(
        caller.tenant, {name: _one_by_one(its, errors) for name, its in changes.items()}
    )
    return answered(len(lines), errors)


@post("/{user_id:str}/tokens", opt=SEND | ADDS | FOR_GOOD)
async def mint_token(
    person: PathUser, caller: Caller, parts: Parts, data: TokenBody | None = None
) -> TokenView:
    """Create a short-lived token for the user's own devices. It gives access to the user's inbox and nothing else."""
    ttl_s = (data or TokenBody()).ttl_s
    expires_at = Instant(parts.clock.now() // 1000 * 1000 + ttl_s * 1000)
    return TokenView(token=parts.services.user_tokens.mint(person, ttl_s), expires_at=rfc3339(expires_at))


def view(user: User) -> UserView:
    """A user as callers see them."""
    profile = user.profile
    return UserView(
        user_id=user.id,
        email=_first(profile, Channel.EMAIL),
        phone=_first(profile, Channel.SMS),
        locale=profile.locale or None,
        timezone=profile.timezone or None,
        attributes=profile.attributes,
        contacts=views(user),
        created_at=rfc3339(Instant(user.created_at)),
        updated_at=rfc3339(Instant(user.updated_at)),
        unreadable=user.unreadable,
    )


def check_user(body: UserBody, user_id: str, tenant: Tenant) -> None:
    """Everything in it is well-formed."""
    check_all(
        [*_checks_of(body, user_id), partial(attributes.check, tenant, body.attributes, "#/attributes")]
    )


def _checks_of(body: UserBody, user_id: str) -> Iterator[partial[None]]:
    yield partial(validation.check_user_id, user_id, "#/user_id")
    for channel, field in PRIMARY:
        if isinstance(address := getattr(body, field), str):
            yield partial(validation.check_address, channel, address, f"#/{field}")
    if body.locale:
        yield partial(validation.check_locale, body.locale, "#/locale")
    if body.timezone:
        yield partial(validation.check_timezone, body.timezone, "#/timezone")
    yield partial(validation.check_attributes, body.attributes, "#/attributes")
    given = [Contact(channel=one.channel, address=one.address) for one in body.contacts or ()]
    yield partial(validation.check_contacts, given, "#/contacts")


def replacing(body: UserBody) -> Change:
    """What a PUT of a checked body does."""

    def replaced(before: Profile | None) -> Profile:
        profile = before or Profile()
        contacts = profile.contacts
        if body.contacts is not UNSET:
            contacts = tuple(map(stored, body.contacts or ()))
        for channel, field in reversed(PRIMARY):
            address = getattr(body, field)
            if address is None:
                contacts = tuple(c for c in contacts if c.channel is not channel)
            elif address is not UNSET:
                contacts = _with_first(contacts, channel, address)
        return Profile(
            contacts=contacts,
            attributes=body.attributes,
            locale=body.locale or "",
            timezone=body.timezone or "",
            preferences=profile.preferences,
        )

    return replaced


def merging(user_id: str, patch: Mapping[str, Any], tenant: Tenant) -> Change:
    """What a JSON merge patch (RFC 7396) does. Attributes that it does not name may be of any type."""

    def merged(before: Profile | None) -> Profile:
        profile = before or Profile()
        kept = {
            "locale": profile.locale or None,
            "timezone": profile.timezone or None,
            "attributes": profile.attributes,
        }
        named = {name: patch[name] for name in ("email", "phone", "contacts") if name in patch}
        body = request_bodies.convert({**merge(kept, patch), **named}, UserBody)
        if body.user_id not in (None, user_id):
            raise InvalidInput("user_id cannot be changed: create another user.", pointer="#/user_id")
        changed = {name: body.attributes.get(name) for name in patch.get("attributes") or ()}
        check_all([*_checks_of(body, user_id), partial(attributes.check, tenant, changed, "#/attributes")])
        return replacing(body)(profile)

    return merged


def _replacing(line: bytes, tenant: Tenant) -> tuple[str, Change]:
    body = request_bodies.decode(_BODY, line)
    name = body.user_id or ""
    check_user(body, name, tenant)
    return name, replacing(body)


def _merging(line: bytes, tenant: Tenant) -> tuple[str, Change]:
    patch = request_bodies.decode(_PATCH, line)
    name = request_bodies.convert({"user_id": patch.get("user_id")}, UserBody).user_id or ""
    change = merging(name, patch, tenant)
    change(None)  # it is well-formed by itself
    return name, change


def _one_by_one(changes: Sequence[tuple[int, Change]], errors: dict[int, ClarionError]) -> Change:
    """All changes of one user in their order; one that cannot be made is noted and changes nothing."""

    def changed(before: Profile | None) -> Profile:
        profile = before
        for index, change in changes:
            try:
                profile = change(profile)
            except ClarionError as wrong:
                errors[index] = wrong
        return profile or Profile()

    return changed


def _tenant(parts: ApiParts, caller: Identity) -> Tenant:
    return parts.ledger.setup.tenants.all()[caller.tenant]


def _first(profile: Profile, channel: Channel) -> str | None:
    return next((c.address for c in profile.contacts if c.channel is channel), None)


def _with_first(contacts: tuple[Contact, ...], channel: Channel, address: str) -> tuple[Contact, ...]:
    """`address` as the first contact of its channel, in place of the one that was."""
    known = next((c for c in contacts if (c.channel, c.address) == (channel, address)), None)
    if known is not None:
        return (known, *(c for c in contacts if c is not known))
    former = next((c for c in contacts if c.channel is channel), None)
    return (Contact(channel=channel, address=address), *(c for c in contacts if c is not former))


_BODY = msgspec.json.Decoder(UserBody)
_PATCH = msgspec.json.Decoder(dict[str, Any])

router = Router(
    "/v1/users",
    route_handlers=[
        list_users,
        search_users,
        get_user,
        put_user,
        patch_user,
        delete_user,
        put_users,
        mint_token,
    ],
    opt=one("user", "user_id"),
    tags=["Users"],
)

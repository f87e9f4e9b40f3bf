"""`/v1/users`: people, their contacts, preferences and inbox tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, patch, post, put

from clarion.api import bodies
from clarion.api.access import READ, SEND, Parts, Person, Who, addressed
from clarion.api.auth import Caller
from clarion.api.conditions import ADDS, one
from clarion.api.pages import PAGE, Cursor, Limit, Page, cursor_of, position
from clarion.api.parts import ApiParts
from clarion.api.problems import Problem, problem, refuse
from clarion.errors import ClarionError, Conflict, InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import Instant, UserNo
from clarion.model.user import Contact, Preferences, Profile, User, Value
from clarion.ports.ledger import UserPut
from clarion.ports.vault import normal_address
from clarion.rules import people
from clarion.rules.instants import rfc3339
from clarion.rules.preferences import effective

TRIES = 5
"""How often a change is tried again when somebody else changed the same user meanwhile."""
PRIMARY = ((Channel.EMAIL, "email"), (Channel.SMS, "phone"))
"""The shorthands for the first contact of a channel."""


class ContactBody(Value, frozen=True, kw_only=True):
    """One address of a user on one channel."""

    channel: Channel
    address: str
    """Email address, E.164 phone number, device token or URL, as the channel needs it."""
    label: str = ""
    verified: bool = False


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as it is stored."""

    id: str
    channel: Channel
    address: str
    label: str
    verified: bool
    suppressed: bool
    """It must not be used: hard bounce, complaint or STOP."""


class UserBody(Value, frozen=True, kw_only=True):
    """A user as a whole. Preferences are a resource of their own and stay as they are."""

    user_id: str = ""
    """Optional in a path that names the user; needed on each line of a bulk call."""
    email: str | None = None
    """The first email contact."""
    phone: str | None = None
    """The first SMS contact, in E.164 form."""
    locale: str = ""
    """Language tag (BCP 47); empty: the tenant's."""
    timezone: str = ""
    """IANA zone; empty: the tenant's."""
    attributes: dict[str, Any] = {}
    contacts: tuple[ContactBody, ...] | None = None
    """All contacts. Left out: those on channels other than email and SMS stay."""


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    user_id: str
    email: str | None
    phone: str | None
    locale: str
    timezone: str
    attributes: dict[str, Any]
    contacts: list[ContactView]
    created_at: str
    updated_at: str


class PreferencesView(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chose, and what is in force because of it."""

    stored: Preferences
    effective: dict[str, Any]
    """Category, channel, `{"enabled": ..., "decided_by": ...}`."""


class TokenBody(Value, frozen=True, kw_only=True):
    """How long the token should live."""

    ttl_s: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 900


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token for this user's inbox: hand it to the user's own devices."""

    token: str
    expires_at: str


class LineProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one line."""

    index: int
    error: Problem


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bulk call."""

    accepted: int
    rejected: int
    errors: list[LineProblem]


@get("/", opt=READ)
async def list_users(caller: Who, parts: Parts, limit: Limit = PAGE, cursor: Cursor = None) -> Page[UserView]:
    """All users, oldest first."""
    found = await parts.ledger.users.page(caller.tenant, UserNo(position(cursor, 0)), limit)
    return Page(items=[view(user) for user in found], next_cursor=_next(found, limit))


@get("/{user_id:str}", opt=READ)
async def get_user(person: Person) -> UserView:
    """One user with all contacts."""
    return view(person)


@put("/{user_id:str}", opt=SEND)
async def put_user(user_id: str, data: UserBody, caller: Who, parts: Parts) -> UserView:
    """Create the user or replace what is known about them."""
    name = addressed(user_id)
    if data.user_id not in ("", name):
        raise InvalidInput("user_id differs from the one in the path: leave it out.", pointer="#/user_id")
    check_user(data, name)
    return view(await change(parts, caller, name, lambda user: replaced(user, data)))


@patch("/{user_id:str}", opt=SEND)
async def patch_user(person: Person, data: dict[str, Any], caller: Who, parts: Parts) -> UserView:
    """Change some fields (JSON merge patch): null removes, what is not named stays."""

    def merged(user: User | None) -> Profile:
        if user is None:
            raise NotFound(f"The user {person.id!r} was deleted meanwhile.")
        return patched(user, data)

    return view(await change(parts, caller, person.id, merged))


@delete("/{user_id:str}", opt=SEND)
async def delete_user(person: Person, caller: Who, parts: Parts) -> None:
    """Erase the person: their key is destroyed, what waits is canceled, anonymous statistics stay."""
    await parts.ledger.users.delete(caller.tenant, person.id)
    parts.engagement.forget(caller.tenant, person.no)


@post("/bulk", opt={**SEND, "ndjson": UserBody}, status_code=200)
async def put_users(request: Request[Any, Any, Any], caller: Who, parts: Parts) -> BulkView:
    """Create or replace many users: NDJSON, one user per line, each as in PUT."""
    lines = [line for line in (await request.body()).split(b"\n") if line and not line.isspace()]
    if len(lines) > parts.limits.batch:
        raise refuse("batch_too_large", f"One call takes at most {parts.limits.batch:,} users.")
    good: dict[str, UserBody] = {}
    accepted = 0
    errors: list[LineProblem] = []
    for index, line in enumerate(lines):
        try:
            bodies.check_depth(line, parts.limits.depth)
            body = bodies.decode(_BODY, line)
            check_user(body, body.user_id)
            good[body.user_id] = body
            accepted += 1
        except ClarionError as wrong:
            errors.append(LineProblem(index=index, error=problem(wrong)))
    await change_all(parts, caller, {name: _replacing(body) for name, body in good.items()})
    return BulkView(accepted=accepted, rejected=len(errors), errors=errors)


@get("/{user_id:str}/contacts", opt=READ)
async def list_contacts(person: Person) -> Page[ContactView]:
    """All addresses of a user."""
    return Page(items=view(person).contacts)


@post("/{user_id:str}/contacts", opt=SEND | ADDS)
async def add_contact(person: Person, data: ContactBody, caller: Who, parts: Parts) -> ContactView:
    """Add an address, or update label and verification of one that is there: device tokens, for example."""
    people.check_address(data.channel, data.address, "#/address")
    contact = _contact(data)

    def added(user: User | None) -> Profile:
        profile = user.profile if user is not None else Profile()
        contacts = (*(c for c in profile.contacts if not _is_same(c, contact)), contact)
        people.check_contacts(contacts, "#")
        return msgspec.structs.replace(profile, contacts=contacts)

    user = await change(parts, caller, person.id, added)
    return next(
        c for c in view(user).contacts if (c.channel, c.address) == (contact.channel, contact.address)
    )


@delete("/{user_id:str}/contacts/{contact_id:str}", opt=SEND)
async def remove_contact(person: Person, contact_id: str, caller: Who, parts: Parts) -> None:
    """Remove an address."""

    def without(user: User | None) -> Profile:
        profile = user.profile if user is not None else Profile()
        left = tuple(c for c in profile.contacts if c.hash.hex() != contact_id)
        if len(left) == len(profile.contacts):
            raise NotFound(f"The user has no contact {contact_id!r}.")
        return msgspec.structs.replace(profile, contacts=left)

    await change(parts, caller, person.id, without)


@get("/{user_id:str}/preferences", opt=READ)
async def get_preferences(person: Person, caller: Who, parts: Parts) -> PreferencesView:
    """What the user chose, and per category and channel what is in force and which setting decided it."""
    return _preferences(parts, caller, person)


@put("/{user_id:str}/preferences", opt=SEND)
async def put_preferences(person: Person, data: Preferences, caller: Who, parts: Parts) -> PreferencesView:
    """Replace the user's choices. Once this is answered, no attempt starts that they forbid."""
    people.check_preferences(data, "#")

    def chosen(user: User | None) -> Profile:
        profile = user.profile if user is not None else Profile()
        return msgspec.structs.replace(profile, preferences=data)

    return _preferences(parts, caller, await change(parts, caller, person.id, chosen))


@post("/{user_id:str}/tokens", opt=SEND | ADDS)
async def mint_token(person: Person, caller: Who, parts: Parts, data: TokenBody | None = None) -> TokenView:
    """A short-lived token with which the user's own devices reach the user's inbox, and nothing else."""
    ttl_s = (data or TokenBody()).ttl_s
    expires_at = Instant(parts.clock.now() // 1000 * 1000 + ttl_s * 1000)
    return TokenView(token=parts.tokens.mint(caller.tenant, person.id, ttl_s), expires_at=rfc3339(expires_at))


def view(user: User) -> UserView:
    """A user as callers see them."""
    profile = user.profile
    return UserView(
        user_id=user.id,
        email=_first(profile, Channel.EMAIL),
        phone=_first(profile, Channel.SMS),
        locale=profile.locale,
        timezone=profile.timezone,
        attributes=profile.attributes,
        contacts=[
            ContactView(
                id=contact.hash.hex(),
                channel=contact.channel,
                address=contact.address,
                label=contact.label,
                verified=contact.verified,
                suppressed=contact.hash in user.suppressed,
            )
            for contact in profile.contacts
        ],
        created_at=rfc3339(Instant(user.created_at)),
        updated_at=rfc3339(Instant(user.updated_at)),
    )


def check_user(body: UserBody, user_id: str) -> None:
    """Everything in it is well-formed."""
    people.check_user_id(user_id, "#/user_id")
    for channel, field in PRIMARY:
        if (address := getattr(body, field)) is not None:
            people.check_address(channel, address, f"#/{field}")
    if body.locale:
        people.check_locale(body.locale, "#/locale")
    if body.timezone:
        people.check_timezone(body.timezone, "#/timezone")
    people.check_attributes(body.attributes, "#/attributes")
    given = [Contact(channel=contact.channel, address=contact.address) for contact in body.contacts or ()]
    people.check_contacts(given, "#/contacts")


def replaced(user: User | None, body: UserBody) -> Profile:
    """The profile after a PUT."""
    before = user.profile if user is not None else Profile()
    if body.contacts is not None:
        contacts = tuple(map(_contact, body.contacts))
    else:
        given = {channel: getattr(body, field) for channel, field in PRIMARY}
        contacts = tuple(c for c in before.contacts if c.address == given.get(c.channel, c.address))
    for channel, field in reversed(PRIMARY):
        if (address := getattr(body, field)) is not None:
            contacts = _with_first(contacts, channel, address)
    return Profile(
        contacts=contacts,
        attributes=body.attributes,
        locale=body.locale,
        timezone=body.timezone,
        preferences=before.preferences,
    )


def patched(user: User, patch: Mapping[str, Any]) -> Profile:
    """The profile after a JSON merge patch (RFC 7396)."""
    profile = user.profile
    whole: dict[str, Any] = {
        "locale": profile.locale,
        "timezone": profile.timezone,
        "attributes": profile.attributes,
        "contacts": [
            {"channel": c.channel, "address": c.address, "label": c.label, "verified": c.verified}
            for c in profile.contacts
        ],
    }
    for channel, field in PRIMARY:
        if field in patch and patch[field] is None:
            first = _first(profile, channel)
            whole["contacts"] = [
                c for c in whole["contacts"] if (c["channel"], c["address"]) != (channel, first)
            ]
    body = bodies.convert(merge(whole, patch), UserBody)
    if body.user_id not in ("", user.id):
        raise InvalidInput("user_id cannot be changed: create another user.", pointer="#/user_id")
    check_user(body, user.id)
    return replaced(user, body)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


async def change(parts: ApiParts, caller: Caller, user_id: str, to: Callable[[User | None], Profile]) -> User:
    """Store `to(user)`, on what is stored at that moment. Creates the user when there is none."""
    return (await change_all(parts, caller, {user_id: to}))[0]


async def change_all(
    parts: ApiParts, caller: Caller, changes: Mapping[str, Callable[[User | None], Profile]]
) -> Sequence[User]:
    """The same for many users, in one transaction: nobody's change is lost under another."""
    for _ in range(TRIES):
        found = await parts.ledger.users.find(caller.tenant, list(changes))
        puts = [
            UserPut(
                id=user_id,
                profile=to(found.get(user_id)),
                revision=found[user_id].revision if user_id in found else None,
            )
            for user_id, to in changes.items()
        ]
        try:
            return await parts.ledger.users.put(caller.tenant, puts) if puts else []
        except Conflict:
            continue
    raise Conflict("The user is being changed by others all the time: try again in a moment.")


def _replacing(body: UserBody) -> Callable[[User | None], Profile]:
    return lambda user: replaced(user, body)


def _contact(body: ContactBody) -> Contact:
    """Call it with what was checked."""
    address = people.plain_address(body.channel, body.address, "#")
    return Contact(channel=body.channel, address=address, label=body.label, verified=body.verified)


def _is_same(one: Contact, other: Contact) -> bool:
    """Whether both reach the same place: a browser that renews its keys is still that browser."""
    if one.channel is not other.channel:
        return False
    return normal_address(one.channel, one.address) == normal_address(other.channel, other.address)


def _first(profile: Profile, channel: Channel) -> str | None:
    return next((c.address for c in profile.contacts if c.channel is channel), None)


def _with_first(contacts: tuple[Contact, ...], channel: Channel, address: str) -> tuple[Contact, ...]:
    """`address` as the first contact of its channel, in place of the one that was."""
    known = next((c for c in contacts if (c.channel, c.address) == (channel, address)), None)
    if known is not None:
        return (known, *(c for c in contacts if c is not known))
    former = next((c for c in contacts if c.channel is channel), None)
    return (Contact(channel=channel, address=address), *(c for c in contacts if c is not former))


def _next(found: Sequence[User], limit: int) -> str | None:
    return cursor_of(found[-1].no) if len(found) == limit else None


def _preferences(parts: ApiParts, caller: Caller, user: User) -> PreferencesView:
    setup = parts.ledger.setup
    categories = setup.categories.all(caller.tenant).values()
    tenant = setup.tenants.all()[caller.tenant]
    stored = user.profile.preferences
    return PreferencesView(stored=stored, effective=effective(tenant, categories, stored))


_BODY = msgspec.json.Decoder(UserBody)

router = Router(
    "/v1/users",
    route_handlers=[
        list_users,
        get_user,
        put_user,
        patch_user,
        delete_user,
        put_users,
        list_contacts,
        add_contact,
        remove_contact,
        get_preferences,
        put_preferences,
        mint_token,
    ],
    opt=one("user", "user_id"),
    tags=["Users"],
)

"""`/v1/objects/{type}`: teams, chat rooms and rotas that events go to, and their members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.di import Provide

from clarion.api import preferences, request_bodies
from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, RECORD, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser, names_of
from clarion.api.merging import merge
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.references import objects_near, users_named
from clarion.api.times import Moment, instant, moment
from clarion.api.topics import Subscribed, Subscriber, Subscribers, subscribers_page
from clarion.errors import InvalidInput, NotFound, UnknownName, check_all
from clarion.flow.intake.recipients import CREATE_OBJECT
from clarion.model.channel import Channel
from clarion.model.ids import UserNo
from clarion.model.recipient_object import ObjectName, first_key, object_name
from clarion.model.rota import Rota, RotaOverride
from clarion.model.topic import Topic
from clarion.model.user import Contact, Profile, User, Value
from clarion.rules import rotas, validation
from clarion.rules.match import closest
from clarion.rules.time_format import rfc3339

CREATE_USER = "Create the user first: PUT /v1/users/{user_id}."


class OverrideBody(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Somebody is on duty from one time until another, whoever's turn it is."""

    user_id: str
    starts_at: Moment
    ends_at: Moment


class RotaBody(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Users who take turns. What goes to the object goes to the one who is on duty."""

    members: tuple[str, ...]
    """User ids, in the order of their turns. Who was deleted has no turn: the next one stands in."""
    timezone: str
    """IANA zone of all times here."""
    handover: tuple[str, ...] = ("09:00",)
    """Times of the day, `HH:MM`, the earliest first, at which one hands over to the next."""
    shift_days: int = 1
    """How many days a shift lasts; with several handovers a day: 1."""
    starts_on: Annotated[str, msgspec.Meta(examples=["2026-05-04"])]
    """The date on which the first member takes over, at the first handover of that day."""
    overrides: tuple[OverrideBody, ...] = ()
    """Where two overlap, the later one in the list holds."""


class ObjectBody(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What an object is. Its members and preferences are separate resources and do not change."""

    EXAMPLE: ClassVar = '{"name": "Payments", "channels": {"email": ["payments@example.com"]}}'

    name: str | None = None
    attributes: dict[str, Any] = {}
    channels: dict[Channel, tuple[str, ...]] = {}
    """Its own addresses: a chat room, the mailbox of a team. They get one message of their own; none: only members get one."""
    locale: str | None = None
    """Language tag (BCP 47) of its own messages; null: the tenant's."""
    timezone: str | None = None
    """IANA zone of its own messages; null: the tenant's."""
    rota: RotaBody | None = None
    """Null: what goes to the object goes to all members."""


class ObjectView(msgspec.Struct, frozen=True, kw_only=True):
    """An object with the number of its members."""

    type: str
    object_id: str
    name: str | None
    attributes: dict[str, Any]
    channels: dict[Channel, tuple[str, ...]]
    locale: str | None
    timezone: str | None
    rota: RotaBody | None
    members: int


class OnDutyView(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on duty now."""

    user_id: str
    until: str
    override: bool
    """By an override, whoever's turn it is."""


async def provide_object_user(type: str, object_id: str, caller: Caller, parts: Parts) -> User:
    """The user that has the channels and preferences of the object of the path."""
    name, _ = await _found(parts, caller, type, object_id)
    user = (await parts.ledger.users.find(caller.tenant, [name.key])).get(name.key)
    if user is None:
        raise NotFound(f"The object {str(name)!r} was deleted meanwhile. {CREATE_OBJECT}")
    return user


@get("/", opt=READ)
async def list_objects(
    type: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[ObjectView]:
    """All objects of a type, by id."""
    first = first_key(type)
    page = await parts.ledger.topics.page(caller.tenant, cursor.after(first), limit)
    found = [topic for topic in page if topic.key.startswith(first)]
    return Page(
        items=await _views(parts, found, await _users(parts, caller, found)),
        next_cursor=cursor.to(found[-1].key) if len(found) == limit else None,
    )


@get("/{object_id:str}", opt=READ)
async def get_object(type: str, object_id: str, caller: Caller, parts: Parts) -> ObjectView:
    """One object."""
    _, topic = await _found(parts, caller, type, object_id)
    return (await _views(parts, [topic], await _users(parts, caller, [topic])))[0]


@put("/{object_id:str}", opt=SEND)
async def put_object(
    type: str, object_id: str, caller: Caller, parts: Parts, data: ObjectBody | None = None
) -> ObjectView:
    """Create or replace an object. Its members and preferences stay."""
    name = ObjectName(type=type, id=object_id)
    validation.check_object_name(name, "#")
    body = data or ObjectBody()
    check_all(_checks_of(body))
    rota = await _rota(parts, caller, body.rota)
    return await _put(parts, caller, name, body.name, lambda profile: _stored(profile, body, rota))


@patch("/{object_id:str}", opt=SEND)
async def patch_object(
    type: str, object_id: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> ObjectView:
    """Change some fields (JSON merge patch): null removes, what is not named stays, turns of those who were deleted included."""
    name, topic = await _found(parts, caller, type, object_id)
    users = await _users(parts, caller, [topic])
    shown: dict[str, Any] = msgspec.to_builtins((await _views(parts, [topic], users))[0])

    def merged(before: Mapping[str, Any]) -> ObjectBody:
        fields = {field: before[field] for field in ObjectBody.__struct_fields__}
        body = request_bodies.convert(merge(fields, data), ObjectBody)
        check_all(_checks_of(body))
        return body

    body = merged(shown)
    rota = await _rota(parts, caller, body.rota) if "rota" in data else None

    def changed(profile: Profile) -> Profile:
        now = merged(shown | msgspec.to_builtins(_fields(profile)))
        return _stored(profile, now, rota if "rota" in data else profile.rota)

    return await _put(parts, caller, name, body.name, changed)


@delete("/{object_id:str}", opt=SEND)
async def delete_object(type: str, object_id: str, caller: Caller, parts: Parts) -> None:
    """Delete an object: what waits for its own channels is not sent. Its members stay users."""
    name, _ = await _found(parts, caller, type, object_id)
    user = (await parts.ledger.users.find(caller.tenant, [name.key])).get(name.key)
    await parts.services.objects.delete(caller.tenant, name, user)


@get("/{object_id:str}/on-duty", opt=READ | RECORD)
async def get_on_duty(type: str, object_id: str, caller: Caller, parts: Parts) -> OnDutyView:
    """Who is on duty now, and until when. An object without a rota, or with nobody left in it, has none: 404."""
    name, _ = await _found(parts, caller, type, object_id)
    found = (await parts.pipeline.groups.on_duty(caller.tenant, [name.key])).items()
    for no, duty in found:
        if (user_id := (await names_of(parts, {no})).get(no)) is not None:
            return OnDutyView(user_id=user_id, until=rfc3339(duty.until), override=duty.override)
    raise NotFound(f"Nobody is on duty for {str(name)!r}: it has no rota, or nobody of it is left.")


@get("/{object_id:str}/members", opt=READ)
async def list_object_members(
    type: str, object_id: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[Subscriber]:
    """Who is a member."""
    name, _ = await _found(parts, caller, type, object_id)
    return await subscribers_page(parts, caller, name.key, cursor, limit)


@post("/{object_id:str}/members", opt=SEND | ADDS, status_code=200)
async def add_object_members(
    type: str, object_id: str, data: Subscribers, caller: Caller, parts: Parts
) -> Subscribed:
    """Make users members of an object. They must exist."""
    name, _ = await _found(parts, caller, type, object_id)
    users = await users_named(parts.ledger, caller.tenant, data.placed(), CREATE_USER)
    numbers = [user.no for user in users.values()]
    return Subscribed(added=await parts.services.objects.add_members(caller.tenant, name, numbers))


@put("/{object_id:str}/members/{user_id:str}", opt=SEND | ADDS)
async def add_object_member(
    type: str, object_id: str, person: PathUser, caller: Caller, parts: Parts
) -> Subscriber:
    """Make one user a member."""
    name, _ = await _found(parts, caller, type, object_id)
    await parts.services.objects.add_members(caller.tenant, name, [person.no])
    return Subscriber(user_id=person.id)


@delete("/{object_id:str}/members/{user_id:str}", opt=SEND)
async def remove_object_member(
    type: str, object_id: str, person: PathUser, caller: Caller, parts: Parts
) -> None:
    """Remove one member. A turn in the rota is removed with the rota."""
    name, _ = await _found(parts, caller, type, object_id)
    if not await parts.services.objects.remove_member(caller.tenant, name, person.no):
        raise NotFound(f"{person.id!r} is no member of {str(name)!r}.")


@get("/", opt=READ)
async def get_object_preferences(
    person: PathUser, caller: Caller, parts: Parts
) -> preferences.PreferencesView:
    """The choices for an object's own channels, and what follows from them."""
    return await preferences.get_preferences.fn(person, caller, parts)  # type: ignore[no-any-return]


@put("/", opt=SEND)
async def put_object_preferences(
    person: PathUser, data: preferences.PreferencesDocument, caller: Caller, parts: Parts
) -> preferences.PreferencesView:
    """Replace all choices for an object's own channels. Its members have their own."""
    return await preferences.put_preferences.fn(person, data, caller, parts)  # type: ignore[no-any-return]


@patch("/", opt=SEND)
async def patch_object_preferences(
    person: PathUser, data: dict[str, Any], caller: Caller, parts: Parts
) -> preferences.PreferencesView:
    """Change some choices (JSON merge patch): null removes one, what is not named stays."""
    return await preferences.patch_preferences.fn(person, data, caller, parts)  # type: ignore[no-any-return]


async def _found(parts: ApiParts, caller: Identity, type: str, object_id: str) -> tuple[ObjectName, Topic]:
    """The object of the path. NotFound with the nearest name."""
    name = ObjectName(type=type, id=object_id)
    topic = await parts.ledger.directory.topic(caller.tenant, name.key)
    if topic is None:
        near = closest(str(name), await objects_near(parts.ledger.directory, caller.tenant, name))
        raise NotFound(str(UnknownName("object", str(name), "", CREATE_OBJECT, near)))
    return name, topic


async def _put(
    parts: ApiParts, caller: Identity, name: ObjectName, title: str | None, to: Callable[[Profile], Profile]
) -> ObjectView:
    user = await parts.services.objects.put(caller.tenant, name, title or "", to)
    known = await parts.ledger.directory.topic(caller.tenant, name.key)
    topic = Topic(key=name.key, name=title or "", members=0 if known is None else known.members)
    return (await _views(parts, [topic], {name.key: user}))[0]


async def _users(parts: ApiParts, caller: Identity, topics: Sequence[Topic]) -> Mapping[str, User]:
    """Those that have the channels of these objects."""
    return await parts.ledger.users.find(caller.tenant, [topic.key for topic in topics])


async def _views(parts: ApiParts, topics: Sequence[Topic], users: Mapping[str, User]) -> list[ObjectView]:
    numbers = {no for user in users.values() if user.profile.rota for no in user.profile.rota.users()}
    names = await names_of(parts, numbers)
    profiles = {key: user.profile for key, user in users.items()}
    return [_view(topic, profiles.get(topic.key, Profile()), names) for topic in topics]


def _view(topic: Topic, profile: Profile, names: Mapping[UserNo, str]) -> ObjectView:
    name = object_name(topic.key)
    return ObjectView(
        type=name.type,
        object_id=name.id,
        name=topic.name or None,
        rota=None if profile.rota is None else _shown(profile.rota, names),
        members=topic.members,
        **_fields(profile),
    )


def _fields(profile: Profile) -> dict[str, Any]:
    """What is shown as it is stored."""
    channels: dict[Channel, tuple[str, ...]] = {}
    for contact in profile.contacts:
        channels[contact.channel] = (*channels.get(contact.channel, ()), contact.address)
    return {
        "attributes": profile.attributes,
        "channels": channels,
        "locale": profile.locale or None,
        "timezone": profile.timezone or None,
    }


def _stored(profile: Profile, body: ObjectBody, rota: Rota | None) -> Profile:
    """The profile of a body that was checked."""
    return msgspec.structs.replace(
        profile,
        contacts=_contacts(body),
        attributes=body.attributes,
        locale=body.locale or "",
        timezone=body.timezone or "",
        rota=rota,
    )


def _shown(rota: Rota, names: Mapping[UserNo, str]) -> RotaBody:
    """As it was sent, without those who were deleted since."""
    return RotaBody(
        members=tuple(names[no] for no in rota.members if no in names),
        timezone=rota.timezone,
        handover=rota.handover,
        shift_days=rota.shift_days,
        starts_on=rota.starts_on,
        overrides=tuple(
            OverrideBody(
                user_id=names[override.user],
                starts_at=moment(override.starts_at),
                ends_at=moment(override.ends_at),
            )
            for override in rota.overrides
            if override.user in names
        ),
    )


def _checks_of(body: ObjectBody) -> Iterator[partial[None]]:
    yield partial(validation.check_attributes, body.attributes, "#/attributes")
    if body.locale:
        yield partial(validation.check_locale, body.locale, "#/locale")
    if body.timezone:
        yield partial(validation.check_timezone, body.timezone, "#/timezone")
    yield partial(_check_number, body)
    for channel, addresses in body.channels.items():
        for index, address in enumerate(addresses):
            yield partial(validation.check_address, channel, address, f"#/channels/{channel}/{index}")


def _check_number(body: ObjectBody) -> None:
    if sum(map(len, body.channels.values())) > validation.CONTACTS:
        raise InvalidInput(f"an object has at most {validation.CONTACTS} addresses.", pointer="#/channels")


def _contacts(body: ObjectBody) -> tuple[Contact, ...]:
    return tuple(
        Contact(
            channel=channel,
            address=validation.plain_address(channel, address, f"#/channels/{channel}/{index}"),
        )
        for channel, addresses in body.channels.items()
        for index, address in enumerate(dict.fromkeys(addresses))
    )


async def _rota(parts: ApiParts, caller: Identity, body: RotaBody | None) -> Rota | None:
    """What is stored of it, once it was checked: users by their numbers, so that whoever is deleted is not named any more."""
    if body is None:
        return None
    validation.check_timezone(body.timezone, "#/rota/timezone")
    named = [(user_id, f"#/rota/members/{index}") for index, user_id in enumerate(body.members)]
    named += [(one.user_id, f"#/rota/overrides/{index}/user_id") for index, one in enumerate(body.overrides)]
    for user_id, pointer in named:
        validation.check_user_id(user_id, pointer)
    users = await users_named(parts.ledger, caller.tenant, named, CREATE_USER)
    rota = Rota(
        members=tuple(users[user_id].no for user_id in body.members),
        timezone=body.timezone,
        handover=body.handover,
        shift_days=body.shift_days,
        starts_on=body.starts_on,
        overrides=tuple(
            RotaOverride(
                user=users[one.user_id].no, starts_at=instant(one.starts_at), ends_at=instant(one.ends_at)
            )
            for one in body.overrides
        ),
    )
    rotas.check_rota(rota, "#/rota")
    return rota


router = Router(
    "/v1/objects/{type:str}",
    route_handlers=[
        list_objects,
        get_object,
        put_object,
        patch_object,
        delete_object,
        get_on_duty,
        list_object_members,
        add_object_members,
        add_object_member,
        remove_object_member,
    ],
    opt=one("object", "object_id"),
    tags=["Objects"],
)
its_preferences = Router(
    "/v1/objects/{type:str}/{object_id:str}/preferences",
    route_handlers=[get_object_preferences, put_object_preferences, patch_object_preferences],
    dependencies={"person": Provide(provide_object_user)},
    opt=one("object", "object_id"),
    tags=["Objects"],
)

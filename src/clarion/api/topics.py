"""`/v1/topics`: topics and their subscribers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api import request_bodies
from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser, names_of
from clarion.api.merging import merge
from clarion.api.pages import PAGE, START, At, Cursor, Limit, Page
from clarion.api.references import NEIGHBOURS, users_named
from clarion.errors import NotFound, UnknownName
from clarion.flow.intake.recipients import CREATE_TOPIC
from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import UserNo
from clarion.model.recipient_object import OBJECTS_END, is_object_key
from clarion.model.topic import Topic
from clarion.model.user import DigestFrequency, PreferenceSet, Value
from clarion.ports import terms
from clarion.rules import validation
from clarion.rules.match import closest
from clarion.rules.preferences import topic_that_says
from clarion.rules.topics import lineage

CREATE_USER = "Create the user first; nobody was subscribed."


class TopicBody(Value, frozen=True, kw_only=True):
    """A topic."""

    name: str | None = None


class TopicChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a channel is on for what goes to a topic, unless a user chose otherwise."""

    enabled: bool
    topic: str
    """Which topic says so: this one, or one above it."""


class TopicDigest(msgspec.Struct, frozen=True, kw_only=True):
    """When digests of what goes to a topic come, unless a user chose otherwise."""

    value: DigestFrequency
    topic: str


class TopicEffective(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a topic by its own settings and those of the topics above it."""

    channels: dict[Channel, TopicChannel]
    """Those of which a topic says something; for the others the category decides."""
    digest: TopicDigest | None


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """A topic with the number of its members."""

    key: str
    name: str | None
    members: int
    """Who is subscribed to this topic itself. What goes to it also goes to who is subscribed to one above it."""
    settings: PreferenceSet | None
    """Its own: `topics` of `/v1/preferences`. Null: it has those of the topics above it only."""
    effective: TopicEffective


class Subscribers(Value, frozen=True, kw_only=True):
    """Users to subscribe."""

    user_ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]

    def placed(self) -> list[tuple[str, str]]:
        """Each with its pointer."""
        return [(user_id, f"#/user_ids/{index}") for index, user_id in enumerate(self.user_ids)]


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """How many users were added."""

    added: int


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a topic."""

    user_id: str


@get("/", opt=READ)
async def list_topics(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[TopicView]:
    """All topics by key."""
    found = await parts.ledger.topics.page(caller.tenant, cursor.after(OBJECTS_END), limit)
    return Page(
        items=[_view(parts, caller, one) for one in found],
        next_cursor=cursor.to(found[-1].key) if len(found) == limit else None,
    )


@get("/{key:str}", opt=READ)
async def get_topic(key: str, caller: Caller, parts: Parts) -> TopicView:
    """One topic."""
    return _view(parts, caller, await _topic(parts, caller, key))


@put("/{key:str}", opt=SEND)
async def put_topic(key: str, caller: Caller, parts: Parts, data: TopicBody | None = None) -> TopicView:
    """Create or rename a topic. Its members stay."""
    validation.check_key(key, "#")
    topic = Topic(key=key, name=(data or TopicBody()).name or "")
    await parts.services.topics.put(caller.tenant, topic)
    if terms.dry_running():
        return _view(parts, caller, topic)
    return _view(parts, caller, await _topic(parts, caller, key))


@patch("/{key:str}", opt=SEND)
async def patch_topic(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> TopicView:
    """Change some fields (JSON merge patch)."""
    before = await _topic(parts, caller, key)
    body = request_bodies.convert(merge({"name": before.name or None}, data), TopicBody)
    return await put_topic.fn(key, caller, parts, body)  # type: ignore[no-any-return]


@delete("/{key:str}", opt=SEND)
async def delete_topic(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a topic and its subscriptions. The users stay."""
    await _topic(parts, caller, key)
    await parts.services.topics.delete(caller.tenant, key)


@get("/{key:str}/subscriptions", opt=READ)
async def list_subscribers(
    key: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[Subscriber]:
    """Who is subscribed."""
    await _topic(parts, caller, key)
    return await subscribers_page(parts, caller, key, cursor, limit)


@post("/{key:str}/subscriptions", opt=SEND | ADDS, status_code=200)
async def subscribe(key: str, data: Subscribers, caller: Caller, parts: Parts) -> Subscribed:
    """Subscribe users to a topic. Both must exist."""
    await _topic(parts, caller, key)
    found = await users_named(parts.ledger, caller.tenant, data.placed(), CREATE_USER)
    numbers = [user.no for user in found.values()]
    return Subscribed(added=await parts.services.topics.subscribe(caller.tenant, key, numbers))


@put("/{key:str}/subscriptions/{user_id:str}", opt=SEND | ADDS)
async def subscribe_one(key: str, person: PathUser, caller: Caller, parts: Parts) -> Subscriber:
    """Subscribe one user."""
    await _topic(parts, caller, key)
    await parts.services.topics.subscribe(caller.tenant, key, [person.no])
    return Subscriber(user_id=person.id)


@delete("/{key:str}/subscriptions/{user_id:str}", opt=SEND)
async def unsubscribe(key: str, person: PathUser, caller: Caller, parts: Parts) -> None:
    """Remove one subscription."""
    await _topic(parts, caller, key)
    if not await parts.services.topics.unsubscribe(caller.tenant, key, person.no):
        raise NotFound(f"{person.id!r} is not subscribed to {key!r}.")


async def subscribers_page(
    parts: ApiParts, caller: Identity, key: str, cursor: At, limit: int
) -> Page[Subscriber]:
    """The subscribers of a topic, or the members of an object, by number."""
    numbers = await parts.ledger.topics.members(caller.tenant, key, UserNo(cursor.after(0)), limit)
    names = await names_of(parts, set(numbers))
    return Page(
        items=[Subscriber(user_id=names[no]) for no in numbers if no in names],
        next_cursor=cursor.to(numbers[-1]) if len(numbers) == limit else None,
    )


async def _topic(parts: ApiParts, caller: Identity, key: str) -> Topic:
    found = None if is_object_key(key) else await parts.ledger.directory.topic(caller.tenant, key)
    if found is None:
        raise await _missing(parts, caller, key)
    return found


async def _missing(parts: ApiParts, caller: Identity, key: str) -> NotFound:
    near = closest(key, await parts.ledger.directory.topics_near(caller.tenant, key, NEIGHBOURS))
    return NotFound(str(UnknownName("topic", key, "", CREATE_TOPIC, near)))


def _view(parts: ApiParts, caller: Identity, topic: Topic) -> TopicView:
    settings = parts.ledger.setup.tenants.all()[caller.tenant].preferences.topics
    channels = {}
    for channel in CHANNELS:
        if (said := topic_that_says(settings, topic.key, channel)) is not None:
            on = settings[said].channels.get(channel, settings[said].enabled)
            channels[channel] = TopicChannel(enabled=bool(on), topic=said)
    digests = ((one, settings[one].digest) for one in lineage(topic.key) if one in settings)
    digest = next((TopicDigest(value=value, topic=one) for one, value in digests if value is not None), None)
    return TopicView(
        key=topic.key,
        name=topic.name or None,
        members=topic.members,
        settings=settings.get(topic.key),
        effective=TopicEffective(channels=channels, digest=digest),
    )


router = Router(
    "/v1/topics",
    route_handlers=[
        list_topics,
        get_topic,
        put_topic,
        patch_topic,
        delete_topic,
        list_subscribers,
        subscribe,
        subscribe_one,
        unsubscribe,
    ],
    opt=one("topic"),
    tags=["Topics"],
)

"""`/v1/topics`: explicit groups, and who is subscribed to them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, delete, get, post, put

from clarion.api.access import READ, SEND, Parts, Who, addressed, names_of
from clarion.api.conditions import ADDS, one
from clarion.api.pages import PAGE, Cursor, Limit, Page, cursor_of, position
from clarion.errors import InvalidInput, NotFound
from clarion.model.ids import UserNo
from clarion.model.user import Value
from clarion.ports.ledger import Topic
from clarion.rules import people


class TopicBody(Value, frozen=True, kw_only=True):
    """A topic."""

    name: str = ""


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """A topic with the number of its members."""

    key: str
    name: str
    members: int


class Subscribers(Value, frozen=True, kw_only=True):
    """Users to subscribe."""

    user_ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """How many were not subscribed before."""

    added: int


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a topic."""

    user_id: str


@get("/", opt=READ)
async def list_topics(
    caller: Who, parts: Parts, limit: Limit = PAGE, cursor: Cursor = None
) -> Page[TopicView]:
    """All topics by key."""
    found = await parts.ledger.topics.page(caller.tenant, position(cursor, ""), limit)
    return Page(
        items=[TopicView(key=t.key, name=t.name, members=t.members) for t in found],
        next_cursor=cursor_of(found[-1].key) if len(found) == limit else None,
    )


@put("/{key:str}", opt=SEND)
async def put_topic(key: str, caller: Who, parts: Parts, data: TopicBody | None = None) -> TopicBody:
    """Create or rename a topic."""
    people.check_key(key, "#")
    body = data or TopicBody()
    await parts.ledger.topics.put(caller.tenant, Topic(key=key, name=body.name))
    return body


@delete("/{key:str}", opt=SEND)
async def delete_topic(key: str, caller: Who, parts: Parts) -> None:
    """Remove a topic with its subscriptions; its members stay."""
    if not await parts.ledger.topics.delete(caller.tenant, key):
        raise NotFound(f"There is no topic {key!r}.")


@get("/{key:str}/subscriptions", opt=READ)
async def list_subscribers(
    key: str, caller: Who, parts: Parts, limit: Limit = PAGE, cursor: Cursor = None
) -> Page[Subscriber]:
    """Who is subscribed."""
    numbers = await parts.ledger.topics.members(caller.tenant, key, UserNo(position(cursor, 0)), limit)
    names = await names_of(parts, set(numbers))
    return Page(
        items=[Subscriber(user_id=names[no]) for no in numbers if no in names],
        next_cursor=cursor_of(numbers[-1]) if len(numbers) == limit else None,
    )


@post("/{key:str}/subscriptions", opt=SEND | ADDS, status_code=200)
async def subscribe(key: str, data: Subscribers, caller: Who, parts: Parts) -> Subscribed:
    """Subscribe users, creating the topic when it is new."""
    people.check_key(key, "#")
    found = await parts.ledger.users.find(caller.tenant, data.user_ids)
    for index, user_id in enumerate(data.user_ids):
        if user_id not in found:
            raise InvalidInput(
                f"There is no user {user_id!r}: create it first; nobody was subscribed.",
                pointer=f"#/user_ids/{index}",
            )
    numbers = [user.no for user in found.values()]
    return Subscribed(added=await parts.ledger.topics.subscribe(caller.tenant, key, numbers))


@delete("/{key:str}/subscriptions/{user_id:str}", opt=SEND)
async def unsubscribe(key: str, user_id: str, caller: Who, parts: Parts) -> None:
    """Remove one subscription."""
    name = addressed(user_id)
    found = await parts.ledger.users.find(caller.tenant, [name])
    numbers = [user.no for user in found.values()]
    if not numbers or not await parts.ledger.topics.unsubscribe(caller.tenant, key, numbers):
        raise NotFound(f"{name!r} is not subscribed to {key!r}.")


router = Router(
    "/v1/topics",
    route_handlers=[list_topics, put_topic, delete_topic, list_subscribers, subscribe, unsubscribe],
    opt=one("topic"),
    tags=["Topics"],
)

"""`/v1/users/{user_id}/inbox`: the in-app messages of a user. Accepts the user's own token."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get, post

from clarion.api.dependencies import ApiParts
from clarion.api.guards import OWN_READ, OWN_SEND, Parts, PathUser
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, parse_id
from clarion.model.inbox import InboxAction, InboxCounts, InboxFilter, InboxItem, ShownItem
from clarion.model.user import User, Value
from clarion.rules.inbox import shown
from clarion.rules.steps.ask import LONGEST_TEXT
from clarion.services.responses import told


class InboxView(Page[ShownItem], frozen=True, kw_only=True):
    """A page of an inbox with its counters."""

    counts: InboxCounts


class MarkBody(Value, frozen=True, kw_only=True):
    """The items to mark and the action. Send either `ids` or `filter`."""

    action: InboxAction
    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] | None = None
    filter: InboxFilter | None = None
    """Everything that matches; `{}` is everything that is not archived."""


class MarkView(msgspec.Struct, frozen=True, kw_only=True):
    """How many items changed, and the counters now."""

    changed: int
    counts: InboxCounts


class ActBody(Value, frozen=True, kw_only=True):
    """The button that was pressed."""

    action: str
    """The `id` of one of the item's `actions`."""
    text: Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)] = ""
    """The answer in other words, where the question takes them."""


class ActView(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    accepted: bool
    """False: somebody answered otherwise before, or nobody waits any more."""
    answer: str | None
    """The key of the answer that counts; null: there is none, or there was no question."""
    text: str | None
    """That answer in other words."""
    message: str
    """The same in a sentence, in the user's language."""


@get("/", opt=OWN_READ)
async def get_inbox(
    person: PathUser,
    parts: Parts,
    archived: bool = False,
    unread: bool = False,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> InboxView:
    """The items of an inbox, newest first: live items or the archive, all items or the unread ones."""
    start = cursor.after(b"")
    before = MessageId(start) if start else None
    items = await parts.ledger.inboxes.page(person.no, before, limit, archived=archived, unread=unread)
    return InboxView(
        items=[view(item, person, parts) for item in items],
        next_cursor=cursor.to(items[-1].message_id) if len(items) == limit else None,
        counts=await _counts(parts, person),
    )


@get("/counts", opt=OWN_READ)
async def get_counts(person: PathUser, parts: Parts) -> InboxCounts:
    """Exact numbers of unseen and unread items."""
    return await _counts(parts, person)


@post("/mark", opt=OWN_SEND, status_code=200)
async def mark(person: PathUser, data: MarkBody, parts: Parts) -> MarkView:
    """Mark items as seen, read, unread, archived or unarchived. All devices of the user are updated."""
    if (data.ids is None) == (data.filter is None):
        raise InvalidInput(
            "give either `ids` or `filter`; `filter: {}` is everything that is not archived.", pointer="#"
        )
    which = data.filter or [_id(text, index) for index, text in enumerate(data.ids or ())]
    changed = await parts.services.inbox_actions.mark(person.tenant, person.no, data.action, which)
    return MarkView(changed=changed, counts=await _counts(parts, person))


@post("/act", opt=OWN_SEND, status_code=200)
async def act(person: PathUser, data: ActBody, parts: Parts) -> ActView:
    """Press a button of an item: answer its question, or acknowledge. The first answer on any channel counts. The item is marked
    as read. You may repeat the call."""
    pressed = await parts.services.responses.press_by_id(
        data.action,
        Channel.IN_APP.value,
        tenant=person.tenant,
        user=person.no,
        by=person.id,
        text=data.text.strip(),
    )
    if pressed is None:
        raise InvalidInput(
            "this user has no item with such an action: send the `id` of one of the item's `actions`.",
            pointer="#/action",
        )
    question = pressed.question
    await parts.services.inbox_actions.mark(person.tenant, person.no, "read", [question.message.id])
    counts = question.answer
    return ActView(
        accepted=pressed.accepted,
        answer=None if counts is None else counts.answer,
        text=None if counts is None else counts.text or None,
        message=told(pressed),
    )


def view(item: InboxItem, user: User, parts: ApiParts) -> ShownItem:
    """An item, opened."""
    return shown(item, parts.vault.open(user.key, item.sealed) if item.sealed else b"")


async def _counts(parts: ApiParts, user: User) -> InboxCounts:
    return (await parts.ledger.inboxes.head(user.no))[1]


def _id(text: str, index: int) -> MessageId:
    try:
        return MessageId(parse_id(text))
    except ValueError:
        raise InvalidInput("an item's id is a UUID.", pointer=f"#/ids/{index}") from None


router = Router(
    "/v1/users/{user_id:str}/inbox", route_handlers=[get_inbox, get_counts, mark, act], tags=["Inbox"]
)

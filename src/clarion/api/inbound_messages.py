"""`/v1/inbound`: what people wrote to us."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter
from msgspec.structs import replace

from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts
from clarion.api.messages import ByChannel, ByUser, Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf, several
from clarion.api.times import instant_of
from clarion.errors import NotFound
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.inbound import InboundFilter, InboundVerdict, ReceivedMessage, ReplyStatus
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339
from clarion.services.inbound_contents import opened

ByVerdict = Annotated[
    str | None,
    Parameter(description="Only with one of these verdicts, with commas between them"),
    AnyOf(tuple(InboundVerdict)),
]


class InboundView(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a person wrote."""

    id: str
    channel: Channel
    integration: str
    """Key of the integration it came in through."""
    user_id: str | None
    """Whose address it came from; null: nobody's that was known then."""
    message_id: str | None
    """The message it answers, where the provider says so."""
    verdict: InboundVerdict
    """What it asks for. `opt_out`: the address is suppressed on this channel. `opt_in`: a suppression that an opt-out made is
    lifted. `help`: who writes, and how to end it. `unclear`: it speaks of leaving, but says more. `other`: anything
    else."""
    needs_review: bool
    """A person has still to read it: it is `unclear` or `other`, and nobody has resolved it."""
    reply: ReplyStatus | None
    """How the automatic reply is doing: `due`, `sending`, `sent` or `failed`; null: there is none."""
    created_at: str
    """When it was written, as far as the provider says, else when it came in."""
    reviewed_at: str | None


class InboundContentView(InboundView, frozen=True, kw_only=True):
    """A message that a person wrote, with what it says."""

    text: str | None
    """null: it can no longer be read."""
    sender: str | None
    recipient: str | None
    """The address they wrote to."""
    media: list[str]
    """URLs of what was sent along."""


class InboundResolution(Value, frozen=True, kw_only=True):
    """The verdict of a person."""

    verdict: Literal["opt_out", "opt_in", "help", "other"]
    """`opt_out` suppresses the address on the channel. `opt_in` lifts an earlier opt-out. The others change nothing else."""


@get("/", opt=READ)
async def list_inbound(
    caller: Caller,
    parts: Parts,
    user_id: ByUser = None,
    channel: ByChannel = None,
    verdict: ByVerdict = None,
    needs_review: Annotated[
        bool | None, Parameter(description="Only what a person has still to read, or only the rest")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[InboundView]:
    """What people wrote to us, newest first, without the text. Kept as long as `/v1/retention` says."""
    where = InboundFilter(
        channels=frozenset(map(Channel, several(channel))),
        verdicts=frozenset(map(InboundVerdict, several(verdict))),
        needs_review=needs_review,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    if user_id is not None:
        known = await parts.ledger.users.find(caller.tenant, [user_id])
        if user_id not in known:
            return Page(items=[])
        where = replace(where, user=known[user_id].no)
    found = await parts.ledger.inbound.page(caller.tenant, where, cursor.after(0) or None, limit)
    users = await parts.ledger.users.get(list({one.user for one in found}))
    return Page(
        items=[
            InboundView(**_fields(one, users[one.user].id if one.user in users else None)) for one in found
        ],
        next_cursor=cursor.to(found[-1].seq) if len(found) == limit else None,
    )


@get("/{inbound_id:str}", opt=READ | RECORD)
async def get_inbound(inbound_id: str, caller: Caller, parts: Parts) -> InboundContentView:
    """One message with its text."""
    found = await parts.ledger.inbound.get(caller.tenant, _number(inbound_id))
    if found is None:
        raise _missing(inbound_id)
    return await _view(found, parts)


@post("/{inbound_id:str}/resolve", opt=SEND, status_code=200)
async def resolve_inbound(
    inbound_id: str, data: InboundResolution, caller: Caller, parts: Parts
) -> InboundContentView:
    """Say what a message asks for. An opt-out is effective when this is answered. There is no automatic reply."""
    verdict = InboundVerdict(data.verdict)
    found = await parts.services.inbound_messages.review(caller.tenant, _number(inbound_id), verdict)
    if found is None:
        raise _missing(inbound_id)
    return await _view(found, parts)


async def _view(one: ReceivedMessage, parts: ApiParts) -> InboundContentView:
    user = (await parts.ledger.users.get([one.user])).get(one.user)
    content = opened(parts.vault, one, user)
    return InboundContentView(
        **_fields(one, None if user is None else user.id),
        text=None if content is None else content.text,
        sender=None if content is None else content.sender,
        recipient=None if content is None else content.recipient,
        media=[] if content is None else list(content.media),
    )


def _fields(one: ReceivedMessage, user_id: str | None) -> dict[str, Any]:
    return {
        "id": str(one.seq),
        "channel": one.channel,
        "integration": one.integration,
        "user_id": user_id,
        "message_id": None if one.message_id is None else id_text(one.message_id),
        "verdict": one.verdict,
        "needs_review": one.needs_review,
        "reply": one.reply,
        "created_at": rfc3339(one.at),
        "reviewed_at": None if one.reviewed_at is None else rfc3339(one.reviewed_at),
    }


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _missing(text)
    return int(text)


def _missing(text: str) -> NotFound:
    return NotFound(f"No inbound message has the id {text!r}, or it is older than it is kept.")


router = Router("/v1/inbound", route_handlers=[list_inbound, get_inbound, resolve_inbound], tags=["Messages"])

"""`/v1/quarantine`: mail that could not be matched or verified, and callbacks that made no sense, kept for manual review."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import Parameter

from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, FOR_GOOD, READ, Caller, Parts, a_message_id
from clarion.api.inbound import MailTaken, shown
from clarion.api.messages import Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.times import instant_of
from clarion.content.bounces import BounceVerdict
from clarion.content.bounces.safe_mime import headers_of
from clarion.errors import InvalidInput, NotFound
from clarion.model.quarantine import Quarantined, QuarantineFilter, QuarantineKind
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339

Kind = Literal["email", "callback"]
Why = Literal["not_understood", "no_message", "no_proof"]
SHOWN = 200
"""Characters of a header field."""


class QuarantinedView(msgspec.Struct, frozen=True, kw_only=True):
    """A mail or a callback that needs a manual review."""

    id: str
    kind: Kind
    """`email`: returned mail. `callback`: a genuine report of a provider that made no sense, wholly or in part."""
    why: Why
    """`not_understood`; `no_message`: about none that is known; `no_proof`: a complaint that anybody could have written."""
    sender: str | None
    """Of a mail."""
    subject: str | None
    """Of a mail."""
    integration: str | None
    """Of a callback: whose provider called."""
    error: str | None
    """Of a callback: what made no sense."""
    size_bytes: int
    created_at: str


class Resolution(Value, frozen=True, kw_only=True):
    """The verdict of a manual review."""

    verdict: Literal["hard", "soft", "block", "complaint", "unsubscribe", "delivered", "auto_reply"]
    """What it means for the message. `hard`, `complaint` and `unsubscribe` have the consequences of a verified report."""
    message_id: str | None = None
    """The message it is about; left out: the one the mail itself names."""


@get("/", opt=READ)
async def list_quarantine(
    caller: Caller,
    parts: Parts,
    kind: Annotated[Kind | None, Parameter(description="Only of this kind")] = None,
    why: Annotated[Why | None, Parameter(description="Only those kept for this reason")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[QuarantinedView]:
    """Mail and callbacks kept for manual review, newest first. At most 1,000 of each kind are kept, as long as
    `/v1/retention` says."""
    where = QuarantineFilter(
        kind=None if kind is None else QuarantineKind(kind),
        why=why,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    before = cursor.after(0) or None
    found = await parts.ledger.quarantine.page(caller.tenant, where, before, limit)
    return Page(
        # Headers of strangers take time to read: not on the event loop.
        items=await asyncio.to_thread(lambda: [_view(one, parts) for one in found]),
        next_cursor=cursor.to(found[-1].seq) if len(found) == limit else None,
    )


@get("/{quarantine_id:str}", opt=READ | RECORD)
async def get_quarantined(quarantine_id: str, caller: Caller, parts: Parts) -> QuarantinedView:
    """One mail or callback: why it is kept."""
    return await asyncio.to_thread(_view, await _the(quarantine_id, caller, parts), parts)


@get("/{quarantine_id:str}/raw", opt=READ | RECORD)
async def get_quarantined_raw(quarantine_id: str, caller: Caller, parts: Parts) -> Response[bytes]:
    """The original mail, or the body of the callback."""
    found = await _the(quarantine_id, caller, parts)
    ending = "eml" if found.kind is QuarantineKind.EMAIL else "bin"
    # Never to be shown by a browser: it is a stranger's HTML.
    headers = {
        "content-type": "application/octet-stream",
        "content-disposition": f'attachment; filename="{found.seq}.{ending}"',
        "x-content-type-options": "nosniff",
    }
    return Response(_raw(found, parts), headers=headers)


@post("/{quarantine_id:str}/resolve", opt=ADMIN | FOR_GOOD, status_code=200)
async def resolve_quarantined(
    quarantine_id: str, data: Resolution, caller: Caller, parts: Parts
) -> MailTaken:
    """Resolve a mail: its message and address are updated as for a verified report, and the mail is deleted."""
    found = await _the(quarantine_id, caller, parts)
    if found.kind is not QuarantineKind.EMAIL:
        raise InvalidInput("This is a callback, which has no verdict: retry it, or delete it.")
    about = None if data.message_id is None else a_message_id(data.message_id)
    taken = await parts.services.inbound_mail.resolve(found, BounceVerdict(data.verdict), about)
    if taken is None:
        said = (
            "the mail names no message that is known: say which one it is about"
            if data.message_id is None
            else f"there is no email message {data.message_id}"
        )
        raise InvalidInput(said, pointer="#/message_id")
    return shown(taken)


@post("/{quarantine_id:str}/retry", opt=ADMIN | FOR_GOOD, status_code=204)
async def retry_quarantined(quarantine_id: str, caller: Caller, parts: Parts) -> None:
    """Read a callback again, as the provider's plug-in understands it now: what it reports is stored, and it is no longer
    kept. If it still makes no sense, 422 `callback_unreadable` says why."""
    found = await _the(quarantine_id, caller, parts)
    if found.kind is not QuarantineKind.CALLBACK:
        raise InvalidInput("This is a mail: resolve it with a verdict.")
    await parts.services.callbacks.retry(found)


@delete("/{quarantine_id:str}", opt=ADMIN)
async def delete_quarantined(quarantine_id: str, caller: Caller, parts: Parts) -> None:
    """Delete a mail or a callback from quarantine. Nothing else changes."""
    if not await parts.services.inbound_mail.discard(caller.tenant, _number(quarantine_id)):
        raise _missing(quarantine_id)


async def _the(text: str, caller: Caller, parts: ApiParts) -> Quarantined:
    found = await parts.ledger.quarantine.get(caller.tenant, _number(text))
    if found is None:
        raise _missing(text)
    return found


def _view(one: Quarantined, parts: ApiParts) -> QuarantinedView:
    raw = _raw(one, parts)
    is_mail = one.kind is QuarantineKind.EMAIL
    head = headers_of(raw if is_mail else b"")
    return msgspec.convert(
        {
            "id": str(one.seq),
            "kind": one.kind.value,
            "why": one.why,
            "sender": head.header("from")[:SHOWN] or None,
            "subject": head.header("subject")[:SHOWN] or None,
            "integration": one.integration or None,
            "error": None if is_mail else parts.services.callbacks.opened(one).error,
            "size_bytes": len(raw),
            "created_at": rfc3339(one.at),
        },
        QuarantinedView,
    )


def _raw(one: Quarantined, parts: ApiParts) -> bytes:
    if one.kind is QuarantineKind.CALLBACK:
        return parts.services.callbacks.opened(one).body
    return parts.vault.open(parts.vault.tenant_key(one.tenant), one.sealed)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _missing(text)
    return int(text)


def _missing(text: str) -> NotFound:
    return NotFound(
        f"Nothing in quarantine has the id {text!r}: it was resolved or deleted, or is older than it is kept."
    )


router = Router(
    "/v1/quarantine",
    route_handlers=[
        list_quarantine,
        get_quarantined,
        get_quarantined_raw,
        resolve_quarantined,
        retry_quarantined,
        delete_quarantined,
    ],
    tags=["Messages"],
)

"""`/v1/inbound/email`: mail that came back, handed in as it is; and what of it waits for a person."""

from __future__ import annotations

import msgspec
from litestar import Response, Router, delete, get

from clarion.api import bodies
from clarion.api.access import ADMIN, READ, Parts, Who
from clarion.api.answers import HttpScope, Send, answer
from clarion.api.conditions import RECORD
from clarion.api.pages import PAGE, Cursor, Limit, Page, cursor_of, position
from clarion.api.parts import ApiParts
from clarion.content.returns.opened import headers_of
from clarion.errors import NotFound
from clarion.model.ids import id_text
from clarion.ports.ledger import Stray
from clarion.rules.instants import rfc3339

PATH = "/v1/inbound/email"
_encode = msgspec.json.Encoder().encode


class MailTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mail that was handed in."""

    verdict: str
    """`hard`, `soft`, `block`, `complaint`, `auto_reply`, `delivered`, `unsubscribe` or `unknown`."""
    delayed: bool
    """Whoever carries the mail keeps trying: nothing is over yet."""
    status: str
    """Enhanced status code (RFC 3463), when the report gives one."""
    detail: str
    """The receiver's words without addresses."""
    message_id: str | None
    """The message it is about; null when none was found."""
    changed: bool
    """Something is different now; false for what was known already."""
    kept: str
    """Why it waits for a person: `not_understood`, `no_message`, `no_proof`; empty when it does not."""


class UnknownMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that waits for a person."""

    id: str
    why: str
    """`not_understood`; `no_message`: about none that is known; `no_proof`: a complaint that anybody could have written."""
    at: str
    sender: str
    subject: str
    size: int


class InboundMail:
    """Hands a mail to the engine. The body is the mail itself (RFC 5322), whatever its `Content-Type` says."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def __call__(self, _: str, scope: HttpScope, receive: bodies.Receive, send: Send) -> None:
        """Answer one mail, durable by then."""
        raw = await bodies.read(receive, dict(scope["headers"]), self._parts.limits.body_bytes)
        taken = await self._parts.pipeline.inbound.take(raw, scope["auth"].tenant)
        shown = MailTaken(
            verdict=taken.verdict,
            delayed=taken.delayed,
            status=taken.status,
            detail=taken.detail,
            message_id=id_text(taken.message.id) if taken.message is not None else None,
            changed=taken.changed,
            kept=taken.kept,
        )
        await answer(send, 200, _encode(shown))


@get("/", opt=READ)
async def list_unknown_mails(
    caller: Who, parts: Parts, limit: Limit = PAGE, cursor: Cursor = None
) -> Page[UnknownMail]:
    """Returned mail that waits for a person, newest first. At most 1,000 are kept, for at most 30 days."""
    found = await parts.ledger.strays.page(caller.tenant, position(cursor, 0) or None, limit)
    return Page(
        items=[_view(one, parts) for one in found],
        next_cursor=cursor_of(found[-1].seq) if len(found) == limit else None,
    )


@get("/{mail_id:str}", opt=READ | RECORD)
async def get_unknown_mail(mail_id: str, caller: Who, parts: Parts) -> Response[bytes]:
    """The mail as it came."""
    number = _number(mail_id)
    found = [s for s in await parts.ledger.strays.page(caller.tenant, number + 1, 1) if s.seq == number]
    if not found:
        raise _missing(mail_id)
    # Never to be shown by a browser: it is a stranger's HTML.
    headers = {
        "content-type": "application/octet-stream",
        "content-disposition": f'attachment; filename="{number}.eml"',
    }
    return Response(_raw(found[0], parts), headers=headers)


@delete("/{mail_id:str}", opt=ADMIN)
async def delete_unknown_mail(mail_id: str, caller: Who, parts: Parts) -> None:
    """Somebody has dealt with it."""
    if not await parts.ledger.strays.drop(caller.tenant, _number(mail_id)):
        raise _missing(mail_id)


def _view(stray: Stray, parts: ApiParts) -> UnknownMail:
    raw = _raw(stray, parts)
    head = headers_of(raw)
    return UnknownMail(
        id=str(stray.seq),
        why=stray.why,
        at=rfc3339(stray.at),
        sender=head.header("from")[:200],
        subject=head.header("subject")[:200],
        size=len(raw),
    )


def _raw(stray: Stray, parts: ApiParts) -> bytes:
    return parts.vault.open(parts.vault.tenant_key(stray.tenant), stray.sealed)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _missing(text)
    return int(text)


def _missing(text: str) -> NotFound:
    return NotFound(f"There is no unknown mail {text!r}: it was deleted, or is older than 30 days.")


router = Router(
    f"{PATH}/unknown",
    route_handlers=[list_unknown_mails, get_unknown_mail, delete_unknown_mail],
    tags=["Messages"],
)

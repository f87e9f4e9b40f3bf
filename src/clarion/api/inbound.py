"""`/v1/inbound/email`: accepts a returned email in its raw form."""

from __future__ import annotations

import msgspec

from clarion.api import request_bodies
from clarion.api.auth import Identity
from clarion.api.dependencies import ApiParts
from clarion.api.idempotency import IdempotentCalls, key_of, replay
from clarion.api.problems import refuse
from clarion.api.responses import HttpScope, Send, answer
from clarion.model.ids import id_text
from clarion.services.inbound_mail import Taken

PATH = "/v1/inbound/email"
_encode = msgspec.json.Encoder().encode


class MailTaken(msgspec.Struct, frozen=True, kw_only=True):
    """How a submitted mail was read, and what changed."""

    verdict: str
    """`hard`, `soft`, `block`, `complaint`, `auto_reply`, `delivered`, `unsubscribe` or `unknown`."""
    delayed: bool
    """The mail server keeps trying, so the outcome is still open."""
    status: str | None
    """Enhanced status code (RFC 3463), when the report gives one."""
    detail: str | None
    """The text of the report, without addresses."""
    message_id: str | None
    """The message it is about; null when none was found."""
    changed: bool
    """Whether anything changed; false if the report was known already."""
    kept: str | None
    """Why it is kept for manual review: `not_understood`, `no_message`, `no_proof`; null when it is not."""


class InboundMailRoute:
    """Hands a mail to the engine. The body is the mail itself (RFC 5322), whatever its `Content-Type` says."""

    def __init__(self, parts: ApiParts, repeats: IdempotentCalls) -> None:
        self._parts = parts
        self._repeats = repeats

    async def __call__(self, _: str, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        """Answer one mail, durable by then."""
        raw = await request_bodies.read(receive, dict(scope["headers"]), self._parts.limits.body_bytes)
        if not raw.strip():
            raise refuse("invalid_request", "The body is empty: send one email as it is (RFC 5322).")
        key = key_of(scope["headers"])
        if not key:
            await self._take(raw, scope, send)
            return
        caller = Identity(tenant=scope["auth"].tenant)
        try:
            first = await self._repeats.first(scope, caller, key, raw)
            if first is not None:
                await replay(send, first)
                return
            await self._take(raw, scope, self._repeats.keeping(send, scope))
        finally:
            self._repeats.done(scope)

    async def _take(self, raw: bytes, scope: HttpScope, send: Send) -> None:
        taken = await self._parts.services.inbound_mail.take(raw, scope["auth"].tenant)
        await answer(send, 200, _encode(shown(taken)))


def shown(taken: Taken) -> MailTaken:
    """What became of a mail, for whoever asked."""
    return MailTaken(
        verdict=taken.verdict,
        delayed=taken.delayed,
        status=taken.status or None,
        detail=taken.detail or None,
        message_id=id_text(taken.message.id) if taken.message is not None else None,
        changed=taken.changed,
        kept=taken.kept or None,
    )

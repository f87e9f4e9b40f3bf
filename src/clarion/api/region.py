"""`/v1/region/events`: events that the other region hands over, because their users are at home here."""

from __future__ import annotations

import hmac

import msgspec

from clarion.api import request_bodies
from clarion.api.dependencies import ApiParts
from clarion.api.problems import Nowhere
from clarion.api.responses import HttpScope, Send, answer
from clarion.errors import ClarionError, InvalidInput, NotFound, Unauthenticated
from clarion.model.forwarded import ForwardedEvents, ForwardedResult
from clarion.model.submission import Acceptance
from clarion.rules.paths import sent_path

_decode = msgspec.json.Decoder(ForwardedEvents).decode


class ForwardedRoute:
    """Accepts them as if they had been sent here, and hands none back."""

    def __init__(self, parts: ApiParts) -> None:
        self._secret = parts.region_secret.encode()
        self._pipeline = parts.pipeline
        self._tenants = parts.ledger.setup.tenants
        self._body_bytes = parts.limits.body_bytes

    async def __call__(self, _: str, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        """Answer when every event is durable, or refused."""
        if not self._secret:
            raise Nowhere(sent_path(scope))
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self._secret):
            raise Unauthenticated(
                "The secret of the regions is another one here: compare `region.secret` in both."
            )
        body = await request_bodies.read(receive, headers, 2 * self._body_bytes)
        try:
            given = _decode(body)
        except msgspec.DecodeError as wrong:
            raise InvalidInput(
                f"The other region runs a version that this one does not understand: {wrong}."
            ) from None
        tenant = next((one.id for one in self._tenants.all().values() if one.key == given.tenant), None)
        if tenant is None:
            raise NotFound(f"There is no tenant {given.tenant!r} in this region: create it in both.")
        results = await self._pipeline.intake.submit(tenant, given.submissions)
        await answer(send, 200, msgspec.json.encode([_told(one) for one in results]))


def _told(result: Acceptance | ClarionError) -> ForwardedResult:
    if isinstance(result, Acceptance):
        return ForwardedResult(acceptance=result)
    return ForwardedResult(
        status=result.status, code=result.code, detail=result.detail, pointer=result.pointer
    )

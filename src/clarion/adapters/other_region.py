"""The other region over HTTP, by a secret that both know."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.errors import Busy, ClarionError, InvalidInput, Unavailable
from clarion.model.forwarded import PATH, ForwardedEvents, ForwardedResult
from clarion.model.submission import Acceptance, Submission
from clarion.ports.clock import Clock

ANSWER_S = 10.0
ANSWER_BYTES = 16 * 1024 * 1024

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[ForwardedResult, ...]).decode


class _Anywhere(msgspec.Struct, frozen=True):
    """Whoever runs Clarion chose the address."""

    clock: Clock
    allowed_networks: tuple[str, ...] = ("0.0.0.0/0", "::/0")


class HttpRegion:
    """Implements `ports.other_region.OtherRegion`."""

    def __init__(self, name: str, urls: Sequence[str], secret: str, clock: Clock) -> None:
        """`urls`: where its users are served, tried in this order."""
        self._name = name
        self._urls = urls
        self._headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        self._clock = clock
        self._client = HttpClient(_Anywhere(clock), timeout_s=ANSWER_S)

    async def submit(
        self, tenant: str, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        body = _encode(ForwardedEvents(tenant=tenant, submissions=tuple(submissions)))
        said = ""
        for url in self._urls:
            call = HttpRequest(url=f"{url}{PATH}", headers=self._headers, body=body)
            until_s = self._clock.monotonic() + ANSWER_S
            reply = await self._client.call(call, until_s=until_s, limit=ANSWER_BYTES)
            if isinstance(reply, HttpReply) and reply.status == 200:
                return [_result(one) for one in _decode(reply.body)]
            said = reply.detail if isinstance(reply, HttpFailure) else f"it answered {reply.status}"
        raise Unavailable(
            f"These users are at home in region {self._name}, which does not take their events now ({said}). Try again."
        )

    async def close(self) -> None:
        await self._client.close()


def _result(one: ForwardedResult) -> Acceptance | ClarionError:
    if one.acceptance is not None:
        return one.acceptance
    if one.status == Busy.status:
        return Busy(one.detail)
    if one.status < Unavailable.status:
        return InvalidInput(one.detail, pointer=one.pointer, code=one.code, status=one.status)
    return Unavailable(one.detail)

"""Fetches attachments given by URL when the email is sent, within limits, and caches them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from msgspec.structs import replace

from clarion.adapters.http import Fetch, HttpFailure, HttpReply
from clarion.model.content import Attachment, EmailContent
from clarion.model.outcome import Outcome, Rejected, Retry
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderTools

LIMIT = 10 * 1024 * 1024
"""Octets of all attachments of one mail; most servers take little more than twice that, encoded."""
AT_ONCE = 4
"""Mails whose attachments are held in memory until they are sent."""
KEPT_BYTES = 32 * 1024 * 1024
KEPT_S = 60.0
"""A file that goes to many people is fetched once a minute, not once a person."""
OK, REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 200, 408, 429, 500


def by_url(content: EmailContent) -> bool:
    """Whether something has to be fetched first."""
    return any(one.url and not one.content for one in content.attachments)


class Attachments:
    """Fetches them. The URLs come from events, so they must lead to public addresses."""

    def __init__(self, tools: ProviderTools, timeout_s: float) -> None:
        self.seats = asyncio.Semaphore(AT_ONCE)
        self._fetch = Fetch(tools, timeout_s=timeout_s, limit=LIMIT)
        self._clock: Clock = tools.clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._kept_bytes = 0

    async def into(self, content: EmailContent) -> EmailContent | Outcome:
        """The content with everything fetched, or what becomes of its message."""
        whole: list[Attachment] = []
        size = 0
        for one in content.attachments:
            data = one.content or await self._get(one.url)
            if not isinstance(data, bytes):
                return data
            size += len(data)
            if size > LIMIT:
                return Rejected(detail=f"the attachments have more than {LIMIT:,} bytes together")
            whole.append(replace(one, content=data))
        return replace(content, attachments=tuple(whole))

    async def close(self) -> None:
        """Close the connections."""
        await self._fetch.close()

    async def _get(self, url: str) -> bytes | Outcome:
        kept = self._kept.get(url)
        if kept is not None and self._clock.monotonic() < kept[0]:
            return kept[1]
        reply = await self._fetch.get(url)
        if isinstance(reply, HttpFailure):
            return _failed(reply)
        if reply.status != OK or reply.cut:
            return _refused(reply)
        self._keep(url, reply.body)
        return reply.body

    def _keep(self, url: str, body: bytes) -> None:
        old = self._kept.pop(url, None)
        self._kept_bytes += len(body) - (len(old[1]) if old is not None else 0)
        self._kept[url] = (self._clock.monotonic() + KEPT_S, body)
        while self._kept_bytes > KEPT_BYTES:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)


def _failed(failure: HttpFailure) -> Outcome:
    detail = f"an attachment cannot be fetched: {failure.detail}"
    return Rejected(detail=detail) if failure.kind == "refused" else Retry(of_address=True, detail=detail)


def _refused(reply: HttpReply) -> Outcome:
    """Not there, too large, or not now."""
    if reply.status == OK:
        return Rejected(detail=f"an attachment has more than {LIMIT:,} bytes, or broke off")
    detail = f"an attachment cannot be fetched: its server answers {reply.status}"
    if reply.status in {REQUEST_TIMEOUT, TOO_MANY} or reply.status >= SERVER_ERROR:
        return Retry(of_address=True, after_s=reply.retry_after_s, detail=detail)
    return Rejected(detail=detail)

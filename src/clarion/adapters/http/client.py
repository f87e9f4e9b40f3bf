"""An HTTP client for public addresses and allowed ranges, with limits on time and size."""

from __future__ import annotations

from typing import Protocol

import structlog

from clarion.adapters.http.clients import Clients, Resolve, Way
from clarion.adapters.http.connection_limit import ConnectionLimit
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.request import USUAL, Transport, exchange, shown
from clarion.errors import Unavailable
from clarion.ports.clock import Clock
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest
from clarion.ports.provider import ProviderTools

log = structlog.get_logger(__name__)

LONGEST_CONNECT_S = 10.0
MOST_CALLS = 2_048
"""Under way at once, those that were given up included; more than the lanes of an integration have by default."""
ADDRESSES_TRIED = 3
"""Of a host that has several, while none takes a connection."""


class NetworkTools(Protocol):
    """What a client needs of the house: `ProviderTools`, or whatever else has these."""

    @property
    def clock(self) -> Clock: ...

    @property
    def allowed_networks(self) -> tuple[str, ...]:
        """Ranges (CIDR) that may be reached although they are not public."""


class HttpClient:
    """Makes calls over pooled connections, HTTP/2 where offered. Redirects are answers like any other."""

    def __init__(
        self,
        tools: NetworkTools,
        *,
        timeout_s: float,
        resolve: Resolve | None = None,
        transport: Transport = USUAL,
    ) -> None:
        """`timeout_s` is the longest a call may take, and tells how long a connection may take."""
        self._transport = transport
        self._tools = tools
        self._resolve = resolve
        self._connect_s = min(LONGEST_CONNECT_S, timeout_s / 3)
        self._guard = UrlGuard(tools.allowed_networks)
        self._permits = ConnectionLimit(tools.clock, MOST_CALLS)
        self._open: Clients | None = None

    async def call(self, call: HttpRequest, *, until_s: float, limit: int) -> HttpReply | HttpFailure:
        """What was answered until `until_s` on the monotonic clock, at most `limit` bytes of it. Raises nothing."""
        try:
            return await self._call(call, until_s, limit)
        except Exception as surprise:  # noqa: BLE001 - foreign code and foreign answers; concerns this call only
            log.error("call_failed", error=type(surprise).__name__)
            return HttpFailure(kind="unanswered", detail=f"the call failed ({type(surprise).__name__})")

    async def _call(self, call: HttpRequest, until_s: float, limit: int) -> HttpReply | HttpFailure:
        clients = self._clients()
        answer: HttpReply | HttpFailure = HttpFailure(kind="unsent", detail="no time was left to begin")
        for _ in range(ADDRESSES_TRIED):
            if self._spare_s(until_s) <= 0:
                return answer
            found = await _way(clients, call.url)
            if isinstance(found, HttpFailure):
                return found
            client, url, permits = found
            if not await permits.take(max(0.0, self._spare_s(until_s))):
                return HttpFailure(kind="unsent", detail=f"too many calls to {shown(url)} are under way")
            answer = await self._exchanged(found, call, until_s, limit)
            if (
                isinstance(answer, HttpReply)
                or answer.kind != "unsent"
                or not clients.has_another(url, client)
            ):
                return answer
        return answer

    def _spare_s(self, until_s: float) -> float:
        """Time to begin in: later, a connection that hangs could not be told from an answer that does."""
        return until_s - self._tools.clock.monotonic() - self._connect_s

    async def _exchanged(
        self, way: Way, call: HttpRequest, until_s: float, limit: int
    ) -> HttpReply | HttpFailure:
        client, url, permits = way
        clock = self._tools.clock
        left_s = until_s - clock.monotonic()
        kept_s = left_s
        try:
            answer = await exchange(client, url, call, timeout_s=left_s, limit=limit, now=clock.now())
            kept_s = 0.0
        finally:
            permits.leave(kept_s)
        return answer

    async def refusal(self, url: str) -> str | None:
        """Why a URL is not called, as far as can be told without calling it; None when it may be."""
        found = await _way(self._clients(), url)
        return found.detail if isinstance(found, HttpFailure) and found.kind == "refused" else None

    async def close(self) -> None:
        """Close the connections."""
        clients, self._open = self._open, None
        if clients is not None:
            await clients.close()

    def _clients(self) -> Clients:
        if self._open is None:
            self._open = Clients(
                self._guard,
                self._tools.clock,
                self._connect_s,
                self._permits,
                self._resolve,
                self._transport,
            )
        return self._open


async def _way(clients: Clients, url: str) -> Way | HttpFailure:
    try:
        return await clients.at(url)
    except Exception as surprise:  # noqa: BLE001 - name servers and libraries can answer anything
        log.error("call_not_begun", error=type(surprise).__name__)
        return HttpFailure(kind="unsent", detail=f"no connection could be made ({type(surprise).__name__})")


class Fetch:
    """GETs small things by URL: a mail's attachments, a health page.

    `reply = await fetch.get(url)`: a `Reply` of any status (a redirect too: it is not followed), or a `Failure`.
    """

    def __init__(
        self,
        tools: ProviderTools,
        *,
        timeout_s: float = 20.0,
        limit: int = 10 * 1024 * 1024,
        resolve: Resolve | None = None,
    ) -> None:
        self._caller = HttpClient(tools, timeout_s=timeout_s, resolve=resolve)
        self._clock = tools.clock
        self._timeout_s = timeout_s
        self._limit = limit

    async def get(self, url: str, headers: dict[str, str] | None = None) -> HttpReply | HttpFailure:
        """What is at `url`; `Reply.cut` when it is larger than the limit."""
        call = HttpRequest(url=url, method="GET", headers=headers or {})
        until_s = self._clock.monotonic() + self._timeout_s
        return await self._caller.call(call, until_s=until_s, limit=self._limit)

    async def whole(self, url: str) -> bytes:
        """What is at `url`. Raises Unavailable, naming the server at most."""
        reply = await self.get(url)
        if isinstance(reply, HttpFailure):
            raise Unavailable(reply.detail)
        if reply.status != 200 or reply.cut:
            raise Unavailable(f"the server answered {reply.status}, or with too much")
        return reply.body

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()

"""HTTP connections that may not be kept open by silence: every wait for a client has an end, and a number.

A connection waits for its client between being opened and the end of a request's body, between requests, and while
the client does not read. Answering takes the time the application allows itself; live inboxes have rules of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clarion.ports.clock import Clock

SWEEP_S = 1.0

log = structlog.get_logger(__name__)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how many."""

    head_s: float = 10.0
    """From the opening of a connection, or an answer, to the end of the next request's head."""
    body_s: float = 30.0
    """From there to the end of the body."""
    read_s: float = 30.0
    """How long a client may leave an answer unread."""
    close_s: float = 5.0
    """How long the last bytes may take."""
    head_bytes: int = 64 * 1024
    waiting: int = 4_000
    """Connections that wait for their clients, of this process; one more ends the one that waits longest."""
    waiting_per_client: int = 1_000
    """The same of one address: a proxy holds many, and is quick."""


class Connections:
    """All HTTP connections of a server. `connection` makes one, `sweep` ends those whose time is up."""

    def __init__(self, clock: Clock, patience: Patience | None = None) -> None:
        self._clock = clock
        self.patience = patience or Patience()
        self.open: set[HttpConnection] = set()
        self.waiting: dict[HttpConnection, None] = {}
        """Those that wait for their clients, longest first."""
        self.waiting_of: dict[str, dict[HttpConnection, None]] = {}
        """The same by address."""
        self.ended: Counter[str] = Counter()
        """Why connections were ended so far."""

    def stats(self) -> Mapping[str, float]:
        """How many there are, how many wait for their clients, and why some were ended since the start."""
        return {"open": len(self.open), "waiting": len(self.waiting)} | {
            f"ended.{why}": count for why, count in self.ended.items()
        }

    def connection(self, **given: Any) -> HttpConnection:
        """What uvicorn makes for every connection it accepts."""
        return HttpConnection(self, **given)

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return self._clock.monotonic()

    def wait(self, connection: HttpConnection, client: str) -> None:
        """`connection` waits from now on. Whoever is quick finds room, also while somebody else fills it."""
        self.rest(connection, client)
        ours = self.waiting_of.setdefault(client, {})
        self.waiting[connection] = ours[connection] = None
        for waiting, most in (
            (ours, self.patience.waiting_per_client),
            (self.waiting, self.patience.waiting),
        ):
            if len(waiting) > most:
                next(iter(waiting)).end("crowded_out", 408)

    def rest(self, connection: HttpConnection, client: str) -> None:
        """`connection` does not wait any more."""
        if self.waiting.pop(connection, connection) is None:
            ours = self.waiting_of[client]
            del ours[connection]
            if not ours:
                del self.waiting_of[client]

    def sweep(self) -> None:
        """End every connection whose client was waited for long enough."""
        now = self.now()
        for connection in list(self.open):
            connection.look_at(now)

    async def sweep_forever(self) -> None:
        """Once a second."""
        while True:
            await self._clock.sleep(SWEEP_S)
            try:
                self.sweep()
            except Exception:
                log.exception("connections_not_swept")


class HttpConnection(HttpToolsProtocol):
    """One of them. `_until` is when its client must have done what is waited for; None: it is our turn."""

    def __init__(self, all_: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._all = all_
        self._host = ""
        self._until: float | None = None
        self._unread_until: float | None = None
        self._closed_at: float | None = None
        self._in_head = True
        self._head = 0
        """Which head of the connection it is in, or was in last."""
        self._body_to_come = False
        self._head_bytes = 0
        self._closes_behind_body = False

    # ── what the transport says ───────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._host = self.client[0] if self.client else ""
        self._all.open.add(self)
        self._wait(self._all.patience.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head, head = self._in_head, self._head
        super().data_received(data)
        if in_head and self._in_head and head == self._head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self._all.patience.head_bytes:
                self.end("head_too_large", 431)

    def pause_writing(self) -> None:
        self._unread_until = self._all.now() + self._all.patience.read_s
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_until = None
        super().resume_writing()

    # ── what the parser says ──────────────────────────────────────────────────────────────────────────────

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes, self._body_to_come = False, 0, True
        self._head += 1
        self._wait(self._all.patience.body_s)
        super().on_headers_complete()
        if self.cycle is not None:  # it is None where a WebSocket begins
            self.cycle.transport = _Lingering(self)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._body_to_come = True, False
        if self._closes_behind_body:
            self.transport.close()
        answered = self.cycle is not None and self.cycle.response_complete  # type: ignore[redundant-expr]
        self._wait(self._all.patience.head_s if answered else None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._body_to_come and not self.pipeline:
            self._wait(self._all.patience.head_s)

    def handle_websocket_upgrade(self) -> None:
        self._forget()
        super().handle_websocket_upgrade()

    def close(self) -> None:
        """The answer was the last one. A client that is still sending its body would lose it by a reset: it is read to
        its end, in the time there is for that, and dropped."""
        if self._body_to_come:
            self._closes_behind_body = True
        else:
            self.transport.close()

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────────────

    def look_at(self, now: float) -> None:
        """End it if its time is up."""
        if self.transport.is_closing():
            self._closed_at = self._closed_at or now
            if now >= self._closed_at + self._all.patience.close_s:
                self.transport.abort()
        elif self._unread_until is not None and now >= self._unread_until:
            self._all.ended["unread"] += 1
            self.transport.abort()
        elif self._until is not None and now >= self._until:
            self.end("slow_body" if self._body_to_come else "slow_head", 408)

    def end(self, why: str, status: int) -> None:
        """Say so, unless an answer is under way, and close."""
        self._all.ended[why] += 1
        self._wait(None)
        cycle = None if self._in_head else self.cycle
        if cycle is None or not cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()

    def _wait(self, seconds: float | None) -> None:
        """Wait for the client for so long, or no more."""
        if seconds is None:
            self._until = None
            self._all.rest(self, self._host)
        else:
            self._until = self._all.now() + seconds
            self._all.wait(self, self._host)

    def _forget(self) -> None:
        self._wait(None)
        self._all.open.discard(self)


class _Lingering:
    """The transport of a connection as the cycle of one request sees it."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)

    def close(self) -> None:
        """When the client has said everything."""
        self._connection.close()

"""A device connected through an ASGI server. Writing to it needs no task."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from types import coroutine
from typing import Any

from clarion.gateway.close_codes import CloseCode
from clarion.gateway.device import ConnectedDevice, UserStream
from clarion.gateway.frames import Frame
from clarion.gateway.session import Session

Event = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Coroutine[Any, Any, None]]

HUNG_UP = (OSError, RuntimeError)
"""How servers say that nobody listens any more: OSError by the ASGI specification, RuntimeError where the server
itself has closed the connection (a missed keep-alive, its own shutdown) and not told us yet."""


def forget_handshake(scope: Scope, send: Send) -> None:
    """Let go of the request's head once it has been read: it would live as long as the connection.

    Uvicorn keeps it three times over, which is a third of what an idle connection costs; on other servers only the
    scope is emptied.
    """
    scope["headers"] = []
    protocol = getattr(send, "__self__", None)
    for name in ("request", "response"):
        if getattr(protocol, name, None) is not None:
            setattr(protocol, name, None)


class AsgiDevice(ConnectedDevice):
    """Steps the server's `send` itself: while the write buffer has room it never suspends, so a push costs no task
    and no turn of the loop. The one time it suspends, the step already taken is handed to a task and the session
    keeps what comes meanwhile, within its bounds.
    """

    __slots__ = ("_asgi_send", "_writer")

    def __init__(self, session: Session, stream: UserStream, send: Send) -> None:
        super().__init__(session, stream)
        self._asgi_send: Send | None = send
        self._writer: asyncio.Task[None] | None = None

    @abstractmethod
    def frame_event(self, frame: Frame) -> Event:
        """The ASGI event that sends a frame."""

    @abstractmethod
    def close_event(self, close: CloseCode) -> Event:
        """The ASGI event that ends the connection."""

    def send(self, frame: Frame) -> None:
        self._write(self.frame_event(frame))

    def close(self, close: CloseCode) -> None:
        if self._writer is None:
            self._write(self.close_event(close))
        else:
            self.session.close_later(close)

    def abort(self) -> None:
        # ASGI has no word for it. Uvicorn's `send` is a method of the object that owns the transport; elsewhere the
        # connection stays until the peer or the server ends it.
        transport = getattr(getattr(self._asgi_send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
        self.leave()

    def leave(self) -> None:
        self.session.gone()
        self._asgi_send = None
        if self._writer is not None:
            self._writer.cancel()

    def _write(self, event: Event) -> None:
        if self._asgi_send is None:
            return
        sending = self._asgi_send(event)
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return
        except HUNG_UP:
            self.session.gone()
            return
        self.session.blocked()
        self._writer = asyncio.get_running_loop().create_task(self._drain(_finish(sending, waits_for)))

    async def _drain(self, blocked: Awaitable[None]) -> None:
        """Wait for the blocked write, then send what came meanwhile."""
        try:
            await blocked
            while (waiting := self.session.drained()) is not None and self._asgi_send is not None:
                event = self.frame_event(waiting) if isinstance(waiting, Frame) else self.close_event(waiting)
                await self._asgi_send(event)
        except HUNG_UP:
            self.session.gone()
        finally:
            self._writer = None


@coroutine
def _finish(started: Coroutine[Any, Any, None], waits_for: object) -> Generator[Any, Any, None]:
    """The rest of a coroutine whose first step was taken outside of any task."""
    yield waits_for
    yield from started

"""The inbox over WebSocket."""

from __future__ import annotations

from clarion.gateway import frames
from clarion.gateway.asgi import AsgiDevice, Event, Receive, Scope, Send, forget_handshake
from clarion.gateway.authentication import DeviceAuthenticator, HandshakeRequest
from clarion.gateway.close_codes import CloseCode
from clarion.gateway.device import UserStream
from clarion.gateway.frames import Frame
from clarion.gateway.handshake_errors import refuse
from clarion.gateway.hub import Hub
from clarion.gateway.session import Resume

REJECTION = "websocket.http.response"


class WebSocketDevice(AsgiDevice):
    """A device on a WebSocket."""

    __slots__ = ()

    def frame_event(self, frame: Frame) -> Event:
        return {"type": "websocket.send", "text": frame.text}

    def close(self, close: CloseCode) -> None:
        if close.after_ms:
            self.send(frames.bye(close))  # a close code has no room for it
        super().close(close)

    def close_event(self, close: CloseCode) -> Event:
        return {"type": "websocket.close", "code": close.code, "reason": close.reason}


class WebSockets:
    """Serves `/v1/inbox/ws`: one coroutine per connection, which waits for the client and does nothing else."""

    def __init__(self, door: DeviceAuthenticator, hub: Hub) -> None:
        self._door = door
        self._hub = hub

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from the handshake to its end."""
        await receive()  # websocket.connect
        entered = await self._enter(scope, send)
        if entered is None:
            return
        device, resume = entered
        try:
            await send({"type": "websocket.accept"})
            forget_handshake(scope, send)
            await self._hub.load(device, resume)
            while (event := await receive())["type"] == "websocket.receive":
                mark = self._hub.perform(device, event.get("text") or event.get("bytes") or b"")
                if mark is not None:
                    await self._hub.mark(device, mark)
        except OSError:
            pass  # The client is gone; it will come back and be replayed what it missed.
        finally:
            self._hub.leave(device)

    async def _enter(self, scope: Scope, send: Send) -> tuple[WebSocketDevice, Resume | None] | None:
        request = HandshakeRequest(scope)
        visitor = await self._door.admit(request)
        if isinstance(visitor, CloseCode):
            await self._refuse(scope, send, request, visitor)
            return None
        stream = await self._hub.stream(visitor.user)
        if not isinstance(stream, UserStream):
            await self._refuse(scope, send, request, stream)
            return None
        device = WebSocketDevice(self._hub.session(visitor.expires_at), stream, send)
        self._hub.join(device)
        return device, visitor.resume

    async def _refuse(self, scope: Scope, send: Send, request: HandshakeRequest, close: CloseCode) -> None:
        """By HTTP status where the client can see it. A browser shows its page only close codes, so it gets one."""
        if REJECTION in scope.get("extensions", {}) and not request.origin:
            await refuse(send, close, "websocket.")
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": close.code, "reason": close.reason})

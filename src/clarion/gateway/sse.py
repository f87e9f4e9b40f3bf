"""The inbox as server-sent events, for networks and clients without WebSockets. Commands go through the HTTP API."""

from __future__ import annotations

from clarion.gateway import frames
from clarion.gateway.asgi import AsgiDevice, Event, Receive, Scope, Send
from clarion.gateway.authentication import DeviceAuthenticator, HandshakeRequest
from clarion.gateway.close_codes import ORIGIN_REFUSED, CloseCode
from clarion.gateway.device import UserStream
from clarion.gateway.frames import PING, Frame
from clarion.gateway.handshake_errors import Header, refuse
from clarion.gateway.hub import Hub
from clarion.gateway.session import Resume

RETRY_MS = 2000
ALLOW = (b"allow", b"GET, OPTIONS")
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class EventStreamDevice(AsgiDevice):
    """A device on an event stream; the browser remembers the last `id` and sends it when it comes back."""

    __slots__ = ()

    def frame_event(self, frame: Frame) -> Event:
        if frame is PING:
            return _body(b":\n\n")
        if frame.offset < 0:
            return _body(b"data: %s\n\n" % frame.text.encode())
        position = f"{self.stream.epoch}:{frame.offset}"
        return _body(f"id: {position}\ndata: {frame.text}\n\n".encode())

    def close_event(self, close: CloseCode) -> Event:
        again = b"retry: %d\n" % close.after_ms if close.after_ms else b""  # browsers keep to it
        return _body(b"%sdata: %s\n\n" % (again, frames.bye(close).text.encode()), more=False)


def _body(text: bytes, *, more: bool = True) -> Event:
    return {"type": "http.response.body", "body": text, "more_body": more}


class EventStreams:
    """Serves `GET /v1/inbox/sse`."""

    def __init__(self, door: DeviceAuthenticator, hub: Hub) -> None:
        self._door = door
        self._hub = hub

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One event stream, from the request to its end."""
        request = HandshakeRequest(scope)
        cors = _cors(request) if self._door.allows(request) else []
        if scope["method"] == "OPTIONS" and not cors:
            await refuse(send, ORIGIN_REFUSED)
            return
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": [ALLOW, *cors]})
            await send({"type": "http.response.body", "body": b""})
            return
        entered = await self._enter(request, send, cors)
        if entered is None:
            return
        device, resume = entered
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS + cors})
            await send(_body(b"retry: %d\n\n" % RETRY_MS))
            await self._hub.load(device, resume)
            while (await receive())["type"] != "http.disconnect":
                pass
        except OSError:
            pass  # The client is gone; it will come back and be replayed what it missed.
        finally:
            self._hub.leave(device)

    async def _enter(
        self, request: HandshakeRequest, send: Send, cors: list[Header]
    ) -> tuple[EventStreamDevice, Resume | None] | None:
        visitor = await self._door.admit(request)
        if isinstance(visitor, CloseCode):
            await refuse(send, visitor, also=cors)
            return None
        stream = await self._hub.stream(visitor.user)
        if not isinstance(stream, UserStream):
            await refuse(send, stream, also=cors)
            return None
        device = EventStreamDevice(self._hub.session(visitor.expires_at), stream, send)
        self._hub.join(device)
        return device, visitor.resume


def _cors(request: HandshakeRequest) -> list[Header]:
    """For a page of an allowed origin, its question beforehand included."""
    if not request.origin:
        return []
    return [
        (b"access-control-allow-origin", request.origin.encode("latin-1")),
        (b"access-control-allow-headers", b"authorization, last-event-id"),
        (b"vary", b"origin"),
    ]

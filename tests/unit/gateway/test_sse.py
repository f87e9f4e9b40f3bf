"""The same session over server-sent events."""

from clarion.gateway import SSE_PATH
from tests.gateway import HOST, GatewayServer, settled


async def test_a_stream_is_the_same_frames_with_a_position_each(server: GatewayServer):
    """`id` is what the browser sends back as `Last-Event-ID`."""
    anna = server.users.add("anna")
    server.store(anna, "first")
    stream = await server.connect(anna, SSE_PATH)
    server.deliver(anna, "second")
    assert [frame["type"] for frame in stream.frames] == ["connected", "items"]
    assert [block.get("id") for block in stream.stream] == [None, "epoch-1:1", "epoch-1:2"]
    assert stream.stream[0] == {"retry": "2000"}


async def test_no_proxy_may_hold_events_back(server: GatewayServer):
    """The headers say what it is, and that it must be neither cached nor buffered."""
    stream = await server.connect(server.users.add("anna"), SSE_PATH)
    headers = dict(stream.events[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert (headers[b"cache-control"], headers[b"x-accel-buffering"]) == (b"no-store", b"no")


async def test_a_browser_that_reconnects_is_replayed(server: GatewayServer):
    """`Last-Event-ID` is newer than what the URL still says."""
    anna = server.users.add("anna")
    server.store(anna, "a", "b", "c")
    again = await server.connect(
        anna, SSE_PATH, epoch=anna.inbox_epoch, offset=0, headers={"last-event-id": "epoch-1:2"}
    )
    (frame,) = again.frames
    assert (frame["recovered"], [item["title"] for item in frame["items"]]) == (True, ["c"])


async def test_silence_is_broken_by_comments(server: GatewayServer):
    """A comment keeps proxies from closing an idle stream, and is invisible to the page."""
    stream = await server.connect(server.users.add("anna"), SSE_PATH)
    await server.pass_time(27)
    assert stream.stream[-1] == {"": ":"}


async def test_the_last_event_says_whether_to_come_back(server: GatewayServer):
    """A stream has no close codes; an EventSource reconnects by itself unless the page closes it."""
    anna = server.users.add("anna")
    stream = await server.connect(anna, SSE_PATH)
    server.inbox_actions.forget(anna.tenant, anna.no)
    await settled()
    assert stream.frames[-1] == {"type": "close", "code": 4504, "reason": "user_deleted", "reconnect": False}
    assert stream.over


async def test_a_page_of_another_allowed_origin_may_read_the_stream(build):
    """The browser wants to be told so."""
    server = build(origins=("https://shop.example",))
    stream = await server.connect(
        server.users.add("anna"), SSE_PATH, headers={"origin": "https://shop.example"}
    )
    headers = dict(stream.events[0]["headers"])
    assert headers[b"access-control-allow-origin"] == b"https://shop.example"
    own = await server.connect(server.users.add("bob"), SSE_PATH)
    assert b"access-control-allow-origin" not in dict(own.events[0]["headers"])


async def test_both_transports_may_be_used_at_once(server: GatewayServer):
    """A device is a device."""
    anna = server.users.add("anna")
    socket, stream = await server.connect(anna), await server.connect(anna, SSE_PATH, headers={"host": HOST})
    server.deliver(anna, "hello")
    assert socket.frames[1] == stream.frames[1]

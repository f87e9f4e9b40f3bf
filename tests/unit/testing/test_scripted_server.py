"""The scripted server answers as it is told, on real sockets."""

import asyncio
import ssl
import time

import pytest
import trustme

from clarion.testing.scripted_server import DRIP_S, Answer, Received, scripted_server


async def ask(url: str, path: str = "/", body: bytes = b"{}") -> tuple[bytes, float]:
    """Everything that comes back until the connection ends or nothing comes for a while, and how long it took."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began = time.monotonic()
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)
    )
    got = b""
    try:
        while data := await asyncio.wait_for(reader.read(65_536), 0.3):
            got += data
            if len(got) > 1_000_000:
                break
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    return got, time.monotonic() - began


async def test_the_script_comes_first_and_then_the_rest():
    """In the order of the requests, which are all kept."""
    async with scripted_server(Answer(status=503), otherwise=Answer.json(200, {"ok": True})) as server:
        first, _ = await ask(server.url, "/a?b=1", b'{"n": 1}')
        second, _ = await ask(server.url)
    assert first.startswith(b"HTTP/1.1 503 ")
    assert second.endswith(b'{"ok":true}')
    assert [request.path for request in server.requests] == ["/a?b=1", "/"]
    assert server.requests[0].method == "POST"
    assert server.requests[0].json == {"n": 1}
    assert server.requests[0].headers["content-length"] == "8"


async def test_headers_are_written_as_given():
    """Words of Python become names of headers."""
    async with scripted_server(otherwise=Answer.text(429, "slow", retry_after="3")) as server:
        got, _ = await ask(server.url)
    assert b"retry-after: 3\r\n" in got
    assert b"content-type: text/plain\r\n" in got


@pytest.mark.parametrize("manner", ["hang", "drop"])
async def test_silence_is_silence(manner):
    """With the connection open, or closed without a word."""
    async with scripted_server(otherwise=Answer(manner=manner)) as server:
        got, _ = await ask(server.url)
        assert got == b""
        assert len(server.requests) == 1


async def test_a_cut_answer_lacks_its_end():
    """More was promised than comes."""
    async with scripted_server(otherwise=Answer(body=b"half", manner="cut")) as server:
        got, _ = await ask(server.url)
    assert b"content-length: 104" in got
    assert got.endswith(b"half")


async def test_a_dripping_answer_takes_its_time():
    """One byte after the other."""
    async with scripted_server(otherwise=Answer(body=b"slow", manner="drip")) as server:
        got, took_s = await ask(server.url)
    assert got.endswith(b"slow")
    assert took_s >= 3 * DRIP_S


async def test_an_answer_may_depend_on_the_request():
    """Asked for each request that the script does not answer."""

    def judge(request: Received) -> Answer:
        return Answer(status=404 if request.path == "/gone" else 200)

    async with scripted_server(Answer(status=503), otherwise=judge) as server:
        answers = [(await ask(server.url, path))[0] for path in ("/gone", "/gone", "/here")]
    assert [answer.split()[1] for answer in answers] == [b"503", b"404", b"200"]


async def test_the_server_may_think_before_it_answers():
    """Meanwhile others are served, and it is known how many waited at once."""
    async with scripted_server(otherwise=Answer(after_s=0.1)) as server:
        asked = await asyncio.gather(*(ask(server.url) for _ in range(3)))
        assert all(took_s >= 0.1 for _, took_s in asked)
        assert (server.accepted, server.busiest) == (3, 3)


async def test_garbage_is_no_http():
    """A client that believes it has an answer is wrong."""
    async with scripted_server(otherwise=Answer(manner="garbage")) as server:
        got, _ = await ask(server.url)
    assert got == b"gibberish\r\n\r\n"


async def test_a_request_that_is_none_ends_its_connection(caplog):
    """Such as the greeting of TLS: the next one is served, and nothing is logged."""
    async with scripted_server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(bytes.fromhex("16030100"))
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        got, _ = await ask(server.url)
        assert got.startswith(b"HTTP/1.1 200 ")
        assert len(server.requests) == 1
    assert caplog.records == []


async def test_it_speaks_tls_with_the_certificate_it_is_given():
    """A client that trusts the authority connects, one that does not turns away."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with scripted_server(tls=context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting)
        writer.write(b"GET /tls HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.until(lambda: [one.path for one in server.requests] == ["/tls"], 2)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=ssl.create_default_context())


async def test_a_flood_does_not_end():
    """Until somebody closes the door."""
    async with scripted_server(otherwise=Answer(manner="flood")) as server:
        got, _ = await ask(server.url)
        assert len(got) > 1_000_000
        await server.until(lambda: server.connections == 0, 2)


async def test_what_does_not_come_true_in_time_fails():
    """With what was seen instead."""
    async with scripted_server() as server:
        with pytest.raises(AssertionError, match="0 requests"):
            await server.until(lambda: bool(server.requests), 0.05)


async def test_nothing_is_left_when_it_ends():
    """Also of connections that hang."""
    async with scripted_server(otherwise=Answer(manner="hang")) as server:
        asking = asyncio.create_task(ask(server.url))
        await server.until(lambda: len(server.requests) == 1, 2)
    assert (await asking)[0] == b""
    with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the system calls it
        await ask(server.url)

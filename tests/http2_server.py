"""An HTTP/2 server whose connections end as a test says. The framing is that of the library `h2`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded


class Http2Server:
    """Answers 200 to whatever `manner` leaves to it."""

    def __init__(self, manner: Callable[[Stream], bool | None]) -> None:
        """`manner(stream)` does something else with a request; True closes the connection."""
        self.manner = manner
        self.connections = 0
        self.processed: Counter[str] = Counter()
        """How often each request was, by its `apns-id`."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        number = self.connections
        connection = H2Connection(H2Configuration(client_side=False, header_encoding=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        names: dict[int, str] = {}
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        names[event.stream_id] = dict(event.headers)[b"apns-id"].decode()
                    elif isinstance(event, DataReceived):
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, StreamEnded):
                        name = names[event.stream_id]
                        if self.manner(Stream(self, connection, number, event.stream_id, name)):
                            writer.write(connection.data_to_send())
                            writer.close()
                            return
                writer.write(connection.data_to_send())
                await writer.drain()
        writer.close()


class Stream:
    """A request that arrived whole."""

    def __init__(
        self, server: Http2Server, connection: H2Connection, number: int, stream_id: int, name: str
    ) -> None:
        self._server = server
        self.connection = connection
        self.number = number
        """Of its connection, from 1."""
        self.stream_id = stream_id
        self.name = name

    def process(self) -> None:
        """Do what was asked, without saying so."""
        self._server.processed[self.name] += 1

    def answer(self) -> None:
        """Do what was asked."""
        self.process()
        self.connection.send_headers(self.stream_id, [(":status", "200")], end_stream=True)


@contextlib.asynccontextmanager
async def http2_server(folder: Path, manner: Callable[[Stream], bool | None]) -> AsyncIterator[Http2Server]:
    """The server, with a certificate whose authority is in `folder`, as `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    running = Http2Server(manner)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=context)
    running.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    yield running
    server.close()

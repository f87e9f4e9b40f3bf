"""A running Clarion over its HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from clarion.errors import ClarionError, ConfigError

if TYPE_CHECKING:
    from pyreqwest.exceptions import PyreqwestError

T = TypeVar("T")
PATIENCE_S = 35
DEV_FILE = "dev.json"


class Unreachable(ClarionError):
    """Nobody answers."""

    code = "unreachable"
    status = 503


class Answered(ClarionError):
    """Clarion answered with an error."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        retry_after_s: int | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        """`problem`: all that the answer said."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.problem = problem or {}


class Client:
    """Calls with one address and one key."""

    def __init__(self, url: str, key: str) -> None:
        from datetime import timedelta

        from pyreqwest.client import SyncClientBuilder

        host = _host(url)
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                "the API key holds a line break or another character that no key has: copy it once more. It comes from "
                "--api-key or CLARION_API_KEY."
            )
        self.url = url.rstrip("/")
        self._key = key
        builder = SyncClientBuilder().timeout(timedelta(seconds=PATIENCE_S)).follow_redirects(False)
        if host in {"localhost", "127.0.0.1", "[::1]"}:
            builder = builder.no_proxy()
        self._http = builder.build()

    def get(self, path: str, **query: Any) -> Any:
        """A JSON document."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", f"{path}?{urlencode(given)}" if given else path)

    def call(
        self, method: str, path: str, body: bytes | Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer as JSON, None when it is empty. Raises Unreachable or Answered."""
        content = self.fetch(method, path, body, headers)
        return msgspec.json.decode(content) if content else None

    def fetch(
        self, method: str, path: str, body: bytes | Any = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The answer as it comes. Raises Unreachable or Answered."""
        return self._exchange(method, path, body, headers)[0]

    def download(self, path: str, file: Path) -> None:
        """Write the answer into a file as it comes. Raises Unreachable or Answered."""
        from pyreqwest.exceptions import PyreqwestError

        request = self._http.get(self.url + path).headers({"authorization": f"Bearer {self._key}"})

        def receive() -> None:
            with request.build_streamed() as response:
                if response.status >= 400:
                    raise _problem(response.status, bytes(response.bytes()), None)
                with file.open("wb") as target:
                    while (chunk := response.body_reader.read_chunk()) is not None:
                        target.write(chunk)

        try:
            _heeding_interrupts(receive)
        except PyreqwestError as error:
            raise Unreachable(
                f"{self.url} does not answer ({_cause(error)}): the file is not complete."
            ) from None

    def tagged(self, path: str) -> tuple[Any, str | None]:
        """A JSON document, and the ETag on which a change of it can be conditional."""
        content, etag = self._exchange("GET", path, None, None)
        return msgspec.json.decode(content), etag

    def _exchange(
        self, method: str, path: str, body: bytes | Any, headers: Mapping[str, str] | None
    ) -> tuple[bytes, str | None]:
        from pyreqwest.exceptions import PyreqwestError

        given = {
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
            **(headers or {}),
        }
        request = self._http.request(method, self.url + path).headers(given)
        if body is not None:
            request = request.body_bytes(body if isinstance(body, bytes) else msgspec.json.encode(body))

        def exchange() -> tuple[Any, bytes]:
            response = request.build().send()
            return response, bytes(response.bytes())

        try:
            response, content = _heeding_interrupts(exchange)
        except PyreqwestError as error:
            raise Unreachable(
                f"{self.url} does not answer ({_cause(error)}). Check that Clarion is running there, "
                "or set another address with --url or CLARION_URL."
            ) from None
        if response.status >= 400:
            raise _problem(response.status, content, response.headers.get("retry-after"))
        return content, response.headers.get("etag")

    def pages(self, path: str, limit: int, **query: Any) -> Iterator[Any]:
        """The items of a paged list, at most `limit`."""
        return self._items(lambda **page: self.get(path, **page, **query), limit)

    def found(self, path: str, asked: Any, limit: int) -> Iterator[Any]:
        """The items that a search finds, at most `limit`."""

        def page(**given: Any) -> Any:
            query = urlencode({name: value for name, value in given.items() if value is not None})
            return self.call("POST", f"{path}?{query}", asked)

        return self._items(page, limit)

    def _items(self, read: Callable[..., Any], limit: int) -> Iterator[Any]:
        cursor, left = None, limit
        while left > 0:
            page = read(limit=min(left, 100), cursor=cursor)
            for item in page["items"][:left]:
                left -= 1
                yield item
            cursor = page.get("next_cursor")
            if cursor is None:
                return


def _host(url: str) -> str:
    """The host of an address that can be called."""
    from pyreqwest.http import Url

    try:
        address = Url.parse(url)
    except ValueError:
        address = None
    host = address.host_str if address is not None and address.scheme in ("http", "https") else None
    if not host:
        raise ConfigError(
            f"{url!r} is no address: write it like http://127.0.0.1:8080. It comes from --url or CLARION_URL."
        )
    return host


def _heeding_interrupts(work: Callable[[], T]) -> T:
    """What `work` comes to. Ctrl-C ends the wait at once: the HTTP library alone would not look up before the answer."""
    from concurrent.futures import Future
    from threading import Thread

    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 (it belongs to whoever waits)
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result()


def connect(url: str | None, key: str | None, data: Path) -> Client:
    """A client for the named address, else for the `clarion dev` that runs in `data`."""
    if url and key:
        return Client(url, key)
    if url:
        raise ConfigError(f"{url} needs an API key: set CLARION_API_KEY, or pass --api-key.")
    try:
        dev = msgspec.json.decode((data / DEV_FILE).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        raise ConfigError(
            f"No Clarion server found: there is no {data / DEV_FILE}. Start one with `clarion dev`, give the data "
            "directory of a running `clarion dev` with --data-dir, or give any server with --url and --api-key "
            "(CLARION_URL, CLARION_API_KEY)."
        ) from None
    return Client(dev["url"], key or dev["api_key"])


def matching(etag: str | None) -> dict[str, str]:
    """The header that makes a change depend on what it was made from; quotes may be left out."""
    if etag is None:
        return {}
    return {"if-match": etag if etag == "*" or '"' in etag else f'"{etag}"'}


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def pause(seconds: float) -> None:
    """Wait before the next call."""
    import asyncio

    from clarion.adapters.system import SystemClock

    asyncio.run(SystemClock().sleep(seconds))


def _problem(status: int, content: bytes, retry_after: str | None) -> Answered:
    try:
        problem = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return Answered(status, "internal", f"Clarion answered with HTTP {status} and no reason.")
    lines = [str(problem.get("detail") or problem.get("title") or f"HTTP {status}")]
    for fault in problem.get("errors", ()):
        place = fault.get("pointer") or fault.get("parameter") or fault.get("header") or ""
        said = f"{place}: {fault['detail']}" if place else fault["detail"]
        if fault["detail"] != lines[0]:
            lines.append(said)
        elif place:
            lines[0] = said
    wait = int(retry_after) if retry_after and retry_after.isdigit() else None
    return Answered(status, problem.get("code", "internal"), "\n".join(lines), wait, problem)


def _cause(error: PyreqwestError) -> str:
    """The innermost reason: "Connection refused", not the layers around it."""
    details: Any = error.args[1] if len(error.args) > 1 else None
    causes = details.get("causes") if isinstance(details, dict) else None
    return str(causes[-1]["message"] if causes else error.args[0] if error.args else type(error).__name__)

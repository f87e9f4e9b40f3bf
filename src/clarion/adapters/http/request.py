"""Makes one request, and says how far it got when it fails."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PoolTimeoutError, PyreqwestError
from pyreqwest.http import HeaderMap, Url
from pyreqwest.response import Response

from clarion.model.ids import Instant
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest

LONGEST_WAIT_S = 7 * 86_400
"""A server cannot put us off for longer."""
IDLE_S = 30.0
"""Idle connections are closed before most servers do it: a request must not meet a closing door."""
KEPT_S = 900.0
"""The same where only HTTP/2 is spoken: such services want few connections, kept."""
PING_S, PONG_S = 30.0, 10.0
_NEVER_CONNECTED = "client error (Connect)"
"""The library's class of an error does not tell a connection that failed from one that broke later; its causes do."""


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about the connections of a provider."""

    identity: bytes = b""
    """A certificate and its private key as PEM, shown to servers that ask for one."""
    http2_only: bool = False
    """Nothing else is spoken, so the first calls share one connection, too: where it is negotiated, each of them begins
    one of its own. It is kept open, and pinged, so that one that is dead is noticed."""

    def __repr__(self) -> str:
        return f"Transport(http2_only={self.http2_only})"


USUAL = Transport()


def builder(connect_s: float, transport: Transport = USUAL) -> ClientBuilder:
    """Settings of every client: no redirects, no proxy that would resolve names for us, nothing unpacked.

    An odd header in an answer says nothing about the answer, so it is passed over.
    """
    settings = ClientBuilder().pool_idle_timeout(timedelta(seconds=IDLE_S))
    if transport.identity:
        settings = settings.identity_pem(transport.identity)
    if transport.http2_only:
        settings = (
            settings.http2_prior_knowledge()
            .pool_idle_timeout(timedelta(seconds=KEPT_S))
            .http2_keep_alive_interval(timedelta(seconds=PING_S))
            .http2_keep_alive_timeout(timedelta(seconds=PONG_S))
            .http2_keep_alive_while_idle(True)
        )
    return (
        settings.user_agent("Clarion")
        .http2(True)
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .http1_ignore_invalid_headers_in_responses(True)
        .http1_allow_spaces_after_header_name_in_responses(True)
        .http1_allow_obsolete_multiline_headers_in_responses(True)
        .connect_timeout(timedelta(seconds=connect_s))
    )


def shown(url: Url) -> str:
    """What may be said of a URL: the rest can hold a secret or a contact."""
    return f"{url.scheme}://{url.host_str or ''}"


async def exchange(
    client: Client, url: Url, call: HttpRequest, *, timeout_s: float, limit: int, now: Instant
) -> HttpReply | HttpFailure:
    """Send `call` to `url` and read at most `limit` bytes of the answer."""
    try:
        request = (
            client.request(call.method, url)
            .headers(call.headers)
            .body_bytes(call.body)
            .timeout(timedelta(seconds=timeout_s))
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
    except (ValueError, PyreqwestError):
        return HttpFailure(
            kind="refused", detail=f"the request to {shown(url)} cannot be written: check method and headers"
        )
    try:
        async with request as response:
            return await _reply(response, limit, now)
    except PyreqwestError as broken:
        return _failure(broken, url)


async def _reply(response: Response, limit: int, now: Instant) -> HttpReply:
    headers = _headers(response.headers, now)
    try:
        body = bytes(await response.body_reader.read(limit + 1) or b"")
        cut = len(body) > limit
    except PyreqwestError:
        body, cut = b"", True  # The status has been said; a body that does not come changes nothing about it.
    return HttpReply(status=response.status, headers=headers, body=body[:limit], cut=cut)


def _headers(answered: HeaderMap, now: Instant) -> dict[str, str]:
    """The headers that are ASCII; of one that is repeated the first, of `Retry-After` the longest, in seconds.

    Values may hold any byte from 0x80 on (obs-text, RFC 9110, 5.5). The library cannot hand those over, and nothing we
    read needs them.
    """
    headers: dict[str, str] = {}
    for name in dict.fromkeys(answered.keys()):
        try:
            values = answered.getall(name)
        except ValueError:
            continue
        headers[name] = values[0]
        if name == "retry-after":
            waits = [wait for value in values if (wait := _seconds(value, now)) is not None]
            headers[name] = str(max(waits, default=""))
    return headers


def _seconds(retry_after: str, now: Instant) -> int | None:
    """`Retry-After` in whole seconds (RFC 9110, 10.2.3); None when it is neither a number nor a date."""
    value = retry_after.strip()
    if value.isdecimal() and value.isascii():
        return min(LONGEST_WAIT_S, int(value[:12]))
    try:
        at = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(LONGEST_WAIT_S, max(0, round(at - now / 1000)))


def _failure(broken: PyreqwestError, url: Url) -> HttpFailure:
    details = getattr(broken, "details", None) or {}
    causes = [cause["message"] for cause in details.get("causes") or ()]
    unsent = _NEVER_CONNECTED in causes or isinstance(broken, PoolTimeoutError)
    why = causes[-1] if len(causes) > 1 and "://" not in causes[-1] else broken.message
    return HttpFailure(
        kind="unsent" if unsent else "unanswered",
        detail=f"{shown(url)} {'could not be reached' if unsent else 'did not answer'}: {why[:200]}",
    )

"""Sends a batch over HTTP, for every provider that speaks HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import structlog

from clarion.adapters.http.client import HttpClient
from clarion.adapters.http.host_backoff import HostBackoff, put_off
from clarion.adapters.http.request import USUAL, Transport
from clarion.errors import ConfigError, ContentError, Unavailable
from clarion.model.outcome import Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import SentMessage
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest
from clarion.ports.provider import ProviderTools, Report

log = structlog.get_logger(__name__)

T = TypeVar("T")
"""What one request is made of: a message, or a group of them."""
Urls = Literal["operator", "user"]
"""Who says where to: the settings of the integration, or a user."""
AT_ONCE = 64
"""Calls of one batch under way at the same time."""
REPLY_BYTES = 64 * 1024
TIME_SHARE = 0.9
"""Part of the integration's time limit that calls may use, so that every message gets its own outcome."""
LONGEST_USER_CALL_S = 15.0
"""A server of a user's may take no longer, as the rest of its batch waits for it."""
LONGEST_REST_S = 30.0
"""Of a host of users' URLs that hangs. Short, as others may have theirs at the same host."""


class HttpEnds(NamedTuple, Generic[T]):
    """The two pure functions of one kind of call, see `HttpProvider`."""

    build: Callable[[T], HttpRequest | Outcome]
    read: Callable[[T, HttpReply], Outcome]


class HttpProvider(Generic[T]):
    """Implements `ports.provider.Provider` from two pure functions; its messages may be of any type that they know.

    `build(outgoing)` makes the request, or an outcome when there is nothing to send; `read(outgoing, reply)` says what
    the answer means. A request that never left is `Retry`; one that got no answer is `Unknown`, or `Retry` when
    the provider takes our idempotency key. `read` never sees a redirect: it is not followed, and a failure.
    """

    def __init__(
        self,
        integration: Integration,
        tools: ProviderTools,
        *,
        build: Callable[[T], HttpRequest | Outcome],
        read: Callable[[T, HttpReply], Outcome],
        ping: HttpRequest | Callable[[], HttpRequest] | None = None,
        check_pong: Callable[[HttpReply], None] | None = None,
        urls: Urls = "operator",
        idempotent: bool = False,
        transport: Transport = USUAL,
        prepare: Callable[[], Awaitable[None]] | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
        withdrawal: HttpEnds[SentMessage] | None = None,
    ) -> None:
        """`urls="user"`: the URLs come from users, each leads to a server of its own whose trouble says nothing about
        the others: it opens no circuit, and where a host hangs it alone gets a rest.
        So with single calls that are `from_user`. Where `read` knows better, it says `Retry(of_address=False)`.

        `check_pong(reply)` judges the answer to `ping` where its status does not: it raises ConfigError or
        Unavailable saying what to do.

        `prepare()` is awaited before every batch and ping, within their time, such as for an access token: it raises
        ConfigError or Unavailable, and then nothing is sent. `release()` lets go of what it holds.

        `withdrawal`: makes and reads the calls that take a message back.
        """
        self._integration = integration.key
        self._ends = HttpEnds(build, read)
        self._withdrawal = withdrawal
        self._ping = ping
        self._check_pong = check_pong
        self._idempotent = idempotent
        self._prepare = prepare
        self._release = release
        self._backoff = HostBackoff(LONGEST_REST_S)
        self._clock = tools.clock
        self._timeout_s = TIME_SHARE * integration.limits.timeout_s
        self._user_call_s = min(self._timeout_s, LONGEST_USER_CALL_S)
        longest_s = self._user_call_s if urls == "user" else self._timeout_s
        self._urls = urls
        self._caller = HttpClient(tools, timeout_s=longest_s, transport=transport)

    async def send(self, batch: Sequence[T], *, within_s: float | None = None) -> Sequence[Outcome]:
        """All of the batch, `AT_ONCE` at a time; what cannot begin in time is `Retry`. `within_s`: where less time is left
        than the integration has."""
        return await self.send_reporting(batch, None, within_s=within_s)

    async def send_reporting(
        self, batch: Sequence[T], report: Report | None, *, within_s: float | None = None
    ) -> Sequence[Outcome]:
        """The same; each outcome is told as it comes."""
        return await self._all(self._ends, batch, report, within_s)

    async def withdraw(self, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """As `send`, for messages that are out."""
        assert self._withdrawal is not None, "the plug-in says that it cannot"
        return await self._all(self._withdrawal, batch, None, None)

    async def _all(
        self, ends: HttpEnds[Any], batch: Sequence[Any], report: Report | None, within_s: float | None
    ) -> Sequence[Outcome]:
        until_s = self._clock.monotonic() + min(self._timeout_s, within_s or self._timeout_s)
        if self._prepare is not None and (unprepared := await self._prepared(self._prepare, until_s)):
            return [unprepared] * len(batch)
        if len(batch) == 1:
            return [await self._sent(ends, batch[0], self._built(ends, batch[0]), until_s)]
        outcomes: dict[int, Outcome] = {}
        todo = self._ahead(ends, batch)

        async def work() -> None:
            for at, outgoing, call in todo:
                outcomes[at] = await self._sent(ends, outgoing, call, until_s)
                if report is not None:
                    report.ended(at, outcomes[at])

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(batch))):
                workers.create_task(work())
        return [outcomes[at] for at in range(len(batch))]

    async def ping(self) -> None:
        """Reach the server without sending anything."""
        if self._ping is None:
            return
        if self._prepare is not None:
            await self._prepare()
        answer = await self.ask(self._ping if isinstance(self._ping, HttpRequest) else self._ping())
        if self._check_pong is not None:
            self._check_pong(answer)
            return
        if answer.status in {401, 403}:
            raise ConfigError(f"the server refuses the credentials ({answer.status}): check them")
        if not 200 <= answer.status < 300:
            raise Unavailable(f"the server answered {answer.status}")

    async def ask(
        self, request: HttpRequest, *, limit: int = REPLY_BYTES, within_s: float | None = None
    ) -> HttpReply:
        """What the server answers to something that is no message, at most `limit` bytes. Raises Unavailable."""
        until_s = self._clock.monotonic() + min(self._timeout_s, within_s or self._timeout_s)
        answer = await self._caller.call(request, until_s=until_s, limit=limit)
        if isinstance(answer, HttpFailure):
            raise Unavailable(answer.detail)
        return answer

    async def close(self) -> None:
        """Release the connections."""
        if self._release is not None:
            await self._release()
        await self._caller.close()

    async def _prepared(self, prepare: Callable[[], Awaitable[None]], until_s: float) -> Outcome | None:
        """What becomes of a batch that cannot be sent; None when it can."""
        try:
            async with self._clock.timeout(until_s - self._clock.monotonic()):
                await prepare()
        except ConfigError as wrong:
            return Misconfigured(detail=wrong.detail)
        except Unavailable as trouble:
            return Retry(detail=trouble.detail)
        except TimeoutError:
            return Retry(reason=Reason.PROVIDER_TIMEOUT, detail="no time was left to begin")
        return None

    def _ahead(
        self, ends: HttpEnds[Any], batch: Sequence[Any]
    ) -> Iterator[tuple[int, Any, HttpRequest | Outcome]]:
        """As many built calls as go out at once: built one by one between answers, each costs the client a wake-up."""
        for start in range(0, len(batch), AT_ONCE):
            part = batch[start : start + AT_ONCE]
            yield from [
                (at, outgoing, self._built(ends, outgoing)) for at, outgoing in enumerate(part, start)
            ]

    def _built(self, ends: HttpEnds[Any], outgoing: Any) -> HttpRequest | Outcome:
        try:
            return ends.build(outgoing)
        except ContentError as wrong:
            return Rejected(detail=wrong.detail)
        except Exception as surprise:  # noqa: BLE001 - concerns this message only
            self._tell("request_not_built", surprise)
            return Retry(reason=Reason.INTERNAL_ERROR, detail=type(surprise).__name__)

    async def _sent(
        self, ends: HttpEnds[Any], outgoing: Any, call: HttpRequest | Outcome, until_s: float
    ) -> Outcome:
        if not isinstance(call, HttpRequest):
            return call
        if not self._is_of_user(call):
            return self._meant(ends, outgoing, call, await self._answer(call, until_s))
        return await self._sent_to_user(ends, outgoing, call, until_s)

    async def _sent_to_user(
        self, ends: HttpEnds[Any], outgoing: Any, call: HttpRequest, until_s: float
    ) -> Outcome:
        """A server of a user's: what goes wrong there is nobody else's trouble."""
        began, call_s = self._clock.monotonic(), self._user_call_s
        if wait_s := self._backoff.wait_s(call.host, began, call_s):
            return put_off(wait_s)
        answer = await self._answer(call, min(until_s, began + call_s))
        now = self._clock.monotonic()
        self._backoff.ended(
            call.host, answered=isinstance(answer, HttpReply), began_s=began, now_s=now, call_s=call_s
        )
        outcome = self._meant(ends, outgoing, call, answer)
        if isinstance(outcome, Retry | Unknown) and outcome.of_address is None:
            return msgspec.structs.replace(outcome, of_address=True)
        if isinstance(outcome, Misconfigured):
            return Rejected(reason=outcome.reason, detail=outcome.detail)
        return outcome

    async def _answer(self, call: HttpRequest, until_s: float) -> HttpReply | HttpFailure:
        return await self._caller.call(call, until_s=until_s, limit=REPLY_BYTES)

    def _meant(
        self, ends: HttpEnds[Any], outgoing: Any, call: HttpRequest, answer: HttpReply | HttpFailure
    ) -> Outcome:
        if isinstance(answer, HttpFailure):
            return self._unanswered(call, answer)
        if 300 <= answer.status < 400:
            return self._redirected(call, answer)
        try:
            return ends.read(outgoing, answer)
        except Exception as surprise:  # noqa: BLE001 - concerns this message only
            self._tell("answer_not_understood", surprise)
            return self._in_doubt(
                Reason.OUTCOME_UNKNOWN, f"the answer ({answer.status}) could not be understood"
            )

    def _unanswered(self, call: HttpRequest, failure: HttpFailure) -> Outcome:
        if failure.kind == "unsent":
            return Retry(detail=failure.detail)
        if failure.kind == "unanswered":
            return self._in_doubt(Reason.PROVIDER_TIMEOUT, failure.detail)
        return (
            Rejected(detail=failure.detail)
            if self._is_of_user(call)
            else Misconfigured(detail=failure.detail)
        )

    def _redirected(self, call: HttpRequest, reply: HttpReply) -> Outcome:
        detail = f"answered with a redirect ({reply.status}), which is not followed: give the final URL"
        return Retry(detail=detail) if self._is_of_user(call) else Misconfigured(detail=detail)

    def _is_of_user(self, call: HttpRequest) -> bool:
        """A user's URL that leads nowhere is that message's fault; the operator's is the set-up's."""
        return call.from_user or self._urls == "user"

    def _in_doubt(self, reason: Reason, detail: str) -> Outcome:
        return (
            Retry(reason=reason, detail=detail) if self._idempotent else Unknown(reason=reason, detail=detail)
        )

    def _tell(self, what: str, surprise: Exception) -> None:
        """Only the kind of error: its words may hold what the message or the server said."""
        log.error(what, integration=self._integration, error=type(surprise).__name__)

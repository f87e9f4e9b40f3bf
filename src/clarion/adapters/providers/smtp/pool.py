"""The connections of an integration, and the emails that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import chain, islice

import structlog

from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.oauth import AccessTokens
from clarion.adapters.providers.smtp.config import SmtpConfig
from clarion.adapters.providers.smtp.connection import SmtpConnection
from clarion.adapters.providers.smtp.domain_limits import Domain
from clarion.adapters.providers.smtp.handshake import NotOpened, open_connection
from clarion.adapters.providers.smtp.outcomes import slows_domain
from clarion.adapters.providers.smtp.replies import Capabilities
from clarion.adapters.providers.smtp.send_jobs import MOST_STARTS, STOPPED, SendCall, SendJob
from clarion.model.channel import LANES, Lane
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry, Unknown
from clarion.model.status import Reason
from clarion.ports.mail import Mail, OutgoingEmail

log = structlog.get_logger(__name__)

URGENT_CONNECTIONS = 2
"""More than `connections`, for critical mail while the others are busy."""
MAILS_PER_OPENING = 4
"""One more connection is opened for so many waiting mails: a handshake costs more than a few mails."""
BUSY_S = 10.0
"""A relay that refuses one more connection is not asked again for so long, while others work."""
MOST_AHEAD = 8
"""Mails for each connection that may be noted before one of them takes them."""
LESS_AHEAD = 1 / 16
"""One fewer is noted ahead after so many that did not have to wait for their note: what is noted is in doubt after a crash."""
GOODBYE_S = 1.0
"""How long closing waits for goodbyes to leave."""

Make = Callable[[OutgoingEmail, Capabilities], Mail | Rejected]


class Pool:
    """Implements `Crew`. Critical mail goes first; every destination keeps its limits."""

    def __init__(
        self,
        config: SmtpConfig,
        make: Make,
        wait_s: float,
        guard: UrlGuard,
        tokens: AccessTokens | None = None,
    ) -> None:
        self._config = config
        self._guard = guard
        self._tokens = tokens
        self._make = make
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Lane, deque[SendJob]] = {lane: deque() for lane in LANES}
        self._idle: list[SmtpConnection] = []
        self._connections: set[SmtpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._full_until = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._last_gone: asyncio.Future[None] | None = None
        """Closing: done when no connection is left."""
        self._ahead = 0.0
        """Waiting mails that are noted already, so that no connection waits for a note; rises and falls with what that takes."""
        self._next_notes = 0
        """Mails to take until more are noted."""
        self._tick_s = min(1.0, wait_s / 10)

    # ── for the provider ──

    def put(self, job: SendJob) -> None:
        """Let a mail wait for its turn, or put it off when its destination wants less."""
        if job.email.message.lane is not Lane.CRITICAL and (
            wait_s := job.destination.admit(self._loop.time())
        ):
            job.call.settle(job.index, _put_off(wait_s))
        else:
            self._queue(job)

    def feed(self) -> None:
        """Let idle connections take what waits, and open more if there is too much."""
        while self._idle and any(self._waiting.values()):
            self._idle.pop().go_on()
        waiting = sum(map(len, self._waiting.values()))
        if not waiting or self._full_until > self._loop.time():
            return
        most = self._config.connections + (URGENT_CONNECTIONS if self._waiting[Lane.CRITICAL] else 0)
        room = most - len(self._connections) - len(self._opening)
        wanted = -(-waiting // MAILS_PER_OPENING) - len(self._opening)
        for _ in range(min(room, wanted)):
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def give_up(self, call: SendCall) -> list[Outcome]:
        """The caller does not wait any longer: what is under way is cut off, the rest never begins."""
        for connection in list(self._connections):
            mine = [job for job in connection.jobs if job.call is call]
            for job in mine:
                why = "the time for this call was up"
                call.settle(
                    job.index, job.refusal or (Unknown(detail=why) if job.sent else Retry(detail=why))
                )
            if mine and not any(job.sent for job in connection.jobs if job.call is not call):
                # Else it goes on: the mail of another call is at its end, and would be in doubt.
                connection.abort("another call on this connection was aborted")
        outcomes = call.result()
        for waiting in self._waiting.values():
            kept = [job for job in waiting if not job.is_settled]
            waiting.clear()
            waiting.extend(kept)
        if not any(self._waiting.values()):
            for task in self._opening:
                task.cancel()
        return outcomes

    async def close(self) -> None:
        """Say goodbye on idle connections, cut the others off; nothing is open afterwards."""
        for task in self._opening:
            task.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        for connection in list(self._connections):
            if connection in self._idle:
                connection.quit()
            else:
                connection.abort("the integration was closed")
        if self._watch is not None:
            self._watch.cancel()
        if self._connections:
            self._last_gone = self._loop.create_future()
            await asyncio.wait([self._last_gone], timeout=GOODBYE_S)
        for connection in self._connections:
            connection.abort("the integration was closed")
        await asyncio.sleep(0)  # The loop closes what was aborted.

    # ── Crew ──

    def take(self, connection: SmtpConnection) -> SendJob | None:
        """The next mail, most urgent lane first, whose destination has room. What cannot be made is settled."""
        for waiting in self._waiting.values():
            while waiting:
                job = waiting.popleft()
                if self._begin(job, connection.capabilities):
                    return job
        return None

    def at_body(self, *, waits: bool) -> None:
        """A mail can go, or could if it were noted."""
        most = MOST_AHEAD * len(self._connections)
        self._ahead = min(self._ahead + 1, most) if waits else max(self._ahead - LESS_AHEAD, 0.0)

    def settled(self, job: SendJob, outcome: Outcome) -> None:
        """A mail that was under way has its outcome; the destination has room for another."""
        destination = job.destination
        if type(outcome) is Accepted:
            destination.speed_up()
        elif slows_domain(outcome):
            destination.slow_down(self._loop.time())
        self._release(job)
        job.call.settle(job.index, outcome)

    def again(self, job: SendJob, why: str) -> None:
        """Start once more on another connection, if that is not the second time already."""
        self._release(job)
        if job.starts >= MOST_STARTS:
            job.call.settle(job.index, Retry(detail=f"before the mail was sent: {why}"))
        elif not job.is_settled:
            self._queue(job, first=True)

    def rests(self, connection: SmtpConnection) -> None:
        """It can be given the next mail."""
        self._idle.append(connection)

    def gone(self, connection: SmtpConnection) -> None:
        """It counts no more."""
        if connection not in self._connections:
            return  # It never opened, which `_open` knows: opening another at once would storm the relay.
        self._connections.discard(connection)
        if not self._connections and self._last_gone is not None and not self._last_gone.done():
            self._last_gone.set_result(None)
        if connection in self._idle:
            self._idle.remove(connection)
        self._loop.call_soon(self.feed)  # Others go on with what it would have taken.

    # ── inside ──

    def _begin(self, job: SendJob, offered: Capabilities) -> bool:
        """Make the mail, if it is still wanted and its destination has room."""
        destination = job.destination
        if job.is_stopped:
            job.call.settle(job.index, STOPPED)
        if not job.is_settled:
            if destination.under_way >= destination.most:
                destination.waiting.append(job)
                return False
            made = self._made(job, offered)
            if isinstance(made, Mail):
                destination.under_way += 1
                job.mail, job.refusal, job.sent = made, None, False
                self._note(job)  # While the envelope is on its way.
                job.starts += 1
                return True
            job.call.settle(job.index, made)
        self._let_in(destination)
        return False

    def _note(self, job: SendJob) -> None:
        """Note that it goes, unless that is done. Those that come soon are noted with it, or halfway to the last of them."""
        self._next_notes -= 1
        if job.noted is not None and self._next_notes > 0:
            return
        ahead = round(self._ahead)
        self._next_notes = ahead // 2
        for one in chain((job,), islice(chain.from_iterable(self._waiting.values()), ahead)):
            if one.noted is None and not one.is_settled:
                one.noted = one.call.begins(one.index)

    def _made(self, job: SendJob, offered: Capabilities) -> Mail | Rejected | Retry:
        """A surprise while one mail is made must not cost the connection, and with it the others."""
        try:
            made = self._make(job.email, offered)
            if isinstance(made, Mail):
                f"{made.return_path}{made.recipient}".encode()  # What stands in commands can be written.
            return made
        except Exception as surprise:
            log.exception("mail_not_made", error=type(surprise).__name__)
            return Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail=type(surprise).__name__)

    def _let_in(self, destination: Domain[SendJob]) -> None:
        """One that waited for its destination waits for a connection now."""
        while destination.waiting and destination.under_way < destination.most:
            job = destination.waiting.popleft()
            if not job.is_settled:
                self._queue(job, first=True)
                return

    def _queue(self, job: SendJob, *, first: bool = False) -> None:
        waiting = self._waiting[job.email.message.lane]
        if first:
            waiting.appendleft(job)
        else:
            waiting.append(job)

    def _release(self, job: SendJob) -> None:
        job.destination.under_way -= 1
        if job.destination.waiting:
            self._let_in(job.destination)
            if self._idle:
                self._loop.call_soon(self.feed)

    async def _open(self) -> None:
        try:
            connection = await open_connection(self._config, self, self._wait_s, self._guard, self._tokens)
        except NotOpened as failure:
            self._opening.discard(asyncio.current_task())
            self._not_opened(failure)
            return
        except Exception as surprise:
            self._opening.discard(asyncio.current_task())
            log.exception("relay_not_opened", error=type(surprise).__name__)
            detail = f"no connection could be made ({type(surprise).__name__})"
            self._not_opened(NotOpened(Retry(reason=Reason.INTERNAL_ERROR, detail=detail)))
            return
        self._connections.add(connection)
        connection.open()
        if self._watch is None:
            self._look()
        connection.go_on()

    def _not_opened(self, failure: NotOpened) -> None:
        """Others go on without it; when there are none, nothing that waits can be sent."""
        if self._connections:
            self._full_until = self._loop.time() + BUSY_S
            return
        if self._opening and isinstance(failure.outcome, Retry):
            return  # Another one may still open.
        for waiting in self._waiting.values():
            while waiting:
                job = waiting.popleft()
                job.call.settle(job.index, failure.outcome)

    def _look(self) -> None:
        """Every so often: connections whose time is up."""
        now = self._loop.time()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.expire()
        self._watch = self._loop.call_later(self._tick_s, self._look) if self._connections else None


def _put_off(wait_s: float) -> Retry:
    return Retry(
        reason=Reason.RATE_LIMITED,
        after_s=wait_s,
        called=False,
        of_address=True,
        detail="this domain is given less mail for a while",
    )

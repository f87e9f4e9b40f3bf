"""One connection to a relay: commands one by one while it opens, then mails in a row, pipelined where offered.

With PIPELINING (RFC 2920) a mail costs one round trip: its body, the final dot and the envelope of the next mail leave
together. No task belongs to it: replies drive it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

from clarion.adapters.isolation import surprised
from clarion.adapters.providers.smtp.outcomes import Stage, accepted, outcome_of
from clarion.adapters.providers.smtp.replies import BadReply, Capabilities, Reply, ReplyReader
from clarion.adapters.providers.smtp.send_jobs import STOPPED, SendJob
from clarion.model.outcome import Outcome, Unknown

CLOSING = 421
WAIT_S = {Stage.MAIL: 300.0, Stage.RCPT: 300.0, Stage.DATA: 120.0, Stage.END: 600.0, Stage.NOTHING: 300.0}
"""RFC 5321 section 4.5.3.2; never longer than the integration's own limit."""
BUFFER_BYTES = 64 * 1024
"""With more than this unsent, the transport tells us when the last of it has left."""
IDLE_S = 45.0
"""Unused connections are closed before most servers do it."""


class Crew(Protocol):
    """What a connection needs from its pool."""

    def take(self, connection: SmtpConnection) -> SendJob | None:
        """The next mail for it, made; None: nothing to do."""

    def at_body(self, *, waits: bool) -> None:
        """The relay wants the body of a mail; whether that waits until it is noted."""

    def settled(self, job: SendJob, outcome: Outcome) -> None:
        """A mail has its outcome."""

    def again(self, job: SendJob, why: str) -> None:
        """A mail must start anew elsewhere: the relay does not have it."""

    def rests(self, connection: SmtpConnection) -> None:
        """It has nothing to do."""

    def gone(self, connection: SmtpConnection) -> None:
        """It is closed."""


class SmtpConnection(asyncio.Protocol):
    """Sends the mails it takes from its crew."""

    def __init__(self, crew: Crew, wait_s: float) -> None:
        self.capabilities = Capabilities()
        self.deadline = float("inf")
        """On the loop's clock: when to stop waiting."""
        self._crew = crew
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._expected: deque[tuple[Stage, SendJob]] = deque()
        self._paused: SendJob | None = None
        """A mail whose body may go as soon as that is noted."""
        self._heard: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._is_clogged = False
        self._needs_reset = False
        self._why_lost = "the relay closed the connection"

    # ── while it opens: a conversation ──

    async def reply(self) -> Reply:
        """The next reply. Raises ConnectionError when none comes any more."""
        while not self._heard:
            if self._transport is None or self._transport.is_closing():
                raise ConnectionError(self._why_lost)
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._heard.popleft()

    async def command(self, line: str) -> Reply:
        """Send one command and wait for its reply."""
        self._write(line.encode() + b"\r\n")
        return await self.reply()

    @property
    def heard_nothing_more(self) -> bool:
        """Nothing has arrived that was not asked for."""
        return not self._heard and self._reader.is_empty

    async def start_tls(self, context: object, host: str) -> None:
        """Go on under TLS. What was heard before counts for nothing."""
        plain = self._transport
        assert plain is not None
        secure = await self._loop.start_tls(plain, self, context, server_hostname=host)  # type: ignore[arg-type]
        if secure is None:
            raise ConnectionError(self._why_lost)
        self._use(secure)
        self._reader = ReplyReader()
        self.capabilities = Capabilities()

    def open(self) -> None:
        """From now on it sends mails."""
        self._is_open = True

    # ── open: mails in a row ──

    def go_on(self) -> None:
        """Take the next mail, or rest."""
        job = self._crew.take(self)
        if job is None:
            self.deadline = self._loop.time() + IDLE_S
            self._crew.rests(self)
            return
        self._write(self._envelope(job))
        self._wait_for(Stage.MAIL)

    @property
    def jobs(self) -> list[SendJob]:
        """The mails under way on it."""
        paused = [] if self._paused is None else [self._paused]
        return list(
            dict.fromkeys([*paused, *(job for stage, job in self._expected if stage is not Stage.NOTHING)])
        )

    def expire(self) -> None:
        """The deadline has passed: an idle connection says goodbye, a silent server is left."""
        if self._is_open and not self._expected:
            self.quit()
        else:
            self.abort(f"no answer within {self._wait_s:.0f} s")

    def quit(self) -> None:
        """Close politely. Only when nothing is under way."""
        self._write(b"QUIT\r\n")
        self._is_open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self, why: str) -> None:
        """Close at once; the mails under way are settled or start anew."""
        self._why_lost = why
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to talk."""
        self._use(cast(asyncio.Transport, transport))  # uvloop's is one in all but its bases

    def data_received(self, data: bytes) -> None:
        """Replies."""
        try:
            replies = self._reader.feed(data)
        except BadReply as wrong:
            self.abort(f"the relay does not speak SMTP: {wrong}")
            return
        if not self._is_open:
            self._heard += replies
            self._wake()
            return
        for reply in replies:
            self._answered(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever the relay may have is unknown, the rest starts anew."""
        self._transport = None
        jobs = self.jobs
        self._paused = None
        self._expected.clear()
        self._crew.gone(self)
        for job in jobs:
            if job.refusal is not None:
                self._crew.settled(job, job.refusal)
            elif job.sent:
                self._crew.settled(
                    job, Unknown(detail=f"after the whole mail had been sent: {self._why_lost}")
                )
            else:
                self._crew.again(job, self._why_lost)
        self._wake()

    def pause_writing(self) -> None:
        """The end of a large mail has not left yet."""
        self._is_clogged = True
        for stage, job in self._expected:
            if stage is Stage.END:
                job.sent = False

    def resume_writing(self) -> None:
        """All of it has left."""
        self._is_clogged = False
        for stage, job in self._expected:
            if stage is Stage.END:
                job.sent = True

    # ── the exchange ──

    def _answered(self, reply: Reply) -> None:
        if not self._is_open:
            return  # A reply before this one ended it.
        if not self._expected:
            self.abort("the relay closed the connection")  # 421 out of the blue, or nonsense
            return
        stage, job = self._expected.popleft()
        code = reply[0]
        if code == CLOSING:
            self._closing(stage, job, reply)
        elif stage is Stage.END:
            self._ended(job, reply)
        elif stage is Stage.DATA:
            self._data_answered(job, reply)
        elif stage is Stage.NOTHING:
            self._go_on_if_free()
        else:
            self._envelope_answered(stage, job, reply)

    def _envelope_answered(self, stage: Stage, job: SendJob, reply: Reply) -> None:
        refused = reply[0] // 100 != 2
        if refused and job.refusal is None:
            job.refusal = _meaning(stage, reply, job)
        if self.capabilities.pipelining:
            return
        if refused:
            self._refused(job)
        else:
            self._next_command(stage, job)

    def _next_command(self, stage: Stage, job: SendJob) -> None:
        """Without PIPELINING: one command, one reply."""
        assert job.mail is not None
        if stage is Stage.MAIL:
            self._expected.append((Stage.RCPT, job))
            self._write(f"RCPT TO:<{job.mail.recipient}>\r\n".encode())
            self._wait_for(Stage.RCPT)
        else:
            self._expected.append((Stage.DATA, job))
            self._write(b"DATA\r\n")
            self._wait_for(Stage.DATA)

    def _data_answered(self, job: SendJob, reply: Reply) -> None:
        if reply[0] != 354:
            if job.refusal is None:
                job.refusal = _meaning(Stage.DATA, reply, job)
            self._refused(job)
        elif job.refusal is not None:
            # The server wants a body although it took no recipient: an empty one, for nobody.
            self._write(b".\r\n")
            self._expected.append((Stage.NOTHING, job))
            self._wait_for(Stage.NOTHING)
            self._crew.settled(job, job.refusal)
        elif job.noted is None or job.noted.done():
            self._crew.at_body(waits=False)
            self._begin_body(job)
        else:
            self._crew.at_body(waits=True)
            self._paused, self.deadline = job, float("inf")
            job.noted.add_done_callback(lambda _: self._go_on_with(job))

    def _go_on_with(self, job: SendJob) -> None:
        """It is noted that the mail goes now."""
        if self._paused is job:
            self._paused = None
            self._begin_body(job)

    def _begin_body(self, job: SendJob) -> None:
        """From here on the relay may have it. Only the end of the connection takes back a mail that is announced."""
        if job.is_stopped:
            job.call.settle(job.index, STOPPED)
        if job.is_settled:
            self._paused = job
            self.abort("the mail was stopped before it was sent")
        else:
            self._send_body(job)

    def _send_body(self, job: SendJob) -> None:
        assert job.mail is not None
        body = job.mail.body.replace(b"\r\n.", b"\r\n..")
        job.mail = None
        job.sent = True
        self._expected.append((Stage.END, job))
        following = self._crew.take(self) if self.capabilities.pipelining else None
        if following is None:
            self._write(body + b".\r\n")
        else:
            self._write(b"%b.\r\n%b" % (body, self._envelope(following)))
        self._wait_for(Stage.END)

    def _ended(self, job: SendJob, reply: Reply) -> None:
        self._crew.settled(job, _meaning(Stage.END, reply, job))
        self._go_on_if_free()

    def _refused(self, job: SendJob) -> None:
        """A transaction may still be open; RSET ends it."""
        assert job.refusal is not None
        self._crew.settled(job, job.refusal)
        if self.capabilities.pipelining:
            self._needs_reset = True
            self._go_on_if_free()
        else:
            self._write(b"RSET\r\n")
            self._expected.append((Stage.NOTHING, job))
            self._wait_for(Stage.NOTHING)

    def _go_on_if_free(self) -> None:
        if not self._expected:
            self.go_on()
        else:
            self._wait_for(self._expected[0][0])

    def _closing(self, stage: Stage, job: SendJob, reply: Reply) -> None:
        """421: the relay ends the connection. An answer to a recipient or a mail counts; the rest starts anew."""
        self._is_open = False
        if stage in {Stage.RCPT, Stage.DATA, Stage.END}:
            job.sent = False
            self._expected = deque(one for one in self._expected if one[1] is not job)
            self._crew.settled(job, job.refusal or _meaning(stage, reply, job))
        elif stage is Stage.MAIL:
            self._expected.appendleft((stage, job))
        self.abort("the relay closes the connection (421)")

    def _envelope(self, job: SendJob) -> bytes:
        """The commands of a mail that can be sent now."""
        mail, offered = job.mail, self.capabilities
        assert mail is not None
        command = f"MAIL FROM:<{mail.return_path}>"
        if offered.eight_bit:
            command += " BODY=8BITMIME"
        if mail.utf8:
            command += " SMTPUTF8"
        if offered.size is not None:
            command += f" SIZE={len(mail.body)}"
        reset = ""
        if self._needs_reset:
            self._needs_reset = False
            reset = "RSET\r\n"
            self._expected.append((Stage.NOTHING, job))
        self._expected.append((Stage.MAIL, job))
        if not offered.pipelining:
            return f"{reset}{command}\r\n".encode()
        self._expected += ((Stage.RCPT, job), (Stage.DATA, job))
        return f"{reset}{command}\r\nRCPT TO:<{mail.recipient}>\r\nDATA\r\n".encode()

    def _wait_for(self, stage: Stage) -> None:
        self.deadline = self._loop.time() + min(self._wait_s, WAIT_S[stage])

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=BUFFER_BYTES, low=0)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _meaning(stage: Stage, reply: Reply, job: SendJob) -> Outcome:
    """What a reply means. One that nobody understands is this mail's trouble, not that of the mails behind it."""
    try:
        if stage is Stage.END and reply[0] // 100 == 2:
            return accepted(reply)
        return outcome_of(stage, reply, job.email.to)
    except Exception as surprise:  # noqa: BLE001 - servers write what they like
        return surprised(surprise, idempotent=stage is not Stage.END)

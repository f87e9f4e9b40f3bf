"""What every mailbox must do, as checks to run over yours, each on an empty one.

import pytest
from clarion.testing.mailbox_contract import MAILBOX_CONTRACT, MailboxSubject

@pytest.mark.parametrize("check", MAILBOX_CONTRACT, ids=lambda check: check.__name__)
async def test_my_mailbox_keeps_the_contract(check, deliver, open_mailbox):
    async with MailboxSubject(deliver, open_mailbox) as subject:
        await check(subject)

`deliver` puts a mail there as a mail server does; `open_mailbox` opens what a reader of a new process would open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final

from clarion.errors import Unavailable
from clarion.ports.mailbox import Fetched, Mailbox

ODD: Final = (
    b"Subject: plain\r\n\r\nbody\r\n",
    b"Subject: \xff\xfe in eight bits\r\n\r\n\x80\x81\r\n",
    b"no header at all\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: what looks like a protocol\r\n\r\n* 1 EXISTS\r\n{3}\r\n) OK FETCH\r\n.\r\n",
    b"X-Long: " + b"x" * 100_000 + b"\r\n\r\nbody\r\n",
)
LONG: Final = 6 * 1024 * 1024
ENOUGH: Final = 1024 * 1024
"""What must be read of a long mail at least: the report in a returned mail comes before what was returned."""


class MailboxSubject:
    """One place where mail arrives, and readers of it."""

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        open_: Callable[[], Mailbox],
        *,
        interrupt: Callable[[Mailbox], None] | None = None,
        gone: Mailbox | None = None,
    ) -> None:
        """`interrupt` breaks a reader's connection, where there is one. `gone` reads a place that is not there."""
        self.deliver = deliver
        self.interrupt = interrupt
        self.gone = gone
        self._open = open_
        self._opened: list[Mailbox] = []
        self.mailbox = self.another()

    async def __aenter__(self) -> MailboxSubject:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mailbox in self._opened:
            await mailbox.close()

    def another(self) -> Mailbox:
        """A reader of a process that starts after a crash of the one before."""
        self.mailbox = self._open()
        self._opened.append(self.mailbox)
        return self.mailbox

    async def read(self, limit: int = 10) -> list[bytes]:
        """Everything there is, each mail said to be done."""
        found: list[bytes] = []
        while mails := await self.mailbox.fetch(limit):
            assert len(mails) <= limit, f"{len(mails)} mails, the limit is {limit}"
            for mail in mails:
                await self.mailbox.done(mail.key)
            found += contents(mails)
        return found


def contents(mails: Sequence[Fetched]) -> list[bytes]:
    """What the mails say."""
    return [mail.raw for mail in mails]


def mail(number: int) -> bytes:
    """A short one."""
    return b"Subject: %d\r\n\r\nbody\r\n" % number


async def an_empty_mailbox_has_nothing(subject: MailboxSubject) -> None:
    """As often as it is asked."""
    assert list(await subject.mailbox.fetch(10)) == []
    assert list(await subject.mailbox.fetch(10)) == []


async def mail_comes_oldest_first(subject: MailboxSubject) -> None:
    """At most as many as were asked for, and the next ones when those are done."""
    for number in range(25):
        subject.deliver(mail(number))
    assert await subject.read(limit=7) == [mail(number) for number in range(25)]


async def every_byte_arrives(subject: MailboxSubject) -> None:
    """Whatever a mail looks like."""
    for raw in ODD:
        subject.deliver(raw)
    assert await subject.read() == list(ODD)


async def a_long_mail_holds_up_nobody(subject: MailboxSubject) -> None:
    """Its beginning is read, at least a megabyte of it; the next one comes whole."""
    raw = b"Subject: long\r\n\r\n" + b"0123456789abcde\r\n" * (LONG // 17)
    subject.deliver(raw)
    subject.deliver(mail(1))
    long, short = await subject.read()
    assert ENOUGH <= len(long) <= len(raw)
    assert raw.startswith(long)
    assert short == mail(1)


async def what_arrives_later_is_found_later(subject: MailboxSubject) -> None:
    """By the same reader."""
    for number in range(3):
        subject.deliver(mail(number))
        assert await subject.read() == [mail(number)]


async def what_is_done_is_never_fetched_again(subject: MailboxSubject) -> None:
    """By this reader or the next; saying it twice changes nothing."""
    subject.deliver(mail(1))
    subject.deliver(mail(2))
    (first,) = await subject.mailbox.fetch(1)
    await subject.mailbox.done(first.key)
    await subject.mailbox.done(first.key)
    assert await subject.read() == [mail(2)]
    subject.another()
    assert await subject.read() == []


async def what_is_not_done_comes_again_after_a_restart(subject: MailboxSubject) -> None:
    """Only that: a crash repeats mails and loses none."""
    for number in range(5):
        subject.deliver(mail(number))
    fetched = await subject.mailbox.fetch(4)
    await subject.mailbox.done(fetched[1].key)
    subject.another()
    assert sorted(await subject.read()) == [mail(number) for number in (0, 2, 3, 4)]


async def a_reader_that_was_closed_may_go_on(subject: MailboxSubject) -> None:
    """It starts over with what is not done; closing twice changes nothing."""
    for number in range(3):
        subject.deliver(mail(number))
    fetched = await subject.mailbox.fetch(2)
    await subject.mailbox.done(fetched[0].key)
    await subject.mailbox.close()
    await subject.mailbox.close()
    assert sorted(await subject.read()) == [mail(1), mail(2)]


async def a_broken_connection_is_opened_again(subject: MailboxSubject) -> None:
    """The look during which it broke may fail with Unavailable; the next one finds the mail."""
    if subject.interrupt is None:
        return
    subject.deliver(mail(1))
    subject.deliver(mail(2))
    (first,) = await subject.mailbox.fetch(1)
    subject.interrupt(subject.mailbox)
    try:
        await subject.mailbox.done(first.key)
    except Unavailable:
        await subject.mailbox.done(first.key)
    assert await subject.read() == [mail(2)]


async def a_place_that_is_not_there_says_what_to_do(subject: MailboxSubject) -> None:
    """Unavailable, not a crash of the reader; and closing it is no trouble."""
    if subject.gone is None:
        return
    for _ in range(2):
        try:
            await subject.gone.fetch(1)
        except Unavailable as trouble:
            said = trouble.detail
        else:
            raise AssertionError("nothing is there, and nobody is told")
        assert len(said.split()) > 3, f"`{said}` says nothing"
    await subject.gone.close()


Check = Callable[[MailboxSubject], Awaitable[None]]

MAILBOX_CONTRACT: Final[Sequence[Check]] = (
    an_empty_mailbox_has_nothing,
    mail_comes_oldest_first,
    every_byte_arrives,
    a_long_mail_holds_up_nobody,
    what_arrives_later_is_found_later,
    what_is_done_is_never_fetched_again,
    what_is_not_done_comes_again_after_a_restart,
    a_reader_that_was_closed_may_go_on,
    a_broken_connection_is_opened_again,
    a_place_that_is_not_there_says_what_to_do,
)

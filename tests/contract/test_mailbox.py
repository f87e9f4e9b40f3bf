"""Every mailbox keeps the contract, and the contract finds one that does not."""

import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.mailboxes.maildir import Maildir
from clarion.ports.mailbox import Mailbox
from clarion.testing.mailbox_contract import MAILBOX_CONTRACT, MailboxSubject
from tests.dovecot import Dovecot, dovecot

CHECKS = {check.__name__: check for check in MAILBOX_CONTRACT}


def maildir(directory: Path, kind: type[Maildir] = Maildir) -> MailboxSubject:
    """A folder on this machine."""
    for name in ("new", "cur", "tmp"):
        (directory / name).mkdir()
    numbers = count()

    def deliver(raw: bytes) -> None:
        name = f"{next(numbers):06}.m"
        (directory / "tmp" / name).write_bytes(raw)
        (directory / "tmp" / name).rename(directory / "new" / name)

    return MailboxSubject(deliver, lambda: kind(directory), gone=Maildir(directory / "nowhere"))


class Server(NamedTuple):
    """One for all checks; each gets a folder of its own."""

    dovecot: Dovecot
    ca: Path
    numbers: Iterator[int]

    def folder(self, *, tls: bool) -> MailboxSubject:
        """An empty one, read over plain sockets or under a verified certificate."""
        number = next(self.numbers)
        named = self.dovecot.folder(f"check{number}")

        def open_(port: int) -> Mailbox:
            where = ImapServer(
                host="localhost",
                port=port,
                user="clarion",
                password="secret",
                folder=f"check{number}",
                security="tls" if tls else "none",
                ca=self.ca,
            )
            return ImapFolder(where)

        return MailboxSubject(
            lambda raw: named.put(f"{next(self.numbers):06}.m", raw),
            lambda: open_(named.tls_port if tls else named.port),
            interrupt=hang_up,
            gone=open_(1),
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real IMAP server."""
    authority = trustme.CA()
    ca = tmp_path_factory.mktemp("imap") / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    with dovecot(authority.issue_cert("localhost")) as running:
        yield Server(running, ca, count())


def hang_up(mailbox: Mailbox) -> None:
    """The network between the reader and the server breaks."""
    assert isinstance(mailbox, ImapFolder)
    assert mailbox._connection is not None
    mailbox._connection.sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
async def test_a_maildir_keeps_the_contract(check, tmp_path):
    """On an empty one for every check."""
    async with maildir(tmp_path) as subject:
        await check(subject)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
async def test_an_imap_folder_keeps_the_contract(check, tls, server):
    """On an empty one for every check."""
    async with server.folder(tls=tls) as subject:
        await check(subject)


class Deletes(Maildir):
    """Loses what it fetched."""

    def _fetch(self, limit):
        found = super()._fetch(limit)
        for mail in found:
            (self._cur / mail.key).unlink()
        return found


class NeverMarks(Maildir):
    async def done(self, key):
        """Nothing."""


class NewestFirst(Maildir):
    def _fetch(self, limit):
        return super()._fetch(limit)[::-1]


class Tidies(Maildir):
    """Repairs what looks like a mistake in a mail."""

    def _read(self, name):
        raw = super()._read(name)
        return raw and raw.decode(errors="replace").encode()


class Trims(Maildir):
    def _read(self, name):
        raw = super()._read(name)
        return raw and raw[:50_000]


class Closes(Maildir):
    async def close(self):
        self._left_over = []


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Deletes, "what_is_not_done_comes_again_after_a_restart"),
        (NeverMarks, "what_is_done_is_never_fetched_again"),
        (NewestFirst, "mail_comes_oldest_first"),
        (Tidies, "every_byte_arrives"),
        (Trims, "every_byte_arrives"),
        (Trims, "a_long_mail_holds_up_nobody"),
        (Closes, "a_reader_that_was_closed_may_go_on"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_mailbox_that_breaks_a_promise_is_found(kind, check, tmp_path):
    """Each check finds the fault it is there for."""
    async with maildir(tmp_path, kind) as subject:
        with pytest.raises(AssertionError):
            await CHECKS[check](subject)

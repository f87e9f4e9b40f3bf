"""Attachments that are given by URL."""

import asyncio
import contextlib
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import msgspec
import pytest

from clarion.adapters.attachments import AT_ONCE, LIMIT, Attachments
from clarion.adapters.providers.smtp import plugin
from clarion.model.content import Attachment
from clarion.model.outcome import Accepted, Rejected, Retry
from clarion.model.status import Reason
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.scripted_server import Answer, scripted_server
from tests.relay import SUBJECT, Relay, mails

PDF = b"%PDF" + bytes(range(256)) * 100
FILE = Answer(body=PDF)
ALLOWED = msgspec.structs.replace(SUBJECT.tools, allowed_networks=("127.0.0.0/8",))


@contextlib.asynccontextmanager
async def sending(port: int, tools=ALLOWED):
    """The provider, allowed to fetch from this machine."""
    config = {"host": "127.0.0.1", "port": port, "security": "none", "from_address": "news@example.com"}
    async with ProviderSubject(plugin=plugin, tools=tools, config=config).opened() as provider:
        yield provider


def files_of(raw: bytes) -> list[tuple[Any, Any]]:
    parsed = message_from_bytes(raw, policy=SMTP)
    return [(part.get_filename(), part.get_content()) for part in parsed.iter_attachments()]


async def test_a_file_is_fetched_and_goes_with_the_mail():
    """Beside one that was uploaded; mails without attachments do not wait."""
    upload = Attachment(name="a.bin", content=b"\0\1")
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=FILE) as web,
        sending(relay.port) as provider,
    ):
        linked = Attachment(name="b.pdf", type="application/pdf", url=f"{web.url}/pdf")
        batch = mails("ada@example.org", attachments=(upload, linked)) + mails("bob@example.org")
        assert [type(one) for one in await provider.send(batch)] == [Accepted, Accepted]
    ((_, first, _), (_, _, raw)) = relay.mails
    assert "bob@" in first
    assert files_of(raw) == [("a.bin", b"\0\1"), ("b.pdf", PDF)]


async def test_a_file_for_many_is_fetched_once():
    """It is kept for a minute."""
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=FILE) as web,
        sending(relay.port) as provider,
    ):
        linked = Attachment(name="b.pdf", url=f"{web.url}/pdf")
        batch = mails(*(f"user{i}@example.org" for i in range(20)), attachments=(linked,))
        assert {type(one) for one in await provider.send(batch)} == {Accepted}
    assert len(web.requests) <= AT_ONCE
    assert len(relay.mails) == 20


async def test_few_files_are_held_at_once():
    """However many mails a batch has: memory is bounded."""
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=FILE) as web,
        sending(relay.port) as provider,
    ):
        web.otherwise = msgspec.structs.replace(FILE, after_s=0.01)
        batch = [
            one
            for i in range(20)
            for one in mails(
                f"u{i}@example.org", attachments=(Attachment(name="x", url=f"{web.url}/pdf?{i}"),)
            )
        ]
        assert {type(one) for one in await provider.send(batch)} == {Accepted}
    assert web.busiest <= AT_ONCE


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=404), Rejected),
        (Answer(status=302), Rejected),
        (Answer(status=503), Retry),
        (Answer(status=429), Retry),
        (Answer(body=b"x" * (LIMIT + 1)), Rejected),
    ],
    ids=["not there", "redirect", "down", "busy", "too large"],
)
async def test_a_file_that_cannot_be_had_is_the_mails_fate_alone(answer, kind):
    """For good or for now; it does not count against the relay, and the others go."""
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=answer) as web,
        sending(relay.port) as provider,
    ):
        linked = Attachment(name="b.pdf", url=f"{web.url}/pdf?secret=1")
        batch = mails("ada@example.org", attachments=(linked,)) + mails("bob@example.org")
        found, other = await provider.send(batch)
    assert type(found) is kind
    assert "secret" not in str(found.detail)
    assert not isinstance(found, Retry) or found.of_address
    assert isinstance(other, Accepted)


async def test_an_address_inside_the_house_is_not_fetched():
    """URLs come with events: the guard of every user-supplied URL applies."""
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=FILE) as web,
        sending(relay.port, msgspec.structs.replace(ALLOWED, allowed_networks=("127.0.0.1/32",))) as provider,
    ):
        inside = Attachment(name="x", url=f"http://127.0.0.2:{web.port}/pdf")
        (outcome,) = await provider.send(mails("ada@example.org", attachments=(inside,)))
    assert isinstance(outcome, Rejected)
    assert not web.requests


async def test_a_cancelled_fetch_leaves_nothing_behind():
    """Given up while the web server thinks."""
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=FILE) as web,
        sending(relay.port) as provider,
    ):
        web.otherwise = Answer(manner="hang")
        linked = Attachment(name="b.pdf", url=f"{web.url}/pdf")
        call = asyncio.ensure_future(provider.send(mails("ada@example.org", attachments=(linked,))))
        await asyncio.sleep(0.1)
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=2)
        assert done
        assert [type(one) for one in await provider.send(mails("bob@example.org"))] == [Accepted]
    assert len(relay.mails) == 1


async def test_a_surprise_while_a_file_is_fetched_costs_its_mail_only(monkeypatch):
    """Mails beside it are sent once, not again with the next attempt."""

    async def into(self, content):
        raise ValueError("secret")

    monkeypatch.setattr(Attachments, "into", into)
    async with Relay().running() as relay, sending(relay.port) as provider:
        batch = mails("ada@example.org", attachments=(Attachment(name="b", url="https://x.example/b"),))
        outcomes = await provider.send(batch + mails("bob@example.org"))
        assert outcomes[0] == Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail="ValueError")
        assert isinstance(outcomes[1], Accepted)
    assert len(relay.mails) == 1


async def test_a_header_that_is_not_ascii_does_not_keep_a_file_from_its_mail():
    """Shops have accents."""
    answer = Answer(body=PDF, headers={"x-shop": "Café", "content-disposition": "inline; filename=é.pdf"})
    async with (
        Relay().running() as relay,
        scripted_server(otherwise=answer) as web,
        sending(relay.port) as provider,
    ):
        linked = Attachment(name="b.pdf", type="application/pdf", url=f"{web.url}/pdf")
        (outcome,) = await provider.send(mails("ada@example.org", attachments=(linked,)))
        assert isinstance(outcome, Accepted)
    assert files_of(relay.mails[0][2]) == [("b.pdf", PDF)]

"""Mail read from a real IMAP server: what is unseen, under TLS with a verified name, by password or access token."""

from __future__ import annotations

import datetime as dt
import os
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from msgspec.structs import replace

from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.oauth import AccessTokens, Grant
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.testing.ports import ManualClock, provider_tools
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.dovecot import dovecot

pytestmark = pytest.mark.acceptance


def folder(port: int, password: str = "secret", **more) -> ImapFolder:
    """The folder as the settings would open it."""
    fields = {"host": "127.0.0.1", "user": "clarion", "security": "none"} | more
    return ImapFolder(ImapServer(port=port, password=password, **fields))


async def test_an_imap_folder_is_read_and_marked():
    """Only what is unseen, oldest first, whole; what is done stays where it is and is not fetched again."""
    with dovecot() as server:
        for number in range(3):
            server.put(f"{number}.m", b"Subject: %d\r\n\r\nbody \xff\r\n" % number)
        mailbox = folder(server.port)
        first = await mailbox.fetch(2)
        assert [m.raw for m in first] == [b"Subject: %d\r\n\r\nbody \xff\r\n" % n for n in range(2)]
        await mailbox.done(first[0].key)
        await mailbox.close()
        again = await mailbox.fetch(10)
        assert [m.raw[:10] for m in again] == [b"Subject: 1", b"Subject: 2"]
        for one in again:
            await mailbox.done(one.key)
        assert await mailbox.fetch(10) == []
        assert len(os.listdir(server.mail / "cur")) == 3


async def test_an_imap_server_that_refuses_says_what_to_do():
    """A wrong password, a folder or a server that is not there; the password is in no text."""
    with dovecot() as server:
        with pytest.raises(Unavailable, match=r"inbound\.imap_password") as refused:
            await folder(server.port, "wrong-word").fetch(1)
        assert "wrong-word" not in str(refused.value)
        with pytest.raises(Unavailable, match=r"inbound\.imap_folder"):
            await folder(server.port, folder="nowhere").fetch(1)
        with pytest.raises(Unavailable, match="offers no STARTTLS"):
            await folder(server.port, security="starttls").fetch(1)
        with pytest.raises(Unavailable, match="no TLS with"):
            await folder(server.port, security="tls").fetch(1)
    with pytest.raises(Unavailable, match=r"connection refused.*inbound\.imap_port"):
        await folder(server.port).fetch(1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority, tmp_path):
    """The authority as `inbound.imap_ca` names it."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


async def test_mail_is_read_under_tls_with_a_verified_name(authority, ca):
    """From the first byte, or after STARTTLS, from a server of a private authority."""
    with dovecot(authority.issue_cert("localhost")) as server:
        for name, port, security in (("1.m", server.tls_port, "tls"), ("2.m", server.port, "starttls")):
            server.put(name, b"Subject: " + name.encode() + b"\r\n\r\n")
            mailbox = folder(port, host="localhost", security=security, ca=ca)
            (mail,) = await mailbox.fetch(10)
            assert name.encode() in mail.raw
            await mailbox.done(mail.key)
            await mailbox.close()


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "why"),
    [
        (("other.example",), False, True, "Hostname mismatch"),
        (("localhost",), True, True, "certificate has expired"),
        (("localhost",), False, False, "unable to get local issuer certificate"),
        ((), False, False, "self.signed certificate"),
    ],
)
async def test_a_certificate_that_proves_nothing_is_refused(authority, ca, names, expired, trusted, why):
    """Another name, out of date, of an authority nobody trusts, or signed by itself: no password is said, and the
    message says what is wrong and where to mend it."""
    more = {"not_before": YESTERDAY - dt.timedelta(days=9), "not_after": YESTERDAY} if expired else {}
    certificate = authority.issue_cert(*names, **more) if names else signed_by_itself()
    with dovecot(certificate) as server:
        for port, security in ((server.tls_port, "tls"), (server.port, "starttls")):
            mailbox = folder(port, host="localhost", security=security, ca=ca if trusted else None)
            with pytest.raises(
                Unavailable, match=rf"certificate of localhost .*{why}.*inbound\.imap_ca"
            ) as refused:
                await mailbox.fetch(1)
            assert "secret" not in str(refused.value)


def signed_by_itself():
    """An authority's own certificate, shown as if it were a server's."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems[0] = authority.cert_pem
    leaf.private_key_pem = authority.private_key_pem
    return leaf


def test_an_authority_that_cannot_be_read_is_told_at_the_start(tmp_path):
    """Before the first look."""
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "none.pem"):
        with pytest.raises(ConfigError, match=r"inbound\.imap_ca"):
            folder(993, ca=tmp_path / name)


class TokenServer:
    """Hands out tokens, and tells Dovecot whose they are."""

    def __init__(self) -> None:
        self.given = 0
        self.good = True
        self.valid: set[str] = set()

    def __call__(self, request: Received) -> Answer:
        if request.path == "/token":
            self.given += 1
            token = f"access-{self.given}"
            if self.good:
                self.valid = {token}
            return Answer.json(200, {"access_token": token, "expires_in": 3600})
        (shown,) = parse_qs(urlsplit(request.path).query)["access_token"]
        return Answer.json(200, {"email": "clarion"}) if shown in self.valid else Answer(status=401)


async def test_a_mailbox_is_read_with_access_tokens():
    """Fetched once, replaced when they are withdrawn; a server that refuses new ones is not given token after token."""
    answers, clock, random = TokenServer(), ManualClock(), SystemRandom()
    tools = provider_tools(clock, random, LocalVault(b"k" * 32, random))
    async with scripted_server(otherwise=answers) as http:
        grant = Grant(token_url=f"{http.url}/token", client_id="clarion", refresh_token="refresh-of-ours")
        tokens = AccessTokens(grant, replace(tools, allowed_networks=("127.0.0.0/8",)))
        with dovecot(token_url=f"{http.url}/info?access_token=") as server:
            where = ImapServer(host="127.0.0.1", port=server.port, user="clarion", security="none")
            mailbox = ImapFolder(where, tokens)
            for number in range(2):
                server.put(f"{number}.m", b"Subject: %d\r\n\r\n" % number)
                (mail,) = await mailbox.fetch(1)
                await mailbox.done(mail.key)
                await mailbox.close()
            assert answers.given == 1

            clock.advance(60)
            answers.valid = set()
            assert await mailbox.fetch(1) == []
            assert answers.given == 2

            answers.good, answers.valid = False, set()
            clock.advance(60)
            for _ in range(2):
                with pytest.raises(Unavailable, match="refuses the access token") as refused:
                    await mailbox.fetch(1)
                assert "access-" not in str(refused.value)
            assert answers.given == 3
            await mailbox.close()


async def test_a_token_server_that_refuses_is_told_with_the_settings():
    """The reader logs what to do, and looks again later."""
    random = SystemRandom()
    tools = provider_tools(ManualClock(), random, LocalVault(b"k" * 32, random))
    async with scripted_server(otherwise=Answer.json(400, {"error": "invalid_grant"})) as http:
        grant = Grant(token_url=f"{http.url}/token", client_id="clarion", refresh_token="refresh-of-ours")
        tokens = AccessTokens(grant, replace(tools, allowed_networks=("127.0.0.0/8",)))
        mailbox = ImapFolder(ImapServer(host="127.0.0.1", user="clarion"), tokens)
        with pytest.raises(Unavailable, match=r"obtain a new one.*inbound\.imap_oauth") as refused:
            await mailbox.fetch(1)
        assert "refresh-of-ours" not in str(refused.value)
        await mailbox.close()

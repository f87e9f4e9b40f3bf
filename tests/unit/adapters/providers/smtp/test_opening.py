"""Greeting, TLS and authentication, against aiosmtpd, and against somebody in the middle."""

import asyncio
import contextlib
import ssl
from base64 import b64decode, b64encode
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult

from clarion.errors import ConfigError, Unavailable
from clarion.model.outcome import Accepted, Misconfigured, Retry
from clarion.testing.ports import ManualClock
from clarion.testing.scripted_server import Answer, ScriptedServer, scripted_server
from tests.relay import CLOSE, OFFERS, SUBJECT, Relay, mails, many, smtp

PASSWORD = "pässword-of-ours"
TOKEN = "token-of-ours"


class Mailbox:
    """Takes everything, and notes what was said about the sender of each mail."""

    def __init__(self) -> None:
        self.envelopes: list[SimpleNamespace] = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(
            SimpleNamespace(tls=session.ssl is not None, login=session.auth_data, to=envelope.rcpt_tos)
        )
        return "250 2.0.0 Ok"


def check_login(server, session, envelope, mechanism, data) -> AuthResult:
    right = data.login == b"clarion" and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False, auth_data=data.login)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(made)
    return made


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


@contextlib.asynccontextmanager
async def aiosmtpd(tls: ssl.SSLContext | None = None, *, implicit: bool = False, box: Any = None, **options):
    """A server by others on a free port, with STARTTLS when given a context."""
    box = box or Mailbox()
    loop = asyncio.get_running_loop()
    serving: list[SMTP] = []

    def factory() -> SMTP:
        serving.append(SMTP(box, loop=loop, tls_context=None if implicit else tls, **options))
        return serving[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield server.sockets[0].getsockname()[1], box
    finally:
        server.close()
        tasks = [one._handler_coroutine for one in serving if one._handler_coroutine is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)


LOGIN: dict[str, Any] = {"username": "clarion", "password": PASSWORD}


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it means STARTTLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_under_tls_with_a_verified_name_and_a_login(authority, security):
    """Both ways of TLS, against a server that demands both."""
    tls = context(authority, "localhost")
    options = {
        "authenticator": check_login,
        "auth_required": True,
        "auth_require_tls": security == "starttls",
    }
    async with aiosmtpd(tls, implicit=security == "tls", **options) as (port, box):
        config = {"host": "localhost", "security": security, "ca": pem(authority), **LOGIN}
        async with smtp(port, **config) as provider:
            await provider.ping()
            assert [type(one) for one in await provider.send(many(5))] == [Accepted] * 5
    assert [one.tls for one in box.envelopes] == [security == "starttls"] * 5
    assert {one.login for one in box.envelopes} == {b"clarion"}


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(("names", "trusted"), [(["other.example"], True), (["localhost"], False)])
async def test_a_certificate_that_proves_nothing_is_refused(authority, security, names, trusted):
    """Another name, or an authority nobody trusts: no password and no mail is handed over."""
    async with aiosmtpd(context(authority, *names), implicit=security == "tls") as (port, box):
        config = {
            "host": "localhost",
            "security": security,
            "ca": pem(authority if trusted else trustme.CA()),
        }
        async with smtp(port, **config, **LOGIN) as provider:
            (outcome,) = await provider.send(many(1))
            assert isinstance(outcome, Misconfigured)
            assert "certificate" in str(outcome.detail)
            with pytest.raises(ConfigError, match="certificate"):
                await provider.ping()
    assert not box.envelopes


async def test_a_server_without_starttls_is_not_given_anything_in_the_clear():
    """Somebody in the middle may have taken the offer away."""
    async with Relay().running() as relay, smtp(relay.port, security="starttls", **LOGIN) as provider:
        (outcome,) = await provider.send(many(1))
    assert isinstance(outcome, Misconfigured)
    assert "STARTTLS" in str(outcome.detail)
    assert {line.split()[0] for line in relay.said} == {"EHLO"}


@pytest.mark.parametrize(
    "slipped_in", ["250 AUTH PLAIN\r\n", "25half", "220 once more\r\n250-evil\r\n250 AUTH PLAIN\r\n"]
)
async def test_what_is_slipped_in_before_tls_ends_the_connection(slipped_in):
    """CVE-2011-0411: plaintext behind the answer to STARTTLS must not be read as if it came under TLS."""
    relay = Relay((*OFFERS, "STARTTLS"), STARTTLS=lambda _: f"220 2.0.0 go\r\n{slipped_in}".encode())
    async with relay.running(), smtp(relay.port, security="starttls", **LOGIN) as provider:
        (outcome,) = await provider.send(many(1))
        assert isinstance(outcome, Retry)
        assert "before TLS began" in str(outcome.detail)
        with pytest.raises(Unavailable):
            await provider.ping()
    assert not any(line.startswith("AUTH") for line in relay.said)


async def test_what_was_offered_before_tls_is_forgotten(authority):
    """Only the EHLO under TLS counts: here it offers no login, although the first one did."""
    tls = context(authority, "localhost")
    async with aiosmtpd(tls, auth_exclude_mechanism=["PLAIN", "LOGIN"], authenticator=check_login) as (
        port,
        _,
    ):
        config = {"host": "localhost", "security": "starttls", "ca": pem(authority), **LOGIN}
        async with smtp(port, **config) as provider:
            with pytest.raises(ConfigError, match="neither AUTH PLAIN nor LOGIN"):
                await provider.ping()


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN", "PLAIN", "LOGIN"])
async def test_the_login_is_what_the_server_asked_for(mechanisms):
    """PLAIN where it is offered, else LOGIN; both carry the same words."""
    turns = iter([b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6"])
    answers = {
        "AUTH": lambda line: b"235 2.7.0 fine" if "PLAIN" in line else next(turns),
        b64encode(b"clarion").decode().upper(): lambda _: next(turns),
        b64encode(PASSWORD.encode()).decode().upper(): lambda _: b"235 2.7.0 fine",
    }
    relay = Relay((*OFFERS, f"AUTH {mechanisms}"), **answers)
    async with relay.running(), smtp(relay.port, **LOGIN) as provider:
        await provider.ping()
    said = [line for line in relay.said if not line.startswith(("EHLO", "QUIT"))]
    if "PLAIN" in mechanisms:
        assert b64decode(said[0].removeprefix("AUTH PLAIN ")) == f"\0clarion\0{PASSWORD}".encode()
    else:
        assert said[0] == "AUTH LOGIN"
        assert [b64decode(one).decode() for one in said[1:]] == ["clarion", PASSWORD]


@pytest.mark.parametrize("accepted", [True, False])
async def test_an_oauth_token_is_given_as_xoauth2(accepted):
    """A refusal comes as a challenge, which wants an empty answer first."""
    relay = Relay(
        (*OFFERS, "AUTH XOAUTH2 PLAIN"),
        AUTH=lambda _: b"235 2.7.0 fine" if accepted else b"334 eyJzdGF0dXMiOiI0MDAifQ==",
    )
    relay.answers[""] = lambda _: b"535 5.7.8 bad token " + TOKEN.encode()
    async with relay.running(), smtp(relay.port, username="ada@example.com", token=TOKEN) as provider:
        if accepted:
            await provider.ping()
        else:
            with pytest.raises(ConfigError, match="refuses") as refused:
                await provider.ping()
            assert TOKEN not in str(refused.value)
    (said,) = (line for line in relay.said if line.startswith("AUTH"))
    assert b64decode(said.removeprefix("AUTH XOAUTH2 ")).decode() == (
        f"user=ada@example.com\x01auth=Bearer {TOKEN}\x01\x01"
    )


CLIENT_SECRET = "client-secret-of-ours"


def token(number: int) -> Answer:
    """What a token server answers."""
    return Answer.json(200, {"access_token": f"access-{number}", "expires_in": 3600})


@contextlib.asynccontextmanager
async def renewing(port: int, server: ScriptedServer, clock: Any = None, **config: Any):
    """The provider with tokens of this server."""
    tools = msgspec.structs.replace(SUBJECT.tools, allowed_networks=("127.0.0.0/8",))
    oauth: dict[str, Any] = {
        "oauth_token_url": f"{server.url}/token",
        "oauth_client_id": "clarion",
        "oauth_client_secret": CLIENT_SECRET,
    }
    tools = msgspec.structs.replace(tools, clock=clock) if clock is not None else tools
    async with smtp(port, tools=tools, username="ada@example.com", **oauth, **config) as provider:
        yield provider


class TokenMailbox(Mailbox):
    """Lets those in whose token is right."""

    right = "access-1"

    async def auth_XOAUTH2(self, server, args):  # noqa: N802
        said = b64decode(args[1]).decode()
        return AuthResult(
            success=said == f"user=ada@example.com\x01auth=Bearer {self.right}\x01\x01", handled=False
        )


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_tokens_are_fetched_once_for_all_connections():
    """And shown to a server by others."""
    async with (
        scripted_server(token(1)) as server,
        aiosmtpd(box=TokenMailbox(), auth_require_tls=False, auth_required=True) as (port, box),
        renewing(port, server, connections=5) as provider,
    ):
        assert {type(one) for one in await provider.send(many(40))} == {Accepted}
        assert len(box.envelopes) == 40
        assert len(server.requests) == 1


def checks_tokens(right: list[str]) -> Relay:
    """A relay that takes only these tokens, and repeats what it was told."""

    def answer(line: str) -> bytes:
        said = b64decode(line.removeprefix("AUTH XOAUTH2 ")).decode()
        good = any(f"Bearer {one}\x01" in said for one in right)
        return b"235 2.7.0 fine" if good else f"535 5.7.8 {line} {said!r}".encode()

    return Relay((*OFFERS, "AUTH XOAUTH2"), AUTH=answer)


async def test_a_token_that_was_withdrawn_is_replaced_unnoticed():
    """The next connection shows it, is refused, and shows a new one."""
    right, clock = ["access-1"], ManualClock()
    async with (
        scripted_server(token(1), token(2)) as server,
        checks_tokens(right).running() as relay,
        renewing(relay.port, server, clock) as provider,
    ):
        await provider.ping()
        right[:] = ["access-2"]
        clock.advance(60)
        await provider.ping()
        assert (len(server.requests), relay.connections) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (token(7), Misconfigured, "refuses the access token"),
        (Answer.json(400, {"error": "invalid_grant"}), Misconfigured, "obtain a new one"),
        (Answer(status=503), Retry, "503"),
        (Answer(manner="drop"), Retry, "did not answer"),
    ],
)
async def test_what_keeps_a_token_from_working_is_told(answer, outcome, said):
    """A wrong setting opens the circuit, a server that is away does not; no secret is in what is told."""
    async with (
        scripted_server(otherwise=answer) as server,
        checks_tokens(["access-1"]).running() as relay,
        renewing(relay.port, server) as provider,
    ):
        (one,) = await provider.send(many(1))
        with pytest.raises(ConfigError if outcome is Misconfigured else Unavailable, match=said):
            await provider.ping()
    assert type(one) is outcome
    assert said in one.detail
    assert not any(secret in one.detail for secret in (CLIENT_SECRET, "access-7", "ada@example.com"))


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"535 5.7.8 bad credentials", Misconfigured),
        (b"534 5.7.9 application password required", Misconfigured),
        (b"454 4.7.0 temporary authentication failure", Retry),
        (b"421 4.3.0 busy", Retry),
    ],
)
async def test_a_refused_login_tells_wrong_from_not_now(reply, outcome):
    """5yz opens the circuit, 4yz is tried again; neither shows what was said."""
    relay = Relay((*OFFERS, "AUTH PLAIN"), AUTH=lambda line: reply + b" " + line.encode() + PASSWORD.encode())
    async with relay.running(), smtp(relay.port, **LOGIN) as provider:
        (one,) = await provider.send(many(1))
    assert type(one) is outcome
    assert PASSWORD not in one.detail
    assert "AUTH PLAIN AGN" not in one.detail


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"host": "relay.example.com"}, "would travel unencrypted"),
        ({"host": "192.0.2.1"}, "would travel unencrypted"),
        ({"host": "evil\r\nhost"}, "host is not"),
        ({"hello": "a b"}, "hello is not"),
        ({"password": "x"}, "needs a username"),
        ({"username": "x"}, "without a password"),
        ({"username": "x", "password": "y", "token": "z"}, "only one of"),
        ({"username": "x", "password": "y", "oauth_client_id": "z"}, "URL that issues tokens"),
        ({"username": "x", "oauth_token_url": "https://a.example/t"}, "client id"),
        (
            {"username": "x", "oauth_token_url": "https://a.example/t", "oauth_client_id": "c"},
            "refresh token",
        ),
        (
            {"oauth_token_url": "https://a.example/t", "oauth_client_id": "c", "oauth_client_secret": "s"},
            "needs a username",
        ),
        ({"username": "x", "password": "y\r\n"}, "control characters"),
        ({"from_address": "no address"}, "email address"),
        ({"return_domain": "a b"}, "email address"),
        ({"ca": "nonsense"}, "PEM"),
        ({"dkim_keys": "nonsense"}, "one selector for each key"),
    ],
)
async def test_settings_that_would_leak_or_cannot_work_are_refused(config, said):
    """Before anything is sent with them, with what to do."""
    with pytest.raises(ConfigError, match=said):
        async with smtp(25, **config):
            pass


async def test_plaintext_to_others_is_a_choice():
    """`allow_plaintext` lets it be tried."""
    async with smtp(1, host="127.0.0.1", allow_plaintext=True) as provider:
        with pytest.raises(Unavailable):
            await provider.ping()


@pytest.mark.parametrize("greeting", [CLOSE, b"421 busy"])
async def test_a_relay_that_closes_every_connection_is_not_stormed(greeting):
    """Each connection fails once, then the mails are put off."""
    relay = Relay(CONNECT=lambda _: greeting)
    async with relay.running(), smtp(relay.port, connections=5) as provider:
        outcomes = await provider.send(many(40))
    assert {type(one) for one in outcomes} == {Retry}
    assert relay.connections <= 10


@pytest.mark.parametrize(
    "greeting", [b"554 no service here", b"421 busy", b"220-first\r\n554 changed our mind"]
)
async def test_a_relay_that_does_not_greet_is_tried_again(greeting):
    """And what it said is told."""
    async with Relay(CONNECT=lambda _: greeting).running() as relay, smtp(relay.port) as provider:
        (outcome,) = await provider.send(many(1))
        assert isinstance(outcome, Retry)
        assert "does not greet us" in str(outcome.detail)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_relay_inside_is_not_connected_to(host):
    """Unless the operator has opened its range; by name it is looked at when it is connected to."""
    closed = msgspec.structs.replace(SUBJECT.tools, allowed_networks=())
    async with Relay().running() as relay, smtp(relay.port, tools=closed, host=host) as provider:
        (outcome,) = await provider.send(mails("ada@example.org"))
        assert isinstance(outcome, Misconfigured)
        assert "outbound.allowed_networks" in str(outcome.detail)
        with pytest.raises(ConfigError, match="not public"):
            await provider.ping()
    assert relay.connections == 0

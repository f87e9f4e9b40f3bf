"""The checks on real sockets can fail: each is there for a fault that it finds."""

from typing import Annotated, Any
from unittest import SkipTest

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.ports.provider import ProviderPlugin, ProviderSettings, Token, WebUrl
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import (
    PROVIDER_CONTRACT,
    SECRET,
    WORDS,
    ProviderSubject,
    Recorded,
    Vendor,
)
from clarion.testing.scripted_server import Answer

ENTROPY = SystemRandom()
TOOLS = provider_tools(SystemClock(), ENTROPY, LocalVault(bytes(32), ENTROPY))
CHECKS = {check.__name__: check for check in PROVIDER_CONTRACT}


class Config(ProviderSettings, frozen=True, kw_only=True):
    """A service that takes texts."""

    url: WebUrl
    token: Token = ""


class Careful(HttpProvider):
    """Keeps the contract; what comes from it breaks one promise."""

    def __init__(self, integration: Any, config: Config, tools: Any) -> None:
        self.config = config
        super().__init__(
            integration,
            tools,
            build=self.build,
            read=self.read,
            ping=HttpRequest(method="GET", url=config.url),
            check_pong=self.check_pong,
        )

    def build(self, outgoing: Outgoing) -> HttpRequest:
        assert isinstance(outgoing.content, SmsContent)
        body = outgoing.content.text[:1000].encode()
        return HttpRequest(url=self.config.url, headers={"authorization": self.config.token}, body=body)

    def read(self, outgoing: Outgoing, reply: HttpReply) -> Any:
        return outcome_of(reply)

    def check_pong(self, reply: HttpReply) -> None:
        if reply.status != 200:
            raise Unavailable(f"the service answered {reply.status}: try again later")


class Deaf(Careful):
    def read(self, outgoing, reply):
        return Accepted()


class Hasty(Careful):
    async def send(self, batch, **more):
        return [Retry() if isinstance(one, Unknown) else one for one in await super().send(batch, **more)]


class Sleepy(Careful):
    def __init__(self, integration, config, tools):
        super().__init__(integration, config, tools)
        self._timeout_s *= 2


class Doubtful(Careful):
    async def send(self, batch, **more):
        return [Unknown() if isinstance(one, Retry) else one for one in await super().send(batch, **more)]


class Forgetful(Careful):
    def build(self, outgoing):
        return msgspec.structs.replace(super().build(outgoing), body=b"{}")


class Literal(Careful):
    def build(self, outgoing):
        return msgspec.structs.replace(super().build(outgoing), url=f"{self.config.url}/messages")


class Wordy(Careful):
    def build(self, outgoing):
        return msgspec.structs.replace(super().build(outgoing), body=outgoing.content.text.encode() * 100)


class Twice(Careful):
    async def send(self, batch, **more):
        await super().send(batch, **more)
        return await super().send(batch, **more)


class Backwards(Careful):
    async def send(self, batch, **more):
        outcomes = await super().send(batch, **more)
        return [Accepted() for _ in outcomes]


class Quoting(Careful):
    def read(self, outgoing, reply):
        outcome = outcome_of(reply)
        return (
            outcome if isinstance(outcome, Accepted) else Rejected(detail=reply.body.decode(errors="replace"))
        )


class Crashing(Careful):
    def check_pong(self, reply):
        raise KeyError(reply.status)


class Mumbling(Careful):
    def check_pong(self, reply):
        raise Unavailable("failed")


class Trusting(Careful):
    async def send(self, batch, **more):
        async with ClientBuilder().follow_redirects(True).build() as client:
            return [outcome_of(await self.reply(client)) for _ in batch]

    async def reply(self, client):
        response = await client.get(self.config.url).build().send()
        return HttpReply(status=response.status, headers={}, body=b"")


class Leaky(Careful):
    async def send(self, batch, **more):
        client = ClientBuilder().build()  # With no time limit of its own, a request goes on without us.
        await client.post(self.config.url).build().send()
        return [Accepted()]


class Gullible(Careful):
    """Takes the URL of a contact for one of the operator's."""

    def build(self, outgoing):
        return msgspec.structs.replace(super().build(outgoing), url=outgoing.contact.address)


class Showing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that a log would show."""

    url: str
    token: str = ""


OK = Answer.text(200, "ok")
VENDOR = Vendor(
    config=lambda url: {"url": url, "token": SECRET},
    accepted=OK,
    replies=(
        Recorded(answer=OK, means=Accepted),
        Recorded(answer=Answer.text(400, WORDS), means=Rejected),
        Recorded(answer=Answer.text(401, ""), means=Misconfigured),
        Recorded(answer=Answer.text(410, ""), means=Gone),
        Recorded(answer=Answer.text(429, "", retry_after="9"), means=Retry, after_s=9),
    ),
    most_bytes=4096,
)


def subject(kind: type[Careful], vendor: Vendor | None = VENDOR) -> ProviderSubject:
    plugin = ProviderPlugin(
        name="careful",
        title="Careful",
        channels=frozenset({Channel.SMS}),
        config=Config,
        open=kind,
        batch=10,
        secrets=frozenset({"token"}),
        example={"url": "https://api.careful.example", "token": "t"},
    )
    return ProviderSubject(plugin=plugin, tools=TOOLS, vendor=vendor)


@pytest.mark.parametrize("name", CHECKS)
async def test_a_careful_provider_passes(name):
    """So what fails below fails for its fault alone."""
    await CHECKS[name](subject(Careful))


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Deaf, "each_answer_means_what_is_recorded"),
        (Forgetful, "what_is_said_arrives"),
        (Literal, "a_slash_at_the_end_of_a_url_changes_nothing"),
        (Doubtful, "a_refused_connection_means_retry"),
        (Hasty, "a_server_that_does_not_answer_leaves_doubt"),
        (Sleepy, "a_server_that_does_not_answer_leaves_doubt"),
        (Hasty, "an_answer_that_breaks_off_leaves_doubt"),
        (Trusting, "a_redirect_is_not_followed"),
        (Leaky, "giving_up_leaks_no_connection"),
        (Wordy, "it_takes_whatever_a_template_makes"),
        (Twice, "a_hundred_calls_at_once_all_arrive"),
        (Backwards, "a_full_batch_arrives_in_order"),
        (Quoting, "nothing_secret_is_said_whatever_is_answered"),
        (Crashing, "a_ping_in_trouble_says_what_to_do"),
        (Mumbling, "a_ping_in_trouble_says_what_to_do"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_provider_that_breaks_a_promise_is_caught(kind, check):
    """Each check finds the fault it is there for."""
    with pytest.raises((AssertionError, LookupError, TimeoutError)):
        await CHECKS[check](subject(kind))


@pytest.mark.parametrize("from_user", [False, True])
async def test_a_users_url_that_can_open_the_circuit_is_caught(from_user):
    """Until the provider says whose URL it is."""

    class Said(Gullible):
        def build(self, outgoing):
            return msgspec.structs.replace(super().build(outgoing), from_user=from_user)

    brought = subject(Said, msgspec.structs.replace(VENDOR, address=lambda url: f"{url}/hook"))
    brought = msgspec.structs.replace(
        brought, tools=msgspec.structs.replace(TOOLS, allowed_networks=("127.0.0.0/8",))
    )
    check = CHECKS["trouble_at_a_users_url_is_nobody_elses"]
    if from_user:
        await check(brought)
    else:
        with pytest.raises(AssertionError, match="was read as"):
            await check(brought)


async def test_settings_that_show_a_secret_are_caught():
    """`Settings` is there to derive from."""
    careless = subject(Careful)
    careless = msgspec.structs.replace(
        careless, plugin=msgspec.structs.replace(careless.plugin, config=Showing)
    )
    with pytest.raises(AssertionError, match="`token` is shown"):
        await CHECKS["its_settings_do_not_show_their_values"](careless)


class Credulous(ProviderSettings, frozen=True, kw_only=True):
    """Settings that take anything."""

    url: str
    token: str = ""


class Curt(Credulous, frozen=True, kw_only=True):
    """Settings that say no, and nothing else."""

    def __post_init__(self) -> None:
        if not self.url.startswith("https://api.") or not self.token.isalnum():
            raise ValueError("no")


class Terse(ProviderSettings, frozen=True, kw_only=True):
    """Settings that show a pattern to people."""

    url: WebUrl
    token: Annotated[str, msgspec.Meta(pattern=r"\A\w+\Z")] = ""


@pytest.mark.parametrize(
    ("config", "says"), [(Credulous, "`url` may be"), (Curt, "is refused at"), (Terse, "is not said")]
)
async def test_settings_that_fail_at_the_first_send_are_caught(config, says):
    """Whoever stores them must learn at once what is wrong, where, and what would be right."""
    credulous = subject(Careful)
    credulous = msgspec.structs.replace(
        credulous, plugin=msgspec.structs.replace(credulous.plugin, config=config)
    )
    with pytest.raises(AssertionError, match=says):
        await CHECKS["it_refuses_settings_that_cannot_work"](credulous)


async def test_an_outcome_without_an_answer_on_record_is_missed():
    """Until somebody says why there is none."""
    fewer = msgspec.structs.replace(VENDOR, replies=VENDOR.replies[:-1])
    with pytest.raises(AssertionError, match="Retry"):
        await CHECKS["every_outcome_is_on_record"](subject(Careful, fewer))
    excused = msgspec.structs.replace(fewer, never={"Retry": "it is never busy"})
    await CHECKS["every_outcome_is_on_record"](subject(Careful, excused))


async def test_what_cannot_be_asked_is_skipped_aloud():
    """With the reason: no vendor, or one that excuses the provider."""
    with pytest.raises(SkipTest, match="not led to an HTTP server"):
        await CHECKS["a_redirect_is_not_followed"](subject(Careful, None))
    excused = msgspec.structs.replace(VENDOR, excused={"a_redirect_is_not_followed": "it never redirects"})
    with pytest.raises(SkipTest, match="it never redirects"):
        await CHECKS["a_redirect_is_not_followed"](subject(Careful, excused))

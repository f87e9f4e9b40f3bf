"""One sender for every provider that speaks HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from pyreqwest.client import Client
from pyreqwest.http import Url

from clarion.adapters.http import Fetch, HttpFailure, HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.http.request import exchange
from clarion.adapters.http.sender import AT_ONCE, REPLY_BYTES
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, ContentError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Reason
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.outgoing import outgoing

SECRET = "T000-secret-B000"


def tools(*networks: str) -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    return msgspec.structs.replace(lent, allowed_networks=networks)


def ok(_: Outgoing, reply: HttpReply) -> Outcome:
    return Accepted(provider_id=str(reply.status))


def meaning(_: Outgoing, reply: HttpReply) -> Outcome:
    return outcome_of(reply)


def sender(
    url: str,
    *,
    read: Callable[[Outgoing, HttpReply], Outcome] = ok,
    build: Callable[[Outgoing], HttpRequest | Outcome] | None = None,
    timeout_s: float = 3.0,
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    **options: object,
) -> HttpProvider:
    integration = Integration(
        key="site", channel=Channel.CHAT, provider="x", limits=IntegrationLimits(timeout_s=timeout_s)
    )
    made = build or (
        lambda _: HttpRequest(url=f"{url}/services/{SECRET}?to=ada", body=b"hello", headers={"X-A": "b"})
    )
    return HttpProvider(integration, tools(*networks), build=made, read=read, **options)  # type: ignore[arg-type]


def batch(n: int) -> list[Outgoing]:
    return [outgoing(ChatContent(text="hi"), number, channel=Channel.CHAT) for number in range(1, n + 1)]


async def one(provider: HttpProvider) -> Outcome:
    outcomes = await provider.send(batch(1))
    await provider.close()
    assert len(outcomes) == 1
    return outcomes[0]


async def test_what_is_built_is_what_is_asked():
    """Method, path, headers and body arrive as they were made."""
    async with scripted_server(otherwise=Answer(status=201)) as site:
        assert await one(sender(site.url)) == Accepted(provider_id="201")
        asked = site.requests[0]
        assert (asked.method, asked.path, asked.body) == ("POST", f"/services/{SECRET}?to=ada", b"hello")
        assert asked.headers["x-a"] == "b"
        assert asked.headers["user-agent"] == "Clarion"


async def test_every_message_gets_its_own_outcome_in_order():
    """A batch keeps its order, whoever answers first."""

    def respond(request: Received) -> Answer:
        number = int(request.path.rpartition("/")[2])
        return Answer(status=200 + number, after_s=0.02 if number % 2 else 0)

    async with scripted_server(otherwise=respond) as site:
        numbers = iter(range(10))
        provider = sender("", build=lambda _: HttpRequest(url=f"{site.url}/{next(numbers)}"))
        outcomes = await provider.send(batch(10))
        await provider.close()
        assert outcomes == [Accepted(provider_id=str(200 + n)) for n in range(10)]


async def test_a_large_batch_goes_out_many_at_a_time_but_not_all():
    """Connections are bounded, however large the batch."""
    async with scripted_server(otherwise=Answer(after_s=0.02)) as site:
        provider = sender(site.url)
        outcomes = await provider.send(batch(3 * AT_ONCE))
        await provider.close()
        assert outcomes == [Accepted(provider_id="200")] * (3 * AT_ONCE)
        assert AT_ONCE // 2 < site.busiest <= AT_ONCE


async def test_connections_are_used_again():
    """The second message of a quiet day does not shake hands again."""
    async with scripted_server() as site:
        provider = sender(site.url)
        for _ in range(5):
            await provider.send(batch(1))
        await provider.close()
        assert site.accepted == 1


async def test_nobody_there_means_later():
    """A connection that was refused has sent nothing."""
    outcome = await one(sender("http://127.0.0.1:9"))
    assert isinstance(outcome, Retry)
    assert SECRET not in (outcome.detail or "")
    assert "http://127.0.0.1" in (outcome.detail or "")


async def test_a_name_that_does_not_exist_means_later():
    """A name server may be back in a minute."""
    assert isinstance(await one(sender("http://nobody.invalid")), Retry)


async def test_a_server_without_tls_means_later():
    """A handshake that fails has sent nothing."""
    async with scripted_server() as site:
        assert isinstance(await one(sender(f"https://127.0.0.1:{site.port}")), Retry)


@pytest.mark.parametrize("manner", ["drop", "garbage", "hang"])
@pytest.mark.parametrize(("idempotent", "expected"), [(False, Unknown), (True, Retry)])
async def test_no_answer_is_doubt_unless_the_server_knows_our_ids(manner, idempotent, expected):
    """The request went out: only a server that recognises a repetition may be asked again without asking."""
    async with scripted_server(otherwise=Answer(manner=manner)) as site:
        outcome = await one(sender(site.url, idempotent=idempotent, timeout_s=0.6))
        assert isinstance(outcome, expected), outcome
        assert SECRET not in (outcome.detail or "")


async def test_a_hung_server_costs_no_more_than_the_time_limit():
    """The limit is that of the batch: what could not begin in its time does not wait for a hung server once more."""
    async with scripted_server(otherwise=Answer(manner="hang")) as site:
        provider = sender(site.url, timeout_s=0.6)
        began = time.monotonic()
        outcomes = await provider.send(batch(2 * AT_ONCE))
        await provider.close()
        assert time.monotonic() - began < 2 * 0.5
        assert {type(outcome) for outcome in outcomes[:AT_ONCE]} == {Unknown}
        assert {type(outcome) for outcome in outcomes[AT_ONCE:]} == {Retry}


async def test_a_cancelled_batch_leaves_the_sender_usable():
    """The engine gives up on a batch; the next one goes out."""
    async with scripted_server(otherwise=Answer(manner="hang")) as site:
        provider = sender(site.url, timeout_s=30)
        sending = asyncio.ensure_future(provider.send(batch(8)))
        await asyncio.sleep(0.05)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        site.otherwise = Answer()
        assert await one(provider) == Accepted(provider_id="200")


@pytest.mark.parametrize("manner", ["cut", "drip"])
async def test_a_status_counts_even_when_the_body_does_not_come(manner):
    """The server said 201: the message is not sent again because the rest got lost."""
    seen: list[HttpReply] = []

    def read(_: Outgoing, reply: HttpReply) -> Outcome:
        seen.append(reply)
        return Accepted()

    async with scripted_server(otherwise=Answer(status=201, body=b"a" * 50, manner=manner)) as site:
        assert await one(sender(site.url, timeout_s=0.6, read=read)) == Accepted()
        assert seen[0].status == 201
        assert seen[0].cut


async def test_a_long_answer_is_cut():
    """A server cannot fill our memory."""
    seen: list[HttpReply] = []

    def read(_: Outgoing, reply: HttpReply) -> Outcome:
        seen.append(reply)
        return Accepted()

    async with scripted_server(otherwise=Answer(body=b"x" * (REPLY_BYTES * 20))) as site:
        await one(sender(site.url, read=read))
        assert len(seen[0].body) == REPLY_BYTES
        assert seen[0].cut


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("urls", "expected"), [("operator", Misconfigured), ("user", Retry)])
async def test_redirects_are_failures(status, urls, expected):
    """What was vetted is not what a redirect leads to; the credentials stay here, too."""
    async with (
        scripted_server() as elsewhere,
        scripted_server(otherwise=Answer.text(status, "", location=elsewhere.url)) as site,
    ):
        outcome = await one(sender(site.url, urls=urls, networks=("127.0.0.0/8",)))
        assert isinstance(outcome, expected)
        assert elsewhere.accepted == 0


async def test_every_url_is_guarded():
    """A private address is not called, whoever named it: a user's ends the message, one of the settings the circuit."""
    async with scripted_server() as site:
        outcome = await one(sender(site.url, urls="user", networks=()))
        assert isinstance(outcome, Rejected)
        assert SECRET not in (outcome.detail or "")
        set_up = await one(sender(site.url, networks=()))
        assert isinstance(set_up, Misconfigured)
        assert "outbound.allowed_networks" in (set_up.detail or "")
        guarded = HttpRequest(url=site.url, from_user=True)
        assert isinstance(await one(sender("", build=lambda _: guarded, networks=())), Rejected)
        assert site.accepted == 0
        assert await one(sender("", build=lambda _: guarded, networks=("127.0.0.0/8",))) == Accepted(
            provider_id="200"
        )


@pytest.mark.parametrize("manner", ["hang", "drop", "whole"])
@pytest.mark.parametrize(("from_user", "of_address"), [(True, True), (False, None)])
async def test_trouble_at_a_users_url_is_not_the_providers(manner, from_user, of_address):
    """Also where only some calls go to users: the rest tells how the vendor itself is doing."""
    async with scripted_server(otherwise=Answer(status=503, manner=manner)) as site:
        call = HttpRequest(url=site.url, from_user=from_user)
        outcome = await one(
            sender("", build=lambda _: call, read=meaning, networks=("127.0.0.0/8",), timeout_s=0.6)
        )
        assert isinstance(outcome, Retry | Unknown)
        assert outcome.of_address is of_address


@pytest.mark.parametrize("urls", ["user", "operator"])
async def test_a_users_server_may_not_take_as_long_as_the_vendors(monkeypatch, urls):
    """The batch waits for the slowest of its calls, and a user chose this one."""
    monkeypatch.setattr("clarion.adapters.http.sender.LONGEST_USER_CALL_S", 0.6)
    async with scripted_server(otherwise=Answer(manner="hang")) as site:
        call = HttpRequest(url=site.url, from_user=True)
        began = time.monotonic()
        # The time to connect in is a third of the call's.
        outcome = await one(
            sender("", build=lambda _: call, networks=("127.0.0.0/8",), timeout_s=1.5, urls=urls)
        )
        assert isinstance(outcome, Unknown)
        assert time.monotonic() - began < 1.3


async def test_a_user_cannot_declare_our_settings_wrong():
    """Whatever the server of one contact says, it opens no circuit; and what `read` knows better is kept."""
    async with scripted_server(otherwise=Answer(status=403)) as site:
        call = HttpRequest(url=site.url, from_user=True)
        mine = sender("", build=lambda _: call, read=meaning, networks=("127.0.0.0/8",))
        assert isinstance(await one(mine), Rejected)
        vendors = sender(
            "", build=lambda _: call, read=lambda *_: Retry(of_address=False), networks=("127.0.0.0/8",)
        )
        assert await one(vendors) == Retry(of_address=False)


async def test_a_host_of_users_that_hangs_gets_a_rest_and_no_other_does(monkeypatch):
    """Its messages are put off without a call and without using up an attempt; an answer ends the rest."""
    monkeypatch.setattr("clarion.adapters.http.host_backoff.FIRST_REST_S", 0.3)
    async with scripted_server(otherwise=Answer(manner="hang")) as hung, scripted_server() as well:
        urls = iter([hung.url] * 3 + [hung.url, well.url] * 2 + [hung.url] * 2)
        provider = sender(
            "",
            build=lambda _: HttpRequest(url=next(urls), from_user=True),
            networks=("127.0.0.0/8",),
            timeout_s=0.6,
        )
        assert {type(outcome) for outcome in await provider.send(batch(3))} == {Unknown}
        for _ in range(2):
            put_off, sent = await provider.send(batch(2))
            assert isinstance(put_off, Retry)
            assert (put_off.called, put_off.reason) == (False, Reason.CIRCUIT_OPEN)
            assert isinstance(sent, Accepted)
        assert len(hung.requests) == 3
        hung.otherwise = Answer()
        await asyncio.sleep(0.35)
        for _ in range(2):
            assert isinstance((await provider.send(batch(1)))[0], Accepted)
        await provider.close()


@pytest.mark.parametrize("bad", ["not a url", "http://", "https://exa mple"])
async def test_an_operators_url_that_is_none_is_said_to_be_misconfigured(bad):
    """The integration is wrong, not the message."""
    assert isinstance(await one(sender("", build=lambda _: HttpRequest(url=bad))), Misconfigured)


async def test_headers_cannot_carry_line_breaks():
    """A value that would start a header of its own is never written."""
    async with scripted_server() as site:
        call = HttpRequest(url=site.url, headers={"X-A": "b\r\nX-Evil: 1"}, from_user=True)
        outcome = await one(sender("", build=lambda _: call, networks=("127.0.0.0/8",)))
        assert isinstance(outcome, Rejected)
        assert site.requests == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120), ("0", 0), ("99999999999999999", 604_800), ("soon", None), ("-5", None), ("1.5", None)],
)
async def test_retry_after_is_seconds(said, seconds):
    """However a server says it; what is no number is no wish, and no wish is longer than a week."""
    async with scripted_server(otherwise=Answer.text(429, "", retry_after=said)) as site:
        provider = sender(site.url, read=lambda _, reply: Retry(after_s=reply.retry_after_s))
        assert await one(provider) == Retry(after_s=seconds)


@pytest.mark.parametrize(("ahead_s", "least", "most"), [(90, 85, 91), (-90, 0, 0), (10**9, 604_800, 604_800)])
async def test_retry_after_may_be_a_date(ahead_s, least, most):
    """RFC 9110 allows a date; one in the past means now."""
    date = formatdate(time.time() + ahead_s, usegmt=True)
    async with scripted_server(otherwise=Answer.text(503, "", retry_after=date)) as site:
        provider = sender(site.url, read=lambda _, reply: Retry(after_s=reply.retry_after_s))
        outcome = await one(provider)
        assert isinstance(outcome, Retry)
        assert outcome.after_s is not None
        assert least <= outcome.after_s <= most


async def test_what_one_message_breaks_stays_with_it():
    """A surprise while building or reading concerns that message only, and says nothing of its content."""

    def build(one: Outgoing) -> HttpRequest | Outcome:
        match int.from_bytes(one.message.id, "big") % 5:
            case 1:
                raise ContentError("the title is longer than 256 characters")
            case 2:
                raise KeyError(SECRET)
            case 3:
                return Rejected(detail="nothing to say")
            case _:
                return HttpRequest(url=site.url)

    def read(one: Outgoing, reply: HttpReply) -> Outcome:
        if int.from_bytes(one.message.id, "big") % 5 == 4:
            raise ValueError(SECRET)
        return Accepted()

    async with scripted_server() as site:
        provider = sender("", build=build, read=read)
        outcomes = {int.from_bytes(o.message.id, "big") % 5: o for o in batch(5)}
        answers = dict(zip(outcomes, await provider.send(list(outcomes.values())), strict=True))
        await provider.close()
    assert answers[0] == Accepted()
    assert answers[1] == Rejected(detail="the title is longer than 256 characters")
    assert answers[2] == Retry(reason=Reason.INTERNAL_ERROR, detail="KeyError")
    assert answers[3] == Rejected(detail="nothing to say")
    assert isinstance(answers[4], Unknown)
    assert SECRET not in repr(answers)


async def test_a_call_that_fails_in_an_unknown_way_stays_with_its_message(monkeypatch):
    """Whatever the library raises: the rest of the batch is sent, and a user's message opens no circuit."""
    whole = exchange

    async def broken(client: Client, url: Url, call: HttpRequest, **bounds: Any) -> HttpReply | HttpFailure:
        if call.url.endswith("/odd"):
            raise RuntimeError(SECRET)
        return await whole(client, url, call, **bounds)

    monkeypatch.setattr("clarion.adapters.http.client.exchange", broken)
    async with scripted_server() as site:
        paths = iter(["odd", "even"])
        provider = sender(
            "",
            build=lambda _: HttpRequest(url=f"{site.url}/{next(paths)}", from_user=True),
            networks=("127.0.0.0/8",),
        )
        odd, even = await provider.send(batch(2))
        await provider.close()
    assert isinstance(odd, Unknown)
    assert (odd.of_address, odd.detail) == (True, "the call failed (RuntimeError)")
    assert isinstance(even, Accepted)


async def test_a_ping_says_what_is_wrong():
    """Reached and welcome; refused; broken; not there."""
    async with scripted_server() as site:
        provider = sender(site.url, ping=HttpRequest(url=f"{site.url}/me", method="GET"))
        await provider.ping()
        assert site.requests[0].method == "GET"
        site.otherwise = Answer(status=401)
        with pytest.raises(ConfigError, match="credentials"):
            await provider.ping()
        site.otherwise = Answer(status=500)
        with pytest.raises(Unavailable, match="500"):
            await provider.ping()
        await provider.close()
    absent = sender("", ping=HttpRequest(url=f"http://127.0.0.1:9/{SECRET}"))
    with pytest.raises(Unavailable) as wrong:
        await absent.ping()
    assert SECRET not in str(wrong.value)
    await absent.close()


async def test_a_fetch_is_bounded_in_size():
    """An attachment larger than the limit is recognised as such."""
    async with scripted_server(otherwise=Answer(body=b"x" * 1000)) as site:
        fetch = Fetch(tools("127.0.0.0/8"), limit=999)
        reply = await fetch.get(site.url)
        assert isinstance(reply, HttpReply)
        assert (len(reply.body), reply.cut) == (999, True)
        await fetch.close()
        fetch = Fetch(tools("127.0.0.0/8"), limit=1000)
        reply = await fetch.get(site.url, {"accept": "image/png"})
        assert isinstance(reply, HttpReply)
        assert (len(reply.body), reply.cut) == (1000, False)
        assert site.requests[-1].headers["accept"] == "image/png"
        await fetch.close()


async def test_a_fetch_is_bounded_in_time():
    """A server that hangs does not hold up a mail for good."""
    async with scripted_server(otherwise=Answer(manner="hang")) as site:
        fetch = Fetch(tools("127.0.0.0/8"), timeout_s=0.3)
        assert isinstance(await fetch.get(site.url), HttpFailure)
        await fetch.close()

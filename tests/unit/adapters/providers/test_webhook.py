"""Webhooks: signed as others verify them, and every answer of a receiver means one thing."""

import asyncio
from base64 import b64encode

import msgspec
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from clarion.adapters.providers.webhook import (
    KEPT_REPLY,
    KEPT_REQUEST,
    MOST_BODY,
    Webhooks,
    plugin,
    webhook_id,
)
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.adapters.webhook_signature import signature
from clarion.model.channel import Channel
from clarion.model.content import WebhookContent
from clarion.model.endpoint import Delivery, Endpoint, SigningSecret, secret_key
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Gone, Rejected, Retry
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact, Profile
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.scripted_server import Answer, scripted_server

ENTROPY = SystemRandom()
VAULT = LocalVault(ENTROPY.bytes(32), ENTROPY)
NEW, OLD, OTHER = ("whsec_" + b64encode(ENTROPY.bytes(32)).decode() for _ in range(3))
ID = b"endpoint-sixteen"


def tools(*allowed):
    lent = provider_tools(SystemClock(), ENTROPY, VAULT)
    return msgspec.structs.replace(lent, allowed_networks=allowed)


def opened(*allowed, **config):
    """The provider, allowed to reach the ranges."""
    settings = msgspec.convert(config, plugin.config)
    integration = Integration(key="hooks", channel=Channel.WEBHOOK, provider="webhook")
    return plugin.open(integration, settings, tools(*allowed))


LOOPBACK = "127.0.0.0/8"
SECRETS = (SigningSecret(text=NEW),)


def messages(url, count=1, *, secrets=SECRETS, content=None):
    """Messages to an endpoint at `url`."""
    endpoint = Endpoint(id=ID, url=url, secrets=secrets, created_at=Instant(0))
    contact = Contact(channel=Channel.WEBHOOK, address=url, hash=ID)
    made = ProviderSubject(plugin=plugin, tools=tools()).messages(count)
    return [
        msgspec.structs.replace(
            one,
            contact=contact,
            user=msgspec.structs.replace(one.user, profile=Profile(endpoints=(endpoint,))),
            content=content or WebhookContent(type="order.shipped", body='{"order": 7}'),
        )
        for one in made
    ]


async def sent(url, *, allowed=(LOOPBACK,), secrets=SECRETS, content=None, **config):
    """The message and what came of sending it to `url`."""
    (outgoing,) = messages(url, secrets=secrets, content=content)
    provider = opened(*allowed, **config)
    try:
        (outcome,) = await provider.send([outgoing])
    finally:
        await provider.close()
    return outgoing, outcome


def exchange(outgoing, outcome):
    """What the record of a call shows."""
    assert isinstance(outcome.record, Delivery)
    return msgspec.json.decode(VAULT.open(outgoing.user.key, outcome.record.sealed))


# ── what goes out ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_signature_is_that_of_the_standard():
    """The vector of the specification's libraries."""
    signed = signature(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_library_of_others_verifies_it():
    """`standardwebhooks` takes headers and body as they arrived, and refuses another secret."""
    async with scripted_server() as there:
        outgoing, outcome = await sent(f"{there.url}/hook")
        (request,) = there.requests
    assert Webhook(NEW).verify(request.body, request.headers) == {
        "type": "order.shipped",
        "timestamp": msgspec.json.decode(request.body)["timestamp"],
        "data": {"order": 7},
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(request.body, request.headers)
    assert (request.path, request.headers["content-type"]) == ("/hook", "application/json")
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == request.headers["webhook-id"] == webhook_id(outgoing.message.id)


async def test_while_a_secret_is_replaced_both_verify():
    """Receivers change over when they like, until the old secret's time is up."""
    soon, past = (Instant(SystemClock().now() + ms) for ms in (60_000, -1))
    secrets = (
        SigningSecret(text=NEW),
        SigningSecret(text=OLD, until=soon),
        SigningSecret(text=OTHER, until=past),
    )
    async with scripted_server() as there:
        await sent(there.url, secrets=secrets)
        (request,) = there.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (NEW, OLD):
        Webhook(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(request.body, request.headers)


async def test_a_repetition_says_the_same_under_the_same_id():
    """Byte for byte: that is what makes a retry harmless."""
    (outgoing,) = messages("")
    async with scripted_server() as there:
        outgoing = msgspec.structs.replace(
            outgoing, contact=Contact(channel=Channel.WEBHOOK, address=there.url, hash=ID)
        )
        provider = opened(LOOPBACK)
        await provider.send([outgoing])
        await provider.send([outgoing])
        await provider.close()
        first, second = there.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


async def test_a_plain_contact_is_signed_with_the_integrations_secret():
    """Without one it is refused, in words that say what to do."""
    subject = ProviderSubject(plugin=plugin, tools=tools(LOOPBACK), config={"secret": OLD})
    async with scripted_server() as there, subject.opened() as provider:
        (outgoing,) = subject.messages(1)
        contact = Contact(channel=Channel.WEBHOOK, address=there.url)
        (outcome,) = await provider.send([msgspec.structs.replace(outgoing, contact=contact)])
        Webhook(OLD).verify(there.requests[0].body, there.requests[0].headers)
    assert isinstance(outcome, Accepted)
    assert outcome.record is None
    async with ProviderSubject(plugin=plugin, tools=tools(), config={}).opened() as provider:
        (outcome,) = await provider.send([outgoing])
    assert isinstance(outcome, Rejected)
    assert "POST /v1/endpoints" in (outcome.detail or "")


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*" + "A" * 40, "whsec_ü"],
)
def test_what_is_no_secret_is_refused_without_being_quoted(text):
    """24 to 64 bytes in base64 behind the prefix."""
    with pytest.raises(ValueError, match="24 to 64 random bytes") as refused:
        secret_key(text)
    assert len(text) < 10 or text not in str(refused.value)


# ── what comes back ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_accepted(status):
    """Standard Webhooks asks for nothing more."""
    async with scripted_server(otherwise=Answer(status=status)) as there:
        _, outcome = await sent(there.url)
    assert isinstance(outcome, Accepted)
    assert isinstance(outcome.record, Delivery)
    assert outcome.record.ok


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
async def test_any_other_answer_is_tried_again(status):
    """A 404 may be a deployment that went wrong: the schedule decides when to give up, not one answer."""
    async with scripted_server(otherwise=Answer(status=status)) as there:
        _, outcome = await sent(there.url)
    assert isinstance(outcome, Retry)
    assert (outcome.detail, outcome.after_s) == (f"answered {status}", None)
    assert outcome.of_address, "one receiver's trouble opens no circuit"
    assert outcome.record is not None
    assert (outcome.record.ok, outcome.record.status) == (False, status)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_may_ask_for_time(status):
    """Retry-After is handed on."""
    async with scripted_server(otherwise=Answer.text(status, "", retry_after="120")) as there:
        _, outcome = await sent(there.url)
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 120


async def test_410_ends_the_endpoint():
    """The receiver says it wants nothing more, ever."""
    async with scripted_server(otherwise=Answer(status=410)) as there:
        _, outcome = await sent(there.url)
    assert isinstance(outcome, Gone)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_not_followed(status):
    """It could lead anywhere."""
    async with scripted_server() as inside:
        async with scripted_server(otherwise=Answer.text(status, "", location=inside.url)) as there:
            _, outcome = await sent(there.url)
        assert inside.requests == []
    assert isinstance(outcome, Retry)
    assert "redirects are not followed" in (outcome.detail or "")


async def test_a_receiver_that_hangs_is_given_up_and_tried_again():
    """It may have got the message; it knows a repetition by its id."""
    async with scripted_server(otherwise=Answer(manner="hang")) as there:
        outgoing, outcome = await sent(there.url, timeout_s=1)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.of_address) == (Reason.PROVIDER_TIMEOUT, True)
    assert outcome.record is not None
    assert outcome.record.took_ms == pytest.approx(1000, abs=400)
    assert "did not answer" in exchange(outgoing, outcome)["error"]


async def test_nobody_there_is_tried_again():
    """A connection that is refused leaves a record too."""
    async with scripted_server() as there:
        url = there.url
    _, outcome = await sent(url)
    assert isinstance(outcome, Retry)
    assert outcome.record is not None
    assert (outcome.record.ok, outcome.record.status) == (False, 0)


async def test_hung_receivers_do_not_take_others_along():
    """A batch to a hundred calls: those who answer have answered, within the time of those who do not."""

    def slowly(request):
        return Answer(manner="hang" if request.path == "/hung" else "whole")

    async with scripted_server(otherwise=slowly) as there:
        batches = [messages(f"{there.url}/{'hung' if i % 10 == 0 else 'good'}") for i in range(100)]
        provider = opened(LOOPBACK, timeout_s=2)
        outcomes = [one for (one,) in await asyncio.gather(*map(provider.send, batches))]
        await provider.close()
    assert [type(one) for one in outcomes] == [Retry if i % 10 == 0 else Accepted for i in range(100)]
    assert len(there.requests) == 100


# ── where it may not go ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.8]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://localhost/",
        "https://user@example.org/",
        "ftp://example.org/",
        "http://8.8.8.8/",
    ],
)
async def test_addresses_inside_the_house_are_not_called(url):
    """Also when the URL got past the door: the connection is what is guarded."""
    outgoing, outcome = await sent(url, allowed=())
    assert isinstance(outcome, Rejected)
    assert outcome.record is not None
    assert not outcome.record.ok
    assert exchange(outgoing, outcome)["error"]


# ── the record ────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_record_shows_both_sides_but_not_the_signature():
    """What a person needs to find out why a receiver refused."""
    async with scripted_server(
        otherwise=Answer(status=500, body=b"no such order", headers={"x-secret": "s", "server": "them/1"})
    ) as there:
        outgoing, outcome = await sent(f"{there.url}/hook?token=1")
    shown = exchange(outgoing, outcome)
    assert shown["request"]["url"] == f"{there.url}/hook?token=1"
    assert sorted(shown["request"]["headers"]) == ["content-type", "webhook-id", "webhook-timestamp"]
    assert msgspec.json.decode(shown["request"]["body"])["data"] == {"order": 7}
    assert shown["response"] == {
        "status": 500,
        "headers": {"server": "them/1"},
        "body": "no such order",
        "cut": False,
    }


async def test_the_record_is_bounded_on_both_sides():
    """A receiver that answers with megabytes fills neither memory nor disk."""
    long = WebhookContent(type="order.shipped", body='"' + "ü" * KEPT_REQUEST + '"')
    huge = Answer(body=b"x" * 10_000_000, headers={"server": "s" * 4000})
    async with scripted_server(otherwise=huge) as there:
        outgoing, outcome = await sent(there.url, content=long)
    shown = exchange(outgoing, outcome)
    assert isinstance(outcome, Accepted)
    assert len(shown["request"]["body"].encode()) == pytest.approx(KEPT_REQUEST, abs=4)
    assert shown["request"]["cut"]
    assert (len(shown["response"]["body"]), shown["response"]["cut"]) == (KEPT_REPLY, True)
    assert len(shown["response"]["headers"]["server"]) == 200


async def test_nothing_logged_names_the_url_or_what_was_said():
    """Outcomes are stored in the clear; URLs carry tokens."""
    async with scripted_server(otherwise=Answer(status=500, body=b"words")) as there:
        _, outcome = await sent(f"{there.url}/hook?token=hidden")
    assert isinstance(outcome, Retry)
    assert not {"hidden", "words"} & set((outcome.detail or "").replace("=", " ").split())


async def test_a_monstrous_body_is_refused():
    """Something is wrong with the template then."""
    _, outcome = await sent("https://example.org/", content=WebhookContent(body='"' + "x" * MOST_BODY + '"'))
    assert isinstance(outcome, Rejected)
    assert "262,144" in (outcome.detail or "")


# ── who hangs gets a rest ─────────────────────────────────────────────────────────────────────────────────


async def test_a_receiver_that_keeps_hanging_is_left_alone(monkeypatch):
    """After three calls without an answer the others are put off at once, and that costs them no attempt."""
    monkeypatch.setattr("clarion.adapters.http.host_backoff.FIRST_REST_S", 0.3)
    async with scripted_server(otherwise=Answer(manner="hang")) as there:
        provider = opened(LOOPBACK, timeout_s=1)
        hung = await provider.send(messages(there.url, 3))
        began = SystemClock().monotonic()
        put_off = await provider.send(messages(there.url, 20))
        assert SystemClock().monotonic() - began < 0.2
        assert all(isinstance(one, Retry) and one.called for one in hung)
        assert all(
            isinstance(one, Retry) and not one.called and one.of_address and one.record is None
            for one in put_off
        )
        assert len(there.requests) == 3
        await asyncio.sleep(0.35)
        there.otherwise = Answer()
        first, *others = await provider.send(messages(there.url, 5))
        assert isinstance(first, Accepted)
        assert not any(isinstance(one, Accepted) for one in others)
        assert all(isinstance(one, Accepted) for one in await provider.send(messages(there.url, 5)))
        await provider.close()


async def test_what_goes_wrong_with_one_call_is_nobody_elses(monkeypatch):
    """One that falls over is tried again; the others of its batch have their answers."""
    whole = Webhooks._send_one

    async def send_one(self, outgoing):
        if outgoing.contact.address.endswith("/odd"):
            raise LookupError("secret")
        return await whole(self, outgoing)

    monkeypatch.setattr(Webhooks, "_send_one", send_one)
    async with scripted_server(otherwise=Answer(status=410, headers={"x-shop": "Café"})) as site:
        provider = opened(LOOPBACK)
        batch = messages(f"{site.url}/even", 2) + messages(f"{site.url}/odd")
        outcomes = await provider.send(batch)
        await provider.close()
    assert [type(one) for one in outcomes] == [Gone, Gone, Retry]
    assert outcomes[2] == Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail="LookupError")

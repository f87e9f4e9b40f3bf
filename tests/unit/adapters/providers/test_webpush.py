"""Web push as a provider: what is asked of the push service, and what its answer means."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.webpush import LONGEST_TTL_S, WebPush, WebPushConfig, plugin
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.adapters.webpush.vapid import new_keys
from clarion.errors import ConfigError
from clarion.model.channel import Channel, Lane
from clarion.model.content import Action, PushContent
from clarion.model.ids import Instant
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.outcome import Accepted, Gone, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.push import MOST_BYTES, push_bytes
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import MONDAY_NOON, ManualClock, provider_tools
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests import outgoing as made
from tests.browsers import Browser

KEYS = new_keys()
CONFIG = WebPushConfig(public_key=KEYS.public, private_key=KEYS.private, subject="mailto:ops@example.com")
HELLO = PushContent(title="Hello", body="World")


def tools() -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(ManualClock(), random, LocalVault(bytes(32), random))
    return msgspec.structs.replace(lent, allowed_networks=("127.0.0.0/8",))


def push(browser: Browser, content: PushContent = HELLO, **more: Any) -> Outgoing:
    more.setdefault("address", browser.address)
    return made.outgoing(content, channel=Channel.PUSH, **more)


def built(one: Outgoing) -> HttpRequest:
    call = WebPush(CONFIG, tools()).build(one)
    assert isinstance(call, HttpRequest), call
    return call


async def sent(answer: Answer) -> Outcome:
    """What comes of a push service that answers so."""
    integration = Integration(key="browsers", channel=Channel.PUSH, provider="webpush")
    async with scripted_server(otherwise=answer) as site:
        provider = plugin.open(integration, CONFIG, tools())
        outcomes = await provider.send([push(Browser(f"{site.url}/push/abc"))])
        await provider.close()
    return outcomes[0]


def test_the_browser_reads_the_notification():
    """Everything that it or its service worker needs, and nothing that is empty."""
    browser = Browser()
    content = PushContent(
        title="Parcel",
        url="https://shop.example/1",
        actions=(Action(label="Track", url="https://x.example/"),),
    )
    said = json.loads(browser.read(built(push(browser, content)).body))
    assert said == {
        "web_push": 8030,
        "notification": {
            "title": "Parcel",
            "navigate": "https://shop.example/1",
            "tag": "00000000-0000-0000-0000-000000000001",
            "actions": [{"action": "0", "title": "Track", "navigate": "https://x.example/"}],
        },
    }


def test_the_push_service_is_told_what_it_must_know():
    """RFC 8030: how long, how urgent, how encrypted, by whom."""
    call = built(push(Browser()))
    assert call.url == "https://push.example/abc"
    assert call.method == "POST"
    assert call.headers["TTL"] == "86400"
    assert call.headers["Urgency"] == "normal"
    assert call.headers["Content-Encoding"] == "aes128gcm"
    assert call.headers["Authorization"].startswith("vapid t=ey")
    assert "Topic" not in call.headers


@pytest.mark.parametrize(
    ("lane", "urgency"),
    [(Lane.CRITICAL, "high"), (Lane.HIGH, "high"), (Lane.NORMAL, "normal"), (Lane.BULK, "low")],
)
def test_the_lane_says_how_urgent_it_is(lane, urgency):
    """A phone is not woken for an offer."""
    assert built(push(Browser(), lane=lane)).headers["Urgency"] == urgency


@pytest.mark.parametrize(("ahead_s", "ttl"), [(90, 90), (0, 0), (-5, 0), (10**8, LONGEST_TTL_S)])
def test_a_message_is_kept_as_long_as_it_is_worth_reading(ahead_s, ttl):
    """What expires is not shown later (I5), however long the device is off."""
    call = built(push(Browser(), expires_at=Instant(MONDAY_NOON + ahead_s * 1000)))
    assert call.headers["TTL"] == str(ttl)


def test_messages_that_replace_one_another_have_a_topic():
    """RFC 8030, 5.4: at most 32 characters of base64url; the push service keeps the newest only."""
    one = built(push(Browser(), collapse_key=b"k" * 16)).headers["Topic"]
    same = built(push(Browser(), number=2, collapse_key=b"k" * 16)).headers["Topic"]
    other = built(push(Browser(), collapse_key=b"o" * 16)).headers["Topic"]
    assert one == same != other
    assert 0 < len(one) <= 32
    assert one.replace("-", "").replace("_", "").isalnum()


def test_a_notification_that_is_shown_is_replaced_like_one_that_waits():
    """Its tag is the topic; what it shows of a live resource, a service worker can put in order."""
    browser = Browser()
    live = LiveUpdate(id=bytes(16), key="order-1", event=LiveEvent.UPDATE, sequence=3, at=MONDAY_NOON)
    call = built(push(browser, PushContent(title="Order"), collapse_key=b"k" * 16, live=live))
    shown = json.loads(browser.read(call.body))["notification"]
    assert shown["tag"] == call.headers["Topic"]
    assert (shown["data"]["live"]["key"], shown["data"]["live"]["sequence"]) == ("order-1", 3)


def test_the_largest_notification_goes_and_a_larger_one_does_not():
    """The limit is the browser vendors'; saying so beats a 413."""
    browser = Browser()
    room = MOST_BYTES - len(browser.read(built(push(browser, PushContent(title=""))).body))
    assert len(built(push(browser, PushContent(title="x" * room))).body) == 4_096
    outcome = WebPush(CONFIG, tools()).build(push(browser, PushContent(title="x" * (room + 1))))
    assert isinstance(outcome, Rejected)
    assert "3,994" in (outcome.detail or "")


@pytest.mark.parametrize("address", [None, "device-token", "{}", '{"endpoint": "https://push.example/"}'])
def test_a_contact_that_is_no_subscription_is_refused(address):
    """With a reason, and without being called."""
    outcome = WebPush(CONFIG, tools()).build(push(Browser(), address=address))
    assert isinstance(outcome, Rejected)
    assert "subscription" in (outcome.detail or "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(201, Accepted), (202, Accepted), (200, Accepted), (404, Gone), (410, Gone), (413, Rejected), (400, Rejected),
     (401, Retry), (403, Retry), (429, Retry), (500, Retry), (503, Retry), (408, Retry), (302, Retry)],
)  # fmt: skip
async def test_an_answer_means_what_the_rfc_says(status, expected):
    """RFC 8030, and what the large services do."""
    assert isinstance(await sent(Answer(status=status)), expected)


async def test_a_push_service_may_ask_for_a_pause():
    """Its Retry-After is honoured."""
    assert await sent(Answer.text(429, "", retry_after="30")) == Retry(
        reason=Reason.RATE_LIMITED, after_s=30, of_address=True, detail="the push service answered 429"
    )


async def test_one_foreign_subscription_does_not_stop_the_others():
    """Once its push service took our key, a refusal is about the subscription; before, somebody may mend the keys."""
    integration = Integration(key="browsers", channel=Channel.PUSH, provider="webpush")

    def judge(request: Received) -> Answer:
        return Answer(status=403 if "old" in request.path else 201)

    async with scripted_server(otherwise=judge) as site:
        provider = plugin.open(integration, CONFIG, tools())
        foreign, good = push(Browser(f"{site.url}/old")), push(Browser(f"{site.url}/new"))
        refused = (await provider.send([foreign]))[0]
        assert isinstance(refused, Retry)
        assert (refused.reason, refused.of_address) == (Reason.MISCONFIGURED, True)
        async with scripted_server(otherwise=Answer(status=201)) as elsewhere:
            assert isinstance((await provider.send([push(Browser(f"{elsewhere.url}/new"))]))[0], Accepted)
        assert isinstance((await provider.send([foreign]))[0], Retry), (
            "what another service took proves nothing"
        )
        assert isinstance((await provider.send([good]))[0], Accepted)
        assert isinstance((await provider.send([foreign]))[0], Rejected)
        await provider.close()


async def test_an_endpoint_inside_is_not_called():
    """Endpoints come from users: the guard applies."""
    integration = Integration(key="browsers", channel=Channel.PUSH, provider="webpush")
    async with scripted_server(otherwise=Answer(status=201)) as site:
        lent = msgspec.structs.replace(tools(), allowed_networks=())
        provider = plugin.open(integration, CONFIG, lent)
        outcome = (await provider.send([push(Browser(f"{site.url}/push/secret-path"))]))[0]
        await provider.close()
        assert isinstance(outcome, Rejected)
        assert "secret-path" not in (outcome.detail or "")
        assert site.accepted == 0


async def test_no_answer_is_doubt():
    """A push service that took the message and hung up may have delivered it."""
    integration = Integration(key="browsers", channel=Channel.PUSH, provider="webpush")
    async with scripted_server(otherwise=Answer(manner="drop")) as site:
        provider = plugin.open(integration, CONFIG, tools())
        outcome = (await provider.send([push(Browser(site.url))]))[0]
        assert isinstance(outcome, Unknown)
        assert outcome.of_address, "one push service's trouble opens no circuit"
        await provider.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"private_key": "AAAA"}, "private_key"),
        ({"public_key": new_keys().public}, "pair"),
        ({"subject": "ops@example.com"}, "mailto:"),
    ],
)
def test_wrong_settings_are_refused_when_it_opens(changes, says):
    """With what to do about it, and without the key."""
    config = msgspec.structs.replace(CONFIG, **changes)
    with pytest.raises(ConfigError, match=says) as wrong:
        WebPush(config, tools())
    assert KEYS.private not in str(wrong.value)


@pytest.mark.parametrize(
    "subject",
    [
        "", "mailto:", "mailto: ops@example.com", "mailto:ops@example.com ", "mailto:<ops@example.com>", "mailto:Ops <ops@example.com>",
        "mailto:ops@example.com,other@example.com", "mailto:ops@example.com?subject=x", "mailto:ops", "mailto:@example.com", "MAILTO:ops@example.com",
        "mailto:ops@localhost", "mailto:ops@mail", "mailto:ops@printer.local", "mailto:ops@MAIL.Internal", "mailto:ops@host.home.arpa",
        "mailto:ops@192.0.2.1", "mailto:ops@[192.0.2.1]", "mailto:ops@example..com", "mailto:ops@-x.com", "mailto:ops@example.com.", "mailto:ops@bücher.de",
        "http://example.com", "https://", "https:///contact", "https://localhost", "https://localhost:8080/x", "https://127.0.0.1/", "https://[::1]/",
        "https://example", "https://user@example.com/", "https://exa mple.com", "https://example.com/a b", "//example.com", "ftp://example.com", "ops@example.com\n",
    ],
)  # fmt: skip
def test_a_subject_that_push_services_refuse_is_refused_when_it_opens(subject):
    """So `clarion check` and the API say it, not every message afterwards."""
    with pytest.raises(ConfigError, match="subject") as wrong:
        WebPush(msgspec.structs.replace(CONFIG, subject=subject), tools())
    assert wrong.value.pointer == "#/subject"


@pytest.mark.parametrize(
    "subject",
    ["mailto:ops+push@mail.example.com", "https://example.com", "https://example.com:8443/contact?x=1#y", "mailto:a@xn--bcher-kva.de"],
)  # fmt: skip
def test_a_subject_that_push_services_take_is_taken(subject):
    """Addresses and pages that anybody can reach."""
    WebPush(msgspec.structs.replace(CONFIG, subject=subject), tools())


def test_what_a_template_is_judged_by_is_what_counts_when_it_is_sent():
    """To the byte, for every part of a notification: 4,096 bytes of the encrypted record."""
    browser = Browser()
    content = PushContent(
        title="Tëst 🎉",
        url="https://e.example",
        actions=(Action(label="Go", url="https://e.example"),),
        data={"a": 1},
    )
    content = msgspec.structs.replace(
        content, body="x" * (MOST_BYTES - push_bytes(content) - len('"body":"",'))
    )
    assert push_bytes(content) == MOST_BYTES
    assert len(built(push(browser, content)).body) == 4_096
    longer = msgspec.structs.replace(content, title=content.title + "!")
    assert isinstance(WebPush(CONFIG, tools()).build(push(browser, longer)), Rejected)


def test_it_claims_browsers_and_no_devices():
    """Device tokens go to another integration of the same channel."""
    assert plugin.accepts is not None
    contact = push(Browser()).contact
    assert contact is not None
    assert plugin.accepts(contact)
    assert not plugin.accepts(msgspec.structs.replace(contact, address="demo-phone-ada"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer.json(200, {"id": "xE73Iyuabi", "event": "message"}), Accepted),
        (Answer.json(507, {"code": 50701, "http": 507, "error": "no subscriber"}), Retry),
    ],
)
async def test_a_distributor_of_unifiedpush_is_a_push_service(answer, expected):
    """Its endpoint may have a query; what it says in JSON is its own affair, and trouble there is nobody else's."""
    integration = Integration(key="apps", channel=Channel.PUSH, provider="webpush")
    async with scripted_server(otherwise=answer) as site:
        app = Browser(f"{site.url}/upDGVUHd2ZxXqk?up=1")
        provider = plugin.open(integration, CONFIG, tools())
        (outcome,) = await provider.send([push(app)])
        await provider.close()
        (request,) = site.requests
    assert isinstance(outcome, expected)
    assert getattr(outcome, "of_address", None) in (None, True)
    assert request.path == "/upDGVUHd2ZxXqk?up=1"
    assert json.loads(app.read(request.body))["notification"]["title"] == "Hello"

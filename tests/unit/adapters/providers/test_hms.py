"""HMS as a provider: what is asked of Huawei, and what its answers mean over time."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from clarion.adapters.http import HttpReply, HttpRequest
from clarion.adapters.providers.hms import Hms, HmsConfig, plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.ids import Instant
from clarion.model.outcome import Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import MONDAY_NOON, ManualClock, provider_tools
from tests import outgoing as made
from tests.huawei import ACCESS_TOKEN, TokenServer
from tests.vendors.hms import CLIENT_ID, SENT, TOKEN, said

HELLO = PushContent(title="Hello", body="World", url="https://a.example/", data={"order": 7})


def tools(clock: Clock | None = None) -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(clock or ManualClock(), random, LocalVault(bytes(32), random))
    return msgspec.structs.replace(lent, allowed_networks=("127.0.0.0/8",))


def hms(**settings: Any) -> Hms:
    return Hms(msgspec.convert({**plugin.example, **settings}, HmsConfig), tools())


def push(content: PushContent = HELLO, address: str = f"hms:{TOKEN}", **more: Any) -> Outgoing:
    return made.outgoing(content, channel=Channel.PUSH, address=address, **more)


def sent(outgoing: Outgoing, **settings: Any) -> dict[str, Any]:
    """The message of the request."""
    built = hms(**settings).build(outgoing)
    assert isinstance(built, HttpRequest), built
    assert built.url == "https://push-api.cloud.huawei.com/v1/100000001/messages:send"
    body = json.loads(built.body)
    assert body["validate_only"] is False
    assert body["message"]["token"] == [TOKEN]
    message: dict[str, Any] = body["message"]
    return message


def read(answer: Any, provider: Hms | None = None) -> Outcome:
    reply = HttpReply(status=answer.status, headers=answer.headers, body=answer.body)
    return (provider or hms()).read(push(), reply)


def test_the_whole_message_is_in_fields_that_huawei_documents():
    """`data` is one text, and a notification says what a tap opens."""
    options = DeviceOptions(badge=120, channel_id="orders", loc_key="ORDER", loc_args=("7",))
    content = msgspec.structs.replace(HELLO, device=options, image="https://a.example/i.png")
    message = sent(
        push(content, collapse_key=b"12345678"), badge_class="com.example.Main", category="EXPRESS"
    )
    assert json.loads(message["data"])["order"] == 7
    assert message["android"] == {
        "ttl": "86400s",
        "category": "EXPRESS",
        "notification": {
            "title": "Hello",
            "body": "World",
            "image": "https://a.example/i.png",
            "body_loc_key": "ORDER",
            "body_loc_args": ["7"],
            "channel_id": "orders",
            "tag": "MTIzNDU2Nzg",
            "importance": "NORMAL",
            "click_action": {"type": 2, "url": "https://a.example/"},
            "badge": {"class": "com.example.Main", "set_num": 99},
        },
    }


def test_without_a_link_a_tap_opens_the_app_and_bulk_makes_no_sound():
    """A link that is no https has no use there."""
    shown = sent(push(PushContent(title="Hello", url="app://x"), lane=Lane.BULK))["android"]["notification"]
    assert shown["click_action"] == {"type": 3}
    assert (shown["importance"], shown["body"]) == ("LOW", "Hello")
    assert "badge" not in shown


def test_a_push_in_the_background_is_data_alone():
    """Nothing is shown."""
    message = sent(push(msgspec.structs.replace(HELLO, device=DeviceOptions(background=True))))
    assert message["android"] == {"ttl": "86400s"}


def test_a_message_is_kept_until_it_expires():
    """At least a second, at most what Huawei keeps."""
    assert sent(push(expires_at=Instant(MONDAY_NOON + 90_500)))["android"]["ttl"] == "90s"
    assert sent(push(expires_at=Instant(MONDAY_NOON - 1)))["android"]["ttl"] == "1s"
    assert sent(push(expires_at=Instant(MONDAY_NOON + 10**10)))["android"]["ttl"] == "1296000s"


@pytest.mark.parametrize("outgoing", [push(PushContent(title="x" * 4_100)), push(address="fcm:token-12345")])
def test_what_huawei_cannot_take_is_not_sent(outgoing):
    """Too large, or not to a device of Huawei's."""
    assert isinstance(hms().build(outgoing), Rejected)


def test_a_bad_token_is_gone_once_the_app_has_reached_another():
    """Before, the settings may be those of another app: no address is lost to that."""
    provider = hms()
    for code in ("80300007", "80100000", "80300002"):
        assert not isinstance(read(said(code), provider), Gone)
    assert isinstance(read(said("80300002"), provider), Misconfigured)
    read(SENT, provider)
    assert isinstance(read(said("80300007"), provider), Gone)
    assert isinstance(read(said("80100000"), provider), Gone)
    assert isinstance(read(said("80300002"), provider), Rejected)


async def test_an_access_token_that_ran_out_is_renewed():
    """Huawei refuses it before we think so; a new one that is refused is the settings' fault."""
    server = TokenServer(CLIENT_ID, "s3cret")
    clock = ManualClock()
    try:
        config = HmsConfig(client_id=CLIENT_ID, client_secret="s3cret", token_url=server.url)
        provider = Hms(config, tools(clock))
        await provider.authorize()
        built = provider.build(push())
        assert isinstance(built, HttpRequest)
        assert built.headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
        assert isinstance(read(said("80200003", status=401), provider), Misconfigured)
        clock.advance(600)
        assert isinstance(read(said("80200003", status=401), provider), Retry)
        await provider.tokens.close()
    finally:
        server.close()


async def test_wrong_credentials_are_said_before_anything_is_sent():
    """By the token endpoint."""
    server = TokenServer(CLIENT_ID, "another")
    try:
        provider = Hms(
            HmsConfig(client_id=CLIENT_ID, client_secret="s3cret", token_url=server.url),
            tools(SystemClock()),
        )
        with pytest.raises(ConfigError, match="OAuth"):
            await provider.authorize()
        await provider.tokens.close()
    finally:
        server.close()


def test_a_check_is_well_when_only_the_token_was_wrong():
    """It asks about a token that cannot exist, and sends nothing."""
    provider = hms()
    ping = provider.ping()
    assert json.loads(ping.body or b"")["validate_only"] is True

    def check(answer: Any) -> None:
        provider.check_pong(HttpReply(status=answer.status, headers=answer.headers, body=answer.body))

    check(said("80300007"))
    check(SENT)
    with pytest.raises(ConfigError, match="80300002"):
        check(said("80300002"))
    with pytest.raises(Unavailable, match="81000001"):
        check(said("81000001", status=500))

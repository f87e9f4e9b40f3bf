"""The bridge to Apprise: what it sends, what it says when it cannot, and that it hides what Apprise would tell."""

import sys

import msgspec
import pytest

from clarion.adapters.providers import apprise
from clarion.adapters.providers.apprise import AppriseConfig, plugin, text_of
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Retry, Unknown
from clarion.model.setup import Integration, IntegrationLimits
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, scripted_server
from tests.chats import FULL, HARMFUL, outgoing

ENTROPY = SystemRandom()
TOOLS = provider_tools(SystemClock(), ENTROPY, LocalVault(bytes(32), ENTROPY))


def opened(url: str, timeout_s: float = 10.0) -> apprise.AppriseBridge:
    """The bridge to one service."""
    integration = Integration(
        key="bridge",
        channel=Channel.CHAT,
        provider="apprise",
        config={"url": url},
        limits=IntegrationLimits(timeout_s=timeout_s),
    )
    bridge = plugin.open(integration, msgspec.convert({"url": url}, AppriseConfig), TOOLS)
    assert isinstance(bridge, apprise.AppriseBridge)
    return bridge


async def test_a_service_of_apprises_gets_title_and_text():
    """Through Apprise's own plug-in, over a real connection."""
    async with scripted_server(otherwise=Answer(status=200)) as server:
        bridge = opened(server.url.replace("http://", "json://"))
        assert await bridge.send([outgoing(FULL)]) == [Accepted()]
        await bridge.close()
    sent = server.requests[0].json
    assert sent["title"] == "Order 1042"
    assert sent["message"] == (
        "On its way\nArrives tomorrow\nhttps://shop.example/orders/1042\nCarrier: Parcel & Co\nItems: 3\n"
        "Track: https://shop.example/track?a=1&b=2"
    )


def test_nobody_is_mentioned():
    """Whatever service is behind the URL."""
    text = text_of(HARMFUL)
    assert "@everyone" not in text
    assert "<!channel>" not in text
    assert "javascript:" not in text


async def test_a_full_pool_means_retry_and_silence_doubt():
    """What no thread took up never went out; what one took up may have."""
    async with scripted_server(otherwise=Answer(manner="hang")) as server:
        bridge = opened(server.url.replace("http://", "json://"), timeout_s=0.5)
        outcomes = await bridge.send([outgoing(FULL)] * (apprise.THREADS + 3))
        await bridge.close()
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds.count(Unknown) == apprise.THREADS == len(server.requests)
    assert kinds.count(Retry) == 3


async def test_a_plugin_that_raises_leaves_doubt(monkeypatch):
    """And its words, which may hold anything, are not repeated."""
    bridge = opened("json://127.0.0.1:1")

    def broken(**words: str) -> bool:
        raise RuntimeError(f"could not send {words}")

    monkeypatch.setattr(bridge._service, "notify", broken)
    outcomes = await bridge.send([outgoing(FULL)])
    assert outcomes == [Unknown(detail="Apprise raised RuntimeError")]
    await bridge.close()


@pytest.mark.parametrize("url", ["", "nonsense", "no-such-service://x", "https://"])
def test_a_url_that_apprise_does_not_know_is_a_config_error(url):
    """It says where the forms are, and does not repeat the URL."""
    with pytest.raises(ConfigError, match=r"appriseit\.com") as refused:
        opened(url)
    assert not url or url not in refused.value.detail.replace("https://appriseit.com", "")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    """It is an extra: most people never need it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"install 'apprise<"):
        opened("json://127.0.0.1:1")


async def test_a_service_behind_a_redirect_is_not_followed():
    """The URL is the operator's word; where it leads on is not."""
    async with scripted_server() as elsewhere:
        moved = Answer(status=307, headers={"location": elsewhere.url})
        async with scripted_server(otherwise=moved) as server:
            bridge = opened(server.url.replace("http://", "json://"))
            assert isinstance((await bridge.send([outgoing(FULL)]))[0], Retry)
            await bridge.close()
        assert not elsewhere.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "localhost", "[::1]"])
async def test_an_address_that_is_not_public_is_not_connected_to(host):
    """Whatever it is called in the URL: what the name leads to is looked at when it is connected to."""
    async with scripted_server() as server:
        closed = msgspec.structs.replace(TOOLS, allowed_networks=())
        config = AppriseConfig(url=f"json://{host}:{server.port}/")
        integration = Integration(key="bridge", channel=Channel.CHAT, provider="apprise")
        bridge = plugin.open(integration, config, closed)
        (outcome,) = await bridge.send([outgoing(FULL)])
        await bridge.close()
        assert isinstance(outcome, Misconfigured), outcome
        assert "not public" in (outcome.detail or "")
        assert server.accepted == 0


@pytest.mark.parametrize("url", ["syslog://", "rsyslog://10.0.0.1", "mailto://user:pass@example.com"])
def test_a_service_that_cannot_be_guarded_is_refused(url):
    """It speaks to the network in ways of its own, or to this very machine."""
    with pytest.raises(ConfigError, match="does not speak HTTP"):
        opened(url)

"""Discord messages: an embed where there is more than text, mentions off, text literal."""

import msgspec
import pytest

from clarion.adapters.providers.discord import DiscordConfig, accepts, build, message_of, plugin
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Retry
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.testing.scripted_server import Answer, scripted_server
from tests.chats import FULL, HARMFUL, TOOLS, body, outgoing, request

HOOK = "https://discord.com/api/webhooks/7/x"


def test_a_text_alone_is_a_plain_message():
    """Seen also by those who turned embeds off."""
    assert message_of(ChatContent(text="Hello")) == {"content": "Hello"}


def test_with_more_it_is_one_embed():
    """Buttons become links: a webhook cannot have buttons."""
    assert message_of(FULL) == {
        "embeds": [
            {
                "title": "Order 1042",
                "url": "https://shop.example/orders/1042",
                "description": "On its way\nArrives tomorrow\n\n[Track](https://shop.example/track?a=1&b=2)",
                "fields": [
                    {"name": "Carrier", "value": "Parcel & Co", "inline": True},
                    {"name": "Items", "value": "3", "inline": True},
                ],
                "image": {"url": "https://shop.example/van.png"},
            }
        ]
    }


def test_a_link_without_a_title_is_shown():
    """An embed's own link needs a title to hang on."""
    content = ChatContent(text="Hello", url="https://shop.example/1")
    assert message_of(content)["embeds"][0]["description"] == "Hello\n\nhttps://shop.example/1"


@pytest.mark.parametrize("content", [FULL, HARMFUL, ChatContent(text="@everyone")])
def test_nobody_is_ever_mentioned(content):
    """Discord is told to read no mentions at all."""
    assert body(build(DiscordConfig(url=HOOK), outgoing(content)))["allowed_mentions"] == {"parse": []}


def test_only_our_own_links_hide_behind_words():
    """What people write as a link stays text."""
    description = message_of(HARMFUL)["embeds"][0]["description"]
    assert description.count("](") == 1
    assert "url" not in message_of(HARMFUL)["embeds"][0]


@pytest.mark.parametrize(
    ("url", "called"),
    [(HOOK, f"{HOOK}?wait=true"), (f"{HOOK}?thread_id=9", f"{HOOK}?thread_id=9&wait=true")],
)
def test_discord_is_asked_for_the_message_it_made(url, called):
    """Its id is the proof; a thread stays chosen."""
    assert request(build(DiscordConfig(url=url), outgoing(FULL))).url == called


def test_a_name_can_be_given():
    """One webhook, several senders."""
    assert body(build(DiscordConfig(url=HOOK, username="Shop"), outgoing(FULL)))["username"] == "Shop"


@pytest.mark.parametrize(
    ("address", "claimed"),
    [
        (HOOK, True),
        ("https://ptb.discord.com/api/webhooks/7/x", True),
        ("https://discord.com.evil.example/", False),
    ],
)
def test_discord_claims_its_own_webhooks(address, claimed):
    """And calls them as a user's URL."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed
    config = DiscordConfig(url="https://discord.com/api/webhooks/1/default")
    call = request(build(config, outgoing(FULL, address)))
    assert call.from_user is claimed


@pytest.mark.parametrize(
    ("answer", "after_s", "of_address"),
    [
        ({"retry_after": 0.529, "global": False}, 0.529, True),
        ({"retry_after": 3, "global": True}, 3.0, False),
        ({"retry_after": 1e300, "global": False}, 5, True),
        (None, 5, False),
    ],
    ids=["this webhook", "everybody", "absurd", "the network in front"],
)
async def test_a_rate_limit_slows_down_whom_it_concerns(answer, after_s, of_address):
    """One webhook's limit is that contact's affair; a global one, or a ban of our address, stops the integration."""
    body = b"error code: 1015" if answer is None else msgspec.json.encode(answer)
    async with scripted_server(otherwise=Answer(status=429, headers={"retry-after": "5"}, body=body)) as site:
        integration = Integration(key="discord", channel=Channel.CHAT, provider="discord")
        provider = plugin.open(integration, DiscordConfig(hosts=("127.0.0.1",)), TOOLS)
        (outcome,) = await provider.send([outgoing(FULL, f"{site.url}/api/webhooks/7/x")])
        await provider.close()
    assert isinstance(outcome, Retry)
    assert (outcome.after_s, outcome.of_address, outcome.reason) == (after_s, of_address, Reason.RATE_LIMITED)

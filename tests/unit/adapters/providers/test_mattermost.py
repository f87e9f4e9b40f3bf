"""Mattermost messages: an attachment where there is more than text, mentions broken, text literal."""

import pytest

from clarion.adapters.providers.mattermost import MattermostConfig, accepts, build, message_of
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.user import Contact
from tests.chats import FULL, HARMFUL, body, outgoing, request, texts

HOOK = "https://chat.example.com/hooks/x"


def test_a_text_alone_is_a_plain_message():
    """Nothing around it."""
    assert message_of(ChatContent(text="Hello *you*")) == {"text": r"Hello \*you\*"}


def test_with_more_it_is_one_attachment():
    """Buttons become links: in an attachment they would call an integration."""
    assert message_of(FULL) == {
        "attachments": [
            {
                "fallback": "Order 1042",
                "title": "Order 1042",
                "title_link": "https://shop.example/orders/1042",
                "text": "On its way\nArrives tomorrow\n\n[Track](https://shop.example/track?a=1&b=2)",
                "fields": [
                    {"title": "Carrier", "value": "Parcel & Co", "short": True},
                    {"title": "Items", "value": "3", "short": True},
                ],
                "image_url": "https://shop.example/van.png",
            }
        ]
    }


@pytest.mark.parametrize(
    "trap", ["@channel", "@all", "@ada", "<!channel>", "<!here|x>", "<@U024BE7LH>", "~town-square"]
)
def test_nobody_is_mentioned(trap):
    """Neither in Mattermost's own way nor in Slack's, which it translates."""
    content = ChatContent(title=trap, text=trap, fields={trap: trap})
    assert not any(trap in text for text in texts(message_of(content)))
    assert trap not in message_of(ChatContent(text=trap))["text"]


def test_only_our_own_links_hide_behind_words():
    """What people write as a link stays text, also in Slack's notation."""
    text = message_of(HARMFUL)["attachments"][0]["text"]
    assert text.count("](") == 1
    assert "<https://evil.example|" not in text


@pytest.mark.parametrize(
    ("address", "url", "channel", "from_user"),
    [
        ("@ada", HOOK, "@ada", False),
        ("#town-square", HOOK, "town-square", False),
        ("someone", HOOK, None, False),
        ("https://chat.example.com/hooks/own", "https://chat.example.com/hooks/own", None, True),
        ("https://evil.example/hooks/own", HOOK, None, False),
    ],
)
def test_a_message_goes_to_the_contact_or_to_the_default(address, url, channel, from_user):
    """A person, a channel, or a webhook on the same server."""
    call = request(build(MattermostConfig(url=HOOK), outgoing(FULL, address)))
    assert call.url == url
    assert body(call).get("channel") == channel
    assert call.from_user is from_user


@pytest.mark.parametrize(
    ("address", "claimed"),
    [("@ada", True), ("#a", True), (HOOK, True), ("https://x.example/", False), ("42", False)],
)
def test_mattermost_claims_what_looks_like_its_own(address, claimed):
    """By the form, since it is on hosts of its users."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed

"""Slack messages: laid out in blocks, sent by a bot or through a webhook, harmless whatever is in them."""

import msgspec
import pytest
from slack_sdk.models.blocks import Block

from clarion.adapters.providers.slack import HOSTS, SlackConfig, accepts, blocks_of, build
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Rejected
from clarion.model.user import Contact
from tests.chats import FULL, HARMFUL, body, outgoing, request, texts

BOT = SlackConfig(token="xoxb-1", channel="#deliveries")
HOOK = "https://hooks.slack.com/services/T1/B1/x"


def test_every_part_of_the_content_has_its_block():
    """Title with its link, text, facts side by side, image, buttons: in the order people read."""
    message = blocks_of(FULL)
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds == ["rich_text", "section", "section", "image", "actions"]
    link = message["blocks"][0]["elements"][0]["elements"][0]
    assert (link["text"], link["url"]) == ("Order 1042", "https://shop.example/orders/1042")
    assert [field["text"] for field in message["blocks"][2]["fields"]] == [
        "Carrier\nParcel &amp; Co",
        "Items\n3",
    ]
    assert [button["url"] for button in message["blocks"][4]["elements"]] == [
        "https://shop.example/track?a=1&b=2"
    ]
    assert message["text"] == "Order 1042"


def test_slacks_own_library_knows_the_blocks():
    """It parses each into the block we mean, and finds nothing wrong with it."""
    blocks = Block.parse_all(blocks_of(FULL)["blocks"])
    assert [type(block).__name__ for block in blocks] == [
        *("RichTextBlock", "SectionBlock", "SectionBlock", "ImageBlock", "ActionsBlock"),
    ]
    for block in blocks:
        block.validate_json()


def test_a_title_without_a_link_is_a_header():
    """As large as Slack has it."""
    blocks = blocks_of(ChatContent(title="Tea & toast", text="x"))["blocks"]
    assert blocks[0] == {
        "type": "header",
        "text": {"type": "plain_text", "text": "Tea &amp; toast", "emoji": False},
    }


def test_nothing_people_write_is_read_by_slack():
    """No mention, no link, no markup: only plain text objects, and no angle bracket in any of them."""
    message = blocks_of(HARMFUL)
    assert not any("<" in text for text in texts(message) if not text.startswith("https://"))
    assert {block["type"] for block in message["blocks"]} == {"header", "section", "actions"}
    assert '"mrkdwn"' not in msgspec.json.encode(message["blocks"]).decode()
    assert message["mrkdwn"] is False


@pytest.mark.parametrize(
    ("config", "address", "url", "channel", "from_user"),
    [
        (BOT, "U024BE7LH", "https://slack.com/api/chat.postMessage", "U024BE7LH", False),
        (BOT, "#general", "https://slack.com/api/chat.postMessage", "#general", False),
        (BOT, "someone", "https://slack.com/api/chat.postMessage", "#deliveries", False),
        (BOT, HOOK, HOOK, None, True),
        (BOT, "https://evil.example/hook", "https://slack.com/api/chat.postMessage", "#deliveries", False),
        (SlackConfig(url=HOOK), "U024BE7LH", HOOK, None, False),
        (SlackConfig(), HOOK, HOOK, None, True),
    ],
)
def test_a_message_goes_to_the_contact_or_to_the_default(config, address, url, channel, from_user):
    """The contact's address wins when it is Slack's; only a contact's own webhook is a user's URL."""
    call = request(build(config, outgoing(FULL, address)))
    assert call.url == url
    assert body(call).get("channel") == channel
    assert call.from_user is from_user
    assert ("authorization" in call.headers) is (channel is not None), "a token is for Slack's API only"


def test_without_a_destination_the_message_is_refused():
    """And says what is missing."""
    refused = build(SlackConfig(token="xoxb-1"), outgoing(FULL))
    assert isinstance(refused, Rejected)
    assert "default destination" in (refused.detail or "")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"token": "xoxb-1", "url": HOOK}, "not both"),
        ({"url": HOOK, "channel": "#a"}, "needs `token`"),
    ],
)
def test_contradictory_settings_are_refused(wrong, says):
    """With what to do."""
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert(wrong, SlackConfig)


@pytest.mark.parametrize(
    ("address", "claimed"),
    [
        ("U024BE7LH", True),
        ("#general", True),
        (HOOK, True),
        ("https://discord.com/api/webhooks/1/x", False),
        ("42", False),
    ],
)
def test_slack_claims_its_own_contacts(address, claimed):
    """So that people of one tenant can be on different services."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed
    assert all(not host.startswith(".") for host in HOSTS)

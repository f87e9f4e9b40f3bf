"""Telegram messages: HTML with our markup only, a photo where the text fits under one."""

import pytest

from clarion.adapters.providers.telegram import TelegramConfig, accepts, build, message_of
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Rejected
from clarion.model.user import Contact
from tests.chats import FULL, HARMFUL, body, outgoing, request

BOT = TelegramConfig(token="1:x", chat="@shop_news")


def test_a_picture_goes_as_a_photo_with_a_caption():
    """Title with its link, text, facts; buttons below."""
    method, message = message_of(FULL)
    assert method == "sendPhoto"
    assert message["photo"] == "https://shop.example/van.png"
    assert message["caption"] == (
        '<a href="https://shop.example/orders/1042"><b>Order 1042</b></a>\nOn its way\nArrives tomorrow\n'
        "<b>Carrier</b> Parcel &amp; Co\n<b>Items</b> 3"
    )
    assert message["parse_mode"] == "HTML"
    assert message["reply_markup"] == {
        "inline_keyboard": [[{"text": "Track", "url": "https://shop.example/track?a=1&b=2"}]]
    }


def test_a_text_too_long_for_a_caption_shows_the_picture_below():
    """Nothing is cut for the picture's sake."""
    text = "word " * 300
    method, message = message_of(ChatContent(text=text, image="https://shop.example/van.png"))
    assert method == "sendMessage"
    assert message["text"] == text
    assert message["link_preview_options"]["url"] == "https://shop.example/van.png"


def test_links_in_a_text_do_not_unfold():
    """Whoever writes a link does not choose our picture."""
    assert message_of(ChatContent(text="https://evil.example"))[1]["link_preview_options"] == {
        "is_disabled": True
    }


def test_nobody_is_mentioned_and_no_tag_gets_through():
    """Telegram would read `@name` and known tags."""
    text = message_of(HARMFUL)[1]["text"]
    assert "@ada" not in text
    assert "@\u200bada" in text
    assert "<a " not in text
    assert text.count("<b>") == text.count("</b>") == 2, "the title and one label"


@pytest.mark.parametrize(
    ("address", "chat"),
    [
        ("987654321", "987654321"),
        ("-1001234", "-1001234"),
        ("@ada_news", "@ada_news"),
        ("U024BE7LH", "@shop_news"),
    ],
)
def test_a_message_goes_to_the_contact_or_to_the_default(address, chat):
    """The contact's address wins when it is a Telegram chat."""
    call = request(build(BOT, outgoing(FULL, address)))
    assert call.url == "https://api.telegram.org/bot1:x/sendPhoto"
    assert body(call)["chat_id"] == chat


def test_without_a_destination_the_message_is_refused():
    """A bot has no chat of its own."""
    assert isinstance(build(TelegramConfig(token="1:x"), outgoing(FULL)), Rejected)


@pytest.mark.parametrize(
    ("address", "claimed"), [("42", True), ("@ada_news", True), ("042", False), ("ada", False)]
)
def test_telegram_claims_chats(address, claimed):
    """By their form."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed

"""Telegram messages: HTML with our markup only, a photo where the text fits under one."""

import pytest

from clarion.adapters.providers.telegram import (
    MOST_MOVES,
    Moves,
    TelegramConfig,
    accepts,
    build,
    message_of,
    plugin,
)
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Accepted, Rejected, Retry
from clarion.model.setup import Integration
from clarion.model.user import Contact
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.chats import FULL, HARMFUL, TOOLS, body, outgoing, request

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
    call = request(build(BOT, outgoing(FULL, address), Moves()))
    assert call.url == "https://api.telegram.org/bot1:x/sendPhoto"
    assert body(call)["chat_id"] == chat


def test_without_a_destination_the_message_is_refused():
    """A bot has no chat of its own."""
    assert isinstance(build(TelegramConfig(token="1:x"), outgoing(FULL), Moves()), Rejected)


@pytest.mark.parametrize(
    ("address", "claimed"), [("42", True), ("@ada_news", True), ("042", False), ("ada", False)]
)
def test_telegram_claims_chats(address, claimed):
    """By their form."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed


async def test_a_group_that_became_a_supergroup_is_followed():
    """Telegram tells the new id once: the message is tried again there, and so is every later one."""
    moved = Answer.json(
        400,
        {
            "ok": False,
            "error_code": 400,
            "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": {"migrate_to_chat_id": -1001234567890},
        },
    )

    def answer(request: Received) -> Answer:
        old = request.json["chat_id"] == "-42"
        return (
            moved
            if old
            else Answer.json(200, {"ok": True, "result": {"message_id": 7, "chat": {"id": -1001234567890}}})
        )

    async with scripted_server(otherwise=answer) as site:
        integration = Integration(key="bot", channel=Channel.CHAT, provider="telegram")
        provider = plugin.open(integration, TelegramConfig(token="1:x", api_url=site.url), TOOLS)
        batch = [outgoing(FULL, "-42")]
        (first,) = await provider.send(batch)
        assert isinstance(first, Retry)
        assert first.of_address
        assert "-100" not in (first.detail or "")
        assert await provider.send(batch) == [Accepted(provider_id="-1001234567890/7")]
        await provider.close()
    assert [request.json["chat_id"] for request in site.requests] == ["-42", "-1001234567890"]


def test_moves_are_remembered_in_a_bounded_number():
    """The oldest is forgotten: Telegram says it again."""
    moves = Moves()
    for number in range(MOST_MOVES + 1):
        moves.learn(f"-{number}", f"-100{number}")
    assert moves.now("-0") == "-0"
    assert moves.now(f"-{MOST_MOVES}") == f"-100{MOST_MOVES}"

"""Teams messages: an Adaptive Card of text runs, small enough, valid by Microsoft's own library."""

import json
import subprocess
from pathlib import Path

import pytest

from clarion.adapters.providers.teams import LINES, MESSAGE_BYTES, TeamsConfig, accepts, build, card_of
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.user import Contact
from clarion.testing.provider_contract.subject import ODD_CONTENTS
from tests.chats import FULL, HARMFUL, body, outgoing, request
from tests.needs import require, require_npm

FLOW = "https://prod-01.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sig=x"
SCRIPT = Path(__file__).parents[3] / "npm" / "adaptive-cards.js"
CARDS = (FULL, HARMFUL, ChatContent(text="Hello"), *ODD_CONTENTS[Channel.CHAT])


def runs(card: dict) -> list[str]:
    """The lines of a card."""
    return ["".join(run["text"] for run in block.get("inlines", [])) for block in card["body"]]


def test_every_part_of_the_content_has_its_place():
    """Title with its link, a block per line, facts, image, buttons."""
    card = card_of(FULL)
    assert runs(card) == [
        "Order 1042",
        "On its way",
        "Arrives tomorrow",
        "Carrier Parcel & Co",
        "Items 3",
        "",
    ]
    assert card["body"][0]["inlines"][0]["selectAction"]["url"] == "https://shop.example/orders/1042"
    assert card["body"][-1] == {
        "type": "Image",
        "url": "https://shop.example/van.png",
        "altText": "Order 1042",
    }
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Track", "url": "https://shop.example/track?a=1&b=2"}
    ]


def test_the_card_travels_as_an_attachment():
    """As the flow's template expects it."""
    message = body(build(TeamsConfig(url=FLOW), outgoing(FULL)))
    assert message["type"] == "message"
    assert [one["contentType"] for one in message["attachments"]] == [
        "application/vnd.microsoft.card.adaptive"
    ]


def test_nothing_people_write_is_read_as_markdown():
    """Text blocks and fact sets read Markdown; text runs do not."""
    assert {block["type"] for block in card_of(HARMFUL)["body"]} == {"RichTextBlock"}


def test_a_text_of_very_many_lines_stays_whole():
    """The last block takes what is left."""
    text = "\n".join(f"line {n}" for n in range(200))
    lines = runs(card_of(ChatContent(text=text)))
    assert len(lines) == LINES
    assert " ".join(lines) == text.replace("\n", " ")


@pytest.mark.parametrize("content", CARDS)
def test_a_message_is_never_larger_than_teams_takes(content):
    """Else the flow fails where nobody sees it."""
    call = request(build(TeamsConfig(url=FLOW), outgoing(content)))
    assert len(call.body) <= MESSAGE_BYTES


def test_microsofts_own_library_finds_nothing_wrong():
    """It parses every element and action of each card; and it would find something."""
    library = require_npm("adaptivecards", "cards are checked by the library of those who made the format")
    wrong = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "Nonsense"}]}
    cards = [*(card_of(one) for one in CARDS if isinstance(one, ChatContent)), wrong]
    assert len(cards) == len(CARDS) + 1
    checked = subprocess.run(
        [require("node", "runs Microsoft's library"), SCRIPT, library / "dist" / "adaptivecards.js"],
        input=json.dumps(cards),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    *findings, bad = json.loads(checked.stdout)
    assert bad["wrong"]
    for card, found in zip(cards, findings, strict=False):
        assert found == {"elements": len(card["body"]), "actions": len(card["actions"]), "wrong": []}


@pytest.mark.parametrize(
    ("address", "claimed"),
    [
        (FLOW, True),
        ("https://x.environment.api.powerplatform.com/1", True),
        ("https://logic.azure.com.evil.example/", False),
    ],
)
def test_teams_claims_flows(address, claimed):
    """And calls them as a user's URL."""
    assert accepts(Contact(channel=Channel.CHAT, address=address)) is claimed
    assert request(build(TeamsConfig(url=FLOW), outgoing(FULL, address))).from_user is claimed

"""Buttons that answer a message, per service: as it is sent, and as it comes back; whoever is not the service is refused."""

import hashlib
import hmac
from urllib.parse import urlencode

import msgspec
import pytest

from clarion.adapters.providers import slack, telegram, whatsapp_cloud
from clarion.adapters.providers.twilio import voice
from clarion.errors import CallbackForged
from clarion.model.content import Action, ChatContent, WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.receipt import ReceiptKind
from clarion.model.whatsapp import Approval, WhatsAppTemplate
from clarion.ports.callback import CallbackRequest, CallbackTools, PressedButton

REFERENCE = "ab" * 28
YES_ID = f"{REFERENCE}.0"
YES = Action(label="Yes", url="https://c.example/a/yes", id=YES_ID)
NO = Action(label="No", url="https://c.example/a/no", id=f"{REFERENCE}.1")
TRACK = Action(label="Track", url="https://shop.example/track")
QUESTION = ChatContent(text="Was it you?", actions=(YES, NO, TRACK))
NOW = Instant(1_760_000_000_000)
TOOLS = CallbackTools(now=NOW)
URL = "https://c.example/callbacks/chat"


# ── Slack ─────────────────────────────────────────────────────────────────────────────────────────────────

SLACK = slack.SlackConfig(token="xoxb-1", channel="#ops", signing_secret="8f742231b10e8888abcd99yyyzzz85a5")
PRESSED = {
    "type": "block_actions",
    "user": {"id": "U1", "username": "misaki"},
    "actions": [{"type": "button", "action_id": YES.id, "value": YES.id, "action_ts": "1760000000.1"}],
}


def from_slack(payload=PRESSED, *, at=NOW, secret=SLACK.signing_secret):
    """A request as Slack signs it."""
    body = urlencode({"payload": msgspec.json.encode(payload).decode()}).encode()
    second = str(at // 1000)
    signed = hmac.new(secret.encode(), f"v0:{second}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-signature": f"v0={signed}", "x-slack-request-timestamp": second}
    return CallbackRequest(url=URL, headers=headers, body=body)


def test_slack_tells_us_who_pressed():
    """Buttons that answer carry what they are pressed by; others stay links."""
    *_, actions = slack.blocks_of(QUESTION, pressable=True)["blocks"]
    assert [one.get("value", one.get("url")) for one in actions["elements"]] == [YES.id, NO.id, TRACK.url]
    assert len({one["action_id"] for one in actions["elements"][:2]}) == 2
    slack.verify(from_slack(), SLACK, TOOLS)
    assert slack.read_pressed(from_slack(), SLACK, TOOLS).pressed == (PressedButton(id=YES_ID, by="misaki"),)


def test_without_a_signing_secret_slack_gets_links():
    """Nobody could tell who calls then."""
    *_, actions = slack.blocks_of(QUESTION)["blocks"]
    assert [one["url"] for one in actions["elements"]] == [YES.url, NO.url, TRACK.url]
    with pytest.raises(CallbackForged, match="set `signing_secret`"):
        slack.verify(from_slack(), slack.SlackConfig(), TOOLS)


@pytest.mark.parametrize("late_s", [-301, 301])
def test_what_slack_signed_long_ago_is_refused(late_s):
    """A request that somebody recorded cannot be sent again for ever."""
    with pytest.raises(CallbackForged, match="5 minutes"):
        slack.verify(from_slack(at=NOW + late_s * 1000), SLACK, TOOLS)


def test_what_slack_did_not_sign_is_refused():
    """Another secret, another body, no signature, no time."""
    signed = from_slack()
    for forged in (
        from_slack(secret="guessed"),
        msgspec.structs.replace(signed, body=signed.body + b"&x=1"),
        msgspec.structs.replace(signed, headers={**signed.headers, "x-slack-signature": "v0=é"}),
        msgspec.structs.replace(signed, headers={"x-slack-signature": signed.headers["x-slack-signature"]}),
    ):
        with pytest.raises(CallbackForged):
            slack.verify(forged, SLACK, TOOLS)


def test_what_slack_reports_beside_buttons_is_nothing_of_interest():
    """Links that were opened, and whatever comes later."""
    for payload in ({"type": "view_closed"}, {**PRESSED, "actions": [{"type": "button", "url": TRACK.url}]}):
        assert slack.read_pressed(from_slack(payload), SLACK, TOOLS).pressed == ()


# ── Telegram ──────────────────────────────────────────────────────────────────────────────────────────────

BOT = telegram.TelegramConfig(token="1:x", secret_token="our-words")
QUERY = {
    "update_id": 7,
    "callback_query": {"id": "42", "from": {"id": 5, "username": "misaki"}, "data": YES.id},
}


def from_telegram(update=QUERY, secret="our-words"):
    """An update as Telegram sends it."""
    return CallbackRequest(
        url=URL, headers={"x-telegram-bot-api-secret-token": secret}, body=msgspec.json.encode(update)
    )


def test_telegram_tells_us_who_pressed_and_shows_them_what_came_of_it():
    """`callback_data` has at most 64 bytes. The answer to the update is a call of the API."""
    _, message = telegram.message_of(QUESTION, pressable=True)
    (first,), (second,), (third,) = message["reply_markup"]["inline_keyboard"]
    assert (first, third) == ({"text": "Yes", "callback_data": YES.id}, {"text": "Track", "url": TRACK.url})
    assert len(second["callback_data"]) <= 64
    telegram.verify(from_telegram(), BOT, TOOLS)
    read = telegram.read_pressed(from_telegram(), BOT, TOOLS)
    assert read.pressed == (PressedButton(id=YES_ID, by="misaki"),)
    assert read.told is not None
    assert msgspec.json.decode(read.told("x" * 300).body) == {
        "method": "answerCallbackQuery",
        "callback_query_id": "42",
        "text": "x" * 200,
    }


def test_without_a_secret_token_telegram_gets_links():
    """And whoever does not know it is refused."""
    _, message = telegram.message_of(QUESTION)
    assert message["reply_markup"]["inline_keyboard"][0] == [{"text": "Yes", "url": YES.url}]
    with pytest.raises(CallbackForged, match="set `secret_token`"):
        telegram.verify(from_telegram(), telegram.TelegramConfig(token="1:x"), TOOLS)
    with pytest.raises(CallbackForged, match="wrong"):
        telegram.verify(from_telegram(secret="guessed"), BOT, TOOLS)
    assert telegram.read_pressed(from_telegram({"update_id": 8, "message": {}}), BOT, TOOLS).pressed == ()


# ── WhatsApp ──────────────────────────────────────────────────────────────────────────────────────────────


def whatsapp(content, template=None):
    """What WhatsApp is sent."""
    return whatsapp_cloud._body(content, template)


def test_up_to_three_short_answers_are_reply_buttons():
    """Each with its id."""
    sent = whatsapp(WhatsAppContent(text="Was it you?", actions=(YES, NO)))["interactive"]
    assert (sent["type"], sent["body"]) == ("button", {"text": "Was it you?"})
    assert [one["reply"] for one in sent["action"]["buttons"]] == [
        *({"id": YES.id, "title": "Yes"}, {"id": NO.id, "title": "No"}),
    ]


@pytest.mark.parametrize("labels", [["1", "2", "3", "4"], ["Yes", "No, and tell me who it was, please"]])
def test_more_or_longer_answers_are_a_list(labels):
    """What does not fit into a title stands below it."""
    actions = tuple(Action(label=label, id=f"r.{n}") for n, label in enumerate(labels))
    sent = whatsapp(WhatsAppContent(text="Which?", actions=actions))["interactive"]
    (section,) = sent["action"]["sections"]
    assert sent["type"] == "list"
    assert [row["id"] for row in section["rows"]] == [one.id for one in actions]
    assert all(len(row["title"]) <= 24 for row in section["rows"])
    assert [row.get("description", row["title"]) for row in section["rows"]] == labels


def test_the_reply_buttons_of_a_template_send_back_the_answers():
    """Where the template has one for each."""
    listed = WhatsAppTemplate(
        name="q", language="en", approval=Approval.APPROVED, buttons=("quick_reply", "quick_reply")
    )
    content = WhatsAppContent(template="q", language="en", actions=(YES, NO))
    buttons = whatsapp(content, listed)["template"]["components"]
    assert [one["parameters"][0]["payload"] for one in buttons] == [YES.id, NO.id]
    other = msgspec.structs.replace(listed, buttons=("url",))
    assert whatsapp(content, other)["template"]["components"] == []


@pytest.mark.parametrize(
    "said",
    [
        {
            "type": "interactive",
            "interactive": {"type": "button_reply", "button_reply": {"id": YES.id, "title": "Yes"}},
        },
        {
            "type": "interactive",
            "interactive": {"type": "list_reply", "list_reply": {"id": YES.id, "title": "Yes"}},
        },
        {"type": "button", "button": {"payload": YES.id, "text": "Yes"}},
    ],
)
def test_a_reply_says_which_button_it_was(said):
    """And is an inbound message as well."""
    message = whatsapp_cloud._message({"id": "wamid.1", "from": "4915112345678", **said}, {})
    assert (message.button, message.text) == (YES.id, "Yes")


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_digit_is_an_answer_too():
    """The first option is 1. It also says that somebody has heard the call."""
    body = urlencode({"CallSid": "CA1", "To": "+15005550006", "Digits": "2"}).encode()
    request = CallbackRequest(url=f"{URL}?message={REFERENCE}", body=body)
    read = voice.read_report(request, None, TOOLS)
    assert [one.kind for one in read.receipts] == [ReceiptKind.ACKNOWLEDGED]
    assert [one.id for one in read.pressed] == [f"{read.receipts[0].reference}.1"]
    star = msgspec.structs.replace(request, body=body.replace(b"Digits=2", b"Digits=0"))
    assert voice.read_report(star, None, TOOLS).pressed == ()

"""Captured messages look as on a phone: what each kind of content shows."""

from __future__ import annotations

import pytest

from clarion.adapters import espeak
from clarion.dashboard.captures import KINDS, card, transcript
from clarion.dashboard.pages import render
from clarion.dashboard.user_list import Person
from clarion.model.content import (
    Action,
    AnyContent,
    ChatContent,
    DeviceOptions,
    EmailContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WhatsAppContent,
)
from clarion.model.ids import Instant

EVENING = Instant(1_777_921_200_000)  # Monday, 4 May 2026, 19:00 UTC
MISAKI = Person(
    id="misaki",
    no=3,
    name="M",
    first="Misaki",
    initial="M",
    hue=1,
    locale="ja",
    zone="Asia/Tokyo",
    place="Tokyo",
)
EXAMPLES: dict[str, AnyContent] = {
    "email": EmailContent(subject="Hi <b>", html="<p>Hi", text="Hi"),
    "push": PushContent(
        title="Hi <b>", body="There", actions=(Action(label="Open"),), image="https://x.example/i.png"
    ),
    "sms": SmsContent(text="Hi <b>", media=("https://x.example/a.png",), rcs_template="HX1"),
    "whatsapp": WhatsAppContent(text="Hi <b>"),
    "voice": VoiceContent(text="Hi <b>\nBye"),
    "chat": ChatContent(text="Hi <b>", fields={"Order": "A-1"}, actions=(Action(label="Open"),)),
}


def shown(kind: str, content: AnyContent, *, playable: bool = True) -> str:
    """The card of a captured message."""
    more = {"seq": 7, "message": "m1", "person": MISAKI, "to": "+81", "sender": "Acme", "at": "", "clock": ""}
    values = {**more, "playable": playable, "open": False, **card(content, MISAKI, EVENING)}
    return render(f"{kind}.html", card=values).decode()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_an_icon_and_a_card_that_knows_its_list_and_its_person(kind):
    """What people wrote is escaped in it."""
    html = shown(kind.name, EXAMPLES[kind.name])
    assert f'data-into="{kind.into}" data-user="misaki"' in html
    assert "Hi &lt;b&gt;" in html
    assert 'data-message="m1"' in html
    panel = render("panel.html", panel={**kind._asdict(), "cards": []}).decode()
    assert "<path" in panel or "<rect" in panel


def test_a_lock_screen_shows_time_and_day_of_its_person():
    """In their zone and their language: it is Tuesday in Tokyo already."""
    html = shown("push", EXAMPLES["push"])
    assert "<b>4:00</b>5月5日火曜日" in html
    assert "<span>Open</span>" in html


def test_a_push_shows_what_a_phone_makes_of_it():
    """A subtitle and a number at the icon; nothing at all when it only wakes the app."""
    html = shown("push", PushContent(title="Hi", device=DeviceOptions(subtitle="Below", badge=3)))
    assert ("Below" in html, "<i>3</i>" in html) == (True, True)
    silent = shown("push", PushContent(title="Hi", device=DeviceOptions(background=True)))
    assert ("Hi" in silent, "Shows nothing: wakes the app." in silent) == (False, True)


def test_a_call_is_a_transcript():
    """Without the marks for the voice; words that only look like marks stay."""
    assert transcript("<speak>Hello.<break time='1s'/><emphasis>Bye</emphasis></speak>") == ["Hello.", "Bye"]
    assert transcript("a < b\n\n b > c ") == ["a < b", "b > c"]


def test_a_whatsapp_template_shows_what_is_filled_in():
    """Its words are kept at WhatsApp."""
    content = WhatsAppContent(template="order_ready", language="en", parameters=("A-1", "<b>"))
    html = shown("whatsapp", content)
    assert "Template order_ready · en" in html
    assert ("<b>1</b> A-1" in html, "<b>2</b> &lt;b&gt;" in html) == (True, True)


def test_a_call_says_what_is_missing_to_hear_it():
    """There is no player that plays nothing."""
    assert '<audio controls preload="none" src="/ui/calls/m1"' in shown("voice", EXAMPLES["voice"])
    silent = shown("voice", EXAMPLES["voice"], playable=False)
    assert ("<audio" in silent, "Install espeak-ng" in silent) == (False, True)


@pytest.fixture
def speechless(monkeypatch):
    """A machine on which nothing speaks."""
    monkeypatch.setattr(espeak, "PROGRAM", "no-such-program")


@pytest.mark.usefixtures("speechless")
async def test_where_nothing_speaks_a_call_is_shown_and_not_heard(app, ask):
    """The address of its sound says what to install."""
    form = b"workflow=pickup&to=ada&data=" + b'{"order":"A-1","shop":"Main","until":"19:00"}'
    assert (await ask("/ui/send", "POST", form)).status == 200
    page = ""
    for _ in range(500):
        page = (await ask("/")).body
        if "Hello Ada, this is Northwind Books." in page:
            break
        await app.clock.sleep(0.01)
    assert "Install espeak-ng to listen to it." in page
    place = page.partition('class="call"')[2].partition('data-message="')[2].partition('"')[0]
    answer = await ask(f"/ui/calls/{place}")
    assert (answer.status, "install espeak-ng" in answer.body) == (404, True)
    assert (await ask("/ui/calls/01a22a09-bb41-7eff-81c5-564292cf3d50")).status == 404

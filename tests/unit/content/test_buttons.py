"""Buttons under contents: links where a channel has none, and answers in words."""

import pytest

from clarion.content.button_words import WORDS, words_for
from clarion.content.buttons import label_of, labels_of, option_in, with_buttons
from clarion.model.content import (
    Action,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
)
from clarion.model.setup import Step, StepType

ACTIONS = (
    Action(label="Yes & go", url="https://c.example/a/1", id="r.0"),
    Action(label="No", url="https://c.example/a/2", id="r.1"),
)
QUESTION = Step(
    key="ok", type=StepType.ASK, options={"yes": {"en": "Yes, please!", "de": "Ja"}, "call-me": "Call me"}
)


def shown(content, page="https://c.example/a/0", asks=True):
    """With the buttons, for an English reader."""
    return with_buttons(content, ACTIONS, page, words_for("en-GB"), asks=asks)


def test_an_email_has_links_at_its_end():
    """In both parts, escaped; one without HTML stays so."""
    found = shown(EmailContent(subject="s", text="Hello", html="<html><body><p>Hello</p></BODY ></html>"))
    assert found.text == "Hello\n\nYes & go: https://c.example/a/1\nNo: https://c.example/a/2"
    assert found.html.index(">Yes &amp; go</a>") < found.html.index("</BODY >")
    assert shown(EmailContent(subject="s", text="Hello")).html == ""
    assert shown(EmailContent(subject="s", html="<p>Hello")).html.endswith("No</a></div>")


def test_a_text_message_has_one_link_to_all_answers():
    """Each would cost a message of its own."""
    assert shown(SmsContent(text="Hello")).text == "Hello\nYes & go / No: https://c.example/a/0"


def test_where_nobody_can_reach_us_there_are_no_links():
    """The answer is written, or given in the app."""
    for content in (SmsContent(text="Hello"), EmailContent(subject="s", text="Hello")):
        assert shown(content, page="") == content


def test_apps_get_buttons():
    """Before those of the template."""
    own = Action(label="Open", url="https://x.example")
    assert shown(InAppContent(title="t", actions=(own,))).actions == (*ACTIONS, own)
    assert shown(PushContent(title="t", actions=(own,))).actions == (*ACTIONS, own)
    assert shown(WebhookContent(body="{}")) == WebhookContent(body="{}")


def test_a_call_says_which_digit_is_which():
    """What the template says itself stays."""
    assert shown(VoiceContent(text="Hello")).acknowledge == "For “Yes & go”, press 1. For “No”, press 2."
    assert shown(VoiceContent(text="Hello"), asks=False).acknowledge == "For “Yes & go”, press 1."
    assert shown(VoiceContent(text="Hello", acknowledge="Press 9.")).acknowledge == "Press 9."


def test_buttons_speak_the_language_of_their_reader():
    """Else that of the tenant, else the first."""
    assert labels_of(QUESTION, "de-AT", "en") == ("Ja", "Call me")
    assert label_of(QUESTION, "yes", "fr", "de") == "Ja"
    assert label_of(QUESTION, "yes", "fr") == "Yes, please!"
    assert labels_of(None, "pt-BR") == (WORDS["pt"].acknowledge,)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *(
            ("yes please", "yes"),
            ("JA.", "yes"),
            ("1", "yes"),
            ("call-me", "call-me"),
            ("Call me!", "call-me"),
        ),
        *(("2", "call-me"), ("3", None), ("yes, but later", None), ("", None), ("!", None)),
    ],
)
def test_an_answer_may_be_written(text, key):
    """As on a button, by its key or its number; what says more is none of them."""
    assert option_in(QUESTION, text) == key


@pytest.mark.parametrize("language", WORDS)
def test_every_language_has_its_words_and_places(language):
    """So that nothing is left out or shown as a brace."""
    words = WORDS[language]
    filled = (
        words.press.format(label="L", digit=3)
        + words.saved.format(answer="A")
        + words.already.format(answer="A")
    )
    filled += words.ask.format(sender="S") + words.alert.format(sender="S")
    assert (filled.count("L"), filled.count("3")) >= (1, 1)
    assert "{" not in filled

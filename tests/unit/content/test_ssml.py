"""SSML from authors: what is taken, what is refused, and its plain words."""

import pytest

from clarion.content import Renderer
from clarion.content.ssml import DEEPEST, LONGEST, checked, plain
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import VoiceContent
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Template, Tenant
from clarion.model.user import Profile, User

TENANT = Tenant(id=TenantId(1), key="acme")
ADA = User(no=UserNo(1), tenant=TENANT.id, id="ada", key=b"", profile=Profile(locale="de"))


def rendered(fields, **data):
    """The call for Ada."""
    template = Template(key="call", channels={Channel.VOICE: {"de": fields}})
    return Renderer().render(
        template=template, channel=Channel.VOICE, user=ADA, tenant=TENANT, event_data=data
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello <emphasis level='strong'>Ada</emphasis>.", "Hello Ada."),
        ("<speak>One<break time='1s'/>two</speak>", "One\ntwo"),
        ("<p>One.</p><p><s>Two.</s> <s>Three.</s></p>", "One.\nTwo.\nThree."),
        ("<sub alias='World Wide Web'>WWW</sub> &amp; more", "World Wide Web & more"),
        ("Press <say-as interpret-as='digits'>12</say-as>", "Press 12"),
        ("<prosody rate='slow'><lang xml:lang='de-DE'>Grüße</lang></prosody>", "Grüße"),
        (
            "<phoneme alphabet='ipa' ph='təˈmeɪtoʊ'>tomato</phoneme> <w role='amazon:VB'>read</w>",
            "tomato read",
        ),
        ("plain words", "plain words"),
        ("  ", ""),
        ("<speak></speak>", ""),
    ],
)
def test_marks_are_kept_and_the_words_can_be_told(written, said):
    """What comes out is taken again as it is."""
    taken = checked(written)
    assert plain(taken) == said
    assert checked(taken) == taken
    assert "<speak" not in taken


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("<audio src='https://x.example/a.mp3'/>", "`<audio>` cannot be used"),
        ("<brake/>", "did you mean `<break>`"),
        ("<break href='x'/>", "no attribute `href`: there are strength, time"),
        ("<p class='x'>y</p>", "there are none"),
        ("</Say><Dial>+1900</Dial><Say>", "not well-formed"),
        ("a < b", "not well-formed"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><speak>&a;</speak>", "no comments, declarations"),
        ("<speak xml:lang='de'>x</speak>", "without attributes"),
        ("<p>" * (DEEPEST + 1) + "</p>" * (DEEPEST + 1), "inside one another"),
        ("x" * (LONGEST + 1), "at most 3,000"),
        ("<p>" * 900, "not well-formed"),
    ],
)
def test_anything_else_is_refused(written, why):
    """With words that say what is wrong."""
    with pytest.raises(ValueError, match=why):
        checked(written)


def test_what_the_data_bring_is_said_and_marks_nothing():
    """A name with marks in it is spelled out."""
    content = rendered({"ssml": "Hallo <s>{{ name }}</s>"}, name="<break/>& 'Ada'")
    assert isinstance(content, VoiceContent)
    assert plain(content.ssml) == "Hallo\n<break/>& 'Ada'"
    assert "<break" not in content.ssml


def test_plain_words_are_made_from_the_marked_ones():
    """For previews, and for whoever cannot play marks; words of the author's own stay. The voice is of the language."""
    assert rendered({"ssml": "<s>Hallo</s>"}) == VoiceContent(
        text="Hallo", ssml="<s>Hallo</s>", language="de-DE"
    )
    assert rendered({"ssml": "<s>Hallo</s>", "text": "Hi", "language": "en-GB"}) == VoiceContent(
        text="Hi", ssml="<s>Hallo</s>", language="en-GB"
    )
    assert rendered({"text": "Hallo", "acknowledge": "Drücken Sie die 1."}) == VoiceContent(
        text="Hallo", acknowledge="Drücken Sie die 1.", language="de-DE"
    )


def test_a_call_without_words_is_refused():
    """Silence is no message."""
    with pytest.raises(ContentError, match="one of `ssml`, `text`"):
        rendered({"acknowledge": "Press 1"})

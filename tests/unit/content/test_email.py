"""Emails: MJML, preheader, attachments, and the other fields that are more than text."""

import html
import json

import pytest

from clarion.content.html.preview_text import with_preheader
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import (
    Action,
    Attachment,
    ChatContent,
    EmailContent,
    InAppContent,
    Invitation,
    PushContent,
)
from clarion.model.setup import Template
from tests.unit.content.people import TENANT, reader, render, template

MJML = """<mjml>
  <mj-head><mj-title>{{ tenant.name }}</mj-title><mj-preview>Soon</mj-preview></mj-head>
  <!-- a {{ note }} -->
  <mj-body>
    {% if vip %}
    <mj-section background-color="{{ colour }}"><mj-column>
      <mj-text>Hi {{ name }} & <br> {% for i in items %}<b>{{ i }}</b> {% endfor %}</mj-text>
      <mj-button href="{{ url|default("a>b") }}">Go</mj-button>
      {% include "foot" %}
    </mj-column></mj-section>
    {% endif %}
  </mj-body>
</mjml>
"""
FOOT = "<mj-text>Bye {{ name }}</mj-text>"
DATA = {"vip": True, "colour": "#eee", "name": "<Ada>", "items": ["Tea", "Mug"], "url": "https://x.example/"}


def with_fields(channel: Channel, fields: dict[str, str]) -> Template:
    return Template(key="order", channels={channel: {"en": fields}})


def mail(fields: dict[str, str], data: object = None, **how: object) -> EmailContent:
    content = with_fields(Channel.EMAIL, {"subject": "S", **fields})
    sent = render(content, data, channel=Channel.EMAIL, **how)  # type: ignore[arg-type]
    assert isinstance(sent, EmailContent)
    return sent


def mjml(source: str, data: object, **how: object) -> EmailContent:
    content = Template(
        key="m", partials={"foot": FOOT}, channels={Channel.EMAIL: {"en": {"subject": "S", "mjml": source}}}
    )
    sent = render(content, data, channel=Channel.EMAIL, **how)  # type: ignore[arg-type]
    assert isinstance(sent, EmailContent)
    return sent


# ── MJML ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_mjml_becomes_responsive_html_and_its_tags_work():
    """Conditions, loops, values in text and attributes, partials; every value escaped."""
    sent = mjml(MJML, DATA)
    assert "Hi &lt;Ada&gt; & <br> <b>Tea</b> <b>Mug</b>" in sent.html
    assert "Bye &lt;Ada&gt;" in sent.html
    assert "background-color:#eee" in sent.html
    assert 'href="https://x.example/"' in html.unescape(sent.html)
    assert "<title>Demo &amp; Co</title>" in sent.html
    assert "@media only screen" in sent.html
    assert "mj-" not in sent.html.replace("mj-column-per", "").replace("mj-outlook", "")
    assert "Hi" not in mjml(MJML, {**DATA, "vip": False}).html


def test_mjml_has_a_plain_text_too():
    """Made like that of HTML."""
    sent = mjml(MJML, DATA)
    assert sent.text == "Hi <Ada> &\nTea Mug\nGo (https://x.example/)\nBye <Ada>"


def test_mjml_says_in_which_language_it_is_and_fetches_nothing():
    """No font from elsewhere."""
    sent = mjml(MJML, DATA)
    assert '<html lang="en" dir="ltr"' in sent.html
    assert "googleapis" not in sent.html
    own = mjml('<mjml lang="de" dir="ltr"><mj-body></mj-body></mjml>', {})
    assert '<html lang="de" dir="ltr"' in own.html


@pytest.mark.parametrize(
    "value", ["</mj-text>", "<mj-include path='x'/>", "{{ 1 }}", "zq0z", "\x00", "javascript:x"]
)
def test_no_value_is_mjml_or_a_tag_or_a_script(value):
    """It is compiled before any value comes."""
    sent = mjml(
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ v }}</mj-text></mj-column></mj-section></mj-body></mjml>",
        {"v": value},
    )
    assert html.escape(value.replace("\x00", "")).replace("/", "&#x2f;") in sent.html
    with pytest.raises(ContentError, match="a link must be relative"):
        mjml(
            "<mjml><mj-body><mj-section><mj-column><mj-button href='{{ v }}'>x</mj-button></mj-column></mj-section></mj-body></mjml>",
            {"v": "javascript:x"},
        )


@pytest.mark.parametrize(
    ("source", "line", "detail"),
    [
        ("<p>a</p>", 1, "starts with `<mjml>`"),
        ("<mjml>\n<mj-body><mj-sectio></mj-sectio></mj-body></mjml>", 2, "did you mean `mj-section`"),
        ("<mjml><mj-body>\n<mj-section>\n</mj-body></mjml>", 3, "closes a tag that is not open"),
        ("<mjml><mj-body>\n<mj-section><p></p></mj-section></mj-body></mjml>", 2, "put HTML into"),
        ("<mjml><mj-body>\n<mj-include path='x'/></mj-body></mjml>", 2, "write `{% include"),
        ("<mjml>\n<mj-body>\n<mj-image width='{{ w }}px' src='x'/></mj-body></mjml>", 3, "no place for `{{ w }}`"),
        ("<mjml>\n<mj-body background-color=red></mj-body></mjml>", None, "the MJML is broken"),
        ("<mjml><mj-body>\n{% if w %}<mj-section></mj-section></mj-body></mjml>", None, "unexpected end"),
        ("<mjml><mj-body><mj-raw>\n<p {{ w }}></mj-raw></mj-body></mjml>", 2, "inside a tag"),
        ("<mjml><mj-body>\n" + "<mj-wrapper>" * 3000 + "</mj-body></mjml>", 2, "inside one another"),
        ("<mjml><mj-body>" + "<!--" * 20_000 + "</mj-body></mjml>", 1, "never closed"),
    ],
)  # fmt: skip
def test_broken_mjml_is_refused_with_the_line(source, line, detail):
    """Of the MJML."""
    with pytest.raises(ContentError, match=detail) as caught:
        mjml(source, {"w": 1})
    assert caught.value.pointer == "#/channels/email/en/mjml"
    if line:
        assert caught.value.line == line


def test_html_and_mjml_exclude_one_another():
    """In whichever order they stand."""
    both = {"html": "<p>a</p>", "mjml": "<mjml><mj-body></mj-body></mjml>"}
    for fields in (both, dict(reversed(both.items()))):
        with pytest.raises(ContentError, match="keep one of the two"):
            mail(fields)


def test_mjml_cannot_be_set_for_one_event():
    """HTML can."""
    with pytest.raises(ContentError, match="set `html`"):
        mjml(MJML, DATA, overrides={"email": {"mjml": "x"}})
    assert mjml(MJML, DATA, overrides={"email": {"html": "<p>own</p>"}}).html == "<p>own</p>"


# ── preheader ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_preheader_is_cut_between_visible_characters():
    """A flag is two code points: half of one is another."""
    html = with_preheader("<body>", "x" + "🇩🇪" * 200)
    shown = html.partition(">")[2].partition(">")[2].partition("&#847;")[0]
    assert shown == "x" + "🇩🇪" * 124


def test_the_preheader_stands_hidden_at_the_top_of_the_html():
    """Escaped, and not in the text."""
    sent = mail(
        {"preheader": "{{ n }} & more", "html": "<html><body class='a'><p>x</p></body></html>"}, {"n": "<b>"}
    )
    start = sent.html.index("<body class='a'>") + len("<body class='a'>")
    assert sent.html[start:].startswith('<div style="display:none;')
    assert "&lt;b&gt; &amp; more" in sent.html
    assert (sent.preheader, sent.text) == ("<b> & more", "x")
    assert len(mail({"preheader": "<" * 9_999, "html": "<p>x</p>"}).html) < 2_500


def test_html_without_a_body_starts_with_it():
    """And without a preheader nothing is put in; an overriding HTML stays as it is."""
    assert mail({"preheader": "P", "html": "<p>x</p>"}).html.startswith("<div style")
    assert mail({"html": "<p>x</p>"}).html == "<p>x</p>"
    fields = {"preheader": "P", "html": "<p>x</p>"}
    assert mail(fields, overrides={"email": {"html": "<p>y</p>"}}).html == "<p>y</p>"
    assert "Q" in mail(fields, overrides={"email": {"preheader": "Q"}}).html


# ── the layout of the house, and the way out ──────────────────────────────────────────────────────────────


def test_the_layout_of_the_house_is_at_ease_with_the_dark_and_leads_out():
    """With the link where the category can be left, without it elsewhere."""
    fields = {"html": "{% extends 'clarion/email' %}{% block content %}<h1>{{ n }}</h1>{% endblock %}"}
    sent = mail(fields, {"n": "Hi"}, unsubscribe_url="https://example.com/u/1", user=reader("he"))
    assert "prefers-color-scheme: dark" in sent.html
    assert "https://example.com/u/1" in html.unescape(sent.html)
    assert sent.text == f"# Hi\n\n{TENANT.name} · Unsubscribe (https://example.com/u/1)"
    assert "Unsubscribe" not in mail(fields, {"n": "Hi"}).html


# ── attachments, buttons, facts ───────────────────────────────────────────────────────────────────────────


def test_attachments_are_a_json_list():
    """Fetched or brought along."""
    source = """[{"name": "bill-{{ n }}.pdf", "type": "application/pdf", "url": "https://x.example/{{ n }}"},
        {"name": {{ name|tojson }}, "content": "aGk=", "inline_id": "logo"}]"""
    sent = mail({"text": "T", "attachments": source}, {"n": 7, "name": 'a"\r\nb'})
    assert sent.attachments == (
        Attachment(name="bill-7.pdf", type="application/pdf", url="https://x.example/7"),
        Attachment(name='a" b', content=b"hi", inline_id="logo"),
    )


@pytest.mark.parametrize(
    ("attachments", "detail"),
    [
        ("{}", "a JSON list of attachments"),
        ('[{"name": "a"}]', "either a `url` or its `content`"),
        ('[{"name": "a", "url": "https://x", "content": "aGk="}]', "either a `url` or its `content`"),
        ('[{"name": "a", "url": "file:///etc/passwd"}]', "a link must be relative"),
        ('[{"name": "a", "content": "aGk=", "type": "x\\r\\nBcc: y"}]', "media type"),
        ('[{"name": "a", "content": "%%%"}]', "a JSON list of attachments"),
        ('[{"name": "a", "content": "aGk=", "type": "text/plain; charset"}]', "media type"),
        ('[{"name": "a", "content": "aGk=", "inline_id": "my logo"}]', "is used in `cid:`"),
        ('[{"name": "a", "content": "aGk=", "inline_id": ".x"}]', "is used in `cid:`"),
        ('[{"name": "a", "content": "aGk=", "inline_id": "' + "x" * 129 + '"}]', "is used in `cid:`"),
        (
            '[{"name": "a", "content": "aGk=", "inline_id": "x"}, {"name": "b", "content": "aGk=", "inline_id": "x"}]',
            "the same `inline_id`",
        ),
    ],
)
def test_a_wrong_attachment_fails_the_message(attachments, detail):
    """And says what is right."""
    with pytest.raises(ContentError, match=detail):
        mail({"text": "T", "attachments": attachments})


def test_an_invitation_is_a_json_object():
    """With values of the event; nothing where a condition leaves nothing."""
    source = """{% if start %}{"uid": {{ id|tojson }}, "start": {{ start|tojson }}, "summary": "Plan\\nA"}{% endif %}"""
    sent = mail({"text": "T", "calendar": source}, {"id": "m-1", "start": "2026-05-01T14:00:00Z"})
    assert sent.calendar == Invitation(uid="m-1", start="2026-05-01T14:00:00Z", summary="Plan A")
    assert mail({"text": "T", "calendar": source}, {"id": "m-1", "start": ""}).calendar is None


@pytest.mark.parametrize(
    ("calendar", "detail"),
    [
        ('{"uid": "m"}', "a JSON object, an invitation"),
        ('{"uid": "m", "start": "2026-05-01", "when": 1}', "a JSON object, an invitation"),
        ('{"uid": "m", "start": "2026-05-01", "method": "publish"}', "a JSON object, an invitation"),
        ('{"uid": " ", "start": "2026-05-01"}', "`uid`"),
        (
            '{"uid": "m", "start": "2026-05-01T14:00:00"}',
            "`start` of an invitation is a time with its offset",
        ),
        ('{"uid": "m", "start": "tomorrow"}', "`start` of an invitation"),
        ('{"uid": "m", "start": "0001-01-01T00:00:00+14:00"}', "`start` of an invitation"),
        ('{"uid": "m", "start": "2026-05-01", "end": "2026-05-01"}', "comes after its `start`"),
        ('{"uid": "m", "start": "2026-05-01", "end": "2026-05-01T14:00:00Z"}', "both days, or both times"),
        ('{"uid": "m", "start": "2026-05-01", "sequence": -1}', "`sequence`"),
        ('{"uid": "m", "start": "2026-05-01", "organizer": "me"}', "`organizer`"),
        ('{"uid": "m", "start": "2026-05-01", "url": "javascript:go()"}', "a link must be relative"),
    ],
)
def test_a_wrong_invitation_fails_the_message(calendar, detail):
    """And says what is right."""
    with pytest.raises(ContentError, match=detail):
        mail({"text": "T", "calendar": calendar})


ACTIONS = '[{"label": "Open {{ n }}", "url": "myapp://o/{{ n }}"}, {"label": {{ l|tojson }}, "url": {{ u|tojson }}}]'


@pytest.mark.parametrize("channel", [Channel.PUSH, Channel.IN_APP, Channel.CHAT])
def test_actions_are_buttons(channel):
    """An app's own scheme counts where the author wrote it."""
    fields = {"title": "T", "actions": ACTIONS} | ({"text": "x"} if channel is Channel.CHAT else {})
    sent = render(with_fields(channel, fields), {"n": 1, "l": "a\nb", "u": "/x"}, channel=channel)
    assert isinstance(sent, PushContent | InAppContent | ChatContent)
    assert sent.actions == (Action(label="Open 1", url="myapp://o/1"), Action(label="a b", url="/x"))
    for bad in ("other://x", "javascript:x"):
        with pytest.raises(ContentError, match="a link must be relative"):
            render(with_fields(channel, fields), {"n": 1, "l": "", "u": bad}, channel=channel)


def test_a_link_may_use_an_apps_scheme_that_the_author_wrote():
    """And no scheme that runs something, whoever wrote it."""
    content = template(Channel.PUSH, title="T", url="myapp://o/{{ n }}")
    assert getattr(render(content, {"n": 1}, channel=Channel.PUSH), "url", "") == "myapp://o/1"
    with pytest.raises(ContentError, match="a link must be relative"):
        render(template(Channel.PUSH, title="T", url="javascript:x"), channel=Channel.PUSH)


def test_facts_of_a_chat_message_are_short_texts():
    """Label to value."""
    fields = {"text": "x", "image": "https://x/{{ n }}.png", "fields": '{"Order": "{{ n }}", "Items": 2}'}
    sent = render(with_fields(Channel.CHAT, fields), {"n": 7}, channel=Channel.CHAT)
    assert sent == ChatContent(text="x", image="https://x/7.png", fields={"Order": "7", "Items": "2"})


def test_overrides_of_lists_and_objects_may_be_json():
    """As text, or as what they are."""
    content = template(Channel.PUSH, title="T")
    actions = [{"label": "A", "url": "myapp://x"}]
    for given in (actions, json.dumps(actions)):
        sent = render(content, channel=Channel.PUSH, overrides={"push": {"actions": given}})
        assert getattr(sent, "actions", ()) == (Action(label="A", url="myapp://x"),)

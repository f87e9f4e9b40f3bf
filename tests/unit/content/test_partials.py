"""Layouts and partials: one source out of several."""

import html

import pytest

from clarion.content import Renderer, partials_used
from clarion.content.templates.inheritance import MAX_DEPTH
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import EmailContent, PushContent
from clarion.model.setup import Template
from tests.unit.content.people import TENANT, reader, render

LAYOUT = "<{% block title %}Shop{% endblock %}>{% block body %}nothing{% endblock %}|{% include 'sign' %}"
PARTIALS = {"layout": LAYOUT, "sign": "-- {{ tenant.name }}\n", "loud": "{% set n = 'loud' %}{{ n }}!"}


def said(source: str, data: object = None, partials: dict[str, str] | None = None) -> str:
    """What an SMS of `source` says."""
    return getattr(render(sms_with(source, partials), data), "text", "")


def sms_with(source: str, partials: dict[str, str] | None = None) -> Template:
    return Template(
        key="order",
        channels={Channel.SMS: {"en": {"text": source}}},
        partials=PARTIALS if partials is None else partials,
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% include 'sign' %}", "-- Demo & Co"),
        ("a {%- include 'sign' -%} b", "a-- Demo & Cob"),
        ("{% extends 'layout' %}", "<Shop>nothing|-- Demo & Co"),
        ("{% extends 'layout' %}\n{% block body %}{{ n }}{% endblock %}", "<Shop>7|-- Demo & Co"),
        (
            "{% extends 'layout' %}{% block title %}{{ super() }}!{% endblock %}",
            "<Shop!>nothing|-- Demo & Co",
        ),
        (
            "{% extends 'layout' %}{% set x = 3 %}{% block body %}{{ x }}{% block in %}i{% endblock %}{% endblock %}",
            "<Shop>3i|-- Demo & Co",
        ),
        ("{% for i in [1, 2] %}{% include 'sign' %};{% endfor %}", "-- Demo & Co;-- Demo & Co;"),
        ("{% set n = 'quiet' %}{% include 'loud' %} {{ n }}", "loud! quiet"),
        ("{% block a -%}  x  {%- endblock %}", "x"),
    ],
)
def test_partials_and_layouts_become_one_text(source, text):
    """With `super()`, with blocks in blocks, with what the child sets; what a partial sets stays in it."""
    assert said(source, {"n": 7}) == text


def test_layouts_of_layouts_replace_blocks_of_blocks():
    """The newest definition counts, and `super()` goes back one at a time."""
    partials = {
        "a": "[{% block x %}a{% block y %}1{% endblock %}{% endblock %}]",
        "b": "{% extends 'a' %}{% block x %}b{{ super() }}{% endblock %}",
    }
    assert said("{% extends 'b' %}{% block y %}2{% endblock %}", {}, partials) == "[ba2]"
    assert said("{% extends 'b' %}{% block x %}c{{ super() }}{% endblock %}", {}, partials) == "[cba1]"


def test_a_partial_is_escaped_like_the_field_it_stands_in():
    """The same partial in HTML, in text and in a header."""
    template = Template(
        key="t",
        partials={"name": "{{ n }}"},
        channels={
            Channel.EMAIL: {
                "en": dict.fromkeys(("subject", "text", "html", "preheader"), "{% include 'name' %}")
            }
        },
    )
    mail = render(template, {"n": "<\n&"}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    assert (mail.subject, mail.text) == ("< &", "<\n&")
    assert mail.html.endswith("&lt;\n&amp;")


def test_partials_serve_every_channel():
    """Also inside JSON."""
    fields = {"title": "{% include 'a' %}", "data": "{\"x\": {% include 'b' %}}"}
    template = Template(
        key="t", channels={Channel.PUSH: {"en": fields}}, partials={"a": "T", "b": "{{ n|tojson }}"}
    )
    assert render(template, {"n": 1}, channel=Channel.PUSH) == PushContent(title="T", data={"x": 1})


@pytest.mark.parametrize(
    ("source", "partials", "detail", "pointer", "line"),
    [
        ("a\n{% include 'sing' %}", PARTIALS, "did you mean `sign`", "#/channels/sms/en/text", 2),
        ("{% include 'a' %}", {}, "there is no partial `a`", "#/channels/sms/en/text", 1),
        ("{% include 'a' %}", {"a": "\n{% include 'b' %}", "b": "x{{"}, "never closed", "#/partials/b", 1),
        ("{% include 'a' %}", {"a": "\n{% include 'c' %}"}, "no partial `c`", "#/partials/a", 2),
        ("{% include 'a' %}", {"a": "x\n\n{{ 1|uper }}"}, "did you mean `upper`", "#/partials/a", 3),
        ("x{% include 'a' %}", {"a": "x\n{{ nothing }}"}, "`nothing` has no value", "#/partials/a", 2),
        ("{% include 'a' %}", {"a": "{% include 'a' %}"}, "circle: `a` -> `a`", "#/partials/a", 1),
        ("{% include 'a' %}", {"a": "{% extends 'b' %}", "b": "\n{% include 'a' %}"}, "circle", "#/partials/b", 2),
        ("{% include name %}", PARTIALS, "in quotes", "#/channels/sms/en/text", 1),
        ("{% include 'sign' ignore missing %}", PARTIALS, "in quotes", "#/channels/sms/en/text", 1),
        ("x{% extends 'layout' %}", PARTIALS, "at the very beginning", "#/channels/sms/en/text", 1),
        ("{% extends 'layout' %}{% if n %}{% endif %}", PARTIALS, "only `set` and blocks", "#/channels/sms/en/text", 1),
        ("{% block a %}", PARTIALS, "has no `endblock`", "#/channels/sms/en/text", 1),
        ("{% block a %}{% endblock %}\n{% block a %}{% endblock %}", {}, "two blocks", "#/channels/sms/en/text", 2),
        ("{% endblock %}", PARTIALS, "without a block that is open", "#/channels/sms/en/text", 1),
        ("{% block %}{% endblock %}", PARTIALS, "needs a name", "#/channels/sms/en/text", 1),
        ("{% block a %}{{ super() }}{% endblock %}", PARTIALS, "`super()` could mean", "#/channels/sms/en/text", 1),
        ("{% include 'a' %}", {"a": "{% if true %}"}, "", "#/channels/sms/en/text", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(source, partials, detail, pointer, line):
    """In the field, or in the partial that is at fault."""
    with pytest.raises(ContentError) as caught:
        said(source, {"n": 1}, partials)
    assert detail in str(caught.value)
    assert (caught.value.pointer, caught.value.line) == (pointer, line)


def test_partials_cannot_grow_without_bound():
    """Neither deep nor wide."""
    deep = {f"p{n}": f"{{% include 'p{n + 1}' %}}" for n in range(MAX_DEPTH + 5)}
    with pytest.raises(ContentError, match="inside one another"):
        said("{% include 'p0' %}", {}, deep)
    wide = {f"p{n}": f"{{% include 'p{n + 1}' %}}" * 10 for n in range(10)} | {"p10": "x" * 100}
    with pytest.raises(ContentError, match="more than 100000"):
        said("{% include 'p0' %}", {}, wide)
    blocks = {"up": "{% block b %}{% block a %}{% endblock %}{% endblock %}"}
    with pytest.raises(ContentError, match="inside one another"):
        said(
            "{% extends 'up' %}{% block a %}{% block b %}{{ super() }}{% endblock %}{% endblock %}",
            {},
            blocks,
        )


def test_the_partials_a_template_uses_are_found_through_others():
    """Exactly those, with their sources."""
    template = sms_with("{% extends 'layout' %}", {})
    assert partials_used(template, {**PARTIALS, "other": "x"}) == {"layout": LAYOUT, "sign": PARTIALS["sign"]}
    assert partials_used(sms_with("plain", {}), PARTIALS) == {}


def test_a_name_that_leads_nowhere_is_refused_with_the_nearest():
    """Before it is published."""
    with pytest.raises(ContentError, match="did you mean `layout`") as caught:
        partials_used(sms_with("\n{% extends 'layuot' %}", {}), PARTIALS)
    assert (caught.value.pointer, caught.value.line) == ("#/channels/sms/en/text", 2)


def test_the_layout_of_the_house_needs_no_partial_of_the_tenant():
    """And its own language and direction."""
    source = "{% extends 'clarion/email' %}{% block content %}<p>{{ n }}</p>{% endblock %}"
    template = Template(
        key="t", channels={Channel.EMAIL: {"ar": {"subject": "S", "html": source, "text": "T"}}}
    )
    assert list(partials_used(template, {})) == ["clarion/email"]
    mail = Renderer().render(
        template=template,
        channel=Channel.EMAIL,
        user=reader("ar"),
        tenant=TENANT,
        event_data={"n": "<1>"},
        unsubscribe_url="https://example.com/u/1",
    )
    assert isinstance(mail, EmailContent)
    assert '<html lang="ar" dir="rtl">' in mail.html
    assert "<p>&lt;1&gt;</p>" in mail.html
    assert 'href="https://example.com/u/1"' in html.unescape(mail.html)

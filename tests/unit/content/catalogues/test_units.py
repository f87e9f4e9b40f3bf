"""Translators get sentences: not markup, not links, and nothing without words."""

import pytest

from clarion.content.catalogues import units
from clarion.content.catalogues.pieces import Cut, Pieces
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.unit.content.catalogues.world import HTML_DE, HTML_EN, ORDER


def texts(html: str) -> tuple[str, ...]:
    return Pieces(html, Cut.MARKUP).texts


def test_what_has_words_is_a_unit_with_its_translation():
    """In the order of the template; links and fields of mere placeholders are none of them."""
    assert [(unit.name, unit.source, unit.target) for unit in units(ORDER, "en", "de")] == [
        ("email.subject", "Order {{ number }} has left", "Bestellung {{ number }} ist raus"),
        ("email.html.1", "Order {{ number }}", "Bestellung {{ number }}"),
        ("email.html.2", "We are <b>sorry</b>.", "Es tut uns <b>leid</b>."),
        ("email.html.3", "A parcel", "Ein Paket"),
        ("email.html.4", "Follow it", "Verfolgen"),
        ("push.title", "On its way", ""),
        ("push.body", "It’s “here”\\now", ""),
    ]


def test_a_unit_knows_its_line():
    """So that an author finds it."""
    assert [unit.line for unit in units(ORDER, "en", "de") if unit.field == "html"] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("plain", ("plain",)),
        ("<p>One <b>two</b> three</p><p>four</p>", ("One <b>two</b> three", "four")),
        ("<p><a href='x'><b>Only</b></a></p>", ("Only",)),
        ("<p><b>One</b> and <b>two</b></p>", ("<b>One</b> and <b>two</b>",)),
        ("<td>&nbsp;</td><td>{{ x }}</td><td>12</td>", ()),
        ("<p>{% if a %}yes{% endif %}</p>", ("yes",)),
        ("<p>{% if a %}yes{% else %}no{% endif %}</p>", ("{% if a %}yes{% else %}no{% endif %}",)),
        ("{% for x in y %}<li>Buy {{ x }}</li>{% endfor %}", ("Buy {{ x }}",)),
        ("<script>var a = 'no'</script><style>b{}</style><!-- no --><p>yes</p>", ("yes",)),
        (
            "<a href='{{ a > b }}'>There</a>",
            ("There",),
        ),
        ("<img alt='{{ name }}'><img alt='A cat'>", ("A cat",)),
        ("<p><a title='Go there'>A sentence.</a></p>", ("Go there", "A sentence.")),
        ("<p>A <a title='Go there'>sentence</a>.</p>", ("A <a title='Go there'>sentence</a>.",)),
        ("<p><span aria-label='Five stars'>*****</span></p>", ("Five stars",)),
        (
            "<b title='one'><i aria-label='two'>Three</i></b><br title='four'>",
            ("one", "two", "Three", "four"),
        ),
        ("<p {% if a > 1 %}class=x{% endif %}>text</p>", ("text",)),
        ("<p>never closed <b", ("never closed",)),
        ("<p>{{ never closed</p>", ()),
        ("a < b and c > d", ("a < b and c > d",)),
        (
            (
                '{% extends "letter" %}\n{% block heading %}Hi {{ a }}{% endblock %}\n'
                "{% block url %}https://x.example/{{ a }}{% endblock %}{% block body %}{% if b %}One{% endif %} two{% endblock %}"
            ),
            ("Hi {{ a }}", "{% if b %}One{% endif %} two"),
        ),
        ("<p>https://x.example</p><p>See https://x.example</p>", ("See https://x.example",)),
        ("<mj-section><mj-text>Hello</mj-text><mj-image alt='Sun' /></mj-section>", ("Hello", "Sun")),
    ],
)
def test_markup_is_cut_into_sentences(html, found):
    """Inline tags stay inside; what surrounds the whole sentence does not."""
    assert texts(html) == found
    pieces = Pieces(html, Cut.MARKUP)
    assert pieces.fill(pieces.texts) == html


def test_markup_that_was_rebuilt_by_hand_stays_whole():
    """Its paragraphs do not stand for those of the source, so nobody pretends they do."""
    rebuilt = HTML_DE.replace("<h1>", "<h1><em>").replace("</h1>", "</em></h1><hr>")
    template = Template(key="t", channels={Channel.EMAIL: {"en": {"html": HTML_EN}, "de": {"html": rebuilt}}})
    (unit,) = units(template, "en", "de")
    assert (unit.name, unit.target) == ("email.html", rebuilt.strip())


@pytest.mark.parametrize("size", [100_000])
@pytest.mark.parametrize(
    "part", ["{{", "{%", "{#", "<a", "<!--", "<a '", '{{"', "<b>x", "<img alt='a'>", "<a alt='x' ", "{{ '\\"]
)
def test_no_source_takes_long(part, size):
    """Whatever is never closed is looked through once."""
    texts(part * (size // len(part)))


def test_buttons_are_translated_by_their_labels():
    """Where they lead is each language's own."""
    actions = (
        '[{"label": "Follow {{ name|default("it") }}", "url": "https://x.example/en"}, {"label": "{{ a }}"}]'
    )
    german = '[{"label": "Verfolgen", "url": "https://x.example/de"}, {"label": "{{ a }}"}]'
    template = Template(
        key="t", channels={Channel.PUSH: {"en": {"title": "", "actions": actions}, "de": {"actions": german}}}
    )
    (unit,) = units(template, "en", "de")
    assert (unit.name, unit.source, unit.target) == (
        "push.actions.1",
        'Follow {{ name|default("it") }}',
        "Verfolgen",
    )


def test_what_programs_read_is_not_translated():
    """The type of a webhook is the same in every language."""
    fields = {"type": "order.paid", "body": '{"order": "left"}'}
    assert units(Template(key="t", channels={Channel.WEBHOOK: {"en": fields}}), "en", "de") == []

"""Translations come back whole, unchanged and checked; nothing else in the template moves."""

import msgspec

from clarion.content.catalogues import Catalogue, CatalogueEntry, merge
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.unit.content.catalogues.world import HTML_EN, ORDER, catalogue, foreign


def merged(template: Template = ORDER, target: str = "fr", **texts: str):
    return merge([template], catalogue(template, target, **texts), source="en", target=target)


def test_a_new_language_is_added_with_everything_that_is_not_translated():
    """Links and placeholders are taken over, and the page says which language it is in."""
    result = merged()
    (template,) = result.templates
    email = template.channels[Channel.EMAIL]["fr"]
    assert email["subject"] == foreign("Order {{ number }} has left") + "\n"
    assert email["preheader"] == "{{ number }}"
    assert '<html lang="fr">' in email["html"]
    assert "<p>«We are <b>sorry</b>.»</p>" in email["html"]
    assert 'alt="«A parcel»"' in email["html"]
    assert template.channels[Channel.PUSH]["fr"]["url"] == "https://x.example/en"
    assert (result.changed, result.broken) == (7, ())
    assert list(email) == list(ORDER.channels[Channel.EMAIL]["en"])


def test_an_existing_language_keeps_its_own_markup():
    """German links stay German links."""
    (template,) = merged(target="de").templates
    html = template.channels[Channel.EMAIL]["de"]["html"]
    assert "https://x.example/de/{{ number }}" in html
    assert "«Follow it»" in html


def test_the_same_translations_change_nothing():
    """Importing twice is importing once."""
    once = merged().templates
    again = merge(once, catalogue(once[0]), source="en", target="fr")
    assert (again.templates, again.changed, again.unchanged) == ((), 0, 7)


def test_broken_placeholders_are_refused_by_entry_and_line():
    """Every one of them."""
    result = merged(email_subject="Commande {{ nombre }}", push_title="{{ title }}")
    assert [(note.template, note.entry, note.line) for note in result.broken] == [
        ("order", "email.subject", 1),
        ("order", "email.subject", 1),
        ("order", "push.title", 6),
    ]
    assert "did you mean `{{ number }}`" in result.broken[1].detail


def test_what_does_not_compile_any_more_is_refused():
    """The same tags in an order that makes no sense."""
    template = Template(key="t", channels={Channel.SMS: {"en": {"text": "{% if a %}yes{% endif %}"}}})
    result = merged(template, sms_text="{% endif %}oui{% if a %}")
    assert [note.entry for note in result.broken] == ["sms.text"]
    assert "line 1" not in result.broken[0].detail


def test_a_fault_of_the_source_is_not_the_translators():
    """The author hears about it elsewhere."""
    template = Template(key="t", channels={Channel.SMS: {"en": {"text": "{{ a|nothing }} yes"}}})
    assert merged(template).broken == ()


def test_a_quote_cannot_end_the_attribute_it_stands_in():
    """Nor can a translation open an element."""
    result = merged(email_html_3='Un "colis"')
    assert [note.entry for note in result.broken] == ["email.html.3"]
    assert "&quot;" in result.broken[0].detail
    assert [note.entry for note in merged(email_html_4="<script>").broken] == ["email.html.4"]


def test_half_a_message_is_not_applied():
    """Readers get the language they got before until all of it is there; the rest of the file counts."""
    result = merged(email_html_2="")
    (template,) = result.templates
    assert "fr" not in template.channels[Channel.EMAIL]
    assert "fr" in template.channels[Channel.PUSH]
    assert {note.entry for note in result.incomplete} == {
        "email.subject", "email.html.1", "email.html.3", "email.html.4",
    }  # fmt: skip
    assert "`email.html.2` is missing" in result.incomplete[0].detail
    assert result.untranslated == 1


def test_a_language_that_is_there_takes_single_texts():
    """A correction does not need the whole file."""
    one = catalogue(ORDER, "de", email_html_2="Verzeihen Sie <b>bitte</b>.").entries[2:3]
    (template,) = merge([ORDER], Catalogue(entries=one), source="en", target="de").templates
    html = template.channels[Channel.EMAIL]["de"]["html"]
    assert "<p>Verzeihen Sie <b>bitte</b>.</p>" in html
    assert "Verfolgen" in html


def test_unknown_and_outdated_entries_are_listed():
    """Nothing in the file is passed over in silence."""
    entries = (
        CatalogueEntry(template="gone", name="sms.text", source="a", target="b", line=1),
        CatalogueEntry(template="order", name="sms.text", source="a", target="b", line=2),
        CatalogueEntry(template="order", name="email.html.9", source="a", target="b", line=3),
        CatalogueEntry(template="order", name="push.title", source="It was otherwise", target="b", line=4),
        CatalogueEntry(
            template="order", name="push.title", source="On its way", target="En route", line=5, review=True
        ),
    )
    result = merge([ORDER], Catalogue(entries=entries), source="en", target="fr")
    assert [note.line for note in result.unknown] == [1, 2]
    assert [note.line for note in result.outdated] == [3, 4]
    assert [note.line for note in result.review] == [5]
    assert result.templates == ()


def test_line_breaks_of_windows_are_no_change():
    """Editors and XML write their own."""
    windows = msgspec.structs.replace(
        ORDER,
        channels={Channel.EMAIL: {"en": {"html": HTML_EN}, "de": {"html": HTML_EN.replace("\n", "\r\n")}}},
    )
    file = Catalogue(
        entries=tuple(msgspec.structs.replace(e, target=e.source) for e in catalogue(windows, "de").entries)
    )
    assert merge([windows], file, source="en", target="de").templates == ()


def test_a_quote_cannot_end_the_label_of_a_button():
    """JSON has its own way to write one."""
    template = Template(
        key="t", channels={Channel.PUSH: {"en": {"title": "Hi", "actions": '[{"label": "Go", "url": "/"}]'}}}
    )
    assert [note.entry for note in merged(template, push_actions_1='"Los"').broken] == ["push.actions.1"]
    (fine,) = merged(template, push_actions_1='\\"Los\\"').templates
    assert fine.channels[Channel.PUSH]["fr"]["actions"] == '[{"label": "\\"Los\\"", "url": "/"}]'

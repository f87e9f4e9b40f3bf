"""Dates, money and numbers as the reader writes them."""

import html
import json

import pytest

from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from tests.unit.content.people import reader, render, template, text

GERMAN = reader("de", "Europe/Berlin")


def plain(said: str) -> str:
    """With ordinary spaces, whatever CLDR puts between."""
    return said.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("source", "english", "german"),
    [
        ("{{ total|money('EUR') }}", "€1,234.50", "1.234,50 €"),
        ("{{ total|money('JPY') }}", "¥1,234", "1.234 ¥"),
        ("{{ '19.90'|money('usd') }}", "$19.90", "19,90 $"),
        ("{{ total|number }}", "1,234.5", "1.234,5"),
        ("{{ 0.25|percent }}", "25%", "25 %"),
        ("{{ at|date }}", "May 1, 2026", "02.05.2026"),
        ("{{ at|time }}", "11:30 PM", "01:30"),
        ("{{ at|datetime('short') }}", "5/1/26, 11:30 PM", "02.05.26, 01:30"),
        ("{{ at|date('full') }}", "Friday, May 1, 2026", "Samstag, 2. Mai 2026"),
        ("{{ '2026-05-01'|date }}", "May 1, 2026", "01.05.2026"),
        ("{{ 0|date }}", "Jan 1, 1970", "01.01.1970"),
        ("{{ price|times(3)|money('EUR') }}", "€3.75", "3,75 €"),
    ],
)
def test_values_are_written_in_the_readers_language_and_zone(source, english, german):
    """Content that speaks the reader's language uses the reader's own forms."""
    data = {"total": 1234.5, "at": "2026-05-01T23:30:00Z", "price": 1.25}
    assert plain(text(source, data)) == english
    content = template(locale="de", text=source)
    assert plain(getattr(render(content, data, user=GERMAN), "text", "")) == german


def test_a_fallback_language_is_written_in_its_own_forms():
    """A Japanese reader of an English text sees English dates, in their own zone."""
    said = text("{{ at|datetime }}", {"at": "2026-05-01T23:30:00Z"}, user=reader("ja", "Asia/Tokyo"))
    assert plain(said) == "May 2, 2026, 8:30:00 AM"


def test_a_region_of_the_content_language_counts():
    """English content for a British reader has British dates."""
    assert text("{{ '2026-05-01'|date }}", user=reader("en-GB")) == "1 May 2026"


@pytest.mark.parametrize(
    "source",
    [
        "{{ word|money('EUR') }}",
        "{{ 1|money('euros') }}",
        "{{ 1|money }}",
        "{{ word|date }}",
        "{{ 1|date('huge') }}",
        "{{ 1e300|date }}",
        "{{ 'NaN'|number }}",
        "{{ 'Infinity'|percent }}",
        "{{ true|number }}",
        "{{ word|times(2) }}",
        "{{ word|join }}",
        "{{ range('a') }}",
        "{{ range(1, 2, 0) }}",
        "{{ range(100000) }}",
    ],
)
def test_a_filter_that_cannot_do_it_fails_the_message(source):
    """Not the process, and not with a Python error."""
    with pytest.raises(ContentError):
        text(source, {"word": "x"})


def test_json_is_exact_as_text_and_harmless_in_html():
    """`tojson` cannot close a script, a tag or an attribute."""
    value = "</script>'\"&"
    content = template(Channel.EMAIL, subject="S", html='<i x="{{ v|tojson }}">', text="{{ v|tojson }}")
    mail = render(content, {"v": value}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    assert json.loads(mail.text) == json.loads(html.unescape(mail.html[6:-2])) == value
    assert "</" not in mail.text
    assert '"' not in mail.html[6:-2]


def test_an_unknown_zone_is_utc():
    """A misspelt profile delays nothing."""
    assert plain(text("{{ 0|time }}", user=reader("en", "Mars/Olympus"))) == "12:00 AM"

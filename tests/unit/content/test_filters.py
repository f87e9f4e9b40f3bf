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
        "{{ [1]|money('EUR') }}",
        "{{ data|date }}",
        "{{ 1|number(11) }}",
        "{{ 1|number('x') }}",
        "{{ word|plural(other='x') }}",
        "{{ 1|plural(one='x') }}",
        "{{ 1|plural(other='x', some='y') }}",
        "{{ data|plural(other='x') }}",
        "{{ word|list }}",
        "{{ data|list }}",
        "{{ [1]|list('nor') }}",
        "{{ word|ago }}",
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


def test_an_unknown_zone_is_that_of_the_tenant():
    """A misspelt profile delays nothing."""
    assert plain(text("{{ 0|time }}", user=reader("en", "Mars/Olympus"))) == "1:00 AM"


# ── how far off ───────────────────────────────────────────────────────────────────────────────────────────

NOON = 1_777_636_800_000
"""2026-05-01 12:00 UTC."""


@pytest.mark.parametrize(
    ("at", "english", "german"),
    [
        ("2026-05-04T12:00:00Z", "in 3 days", "in 3 Tagen"),
        ("2026-05-01T10:00:00Z", "2 hours ago", "vor 2 Stunden"),
        ("2026-05-01T12:00:30Z", "in 30 seconds", "in 30 Sekunden"),
        ("2026-05-01T12:29:50Z", "in 30 minutes", "in 30 Minuten"),
        ("2026-04-30T13:00:00Z", "1 day ago", "vor 1 Tag"),
        ("2027-05-01T12:00:00Z", "in 1 year", "in 1 Jahr"),
        ("2026-05-01T12:00:00Z", "now", "jetzt"),
        ("2026-05-01T12:00:00.400Z", "now", "jetzt"),
        ("2026-05-01T12:05:00Z", "in 5 minutes", "in 5 Minuten"),
        ("2026-05-01", "today", "heute"),
        ("2026-05-02", "tomorrow", "morgen"),
        ("2026-04-30", "yesterday", "gestern"),
        ("2026-05-07", "in 6 days", "in 6 Tagen"),
        ("2026-05-22", "in 3 weeks", "in 3 Wochen"),
        (1_777_550_400, "1 day ago", "vor 1 Tag"),
    ],
)
def test_a_time_can_be_told_from_now(at, english, german):
    """In the largest unit that fits."""
    assert plain(text("{{ at|ago }}", {"at": at}, now=NOON)) == english
    content = template(locale="de", text="{{ at|ago }}")
    assert plain(getattr(render(content, {"at": at}, user=GERMAN, now=NOON), "text", "")) == german


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en-GB", "now, today, tomorrow, in 2 days"),
        ("fr-CA", "maintenant, aujourd’hui, demain, dans 2 jours"),
        ("ja", "今, 今日, 明日, 2 日後"),
        ("ar", "الآن, اليوم, غدًا, خلال يومين"),
        ("ru", "сейчас, сегодня, завтра, через 2 дня"),
        ("es-MX", "ahora, hoy, mañana, dentro de 2 días"),
        ("pt-BR", "agora, hoje, amanhã, em 2 dias"),
        ("zh-TW", "現在, 今天, 明天, 2 天後"),
        ("tlh", "now, today, tomorrow, in 2 days"),
    ],
)
def test_what_a_language_has_a_word_for_is_told_in_it(locale, said):
    """As CLDR has it, not “in 0 days”; a language nobody knows reads English."""
    days = ", ".join(f"{{{{ '2026-05-0{n}'|ago }}}}" for n in (1, 2, 3))
    content = template(locale=locale, text=f"{{{{ '2026-05-01T12:00:00Z'|ago }}}}, {days}")
    rendered = getattr(render(content, {}, user=reader(locale, "UTC"), now=NOON), "text", "")
    assert plain(rendered) == said


def test_a_day_is_told_from_the_readers_day():
    """When it is already tomorrow in Auckland, tomorrow is today."""
    late = NOON + 1000
    assert text("{{ '2026-05-03'|ago }}", user=reader("en", "UTC"), now=late) == "in 2 days"
    assert text("{{ '2026-05-03'|ago }}", user=reader("en", "Pacific/Auckland"), now=late) == "tomorrow"


def test_without_a_clock_nothing_is_told_from_now():
    """Rather than from 1970."""
    with pytest.raises(ContentError, match="`ago` needs the current time"):
        text("{{ 0|ago }}")


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "A, B, and C"),
        ("en-GB", "A, B and C"),
        ("de", "A, B und C"),
        ("ja", "A、B、C"),
        ("ar", "A وB وC"),
    ],
)
def test_lists_are_joined_as_the_language_does(locale, said):
    """Comma or not."""
    content = template(locale=locale, text="{{ names|list }}")
    names = {"names": ["A", "B", "C"]}
    assert getattr(render(content, names, user=reader(locale)), "text", "") == said


def test_lists_can_be_choices_and_may_be_short():
    """One is itself, none is nothing."""
    assert text("{{ ['a', 'b']|list('or') }}") == "a or b"
    assert text("{{ ['a']|list }}|{{ []|list }}|{{ [1, 2]|list }}") == "a||1 and 2"


FORMS = "zero='z', one='one', two='two', few='few', many='many', other='other'"


@pytest.mark.parametrize(
    ("locale", "categories"),
    [
        ("en", {0: "z", 1: "one", 2: "other", 1.5: "other", "1.0": "one"}),
        ("fr", {1: "one", 1.5: "one", 2: "other", 1_000_000: "many", 1_500_000: "other"}),
        ("pl", {1: "one", 2: "few", 5: "many", 22: "few", 12: "many", 1.5: "other"}),
        ("ru", {1: "one", 21: "one", 3: "few", 11: "many", 1.5: "other"}),
        ("ar", {0: "z", 1: "one", 2: "two", 3: "few", 11: "many", 100: "other"}),
        ("cy", {0: "z", 1: "one", 2: "two", 3: "few", 6: "many", 4: "other"}),
        ("ja", {1: "other", 2: "other"}),
        ("lv", {0: "z", 10: "z", 1: "one", 21: "one", 2: "other"}),
        ("pt-PT", {1: "one", 1.5: "other", 0: "z"}),
        ("pt", {1: "one", 1.5: "one"}),
    ],
)
def test_plurals_follow_cldr_in_every_category(locale, categories):
    """The number counts as it is written."""
    content = template(locale=locale, text="{{ n|plural(" + FORMS + ") }}")
    said = {n: getattr(render(content, {"n": n}, user=reader(locale)), "text", "") for n in categories}
    assert said == categories


@pytest.mark.parametrize(
    ("locale", "categories"),
    [
        ("en", {1: "one", 2: "two", 3: "few", 4: "other", 11: "other", 21: "one", 112: "other"}),
        ("it", {8: "many", 9: "other"}),
        ("cy", {1: "one", 2: "two", 3: "few", 5: "many", 7: "z", 10: "other"}),
        ("de", {1: "other", 2: "other"}),
        ("sv", {1: "one", 2: "one", 3: "other", 11: "other"}),
    ],
)
def test_ordinals_follow_cldr(locale, categories):
    """They have rules of their own."""
    content = template(locale=locale, text="{{ n|ordinal(" + FORMS + ") }}")
    said = {n: getattr(render(content, {"n": n}, user=reader(locale)), "text", "") for n in categories}
    assert said == categories


def test_the_number_stands_where_the_sign_is():
    """Written as the reader writes numbers."""
    source = "{{ n|plural(zero='nothing', one='# item', other='# items') }}"
    said = [text(source, {"n": n}) for n in (0, 1, 1234)]
    assert said == ["nothing", "1 item", "1,234 items"]
    assert text("{{ 3|ordinal(one='#st', two='#nd', few='#rd', other='#th') }}") == "3rd"
    assert text("{{ 1|plural(other='many') }}") == "many"


def test_numbers_and_percentages_take_digits():
    """As many as asked, also zeros."""
    assert text("{{ 1234.5|number(2) }} {{ 1.25|number(0) }} {{ 0.256|percent(1) }}") == "1,234.50 1 25.6%"
    content = template(locale="de", text="{{ 0.256|percent(1) }} {{ 1234.5|number(2) }}")
    assert plain(getattr(render(content, user=GERMAN), "text", "")) == "25,6 % 1.234,50"


# ── directions ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("locale", "name", "isolated"),
    [
        ("en", "Ada", False),
        ("en", "\u05d3\u05d5\u05d3", True),
        ("en", "\u0645\u062d\u0645\u062f (1)", True),
        ("ar", "Ada", True),
        ("ar", "\u0645\u062d\u0645\u062f", False),
        ("he", "123", False),
        ("en", "Zoë", False),
    ],
)
def test_a_name_of_the_other_direction_is_isolated(locale, name, isolated):
    """And only such a one: the marks would make any text message dearer."""
    content = template(locale=locale, text="{{ name|isolate }}")
    said = getattr(render(content, {"name": name}, user=reader(locale)), "text", "")
    assert said == (f"\u2068{name}\u2069" if isolated else name)


# ── rich text ─────────────────────────────────────────────────────────────────────────────────────────────


def rich(value: str) -> EmailContent:
    content = template(Channel.EMAIL, subject="S", html="<div>{{ v|rich }}</div>", text="{{ v|rich }}")
    mail = render(content, {"v": value}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    return mail


def test_rich_text_keeps_what_text_needs():
    """As HTML in HTML, as plain text elsewhere."""
    mail = rich("<p>Hi <b>you</b>, <a href='https://x.example'>look</a></p><ul><li>1</li></ul>")
    assert mail.html == (
        '<div><p>Hi <b>you</b>, <a href="https://x.example" rel="noopener noreferrer nofollow">look</a></p>'
        "<ul><li>1</li></ul></div>"
    )
    assert mail.text == "Hi you, look (https://x.example)\n\n- 1"


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='JaVa&Tab;script:alert(1)'>x</a>",
        "<p onclick='alert(1)' style='position:fixed'>x</p>",
        "<iframe src='https://x'></iframe><form><input></form><svg><a xlink:href='javascript:x'>",
        "</div><style>*{display:none}</style>",
        "<math><mi//xlink:href='data:x,alert(1)'>",
        "<!-- x --><base href='https://x'><meta http-equiv=refresh>",
    ],
)
def test_rich_text_carries_nothing_active(value):
    """Whatever a user wrote."""
    html_ = rich(value).html.removeprefix("<div>").removesuffix("</div>")
    for word in (
        "script",
        "alert",
        "onerror",
        "onclick",
        "style",
        "iframe",
        "form",
        "svg",
        "math",
        "base",
        "meta",
        "</div",
    ):
        assert word not in html_.lower()


@pytest.mark.parametrize(
    "value",
    [
        "".join(f"<b a={n}>" for n in range(900)) + "<p>x" * 1000,
        "<p>" + "".join(f"<i a={n}>" for n in range(900)) + "</p>" + "<p>x</p>" * 1000,
        "<p>" + "".join(f"<i a={n}>" for n in range(20)) + "</p>" + "<p>x" * 1900,
        "<ul><li>" * 8000,
        "<div>" * 13_000,
    ],
    ids=["formats reopened", "formats left open", "few of them", "lists", "elements"],
)
def test_rich_text_that_would_grow_when_it_is_read_is_refused(value):
    """HTML opens formatting anew in every paragraph: 50 KB of it can mean millions of elements."""
    with pytest.raises(ContentError, match="fewer tags"):
        rich(value)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("{{ v|e }}", "&lt;b&gt;x&lt;&#x2f;b&gt;"),
        ("{{ v|e|e }}", "&lt;b&gt;x&lt;&#x2f;b&gt;"),
        ("{{ v|rich|e }}", "&lt;b&gt;x&lt;&#x2f;b&gt;"),
        ("{{ v|e ~ v }}", "&lt;b&gt;x&lt;&#x2f;b&gt;" * 2),
        ("{{ v|rich ~ v }}", "&lt;b&gt;x&lt;&#x2f;b&gt;" * 2),
        ("{{ v|rich }}{{ v }}", "<b>x</b>&lt;b&gt;x&lt;&#x2f;b&gt;"),
        ("{% for w in [v|rich, v] %}{{ w }}{% endfor %}", "<b>x</b>&lt;b&gt;x&lt;&#x2f;b&gt;"),
    ],
)
def test_what_is_escaped_is_for_clarion_to_say(printed, shown):
    """Every value once, except what `rich` made, letter for letter; whatever the engine takes for safe."""
    content = template(Channel.EMAIL, subject="S", text="T", html=printed)
    mail = render(content, {"v": "<b>x</b>"}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    assert mail.html == shown


@pytest.mark.parametrize(
    "printed",
    [
        "{{ v|rich ~ v }}",
        "{{ [v|rich, v]|join }}",
        "{{ v|rich|replace('b', v) }}",
        "{{ (v|rich)[1:] }}",
        "{{ [v|rich]|list }}",
        "{{ 1|plural(other=v|rich) }}",
        "<p title='{{ v|rich }}'>",
        "{% set w = v|rich %}<p title='{{ w }}'>",
        "<p title='{{ [v]|map('rich')|first }}'>",
        "<a href='{{ v|rich }}'>",
        "<a href='/{{ v|rich }}'>",
        "<!-- {{ v|rich }} -->",
        "<style>{{ v|rich }}</style>",
    ],
)
def test_what_is_made_of_rich_text_is_text_again(printed):
    """Only the value itself, between elements, is HTML."""
    content = template(Channel.EMAIL, subject="S", text="T", html=printed)
    mail = render(content, {"v": "<b>x</b><a href='/ onclick=go() '>y</a>"}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    assert "<b" not in mail.html
    assert '<a href="' not in mail.html


def test_rich_text_is_html_wherever_elements_may_stand():
    """Also through a variable."""
    content = template(
        Channel.EMAIL, subject="S", text="T", html="{% set w = v|rich %}<p title='x'>{{ w }}</p>"
    )
    mail = render(content, {"v": "<b>x</b>"}, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    assert mail.html == "<p title='x'><b>x</b></p>"


@pytest.mark.parametrize(
    ("number", "locale", "said"),
    [
        (0.9999, "en", "1 item"),
        (1.0004, "en", "1 item"),
        (1.001, "en", "1.001 items"),
        ("0.99951", "en", "1 item"),
        (0.0004, "en", "no item"),
        (-0.0004, "en", "no item"),
        (1.9996, "pl", "2 pliki"),
        (4.99996, "pl", "5 plików"),
        (1.5, "pl", "1,5 pliku"),
        (1e30, "en", "1,000,000,000,000,000,000,000,000,000,000 items"),
    ],
)
def test_the_form_is_that_of_the_number_as_it_is_written(number, locale, said):
    """What is rounded when it is written is counted as rounded."""
    forms = (
        'one="# plik", few="# pliki", many="# plików", other="# pliku"'
        if locale == "pl"
        else 'zero="no item", one="# item", other="# items"'
    )
    content = template(locale=locale, text="{{ n|plural(" + forms + ") }}")
    assert render(content, {"n": number}, user=reader(locale)).text == said  # type: ignore[union-attr]


def test_a_rank_is_that_of_the_number_as_it_is_written():
    """Ordinals too."""
    forms = 'one="#st", two="#nd", few="#rd", other="#th"'
    assert text("{{ 1.9999|ordinal(" + forms + ") }} {{ 22.0001|ordinal(" + forms + ") }}") == "2nd 22nd"

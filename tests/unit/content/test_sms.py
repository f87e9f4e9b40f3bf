"""How many parts a text message has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from clarion.content import Segments, segments
from clarion.content.sms.segmentation import BASIC, EXTENDED, GSM, advice, smart
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.setup import Money
from clarion.rules.phone_numbers import country
from clarion.rules.prices import cost, is_currency, is_place, row
from tests.unit.content.people import TENANT, render, sms, template


@pytest.mark.parametrize(
    ("text", "encoding", "count", "units"),
    [
        ("", "GSM-7", 1, 0),
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        ("a" * 459, "GSM-7", 3, 459),
        ("a" * 460, "GSM-7", 4, 460),
        ("é" * 160, "GSM-7", 1, 160),
        ("€" * 80, "GSM-7", 1, 160),
        ("€" * 81, "GSM-7", 2, 162),
        ("a" * 159 + "€", "GSM-7", 2, 161),
        ("a" * 152 + "€" + "a" * 151, "GSM-7", 2, 305),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3, 306),
        ("^{}\\[~]|€\f", "GSM-7", 1, 20),
        ("ж" * 70, "UCS-2", 1, 70),
        ("ж" * 71, "UCS-2", 2, 71),
        ("ж" * 134, "UCS-2", 2, 134),
        ("ж" * 135, "UCS-2", 3, 135),
        ("a" * 70 + "ж", "UCS-2", 2, 71),
        ("ç", "UCS-2", 1, 1),
        ("Ç", "GSM-7", 1, 1),
        ("😀" * 35, "UCS-2", 1, 70),
        ("😀" * 36, "UCS-2", 2, 72),
        ("ж" * 66 + "😀" + "ж" * 65, "UCS-2", 2, 133),
        ("ж" * 66 + "😀" + "ж" * 66, "UCS-2", 3, 134),
        ("`", "UCS-2", 1, 1),
        ("\n\r", "GSM-7", 1, 2),
    ],
)
def test_a_text_is_cut_as_the_network_cuts_it(text, encoding, count, units):
    """160 septets alone, 153 each in company; 70 and 67 for everything else; no character is cut in half."""
    assert segments(text) == Segments(encoding=encoding, count=count, units=units)


def test_the_alphabet_is_complete():
    """127 basic characters (the 128th is the escape) and 10 behind the escape."""
    assert (len(BASIC), len(EXTENDED), len(GSM)) == (127, 10, 137)


@given(st.text(max_size=400), st.text(max_size=50))
def test_more_text_never_costs_less(text, more):
    """And no part carries more than it can hold."""
    one, both = segments(text), segments(text + more)
    assert both.count >= one.count
    assert both.units <= both.count * (160 if both.encoding == "GSM-7" else 70)


# ── cheaper ───────────────────────────────────────────────────────────────────────────────────────────────


def test_smart_encoding_writes_what_looks_the_same_in_gsm():
    """Quotes, dashes, dots and spaces."""
    curly = "\u201cIt\u2019s here\u201d \u2013 really\u2026\u00a0now"
    assert smart(curly) == '"It\'s here" - really... now'
    assert segments(smart(curly)).encoding == "GSM-7"


@pytest.mark.parametrize("text", ["plain", "Привет «мир»", "\U0001f600\u2026", "\u20ac{}"])
def test_smart_encoding_leaves_a_text_alone_that_gains_nothing(text):
    """GSM-7 already, or never."""
    assert smart(text) == text


@given(st.text(max_size=200))
def test_smart_encoding_never_makes_a_text_dearer(text):
    """Three dots for one are still cheaper than UCS-2."""
    assert segments(smart(text)).count <= segments(text).count


def test_a_tenant_may_have_its_text_messages_encoded_smartly():
    """The text that is sent, not only the count; the data too."""
    tenant = structs.replace(TENANT, sms_smart=True)
    assert render(sms("\u201c{{ v }}\u201d"), {"v": "\u2019"}, tenant=tenant) == SmsContent(text='"\'"')
    assert render(sms("\u201c"), tenant=TENANT) == SmsContent(text="\u201c")
    with_media = template(Channel.SMS, text="\u2019", media='["https://x.example/a.png"]')
    assert render(with_media, tenant=tenant) == SmsContent(text="'", media=("https://x.example/a.png",))


@pytest.mark.parametrize(
    ("media", "says"),
    [
        ('["http://x.example/a.png"]', "starts with https://"),
        ('["/a.png"]', "starts with https://"),
        ('["javascript:alert(1)"]', "a link must"),
        ("https://x.example/a.png", "a JSON list of links"),
        (str(["https://x.example/a.png"] * 11).replace("'", '"'), "at most 10 files: there are 11"),
    ],
)
def test_media_that_no_service_could_fetch_are_refused(media, says):
    """When the template is written, or when the data bring them."""
    with pytest.raises(ContentError, match=says):
        render(template(Channel.SMS, text="Hi", media="{{ media }}"), {"media": media})


def test_advice_names_the_characters_and_the_cost():
    """And is silent where nothing can be done."""
    assert advice("all fine") == ""
    assert advice("Ваш заказ") == ""
    said = advice("It\u2019s " + "x" * 100)
    assert "`\u2019` (U+2019)" in said
    assert "2 segments instead of 1" in said
    assert "70 characters a segment" in advice("It\u2019s")
    assert "`sms_smart`" in said
    assert "`sms_smart`" not in advice("Well done \U0001f389")
    assert "U+0430" in advice("P\u0430ypal code 1234")
    assert (
        advice("全品20%オフ。https://shop.example/a/very/long/address/to/read?with=many&latin=letters") == ""
    )


def test_the_spaces_of_dates_and_numbers_do_not_make_a_text_dearer():
    """A time in American English has a narrow one; where another character needs UCS-2 anyway, they stay."""
    said = render(sms("Ends {{ at|time }}"), {"at": "2026-05-01T19:00:00Z"})
    assert said == SmsContent(text="Ends 7:00 PM")
    assert render(sms("Ends\u202f7 \u2764")) == SmsContent(text="Ends\u202f7 \u2764")


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("+4915112345678", "DE"),
        ("+12125550123", "US"),
        ("+14165550123", "CA"),
        ("+447400123456", "GB"),
        ("+447700900123", "GB"),
        ("+80012345678", ""),
        ("0151", ""),
        ("", ""),
    ],
)
def test_the_country_of_a_number_is_known(phone, code):
    """Also where countries share a code."""
    assert country(phone) == code


@pytest.mark.parametrize(
    ("phone", "named"),
    [
        ("+4915112345678", "DE"),
        ("+12125550123", "US"),
        ("+17875550123", "+1787"),
        ("+17879990123", "+1787999"),
        ("+33612345678", ""),
        ("", ""),
    ],
)
def test_a_number_falls_under_the_longest_prefix_or_else_its_country(phone, named):
    """And under none where the tenant named no price."""
    euro = Money(amount="0.075", currency="EUR")
    assert row(phone, dict.fromkeys(("DE", "US", "+1787", "+1787999"), euro)) == named


def test_the_cost_is_what_people_reckon():
    """Not what floating point makes of it."""
    for many, price, total in ((3, "0.07", "0.21"), (2, "0.0750", "0.1500"), (255, "0.0079", "2.0145")):
        whole = Money(amount=total, currency="EUR")
        assert cost(many, Money(amount=price, currency="EUR")) == whole


def test_what_a_price_table_may_name_is_known():
    """Countries with telephones, beginnings of numbers, and real currencies."""
    assert [name for name in ("DE", "+1", "+1787") if not is_place(name)] == []
    assert [
        name for name in ("de", "XX", "Germany", "+0", "+", "1787", "+12345678901") if is_place(name)
    ] == []
    assert (is_currency("EUR"), is_currency("eur"), is_currency("XYZ")) == (True, False, False)

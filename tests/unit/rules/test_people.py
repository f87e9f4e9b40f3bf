"""What may be said about a person, and what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.submission import Recipient
from clarion.rules import validation


def fits(check, *given) -> bool:
    """Whether a check lets it pass. A refusal that does not point at the place is an error."""
    try:
        check(*given, "#/here")
    except InvalidInput as wrong:
        if not (wrong.pointer or "").startswith("#/here"):
            raise
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "a.b+c@sub.example.co.uk",
        "o'neil@example.ie",
        "jörg@exämple.de",
        "a@xn--bcher-kva.example",
    ],
)
def test_ordinary_email_addresses_fit(address):
    """Tags, apostrophes and other scripts included."""
    assert fits(validation.check_address, Channel.EMAIL, address)


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@example.com", "ada@", "ada@localhost", "a b@example.com", "a@b@example.com", "a@-x.com",
     "a@example..com", "ada@example.com\r\nBcc: eve@example.com", "<ada@example.com>", "a" * 65 + "@example.com",
     "a@" + "b" * 250 + ".com", "a@1.2.3.4"],
)  # fmt: skip
def test_what_is_no_email_address_is_refused(address):
    """Nothing that could smuggle a header or a second recipient."""
    assert not fits(validation.check_address, Channel.EMAIL, address)


@pytest.mark.parametrize(
    ("number", "good"),
    [("+4915112345678", True), ("+15005550006", True), ("015112345678", False), ("+0151", False),
     ("+49 151 1234", False), ("+1234567890123456", False), ("+", False), ("+49١٢٣٤٥٦٧", False)],
)  # fmt: skip
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.VOICE])
def test_phone_numbers_are_e164(channel, number, good):
    """One spelling, with the country code."""
    assert fits(validation.check_address, channel, number) is good


@pytest.mark.parametrize(
    "tag", ["en", "pt-BR", "zh-Hant-TW", "sr-Latn", "es-419", "de-CH-1996", "en-u-hc-h12"]
)
def test_language_tags_fit(tag):
    """Language, script, region, variant, extension."""
    assert fits(validation.check_locale, tag)


@pytest.mark.parametrize("tag", ["", "e", "english", "de_DE", "de-", "-de", "de--DE", "../etc", "x" * 36])
def test_what_is_no_language_tag_is_refused(tag):
    """An underscore is answered with the right spelling."""
    assert not fits(validation.check_locale, tag)


@given(st.text(max_size=300))
def test_a_user_id_is_printable_and_trimmed_or_refused(text):
    """Whatever the text: accepted ids can be shown, logged and sent back unchanged."""
    good = 1 <= len(text) <= 255 and text.isprintable() and text == text.strip() and text not in (".", "..")
    assert fits(validation.check_user_id, text) is good


@given(st.text(max_size=140))
def test_a_key_is_fit_for_paths_and_metrics(text):
    """Accepted keys need no escaping anywhere."""
    from urllib.parse import quote

    if fits(validation.check_key, text):
        assert quote(text, safe=":") == text
        assert 1 <= len(text) <= 128


@given(st.text(max_size=60), st.sampled_from(Channel))
def test_no_accepted_address_breaks_a_line(address, channel):
    """Header injection ends here."""
    if fits(validation.check_address, channel, address):
        assert not set(address) & {"\r", "\n", "\0", " "} or channel not in (Channel.EMAIL, Channel.SMS)
        assert "\n" not in address
        assert "\r" not in address


@pytest.mark.parametrize(
    ("recipient", "good"),
    [
        ("ada", True),
        ("", False),
        (Recipient(user_id="ada"), True),
        (Recipient(user_id="ada", email="ada@example.com", timezone="Asia/Tokyo", attributes={"a": 1}), True),
        (Recipient(topic="news"), True),
        (Recipient(), False),
        (Recipient(topic="news", user_id="ada"), False),
        (Recipient(topic="no spaces"), False),
        (Recipient(user_id="ada", timezone="right/UTC"), False),
        (Recipient(user_id="ada", attributes={str(n): n for n in range(65)}), False),
    ],
)
def test_a_recipient_names_exactly_one_user_or_topic(recipient, good):
    """And everything said about the user in passing is checked."""
    assert fits(validation.check_recipient, recipient) is good

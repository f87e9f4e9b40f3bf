"""What only the browser can read (RFC 8291)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.webpush.encryption import encrypt, new_key
from clarion.adapters.webpush.vapid import private_key
from clarion.model.push import MOST_BYTES
from clarion.model.subscription import Subscription, base64url, read_subscription, text_of
from tests.browsers import Browser

# RFC 8291, section 5 and appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
VECTOR = Subscription(
    endpoint="https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    public_key=base64url(
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    ),
    secret=base64url("BTBZMqHH6r4Tts7J_aSIgg"),
)
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_rfc_comes_out_byte_for_byte():
    """Key agreement, derivation, padding and header are those of RFC 8291."""
    body = encrypt(PLAIN, VECTOR, salt=base64url(SALT), key=private_key(SENDER))
    assert text_of(body) == BODY


@settings(max_examples=25)
@given(st.binary(max_size=MOST_BYTES))
def test_another_library_reads_what_we_write(plain):
    """PyPI's http-ece opens it with the browser's keys."""
    browser = Browser()
    body = encrypt(plain, read_subscription(browser.address), salt=bytes(range(16)), key=new_key())
    assert browser.read(body) == plain


def test_the_longest_message_fits_what_push_services_must_take():
    """3,993 octets become 4,096 (RFC 8291, section 4)."""
    browser = read_subscription(Browser().address)
    assert len(encrypt(b"x" * MOST_BYTES, browser, salt=bytes(16), key=new_key())) == 4_096


def test_another_browser_cannot_read_it():
    """The keys of one subscription open its messages only."""
    body = encrypt(b"secret", read_subscription(Browser().address), salt=bytes(16), key=new_key())
    with pytest.raises(Exception, match=r".*"):
        Browser().read(body)


def test_no_two_messages_look_alike():
    """Key and salt are new every time."""
    subscription = read_subscription(Browser().address)
    one = encrypt(b"same", subscription, salt=bytes(16), key=new_key())
    other = encrypt(b"same", subscription, salt=bytes(16), key=new_key())
    assert one[21:] != other[21:]


def test_a_key_off_the_curve_is_refused():
    """A point that is none would give away our key, were it a lasting one."""
    off = msgspec.structs.replace(VECTOR, public_key=b"\x04" + b"\x01" * 64)
    with pytest.raises(ValueError, match=r".*"):
        encrypt(b"x", off, salt=bytes(16), key=new_key())

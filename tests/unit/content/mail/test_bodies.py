"""Transfer encodings: the plainest that carries the text."""

import base64
import quopri

import pytest

from clarion.content.mail.bodies import has_short_lines, text_body

LONG = "x" * 999


@pytest.mark.parametrize(
    ("text", "seven_bit", "encoding"),
    [
        ("Hello", False, "7bit"),
        ("Hello", True, "7bit"),
        ("Grüße", False, "8bit"),
        ("Grüße an alle, die das hier lesen, und an die Welt", True, "quoted-printable"),
        ("Привет", True, "base64"),
        (LONG, False, "quoted-printable"),
        ("訂單" * 500, False, "base64"),
        ("x" * 998, False, "7bit"),
        (f"{LONG}ü", False, "quoted-printable"),
    ],
)
def test_the_encoding_fits_the_text(text, seven_bit, encoding):
    """Plain where it can be, quoted-printable for mostly ASCII, base64 for the rest."""
    found, data = text_body(text, seven_bit=seven_bit)
    assert found == encoding
    if encoding == "quoted-printable":
        read = quopri.decodestring(data)
    else:
        read = base64.b64decode(data) if encoding == "base64" else data
    assert read.decode() == text + "\r\n"
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))


def test_every_line_ends_the_same_way():
    """Bare CR and LF are the stuff of SMTP smuggling."""
    assert text_body("a\rb\nc\r\nd\r\r\ne\n", seven_bit=False)[1] == b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n"


def test_control_characters_are_left_out():
    """Tabs stay; NUL is forbidden in mail, the others do no good."""
    assert text_body("a\0b\x1b\x7f\tc", seven_bit=False)[1] == b"ab\tc\r\n"


def test_half_a_surrogate_pair_does_no_harm():
    """It cannot be written as UTF-8."""
    assert text_body("a\ud83d", seven_bit=False)[1] == b"a?\r\n"


@pytest.mark.parametrize("at", [0, 1, 500, 998, 2_000])
@pytest.mark.parametrize("length", [997, 998, 999, 3_000])
def test_long_lines_are_found_wherever_they_are(at, length):
    """998 octets are the most (RFC 5322)."""
    before = b"".join(b"y" * min(70, at - i) + b"\r\n" for i in range(0, at, 70))
    data = before + b"x" * length + b"\r\n" + b"z" * 900 + b"\r\n"
    assert has_short_lines(data) is (length <= 998)

"""How many parts a text message has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.content import Segments, segments
from clarion.content.sms import BASIC, EXTENDED, GSM


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

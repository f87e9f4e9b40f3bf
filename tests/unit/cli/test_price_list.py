"""The price list of `clarion prices import FILE`: read whole, or refused with the line at fault."""

import pytest
import typer

from clarion.cli.prices import _table


@pytest.fixture
def price_list(tmp_path):
    def write(content: bytes):
        file = tmp_path / "prices.csv"
        file.write_bytes(content)
        return file

    return write


def test_a_list_may_have_a_heading_blank_lines_and_a_byte_order_mark(price_list):
    """As spreadsheets write it."""
    file = price_list(b"\xef\xbb\xbfcountry,price\r\nDE,0.075\r\n\r\n +1787 , 0.02\r\n")
    assert _table(file) == {"DE": "0.075", "+1787": "0.02"}


def test_a_list_in_utf_16_is_read(price_list):
    """As Excel writes "Unicode text"."""
    assert _table(price_list("DE,0.075\r\n".encode("utf-16"))) == {"DE": "0.075"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no price: the price list was not changed"),
        (b"country,price\n", "has no price"),
        (b"DE,0.075\nDE,0.08\n", "line 2: DE has a price already"),
        (b"DE,0.075\nFR\n", "line 2: write a country or prefix and a price, like DE,0.075"),
        (b"DE;0.075\n", "line 1: write a country or prefix and a price, like DE,0.075"),
        (b"DE,0.075\nFR,nan\n", "line 2: write a country or prefix and a price, like DE,0.075"),
        (b"DE,0.075\nFR,free\n", "line 2: write a country or prefix and a price, like DE,0.075"),
        (b"DE,0.075\nFR,\xa30.02\nIT,0.1\n", "line 2 has the byte 0xA3"),
        (b'DE,0.075\nFR,"0.02\nIT,0.1\n', "line 2: unexpected end of data"),
        (b"\xff\xfe\x00", "prices.csv, line 1 has the byte 0x00"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(price_list, content, said):
    """An empty file above all: it would take every price out."""
    with pytest.raises(typer.BadParameter) as refused:
        _table(price_list(content))
    assert said in refused.value.message

"""Files that commands read whole: in any Unicode encoding, and never a traceback."""

import pytest
import typer

from clarion.cli.assignments import event_data
from clarion.cli.templates import _read
from clarion.rules.text_lines import text_of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_document_is_read_in_the_encoding_of_its_byte_order_mark(tmp_path, encoding):
    """Editors on Windows write one in front of JSON and TOML."""
    json, toml = tmp_path / "data.json", tmp_path / "welcome.toml"
    json.write_bytes('{"name": "Jürgen"}'.encode(encoding))
    toml.write_bytes('key = "jürgen"'.encode(encoding))
    assert event_data(f"@{json}", []) == {"name": "Jürgen"}
    assert _read(str(json), "k") == {"name": "Jürgen", "key": "k"}
    assert _read(str(toml), None) == {"key": "jürgen"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,\n"b": "J\xfcrgen"}', "line 2 has the byte 0xFC, which is not UTF-8"),
        (b'\xff\xfe{\x00"', "which is not UTF-16"),
        (b'{"a": ' + b"[" * 100_000, "recursion"),
        (b'{"a": "\\ud800"}', ""),
        (b"\x00", ""),
        (b"", ""),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_the_place(tmp_path, content, said):
    """Before anything is sent."""
    file = tmp_path / "data.json"
    file.write_bytes(content)
    for read in (lambda: event_data(f"@{file}", []), lambda: _read(str(file), None)):
        with pytest.raises(typer.BadParameter) as refused:
            read()
        assert said in refused.value.message


def test_a_byte_order_mark_is_no_text():
    """It stands in front of it."""
    assert text_of(b"\xef\xbb\xbfhi") == "hi"

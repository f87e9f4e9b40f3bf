"""Lines of a file become users; a wrong line says what is wrong with it and stops nobody else."""

import pytest

from clarion.model.operation import UserFileFormat
from clarion.rules.csv_rows import Header
from clarion.rules.text_lines import LONGEST, LineFeed, known_encoding, marked_encoding
from clarion.rules.user_lines import WrongHeader, csv_header, user_lines


def text_lines(content: bytes, encoding: str | None = None):
    feed = LineFeed(known_encoding(encoding) if encoding else marked_encoding(content[:4]) or "utf-8")
    feed.feed(content, last=True)
    return feed


def csv(content: str | bytes, encoding: str | None = None):
    lines = text_lines(content.encode() if isinstance(content, str) else content, encoding)
    header, fields = csv_header(lines, "", {})
    return header.raw, list(user_lines(UserFileFormat.CSV, lines, header, fields))


def ndjson(content: bytes):
    return list(user_lines(UserFileFormat.NDJSON, text_lines(content), Header("", [], ""), ()))


def ids(lines):
    return [line.document["user_id"] for line in lines if not line.problem]


def wrong(lines):
    return {line.number: line.problem for line in lines if line.problem}


def test_a_csv_row_becomes_a_user():
    """Empty values are left out; other columns are attributes."""
    _, (line,) = csv('user_id,email,attributes.name,attributes.tier\nu1,a@b.de,"Ada, ""A""",\n')
    assert line.document == {"user_id": "u1", "email": "a@b.de", "attributes": {"name": 'Ada, "A"'}}
    assert (line.number, line.problem) == (2, "")


def test_a_value_may_run_over_lines():
    """The line number is where the row begins, and the raw text is all of it."""
    _, lines = csv('user_id,attributes.note\nu1,"two\n\nlines, of prose"\nu2,x\n')
    assert [line.raw for line in lines] == ['u1,"two\n\nlines, of prose"', "u2,x"]
    assert [(line.number, line.last) for line in lines] == [(2, 4), (5, 5)]


def test_a_row_of_another_length_is_refused_and_the_next_one_is_not():
    """A missing comma concerns one person."""
    _, (short, good) = csv("user_id,email\nu1\nu2,a@b.de\n")
    assert (short.problem, good.problem) == ("has 1 values, the header has 2", "")


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("user_id,emial", "did you mean email"),
        ("user_id,tier", "attributes.tier"),
        ("email", "user_id among them"),
        ("User ID,email", "did you mean user_id"),
        ("user_id,E-Mail", "did you mean email"),
        ("user_id,email,email", "'email' is there twice"),
        ("user_id,email,", "column 3 has no name"),
        ("user_id,attributes.", "is not known"),
        ('user_id,"email', "quotes do not match"),
        ("", "the file is empty"),
        ("\0", "NUL character"),
    ],
)
def test_a_wrong_header_is_refused_before_anything_is_sent(header, hint):
    """With the nearest name."""
    with pytest.raises(WrongHeader, match=hint):
        csv(f"{header}\n")


def test_every_wrong_column_is_named_at_once():
    """Nobody corrects a file three times."""
    with pytest.raises(WrongHeader) as refused:
        csv("user_id,emial,tier,tier\n")
    assert all(said in str(refused.value) for said in ("did you mean email", "attributes.tier", "twice"))


def rows(count: int, **instead: str) -> str:
    """A file of people q1, q2, ...; some of its lines replaced (`q3='...'`)."""
    people = [instead.get(f"q{n}", f"q{n},q{n}@example.com,{n}") for n in range(1, count + 1)]
    return "\n".join(["user_id,email,attributes.shoe", *people]) + "\n"


@pytest.mark.parametrize(
    ("instead", "refused"),
    [
        ({"q3": 'q3,q3@example.com,"3'}, {4: "opens a quote that is not closed before line 5"}),
        ({"q9": 'q9,q9@example.com,"9'}, {10: "opens a quote that is never closed"}),
        (
            {"q3": 'q3,q3@example.com,"3', "q7": 'q7,q7@example.com,7"'},
            {4: "not closed before line 5", 8: "a quote in the middle of a value"},
        ),
        ({"q3": '"q3,q3@example.com,3'}, {4: "not closed before line 5"}),
        ({"q3": 'q3,"q3@example.com,3', "q4": 'q4,"q4@example.com",4'}, {4: "not closed before line 5"}),
        ({"q3": 'q3,q3@example.com,"3', "q4": 'q4,q4@example.com,"4, 5"'}, {4: "text after a closing"}),
        ({"q3": 'q3,q3@example.com,"3"x'}, {4: "text after a closing quote"}),
        ({"q3": 'q3,q3@example.com,5" pipe'}, {4: "a quote in the middle of a value"}),
        ({"q3": "q3,q3@example.com"}, {4: "has 2 values, the header has 3"}),
        ({"q3": "q3,q3@example.com,3,4"}, {4: "has 4 values, the header has 3"}),
        ({"q3": "q3,q3@example.com,\0"}, {4: "a NUL character"}),
        ({"q3": "q3,q3@example.com,\ufeff"}, {4: "a byte order mark"}),
        ({"q3": "\ufeffuser_id,email,attributes.shoe"}, {4: "repeats the line of column names"}),
        ({"q3": "q3,q3@example.com," + "x" * 200_000}, {4: "field larger than field limit"}),
        ({"q3": "q3,q3@example.com," + "x" * LONGEST}, {4: "longer than 1,048,576 characters"}),
    ],
)
def test_a_wrong_line_is_refused_by_its_number_and_everybody_else_is_read(instead, refused):
    """Above all those behind a quote that is opened by mistake."""
    _, lines = csv(rows(9, **instead))
    found = wrong(lines)
    assert found.keys() == refused.keys()
    assert all(refused[number] in found[number] for number in refused)
    assert ids(lines) == [f"q{n}" for n in range(1, 10) if n + 1 not in refused]


def test_a_quote_that_is_never_closed_costs_one_line_of_many():
    """However many lines follow, and although none of them looks like a row."""
    _, lines = csv('user_id,email\nu1,"a@b.de\n' + "u 2, nobody\n" * 3000)
    assert "not closed within 500 lines" in lines[0].problem
    assert len(lines) == 3001


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_line_ends_and_delimiters_are_recognised(end, delimiter):
    """As spreadsheets of other countries and of old Macs write them; empty rows at the end are none."""
    table = [
        ["user_id", "email", "attributes.name"],
        ["u1", "a@b.de", '"x,y;z"'],
        ["u2", "", ""],
        ["", "", ""],
    ]
    text = end.join(delimiter.join(row) for row in table)
    _, lines = csv(text)
    assert [line.document for line in lines] == [
        {"user_id": "u1", "email": "a@b.de", "attributes": {"name": "x,y;z"}},
        {"user_id": "u2"},
    ]


def test_the_separator_line_of_excel_is_understood():
    """`sep=` says how the values are separated, whatever the header looks like."""
    header, lines = csv("sep=#\r\nuser_id#email\r\nu1#a@b.de\r\n")
    assert header == "user_id#email"
    assert ids(lines) == ["u1"]
    assert lines[0].number == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding):
    """As Excel writes "Unicode text"."""
    _, lines = csv("user_id,attributes.name\nu1,Jürgen 🎉\n".encode(encoding))
    assert lines[0].document["attributes"] == {"name": "Jürgen 🎉"}


def test_another_encoding_can_be_named():
    """Without it the lines that are not UTF-8 are refused with the byte, its place and the way out."""
    content = "user_id,attributes.name\nu1,Ada\nu2,Jürgen\nu3,Bob\n".encode("cp1252")
    _, lines = csv(content)
    assert ids(lines) == ["u1", "u3"]
    assert "byte 0xFC at character 5, which is not UTF-8" in wrong(lines)[3]
    assert "name it (for example cp1252)" in wrong(lines)[3]
    assert ids(csv(content, "cp1252")[1]) == ["u1", "u2", "u3"]


def test_half_a_character_of_utf_16_costs_its_own_line():
    """Lone surrogates, and a last byte that is alone."""
    content = "user_id,attributes.name\nu1,x\nu2,".encode("utf-16") + b"\x00\xd8"
    content += "\nu3,z\nu4,y".encode("utf-16-le") + b"\x41"
    _, lines = csv(content)
    assert ids(lines) == ["u1", "u3"]
    assert wrong(lines).keys() == {3, 5}


def test_utf_16_without_a_byte_order_mark_is_told_how_to_be_read():
    """Its lines are full of NUL characters; the encoding can be named."""
    content = "user_id,attributes.name\nu1,Jürgen\n".encode("utf-16-le")
    with pytest.raises(WrongHeader, match="utf-16-le"):
        csv(content)
    assert ids(csv(content, "utf-16-le")[1]) == ["u1"]


@pytest.mark.parametrize("name", ["cp1525", "utf_61", "klingon", "idna", "base64"])
def test_an_unknown_encoding_is_refused_with_an_example(name):
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"is not known; (did you mean|for example)"):
        text_lines(b"", name)


def test_ndjson_keeps_line_numbers_and_skips_blank_lines():
    """The reader's editor and the report agree."""
    content = b'{"user_id":"a"}\n\n[1]\nnope\n{"user_id":"b"} x\n\xff{"user_id":"c"}\n{"a":' + b"[" * 100_000
    content += b'\n"\\ud800"\n{"user_id":"d"}\r\n'
    lines = ndjson(content)
    assert list(wrong(lines)) == [3, 4, 5, 6, 7, 8]
    assert ids(lines) == ["a", "d"]
    assert "one user a line, not a list" in wrong(lines)[3]
    assert "byte 0xFF at character 1" in wrong(lines)[6]

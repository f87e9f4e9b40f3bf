"""Whatever is in a file of people: every line is imported or refused, and nothing of it ends up elsewhere."""

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clarion.model.operation import UserFileFormat
from clarion.rules.csv_rows import Header
from clarion.rules.text_lines import LineFeed, LineWriter, TextLine, split
from clarion.rules.user_lines import UserLine, WrongHeader, csv_header, user_lines

PIECE = st.sampled_from(
    ["u1", "a@b.de", ",", '"', '""', "\n", "\r\n", "\r", " ", ";", "x", "ü", "🎉", "\0", "\ufeff", "u1,a@b.de,x\n", "\u2028"]
)  # fmt: skip
BYTES = st.lists(PIECE.map(str.encode) | st.binary(max_size=3), max_size=60).map(b"".join)


def read(content: bytes, *, csv: bool) -> list[UserLine]:
    """What the import makes of a file."""
    feed = LineFeed("utf-8")
    feed.feed(content, last=True)
    if not csv:
        return list(user_lines(UserFileFormat.NDJSON, feed, Header("", [], ""), ()))
    header, fields = csv_header(feed, "", {})
    return list(user_lines(UserFileFormat.CSV, feed, header, fields))


def cut(content: bytes, encoding: str, places: list[int]) -> list[TextLine]:
    """The lines of a file that comes in pieces."""
    feed, found, start = LineFeed(encoding), [], 0
    for place in sorted(places):
        feed.feed(content[start : max(start, place)])
        start = max(start, place)
        found += list(feed)
    feed.feed(content[start:], last=True)
    return [*found, *feed]


@given(
    BYTES,
    st.sampled_from(["utf-8", "utf-16", "utf-16-le", "cp1252", "shift_jis"]),
    st.lists(st.integers(0, 99)),
)
def test_it_does_not_matter_where_a_file_is_cut(content, encoding, places):
    """Inside of a character or between the two that end a line; and a line can be written again as it was."""
    whole = cut(content, encoding, [])
    assert cut(content, encoding, places) == whole
    assert "".join(line.text for line in whole).replace("\ufeff", "") == "".join(
        line.text for one in whole for line in split(one.text, encoding)
    ).replace("\ufeff", "")
    if encoding == "utf-8":
        ends = [line.text.rstrip("\r\n") for line in whole]
        assert LineWriter(encoding).write(ends) == b"".join(
            one.encode("utf-8", "surrogateescape") + b"\n" for one in ends
        )


@given(BYTES)
def test_every_line_of_a_csv_file_is_accounted_for(content):
    """In order, each in one row: what a row holds was there, and nothing was left out but blank rows."""
    whole = b"user_id,email,attributes.note\n" + content
    rows = read(whole, csv=True)
    told = "".join(row.raw for row in rows)
    shown = whole.split(b"\n", 1)[1].decode("utf-8", "surrogateescape")
    blank = str.maketrans("", "", '\r\n\ufeff, "')
    assert told.translate(blank) == shown.translate(blank)
    for row, later in pairwise(rows):
        assert row.number <= row.last < later.number
    for row in rows:
        assert bool(row.problem) != (row.document is not None)


@given(BYTES)
def test_a_user_of_a_csv_file_has_no_more_than_their_row(content):
    """Nobody's address ends up in somebody else's attribute."""
    rows = read(b"user_id,email,attributes.note\n" + content, csv=True)
    for row in rows:
        if (user := row.document) is not None:
            values = [user.get("user_id", ""), user.get("email", ""), *user.get("attributes", {}).values()]
            assert all(value.replace('"', "") in row.raw.replace('"', "") for value in values)


@given(
    st.lists(st.binary(max_size=12) | st.just(b'{"user_id":"u"}') | st.just(b"\n"), max_size=30).map(b"".join)
)
def test_every_line_of_an_ndjson_file_is_accounted_for(content):
    """Whatever the bytes are."""
    rows = read(content, csv=False)
    for row in rows:
        assert bool(row.problem) != (row.document is not None)
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))


@given(st.binary(max_size=200))
def test_any_beginning_of_a_csv_file_is_read_or_refused(content):
    """With a reason, never with a fault."""
    with suppress(WrongHeader):
        read(content, csv=True)

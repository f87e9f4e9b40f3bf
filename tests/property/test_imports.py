"""Whatever is in a file of people: every line is imported or refused, and nothing of it ends up elsewhere."""

import io
import json
from contextlib import suppress
from itertools import pairwise

import typer
from hypothesis import given
from hypothesis import strategies as st

from clarion.cli import users
from clarion.cli.textfile import encoding_of, lines_of, open_text

PIECE = st.sampled_from(
    ["u1", "a@b.de", ",", '"', '""', "\n", "\r\n", "\r", " ", ";", "x", "ü", "🎉", "\0", "\ufeff", "u1,a@b.de,x\n", "\u2028"]
)  # fmt: skip
BYTES = st.lists(PIECE.map(str.encode) | st.binary(max_size=3), max_size=60).map(b"".join)


def read(content: bytes, *, csv: bool) -> tuple[list[str], list[users.Line]]:
    """The lines of a file, and what the import makes of them."""
    source = open_text(io.BytesIO(content), encoding_of(io.BytesIO(content), None))
    if csv:
        return content.decode("utf-8", "surrogateescape").splitlines(), list(users._csv(lines_of(source))[1])
    return [], list(users._ndjson(lines_of(source)))


@given(BYTES)
def test_every_line_of_a_csv_file_is_accounted_for(content):
    """In order, each in one row: what a row holds was there, and nothing was left out but blank rows."""
    whole = b"user_id,email,attributes.note\n" + content
    _, rows = read(whole, csv=True)
    told = "".join(row.raw for row in rows)
    shown = whole.split(b"\n", 1)[1].decode("utf-8", "surrogateescape")
    blank = str.maketrans("", "", '\r\n\ufeff, "')
    assert told.translate(blank) == shown.translate(blank)
    for row, later in pairwise(rows):
        assert row.number <= row.last < later.number
    for row in rows:
        assert bool(row.problem) != bool(row.user)


@given(BYTES)
def test_a_user_of_a_csv_file_has_no_more_than_their_row(content):
    """Nobody's address ends up in somebody else's attribute."""
    _, rows = read(b"user_id,email,attributes.note\n" + content, csv=True)
    for row in rows:
        if row.user:
            user = json.loads(row.user)
            values = [user.get("user_id", ""), user.get("email", ""), *user.get("attributes", {}).values()]
            assert all(value.replace('"', "") in row.raw.replace('"', "") for value in values)


@given(
    st.lists(st.binary(max_size=12) | st.just(b'{"user_id":"u"}') | st.just(b"\n"), max_size=30).map(b"".join)
)
def test_every_line_of_an_ndjson_file_is_accounted_for(content):
    """Whatever the bytes are."""
    _, rows = read(content, csv=False)
    for row in rows:
        assert bool(row.problem) != bool(row.user)
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))


@given(st.binary(max_size=200))
def test_any_beginning_of_a_csv_file_is_read_or_refused(content):
    """With a reason, never with a fault."""
    with suppress(typer.BadParameter):
        read(content, csv=True)

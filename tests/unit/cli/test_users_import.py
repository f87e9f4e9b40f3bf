"""Lines of a file become users; a wrong line says what is wrong with it and stops nobody else."""

import io
import json

import pytest
import typer

from clarion.cli import users


def csv(text: str):
    header, lines = users._csv(io.StringIO(text))
    return header, list(lines)


def test_a_csv_row_becomes_a_user():
    """Empty values are left out; other columns are attributes."""
    _, (line,) = csv('user_id,email,attributes.name,attributes.tier\nu1,a@b.de,"Ada, ""A""",\n')
    assert json.loads(line.user) == {"user_id": "u1", "email": "a@b.de", "attributes": {"name": 'Ada, "A"'}}
    assert (line.number, line.problem) == (2, "")


def test_a_value_may_run_over_lines():
    """The line number is where the row ends, and the raw text is all of it."""
    _, lines = csv('user_id,attributes.note\nu1,"two\nlines"\nu2,x\n')
    assert [line.raw for line in lines] == ['u1,"two\nlines"', "u2,x"]
    assert lines[1].number == 4


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
    ],
)
def test_a_wrong_header_is_refused_before_anything_is_sent(header, hint):
    """With the nearest name."""
    with pytest.raises(typer.BadParameter, match=hint):
        csv(f"{header}\n")


def test_ndjson_keeps_line_numbers_and_skips_blank_lines():
    """The reader's editor and the report agree."""
    lines = list(users._ndjson(io.StringIO('{"user_id":"a"}\n\n[1]\nnope\n')))
    assert [(line.number, bool(line.problem)) for line in lines] == [(1, False), (3, True), (4, True)]


def test_batches_are_bounded_in_lines_and_in_bytes():
    """A call never exceeds what the server takes."""
    many = [users.Line(n, "x", user=b"x") for n in range(users.BATCH + 1)]
    assert [len(batch) for batch in users._batches(iter(many))] == [users.BATCH, 1]
    large = [users.Line(n, "x", user=b"x" * users.BATCH_BYTES) for n in range(2)]
    assert [len(batch) for batch in users._batches(iter(large))] == [1, 1]

"""Rows on their way into SQLite and back."""

import sqlite3

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.ledgers.joined_ids import split_ids
from clarion.adapters.ledgers.sqlite.row_encoding import (
    BlobTail,
    bytes_at,
    encoded,
    field,
    id_at,
    keys,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
IDS = st.binary(min_size=16, max_size=16)
SOURCE = sqlite3.connect(":memory:", check_same_thread=False)


@given(st.lists(st.tuples(IDS, IDS, st.binary(max_size=50), TEXT, st.integers(-(2**63), 2**63 - 1))))
def test_every_row_arrives_as_it_was(rows):
    """Ids, bytes of any length, text (SQLite ends it at a NUL) and numbers, in order."""
    tail = BlobTail(part for a, b, *_ in rows for part in (a, b))
    packed = encoded([(text, number, tail.add(blob), len(blob)) for _, _, blob, text, number in rows])
    sql = f"SELECT {id_at(0, 2)}, {id_at(1, 2)}, {bytes_at(2, 3)}, {field(0)}, {field(1)} FROM json_each(?1)"
    found = SOURCE.execute(sql, (packed, tail.joined())).fetchall()
    assert found == [(a, b, blob, text, number) for a, b, blob, text, number in rows]


@given(st.lists(IDS))
def test_ids_alone_arrive_too(ids):
    """None, one or many."""
    found = SOURCE.execute(f"SELECT {id_at(0, 1)} FROM json_each(?1)", keys(ids)).fetchall()
    assert [row[0] for row in found] == ids
    assert split_ids(b"".join(ids)) == tuple(ids)


def test_a_missing_offset_is_null():
    """What a row does not have is nothing, not empty."""
    assert SOURCE.execute(f"SELECT {bytes_at(0)} FROM json_each(?1)", ("[[null]]", b"")).fetchall() == [
        (None,)
    ]


def test_half_a_character_does_not_stop_the_batch():
    """Providers say strange things; the message has to settle all the same."""
    assert msgspec.json.decode(encoded([("ok", "half \ud83d", 1)])) == [["ok", "half ?", 1]]


@pytest.mark.parametrize("value", [None, True, False, 0])
def test_small_values_keep_their_kind(value):
    """A flag is a number, nothing is null."""
    (found,) = SOURCE.execute(f"SELECT {field(0)} FROM json_each(?1)", (encoded([(value,)]),)).fetchone()
    assert found == (None if value is None else int(value))

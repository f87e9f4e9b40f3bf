"""Typed expressions: what is accepted when a workflow is published meets no wrong type in data that satisfy the schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.rules.data_types import Scalar, type_of_data, typed
from clarion.rules.expressions import ExpressionError, checked, compiled

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "text": {"type": "string"},
        "flag": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"},
        "list": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"whole": {"type": "integer"}, "number": {"type": "number"}},
            },
        },
        "part": {"type": "object", "properties": {"text": {"type": "string"}, "flag": {"type": "boolean"}}},
    },
}
DATA = type_of_data(SCHEMA)
TYPES = (("data", DATA), ("now", Scalar.MOMENT))
WHOLE = st.one_of(st.integers(-100, 100), st.integers(-9, 9).map(float))
NUMBER = st.one_of(st.integers(-100, 100), st.floats(-1e6, 1e6))
TEXT = st.text("ab ", max_size=3)
GIVEN = st.fixed_dictionaries(
    {
        "whole": WHOLE,
        "number": NUMBER,
        "text": TEXT,
        "flag": st.booleans(),
        "at": st.sampled_from(["2026-05-04T09:30:00Z", "2026-05-04t09:30:00.5+02:00"]),
        "list": st.lists(st.fixed_dictionaries({"whole": WHOLE, "number": NUMBER}), min_size=1, max_size=2),
        "part": st.fixed_dictionaries({"text": TEXT, "flag": st.booleans()}),
    }
)
LEAVES = st.sampled_from(
    [
        *("data.whole", "data.number", "data.text", "data.flag", "data.at", "data.list[0].whole"),
        *("data.list[0].number", "data.part.text", "data.part['flag']", "data.list.size()", "now"),
        *("1", "1.5", "'a'", "true", "data.list.map(one, one.number)[0]", "duration('1h')"),
    ]
)
SOURCES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", ">", "<=", "==", "!=", "&&", "||"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        inner.map(lambda one: f"!({one})"),
        inner.map(lambda one: f"data.list.exists(one, one.whole < ({one}))"),
    ),
    max_leaves=4,
)


def said_of(source: str, seen: dict[str, Any]) -> str:
    """Why the expression has no value."""
    try:
        compiled(source, ("data", "now")).value(seen)
    except ExpressionError as wrong:
        return wrong.detail
    return ""


@settings(deadline=None)
@given(source=SOURCES, given_data=GIVEN)
def test_what_is_accepted_meets_no_wrong_type(source, given_data):
    """Also where a number is written without a point; a value may still be impossible, like a sum that is too large."""
    try:
        checked(source, TYPES)
    except ExpressionError:
        return
    seen = {"data": typed(given_data, DATA), "now": typed("2026-05-05T00:00:00Z", Scalar.MOMENT)}
    said = said_of(source, seen)
    assert "types" not in said
    assert "no field" not in said


def test_the_test_above_sees_wrong_types():
    """Without the schema's types the same comparison fails on the same data."""
    source = "data.number + 1.5 > 2.0"
    checked(source, TYPES)
    with pytest.raises(ExpressionError, match="these types do not go together"):
        compiled(source, ("data",)).value({"data": {"number": 1}})

"""Types of data from a JSON Schema: expressions that do not fit are refused before there are any data."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clarion.content.templates.schema import Schema
from clarion.rules.data_types import (
    ANYTHING,
    ListOf,
    MapOf,
    Nullable,
    ObjectOf,
    Scalar,
    example,
    moment,
    pointer_fault,
    type_of_data,
    typed,
)
from clarion.rules.expressions import ExpressionError, checked, compiled

ORDER = {
    "properties": {
        "order": {"type": "string", "minLength": 6},
        "total": {"type": "number", "minimum": 10},
        "count": {"type": "integer", "maximum": 9},
        "urgent": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 2},
        "note": {"type": ["string", "null"]},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "kind": {"enum": ["gift", "own"]},
        "customer": {"anyOf": [{"$ref": "#/$defs/customer"}, {"type": "null"}]},
        "free": {},
        "mixed": {"type": ["string", "integer"]},
        "both": {
            "type": "object",
            "allOf": [
                {"properties": {"left": {"type": "string"}}},
                {"properties": {"right": {"type": "integer"}}},
            ],
        },
        "odd": {"type": "object", "properties": {"a-b": {"type": "string"}}},
    },
    "$defs": {
        "line": {"type": "object", "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}}},
        "customer": {"type": "object", "properties": {"country": {"type": "string"}}},
    },
}
DATA = type_of_data(ORDER)
TYPES = (("data", DATA), ("now", Scalar.MOMENT))


def test_a_schema_is_read_as_far_as_it_says_one_type():
    """Also behind references; what may be several things is left open."""
    assert isinstance(DATA, ObjectOf)
    assert DATA.get("lines") == ListOf(ObjectOf((("sku", Scalar.TEXT), ("count", Scalar.WHOLE))))
    assert DATA.get("note") == Nullable(Scalar.TEXT)
    assert DATA.get("customer") == Nullable(ObjectOf((("country", Scalar.TEXT),)))
    assert DATA.get("tags") == MapOf(Scalar.TEXT)
    assert DATA.get("kind") == Scalar.TEXT
    assert DATA.get("both") == ObjectOf((("left", Scalar.TEXT), ("right", Scalar.WHOLE)))
    assert [DATA.get(name) for name in ("free", "mixed")] == [Scalar.ANY] * 2
    assert DATA.get("odd") == ANYTHING


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "array"},
        {"$ref": "#/$defs/gone"},
        {"type": "object", "properties": {}},
        {"type": "object", "patternProperties": {"^a": {}}, "properties": {"b": {}}},
        {"allOf": [{"type": "object"}, {"properties": {"a": {}}}]},
    ],
)
def test_data_of_which_little_is_said_may_be_anything(schema):
    """Nothing is refused because of it."""
    assert type_of_data(schema) == ANYTHING


@pytest.mark.parametrize(
    "source",
    [
        "data.total > 100.0 && data.count > 3 && data.urgent",
        "data.lines.exists(line, line.sku == 'a' && line.count > 1)",
        "data['order'].startsWith('A') && data[\"kind\"] == 'gift'",
        "data.note == null || data.note.contains('x')",
        "data.customer == null || data.customer.country in ['DE', 'FR']",
        "data.at + duration('1h') < now",
        "data.tags.colour == 'red' && data.grid[0][1] > 3",
        "data.free.anything == 3 || data.mixed == 'x' || data.odd['a-b'] == 'y'",
        "data.both.left == 'a' && data.both.right == 1",
        "has(data.note) && 'data.totl' != data.order && \"a['x']\" != data.order",
    ],
)
def test_what_fits_the_schema_is_accepted(source):
    """Whatever its types leave open too."""
    assert checked(source, TYPES).may_be_condition


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("data.totl > 1.0", "column 6: there is no field `totl`: did you mean `total`?"),
        ("data['totl'] > 1.0", "column 7: there is no field `totl`: did you mean `total`?"),
        ("has(data.totl)", "column 10: there is no field `totl`: did you mean `total`?"),
        (
            "data.lines.exists(x,\n  x.skuu == 'a')",
            "line 2, column 5: there is no field `skuu`: did you mean `sku`?",
        ),
        ("data.customer.xyz", "column 15: there is no field `xyz`: there is `country`"),
        ("data.total > 100", "column 12: `>` does not go with number and whole number: write a number with"),
        ("data.order + 1", "column 12: `+` does not go with text and whole number"),
        ("data.at < 'x'", "column 9: `<` does not go with point in time and text"),
        ("data.urgent && data.order", "`&&` does not go with true or false and text"),
        ("data.lines == 1", "`==` does not go with list and whole number"),
        ("size(data.count) > 1", "`size` does not go with whole number"),
        ("data[data.order] == 1", "a field that has a type is asked for by its name, as in `data.total`"),
        ("dota.total > 1.0", "column 1: nothing is called `dota`: did you mean `data`?"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(source, said):
    """And with the nearest name, or with what to write."""
    with pytest.raises(ExpressionError) as wrong:
        checked(source, TYPES)
    assert said in str(wrong.value)


def test_data_are_seen_as_the_schema_calls_them():
    """A number may be written without a point, and a moment is no text; what does not fit stays as it is."""
    given = {
        "total": 100,
        "count": 2.0,
        "at": "2026-05-04T09:30:00Z",
        "lines": [{"sku": "a", "count": 1.0}],
        "note": None,
        "customer": {"country": "DE"},
        "urgent": True,
        "more": [1],
    }
    seen = typed(given, DATA)
    assert seen == {**given, "at": moment(datetime(2026, 5, 4, 9, 30, tzinfo=UTC))}
    assert [type(seen[name]) for name in ("total", "count")] == [float, int]
    assert typed({"at": "soon", "total": "x"}, DATA) == {"at": "soon", "total": "x"}
    assert compiled("data.total * 1.5 > 149.0 && data.at < now", ("data", "now")).value(
        {"data": seen, "now": moment(datetime(2026, 5, 5, tzinfo=UTC))}
    )


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("", None),
        ("/order", None),
        ("/lines/0/sku", None),
        ("/tags/colour", None),
        ("/free/any/thing", None),
        ("/customer/country", None),
        ("/ordr", "the schema has no `ordr`: did you mean `order`?"),
        ("/lines/0/sk", "the schema has no `sk`: did you mean `sku`?"),
        ("/order/0", "there is nothing inside a text"),
    ],
)
def test_a_pointer_is_held_against_the_schema(pointer, said):
    """As an expression would be."""
    assert pointer_fault(DATA, pointer) == said


def test_the_example_is_what_the_schema_asks_for():
    """With what somebody gave on top; the schema accepts it."""
    found = example(ORDER, {"order": "A-1042"})
    assert found["order"] == "A-1042"
    assert found["kind"] == "gift"
    assert len(found["lines"]) == 2
    assert Schema(ORDER).mismatches(found, 100) == []
    assert example(None, {"a": 1}) == {"a": 1}
    assert example(
        {"properties": {"a": {"default": 7}, "b": {"exclusiveMinimum": 3, "type": "integer"}}}, {}
    ) == {
        "a": 7,
        "b": 4,
    }

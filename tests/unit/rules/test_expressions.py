"""Expressions: their values, and errors that say where and what to write instead."""

import pytest

from clarion.rules.expressions import LONGEST, ExpressionError, compiled

NAMES = ("data", "event", "record")
SEEN = {
    "data": {
        "customer_id": "ada",
        "total": 3,
        "price": 1.5,
        "lines": [{"sku": "a"}, {"sku": "b"}],
        "note": None,
    },
    "event": {},
    "record": {"topic": "orders", "headers": {"trace": "t"}},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("data.customer_id", "ada"),
        ("'order-shipped'", "order-shipped"),
        ("[data.customer_id]", ["ada"]),
        ("data.lines.map(line, line.sku)", ["a", "b"]),
        ("{'user_id': data.customer_id, 'create': true}", {"user_id": "ada", "create": True}),
        ("data.total > 2 && data.price < 2.0", True),
        ("has(data.email) ? data.email : null", None),
        ("data.note", None),
        ("record.headers.trace", "t"),
        ("string(data.total)", "3"),
        ("timestamp('2026-05-01T09:30:00Z') + duration('1h')", "2026-05-01T10:30:00Z"),
        ("duration('90s')", 90.0),
        ("data.customer_id.matches('^a')", True),
    ],
)
def test_a_value_is_what_json_would_have(source, value):
    """Texts, numbers, lists, maps and null."""
    assert compiled(source, NAMES).value(SEEN) == value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "order-shipped",
            "column 1: nothing is called `order`: There are `data`, `event`, `record`; a text stands",
        ),
        ("datas.total > 1", "column 1: nothing is called `datas`: did you mean `data`?"),
        ("data.total >", "column 13: mismatched input"),
        ("data.lines.exist(x, x.sku == 'a')", "nothing is called `exist`: did you mean `exists`?"),
        ("'a' + 1", "column 5: `+` does not go with text and whole number"),
        ("data.total +\n  dota.x", "line 2, column 3: nothing is called `dota`: did you mean `data`?"),
        ("x" * (LONGEST + 1), "an expression has at most"),
        ("(" * 200 + "1" + ")" * 200, "recursion limit"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(source, said):
    """Before it meets any data."""
    with pytest.raises(ExpressionError) as wrong:
        compiled(source, NAMES)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("data.customerid", "column 6: there is no field `customerid`: did you mean `customer_id`?"),
        ("data.xyz.abc", "column 6: there is no field `xyz`: `has(data.xyz.abc)` asks whether it is there"),
        ("1 + data['totel']", "column 11: there is no field `totel`: did you mean `total`?"),
        ("data.lines.map(line, line.sko)", "there is no field `sko`"),
        ("data.total + 1.5", "these types do not go together: _+_(int64, double)"),
        ("data.total.x", "a field is asked of something that has no fields"),
        ("1 / (data.total - 3)", "divide by zero"),
        ("b'abc'", "neither a text, a number, a list nor a map"),
    ],
)
def test_an_expression_without_a_value_says_why(source, said):
    """With the nearest field, where one is missing."""
    with pytest.raises(ExpressionError) as wrong:
        compiled(source, NAMES).value(SEEN)
    assert said in str(wrong.value)


def test_every_evaluation_ends():
    """Loops inside loops are limited, whatever the data."""
    many = {**SEEN, "data": {"n": list(range(20_000))}}
    with pytest.raises(ExpressionError, match="too many steps"):
        compiled("data.n.all(x, data.n.all(y, x != -1 - y))", NAMES).value(many)

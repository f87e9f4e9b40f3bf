"""How statements say that rows are looked up one by one."""

from __future__ import annotations


def is_each(column: str, value: str) -> str:
    """SQL: `column` is the `value` of the row that it is joined with, and is looked up in its index.

    Where it said `column = value`, the server could join the two by going through the whole table, and does when it was last
    counted while it was empty.
    """
    return f"{column} = ANY(ARRAY[{value}])"

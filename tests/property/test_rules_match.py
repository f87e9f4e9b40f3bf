"""Patterns against a regular expression, pointers against the documents they came from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.rules.match import MISSING, check_pointer, matches, resolve

segments = st.sampled_from(["a", "b", "ab", ""])
types = st.lists(segments, min_size=1, max_size=8).map(".".join)
patterns = st.lists(st.one_of(segments, st.just("*")), min_size=1, max_size=6).map(".".join)


@given(patterns, types)
def test_patterns_mean_what_the_regular_expression_means(pattern, type):
    """`*` is one or more segments, everything else is itself."""
    parts = [r"[^.]*(?:\.[^.]*)*" if part == "*" else re.escape(part) for part in pattern.split(".")]
    assert matches(pattern, type) is bool(re.fullmatch(r"\.".join(parts), type))


documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("a/~01 ", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(document, prefix=""):
    """Every pointer into a document, with what it leads to."""
    yield prefix, document
    if isinstance(document, dict):
        for name, value in document.items():
            yield from paths(value, f"{prefix}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from paths(value, f"{prefix}/{index}")


@given(documents)
def test_a_pointer_leads_to_what_it_was_made_from(document):
    """For every value of every document; and one step further there is nothing."""
    for pointer, value in paths(document):
        assert resolve(document, pointer) is value
        assert resolve(document, f"{pointer}/nothing-is-called-this") is MISSING


@given(documents, st.text(max_size=6))
def test_any_text_is_a_pointer_or_refused(document, text):
    """Never an exception nobody expects."""
    if check_pointer(text) is None:
        resolve(document, text)
    else:
        with pytest.raises(ValueError, match="JSON pointer"):
            resolve(document, text)

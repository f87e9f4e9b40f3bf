"""Texts are cut between what people see as characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.graphemes import LONGEST, beginning, cuts, first_of

FLAG = "🇩🇪"


def test_a_flag_is_whole_or_not_there():
    """Half of one is another letter, or another country."""
    assert list(cuts("a" + FLAG * 2, 5)) == [0, 1, 3, 5]
    assert list(cuts("a" + FLAG * 2, 4)) == [0, 1, 3]
    assert beginning(FLAG * 3, 5) == FLAG * 2


@pytest.mark.parametrize(
    ("text", "first"), [("", ""), ("Ada", "A"), (FLAG + "x", FLAG), ("e\u0301x", "e\u0301")]
)
def test_the_first_visible_character_is_found(text, first):
    """For a picture of somebody who has none."""
    assert first_of(text) == first


@given(st.text(alphabet="ab \u0301\u200d👩👍🏽🇩🇪\ufe0f\r\n각", max_size=200), st.integers(0, 220))
def test_there_is_always_a_place_to_cut_near_the_limit(text, most):
    """In order, from the beginning, and never further before the limit than one visible character."""
    found = list(cuts(text, most))
    assert found == sorted(set(found))
    assert found[0] == 0
    assert min(most, len(text)) - LONGEST <= found[-1] <= min(most, len(text))

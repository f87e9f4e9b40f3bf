"""What `clarion ... edit` sends of a document that a person changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clarion.api.merging import merge
from clarion.cli.documents import patch

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(before=DOCUMENTS, after=DOCUMENTS)
def test_the_patch_of_a_change_makes_that_change(before, after):
    """Whatever was changed, added or taken out (the server merges; nothing in a document is null)."""
    assert merge(before, patch(before, after)) == after
    assert patch(after, after) == {}

"""What is changed on top of what is stored is changed again when somebody else was faster."""

from __future__ import annotations

import pytest

from clarion.errors import Conflict, NotFound
from clarion.flow.conflicts import repeat_on_conflict


def changing(*faults: Exception):
    """A change that fails with these, one after the other, and then returns how often it was called."""
    calls = 0

    async def change() -> int:
        nonlocal calls
        calls += 1
        if calls <= len(faults):
            raise faults[calls - 1]
        return calls

    return change


async def test_a_change_is_made_again_while_others_are_faster():
    """From its beginning, so that it starts from what they stored."""
    assert await repeat_on_conflict(changing(), 3) == 1
    assert await repeat_on_conflict(changing(Conflict("a"), Conflict("b")), 3) == 3


async def test_whoever_is_never_fast_enough_is_told_so():
    """With what the last try said."""
    with pytest.raises(Conflict, match="c"):
        await repeat_on_conflict(changing(Conflict("a"), Conflict("b"), Conflict("c")), 3)


async def test_any_other_error_is_told_at_once():
    """It would come again."""
    with pytest.raises(NotFound):
        await repeat_on_conflict(changing(NotFound("gone")), 3)

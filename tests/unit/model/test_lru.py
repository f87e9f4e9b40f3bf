"""A bounded memory forgets what was not asked for longest, and never everything at once."""

from clarion.model.lru import Lru


def test_what_was_used_last_is_kept():
    """Reading counts as use."""
    kept: Lru[str, int] = Lru(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    assert kept.put("c", 3) == 3
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
    assert len(kept) == 2


def test_a_value_is_replaced_in_its_place():
    """Not kept twice."""
    kept: Lru[str, int] = Lru(2)
    kept.put("a", 1)
    kept.put("a", 2)
    assert (kept.get("a"), len(kept)) == (2, 1)


def test_one_more_than_there_is_room_for_costs_one():
    """A hundred of a hundred stay when one comes, where emptying would cost them all."""
    kept: Lru[int, int] = Lru(100)
    for n in range(101):
        kept.put(n, n)
    assert [kept.get(n) for n in range(101)] == [None, *range(1, 101)]

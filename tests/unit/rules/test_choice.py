"""Which integration a message takes."""

from clarion.rules.weighted_choice import choose

THREE = [("a", 1), ("b", 2), ("c", 3)]
PINNED = ["b", "a", "c", "c", "b", "a", "c", "a"]


def test_the_only_one_left_is_taken():
    """Without hashing anything."""
    assert choose([("a", 100)], b"m", frozenset()) == "a"
    assert choose(THREE, b"m", frozenset({"a", "c"})) == "b"


def test_none_is_left():
    """No candidates, or all excluded."""
    assert choose([], b"m", frozenset()) is None
    assert choose(THREE, b"m", frozenset({"a", "b", "c"})) is None


def test_the_choice_is_pinned():
    """It must never change between versions: messages in flight would move."""
    assert [choose(THREE, b"message-%d" % n, frozenset()) for n in range(8)] == PINNED


def test_a_standby_takes_over_only_when_nothing_else_is_left():
    """Weight 0 has no share."""
    candidates = [("main", 1), ("standby", 0)]
    assert {choose(candidates, b"%d" % n, frozenset()) for n in range(200)} == {"main"}
    assert choose(candidates, b"m", frozenset({"main"})) == "standby"

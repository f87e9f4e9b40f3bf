"""A tree of pads: everything can be derived from what is kept, but what was destroyed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.sqlite.puncturable_prf import NUMBERS, Node, within, without

SECRET = bytes(range(32))
ROOT = Node(0, NUMBERS, SECRET)
NUMBER = st.integers(1, NUMBERS - 1)


def pad(kept: list[Node], number: int) -> bytes | None:
    """What grows from the kept nodes; None where nothing does."""
    found = [node for node in kept if node.first <= number < node.first + node.size]
    assert len(found) <= 1
    return within(found[0], number).secret if found else None


def destroyed(kept: list[Node], number: int) -> list[Node]:
    """What is kept afterwards."""
    return [
        other
        for node in kept
        for other in (without(node, number) if node.first <= number < node.first + node.size else [node])
    ]


@settings(max_examples=60, deadline=None)
@given(gone=st.sets(NUMBER | st.integers(1, 40), max_size=12), asked=st.sets(NUMBER | st.integers(1, 40)))
def test_only_what_was_destroyed_is_gone(gone, asked):
    """Whoever else is asked for has the pad they always had."""
    kept = [ROOT]
    for number in gone:
        kept = destroyed(kept, number)
    for number in asked | gone:
        assert pad(kept, number) == (None if number in gone else pad([ROOT], number))


@given(number=NUMBER, size=st.sampled_from([1, 4, 256, 1 << 20, NUMBERS]))
def test_a_node_in_between_gives_the_same_pads(number, size):
    """The way down may be taken in two parts."""
    between = within(ROOT, number, size)
    assert between.first <= number < between.first + between.size == between.first + size
    assert within(between, number) == within(ROOT, number)
    assert within(between, number, NUMBERS) == between


def test_what_is_kept_grows_with_the_destroyed_and_not_with_the_people():
    """One leaf costs three siblings a fork; neighbours share them."""
    one = destroyed([ROOT], 1_000_000)
    assert len(one) == 3 * 20
    assert len(destroyed(one, 1_000_001)) == len(one) - 1


def test_pads_have_nothing_in_common():
    """Not among themselves, nor with the secrets above them."""
    secrets = [within(ROOT, number, size).secret for number in range(200) for size in (1, NUMBERS >> 2)]
    assert len(set(secrets)) == 201


@pytest.mark.parametrize("number", [0, NUMBERS - 1])
def test_the_outermost_numbers_can_be_destroyed_as_well(number):
    """First and last leaf."""
    assert pad(destroyed([ROOT], number), number) is None

"""Processes that share a source: everything is read, nothing by two, and shares are even."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from clarion.model.ids import WorkerId
from clarion.rules.shares import partitions_for, seat_for

ONE, TWO, THREE = WorkerId(1), WorkerId(2), WorkerId(3)


def readers(text: str) -> dict[str, WorkerId | None]:
    """Who reads each partition; a dot: nobody."""
    return {str(n): None if one == "." else WorkerId(int(one)) for n, one in enumerate(text)}


def test_the_first_process_takes_everything():
    """Nothing waits for others to come."""
    assert partitions_for(ONE, readers("....")) == readers("....")


def test_a_process_takes_its_share_of_what_nobody_reads():
    """What is left is for those who have less."""
    assert [*partitions_for(TWO, readers("11...."))] == ["2", "3", "4"]
    assert partitions_for(ONE, readers("111...")) == {"3": None, "4": None, "5": None}
    assert partitions_for(ONE, readers("1112..")) == {}


def test_whoever_comes_later_takes_over_half_of_what_somebody_has_more():
    """And leaves the rest to the others who come."""
    assert partitions_for(TWO, readers("1111")) == {"0": ONE, "1": ONE}
    assert partitions_for(THREE, readers("1112")) == {"0": ONE}


def test_even_shares_stay_as_they_are():
    """One more is even: there is no way to split a partition."""
    for text in ("1122", "112", "1", ""):
        for worker in (ONE, TWO):
            assert partitions_for(worker, readers(text)) == {}
    assert partitions_for(TWO, readers("1")) == {}


@given(st.integers(1, 20), st.lists(st.sampled_from([1, 2, 3, 4, 5]), min_size=30, max_size=60))
def test_shares_become_even_in_any_order(count, looks):
    """However often and in which order processes look: nothing stays unread, and nobody has more than one more than another."""
    now = readers("." * count)
    for one in [*looks, *range(1, 6), *range(1, 6), *range(1, 6), *range(1, 6)]:
        for partition, from_ in partitions_for(WorkerId(one), now).items():
            assert now[partition] == from_, "it is taken from whoever reads it"
            now[partition] = WorkerId(one)
    held = Counter(now.values())
    assert None not in held
    shares = [held[WorkerId(one)] for one in range(1, 6)]
    assert max(shares) - min(shares) <= 1


def test_every_process_has_one_seat_at_a_queue():
    """That of a dead one first, else another one."""
    assert seat_for(ONE, {}) == "1"
    assert seat_for(ONE, {"1": ONE}) is None
    assert seat_for(TWO, {"1": ONE}) == "2"
    assert seat_for(THREE, {"1": ONE, "2": None}) == "2"

"""Slices of retention follow how fast the machine is."""

from clarion.adapters.ledgers.sqlite.slice_size import FIRST, LEAST, LONGEST_S, MOST, SliceSize


def test_slow_slices_get_small_and_quick_ones_large():
    """Between fixed bounds."""
    size = SliceSize()
    assert size.rows == FIRST
    for _ in range(20):
        size.took(LONGEST_S / 10)
    assert size.rows == MOST
    for _ in range(20):
        size.took(LONGEST_S * 2)
    assert size.rows == LEAST


def test_a_machine_finds_the_size_that_takes_as_long_as_it_may():
    """Whatever a row costs: no slice takes much longer once the size is found, and none is needlessly small."""
    for row_s in (0.000_02, 0.000_1, 0.000_3):
        size = SliceSize()
        took = []
        for _ in range(100):
            took.append(size.rows * row_s)
            size.took(took[-1])
        assert max(took[10:]) <= LONGEST_S * 1.25
        assert min(took[10:]) >= LONGEST_S / 4

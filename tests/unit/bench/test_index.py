"""The machine index: one number for the speed of a machine."""

import pytest

from bench.index import PARTS, Index, between, measure, noise

AS_THE_REFERENCE = {part.name: part.reference_s for part in PARTS}
CPU_S = PARTS[0].reference_s


def speed(factor: float, cpu: float | None = None) -> Index:
    """An index where every part is that fast."""
    seconds = {name: seconds / factor for name, seconds in AS_THE_REFERENCE.items()}
    return Index.of(seconds, CPU_S / (factor if cpu is None else cpu))


def test_the_machine_of_the_table_has_the_index_1():
    """Every part takes the reference time."""
    index = Index.of(AS_THE_REFERENCE, CPU_S)
    assert index.value == pytest.approx(1)
    assert index.cpu == pytest.approx(1)
    assert set(index.parts.values()) == {1.0}


def test_a_machine_that_needs_half_the_time_for_everything_has_the_index_2():
    """The shares of the parts add up to one."""
    assert speed(2).value == pytest.approx(2)
    assert sum(part.share for part in PARTS) == pytest.approx(1)


def test_a_part_counts_as_much_as_its_share():
    """A disk that is four times as slow lowers the index by four to the power of its share."""
    slow_disk = AS_THE_REFERENCE | {"group commit": 4 * AS_THE_REFERENCE["group commit"]}
    share = next(part.share for part in PARTS if part.name == "group commit")
    index = Index.of(slow_disk, CPU_S)
    assert index.value == pytest.approx(4**-share)
    assert index.parts["group commit"] == pytest.approx(0.25)


def test_what_was_measured_between_two_indexes_has_their_geometric_mean():
    """Half as fast before and twice as fast after is 1.0, in each number."""
    middle = between(speed(0.5), speed(2))
    assert middle.value == pytest.approx(1)
    assert middle.cpu == pytest.approx(1)
    assert middle.parts["loopback"] == pytest.approx(1)


def test_a_steady_machine_is_not_noisy():
    """Differences below a tenth are normal; no index at all says nothing."""
    assert noise([speed(1), speed(1.05), speed(0.98)]) == ""
    assert noise([]) == ""


def test_a_machine_whose_speed_changed_is_noisy():
    """Also when it was as fast at the end as at the beginning."""
    assert noise([speed(1), speed(0.7), speed(1)]) == (
        "The machine index was 1.00 before and 1.00 after the run (lowest 0.70, highest 1.00). "
        "Do not rely on differences of that size: repeat the run while nothing else runs."
    )


def test_a_machine_that_does_other_work_all_the_time_is_noisy():
    """The interpreter got less time than it used: others had the core."""
    busy = speed(0.5, cpu=1.0)
    assert busy.taken == pytest.approx(0.5)
    assert noise([busy, busy]).startswith("Other work took up to 50% of a core.")


def test_a_real_measurement_has_every_part():
    """One sample of each piece of work gives speeds above zero."""
    index = measure(samples=1)
    assert set(index.parts) == {part.name for part in PARTS}
    assert min(index.value, index.cpu, *index.parts.values()) > 0

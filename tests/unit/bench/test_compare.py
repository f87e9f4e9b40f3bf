"""This run against an earlier one."""

import pytest

from bench.compare import Change, changes, doubts, show
from bench.index import PARTS, Index
from bench.report import Figure, Run

NAN = float("nan")


def speed(value: float) -> Index:
    """A quiet machine of that speed."""
    return Index(value=value, cpu=value, parts={part.name: value for part in PARTS})


def rate(value: float, *, index: float | None = 1.0, name: str = "in-app") -> Figure:
    """Messages a second."""
    return Figure(name=name, value=value, unit="messages/s", index=index)


def p99(value: float, *, index: float | None = 1.0) -> Figure:
    """Milliseconds, with a target."""
    return Figure(name="p99", value=value, unit="ms", target=30, at_most=True, index=index)


def change(before: Figure | None, now: Figure | None) -> Change:
    """Of one figure."""
    return Change(name="x", before=before, now=now)


def test_twice_the_rate_is_better():
    """More messages a second are better."""
    assert change(rate(5_000), rate(10_000)).ratio == 2
    assert change(rate(5_000), rate(10_000)).verdict == "better 2.00x"
    assert change(rate(10_000), rate(5_000)).verdict == "worse 2.00x"


def test_half_the_time_is_better():
    """Less is better for times and sizes, also without a target."""
    assert change(p99(40), p99(20)).verdict == "better 2.00x"
    assert change(p99(20), p99(40)).verdict == "worse 2.00x"
    sizes = [Figure(name="x", value=value, unit="bytes/message") for value in (4_000, 2_000)]
    assert change(*sizes).verdict == "better 2.00x"


def test_the_speed_of_the_machine_is_taken_out():
    """Twice the rate on a machine that is twice as fast is no improvement."""
    found = change(rate(5_000, index=1.0), rate(10_000, index=2.0))
    assert found.ratio == 2
    assert found.scaled_ratio == 1
    assert found.verdict == "the same"
    assert change(p99(20, index=1.0), p99(20, index=2.0)).verdict == "worse 2.00x"


def test_without_an_index_the_figures_are_compared_as_measured():
    """The scaled ratio is not made up."""
    found = change(rate(5_000, index=None), rate(10_000))
    assert found.scaled_ratio is None
    assert found.verdict == "better 2.00x"


def test_small_differences_are_none():
    """Within five percent nothing is ranked."""
    assert change(rate(10_000), rate(10_400)).verdict == "the same"
    assert change(rate(10_000), rate(9_600)).verdict == "the same"


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (None, rate(1), "only in this run"),
        (rate(1), None, "only in the earlier run"),
        (rate(NAN), rate(1), "not measured before"),
        (rate(1), rate(NAN), "not measured now"),
        (rate(NAN), rate(NAN), "not measured before and now"),
        (rate(1), p99(1), "not comparable: messages/s before, ms now"),
        (rate(0), rate(1), "no ratio: one of them is 0"),
        (rate(1), rate(0), "no ratio: one of them is 0"),
        (rate(0), rate(0), "the same"),
    ],
)
def test_what_cannot_be_compared_is_said(before: Figure | None, now: Figure | None, said: str):
    """Nothing is left out and no ratio is made up."""
    assert change(before, now).verdict == said
    assert change(before, now).gain is None


def test_every_figure_of_both_runs_is_listed_once():
    """In the order of this run; what only the earlier one has comes last."""
    before = Run(about="a", figures=[rate(1, name="gone"), rate(1, name="both")])
    now = Run(about="b", figures=[rate(1, name="new"), rate(1, name="both")])
    assert [one.name for one in changes(before, now)] == ["new", "both", "gone"]


def test_what_makes_a_comparison_doubtful_is_said():
    """Quick runs, runs without an index, noisy machines."""
    quick = Run(about="a", figures=[], quick=True)
    noisy = Run(about="b", figures=[], indexes=[speed(1), speed(0.5)])
    said = list(doubts(quick, noisy))
    assert said[:2] == [
        "The earlier run is a quick one: its numbers mean nothing.",
        "The earlier run has no machine index: figures are compared as measured.",
    ]
    assert said[2].startswith("This run: The machine index was 1.00 before and 0.50 after")
    steady = Run(about="b", figures=[], indexes=[speed(1), speed(1)])
    assert list(doubts(steady, steady)) == []


def test_the_table_shows_both_values_and_both_ratios(capsys: pytest.CaptureFixture[str]):
    """A person sees at once what became better."""
    before = Run(about="the old code", figures=[rate(5_000, index=1.0)], indexes=[speed(1)])
    now = Run(about="the new code", figures=[rate(12_000, index=1.2)], indexes=[speed(1.2)])
    show(before, now)
    told = " ".join(capsys.readouterr().out.split())
    assert "in-app 5,000 12,000 2.40 2.00 messages/s better 2.00x" in told
    assert "before: the old code" in told

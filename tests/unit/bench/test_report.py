"""Figures, their scaling to the machine of index 1.0, and the file of a run."""

import json
import math
from pathlib import Path

import pytest

from bench.index import PARTS, Index
from bench.report import Figure, Run, build_of, load, medians, number, save, show

NAN = float("nan")
TWICE = Index(value=2.0, cpu=1.5, parts={part.name: 2.0 for part in PARTS})


@pytest.mark.parametrize(
    ("unit", "scaled"),
    [
        ("messages/s", 50.0),
        ("events/s", 50.0),
        ("ms", 200.0),
        ("s", 200.0),
        ("ms/request", 200.0),
        ("us/message", 150.0),
        ("MiB", 100.0),
        ("bytes/message", 100.0),
        ("times", 100.0),
        ("sockets", 100.0),
    ],
)
def test_rates_and_times_are_scaled_and_nothing_else(unit: str, scaled: float):
    """A machine of index 2 does twice as much a second and takes half the time; a size stays what it is."""
    assert Figure(name="x", value=100, unit=unit).at(TWICE).scaled == pytest.approx(scaled)


def test_a_figure_without_an_index_is_left_as_measured():
    """Nothing is known of the machine."""
    assert Figure(name="x", value=100, unit="ms").scaled == 100


def test_the_index_that_a_figure_brings_is_kept():
    """It was measured closer to the figure."""
    own = Figure(name="x", value=100, unit="ms", index=1.0)
    assert own.at(TWICE).index == 1.0


def test_a_target_is_compared_with_the_scaled_value():
    """Targets are meant for the machine of index 1.0: a fast machine does not meet them by being fast."""
    fast = Figure(name="x", value=15_000, unit="messages/s", target=11_574).at(TWICE)
    assert fast.met is False
    assert fast.verdict == "missed by 1.54x"
    slow = Figure(name="x", value=50, unit="ms", target=30, at_most=True, index=0.5)
    assert slow.met
    assert slow.verdict == "met"


def test_what_was_not_measured_says_so():
    """No verdict is made up."""
    missing = Figure(name="x", value=NAN, unit="ms", target=30, at_most=True)
    assert missing.met is None
    assert missing.verdict == "not measured"
    assert number(missing.value) == "-"


def test_of_several_rounds_the_median_at_index_1_is_kept():
    """Neither a fast phase of the machine nor a single bad round decides; the range is told."""
    rounds = [(9_000, 2.0), (5_000, 1.0), (NAN, 1.0), (8_000, 1.0)]
    figures = [Figure(name="rate", value=v, unit="messages/s", note="note", index=i) for v, i in rounds]
    once = Figure(name="once", value=1, unit="s")
    (found, same) = medians([*figures, once])
    assert (found.value, found.index) == (5_000, 1.0)
    assert found.note == "median of 3, 4,500 to 8,000 at index 1.0; note"
    assert same == once


def test_a_figure_that_no_round_measured_stays_unmeasured():
    """With the first reason."""
    (found,) = medians([Figure(name="x", value=NAN, unit="", note=note) for note in ("first", "second")])
    assert not found.measured
    assert found.note == "first"


def test_a_saved_run_is_read_back_as_it_was(tmp_path: Path):
    """Also a figure that was not measured, and an interrupted run."""
    figures = [
        Figure(name="rate", value=9_000.5, unit="messages/s", target=11_574, note="note").at(TWICE),
        Figure(name="broken", value=NAN, unit="", note="it failed"),
    ]
    run = Run(about="here", figures=figures, indexes=[TWICE, TWICE], unfinished="growth")
    save(run, tmp_path / "results" / "run.json")
    found = load(tmp_path / "results" / "run.json")
    assert (found.about, found.indexes, found.quick, found.unfinished) == (
        "here",
        [TWICE, TWICE],
        False,
        "growth",
    )
    assert found.figures[0] == figures[0]
    assert math.isnan(found.figures[1].value)
    assert found.figures[1].note == "it failed"


def test_a_run_of_an_earlier_version_is_read_without_an_index(tmp_path: Path):
    """It has neither an index nor flags, and wrote NaN for what was not measured."""
    file = tmp_path / "old.json"
    row = {"name": "rate", "value": 9_000, "unit": "messages/s", "target": None, "at_most": False, "note": ""}
    old = {"about": "A machine. Quick run: these numbers mean nothing.", "machine": {}}
    file.write_text(json.dumps(old | {"figures": [row | {"verdict": ""}, row | {"value": NAN}]}))
    found = load(file)
    assert found.figures[0].value == 9_000
    assert not found.figures[1].measured
    assert found.indexes == []
    assert found.quick


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"about": "x", "figures": [{"name": "x"}]}'])
def test_a_file_that_is_no_result_is_refused_by_name(tmp_path: Path, content: str):
    """The message names the file."""
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"other\.json is not a result of this bench"):
        load(file)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path):
    """With the reason of the operating system."""
    with pytest.raises(ValueError, match=r"none\.json cannot be read: No such file"):
        load(tmp_path / "none.json")


def test_the_table_says_everything_that_makes_it_doubtful(capsys: pytest.CaptureFixture[str]):
    """The index before and after, noise, a quick run, an interruption."""
    slow = Index(value=1.0, cpu=1.0, parts={part.name: 1.0 for part in PARTS})
    figure = Figure(name="rate [x]", value=12_000, unit="messages/s", target=11_574).at(TWICE)
    show(Run(about="here", figures=[figure], indexes=[TWICE, slow], quick=True, unfinished="growth"))
    told = " ".join(capsys.readouterr().out.split())
    assert "rate [x] 12,000 6,000 >= 11,574 messages/s missed by 1.93x" in told
    assert "Machine index: 2.00 before, 1.00 after" in told
    assert "Do not rely on differences of that size" in told
    assert "Quick run: these numbers mean nothing." in told
    assert "Interrupted during growth" in told


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("/opt/python '--enable-optimizations' '--with-lto'", "built with PGO and LTO"),
        ("/opt/python '--enable-optimizations'", "built with PGO"),
        ("/root/.pyenv '--prefix=/root/.pyenv'", "built without PGO and LTO, which slows everything"),
        ("/usr '--prefix=/usr'", "as the distribution builds it"),
    ],
)
def test_the_interpreter_says_how_it_was_built(tmp_path: Path, told: str, said: str):
    """Rates of two builds of the same Python differ by more than most changes to the code."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{told}"\n')
    python.chmod(0o755)
    assert build_of(str(python)) == said

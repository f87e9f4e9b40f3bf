"""A whole run: what is measured, in which order, and what an interruption leaves."""

import asyncio
import sys

import pytest

from bench import index
from bench.index import PARTS, Index
from bench.report import Figure
from bench.rig import Rig
from bench.run import BOTH_CORES, ONE_CORE, Bench, arguments, groups_of


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gets faster with every look; nothing is pinned."""
    speeds = iter([1.0, 4.0, 1.0, 1.0, 1.0])

    def measure(samples: int, core: int | None = None) -> Index:
        value = next(speeds)
        return Index(value=value, cpu=value, parts={part.name: value for part in PARTS})

    monkeypatch.setattr(index, "measure", measure)
    monkeypatch.setattr(Rig, "pin", lambda self: None)


async def rate(rig: Rig) -> list[Figure]:
    """One figure."""
    return [Figure(name="rate", value=100, unit="messages/s")]


async def size(rig: Rig) -> list[Figure]:
    """Another one."""
    return [Figure(name="size", value=100, unit="MiB")]


async def broken(rig: Rig) -> list[Figure]:
    """Fails."""
    raise RuntimeError("no server")


async def endless(rig: Rig) -> list[Figure]:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return []


def asked(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[tuple[str, bool]]:
    """The groups for a command line, and whether each is pinned."""
    monkeypatch.setattr(sys, "argv", ["run", *words])
    return [(name, rig.pinned) for name, _, rig in groups_of(arguments())]


async def test_every_figure_has_the_index_of_its_own_time():
    """The mean of the one before and the one after it."""
    bench = Bench(Rig())
    await bench.measure([("a", rate, Rig()), ("b", size, Rig())])
    run = bench.result(sys.executable)
    assert [figure.index for figure in run.figures] == pytest.approx([2.0, 2.0])
    assert [one.value for one in run.indexes] == [1.0, 4.0, 1.0]
    assert run.unfinished == ""


async def test_a_broken_figure_does_not_cost_the_others():
    """Its row says why."""
    bench = Bench(Rig())
    await bench.measure([("a", broken, Rig()), ("b", rate, Rig())])
    found = bench.result(sys.executable).figures
    assert [(figure.name, figure.measured, figure.note) for figure in found] == [
        ("a", False, "RuntimeError: no server"),
        ("rate", True, ""),
    ]


async def test_an_interrupted_run_keeps_what_was_measured():
    """And says during which figure it was interrupted."""
    bench = Bench(Rig())
    running = asyncio.create_task(
        bench.measure([("a", rate, Rig()), ("long", endless, Rig()), ("b", rate, Rig())])
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    run = bench.result(sys.executable)
    assert [figure.name for figure in run.figures] == ["rate"]
    assert run.unfinished == "long"


async def test_a_figure_that_is_measured_twice_has_two_names():
    """The second time the server may use both cores."""
    bench = Bench(Rig())
    await bench.measure([("in-app", rate, Rig()), ("in-app", rate, Rig(pinned=False))])
    assert [figure.name for figure in bench.result(sys.executable).figures] == ["rate", "rate (unpinned)"]


async def test_two_versions_have_results_of_their_own():
    """Each with the figures of its interpreter; the other one is named in what is said about the machine."""
    bench = Bench(Rig())
    await bench.measure([("a", rate, Rig(python="/old/python")), ("a", rate, Rig()), ("b", size, Rig())])
    assert len(bench.result("/old/python").figures) == 1
    assert len(bench.result(sys.executable).figures) == 2
    assert bench.result("/old/python").about.endswith(
        "Clarion of /old/python (it does not say how it was built)."
    )


def test_two_versions_take_turns(monkeypatch: pytest.MonkeyPatch):
    """Figure by figure, so that a slow minute of the machine meets both."""
    monkeypatch.setattr(
        sys, "argv", ["run", "--unpinned", "--only", "in-app", "--only", "email", "--against", "/old"]
    )
    turns = [(name, rig.python) for name, _, rig in groups_of(arguments())]
    new = sys.executable
    assert turns == [("in-app", "/old"), ("in-app", new), ("email", "/old"), ("email", new)]


def test_rounds_take_turns_too(monkeypatch: pytest.MonkeyPatch):
    """One version, the other, and again."""
    words = ["run", "--unpinned", "--only", "in-app", "--against", "/old", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", words)
    assert [rig.python for _, _, rig in groups_of(arguments())] == ["/old", sys.executable] * 2


def test_one_core_comes_first(monkeypatch: pytest.MonkeyPatch):
    """Then everything that has both."""
    wanted = [(name, True) for name in ONE_CORE] + [(name, False) for name in BOTH_CORES]
    assert asked(monkeypatch) == wanted


def test_only_what_was_asked_for_is_measured(monkeypatch: pytest.MonkeyPatch):
    """By name, and on both cores only if wanted."""
    assert asked(monkeypatch, "--only", "in-app") == [("in-app", True), ("in-app", False)]
    assert asked(monkeypatch, "--only", "in-app", "--unpinned") == [("in-app", False)]
    assert asked(monkeypatch, "--only", "idle", "--only", "growth") == [("idle", True), ("growth", False)]


def test_names_may_stand_in_one_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """With commas between them; one that is not there is refused with those that are."""
    assert asked(monkeypatch, "--only", "sms,ses", "--unpinned") == [("sms", False), ("ses", False)]
    with pytest.raises(SystemExit):
        asked(monkeypatch, "--only", "sms,nope")
    assert "there is no 'nope'" in capsys.readouterr().err


def test_a_backend_is_measured_in_turns_with_the_embedded_database(monkeypatch: pytest.MonkeyPatch):
    """Figure by figure, so that a slow minute of the machine meets both."""
    monkeypatch.setattr(
        sys, "argv", ["run", "--backend", "postgresql", "--only", "queue,in-app", "--unpinned"]
    )
    groups = [(name, rig.backend) for name, _, rig in groups_of(arguments())]
    assert groups == [
        ("in-app", "embedded"), ("in-app", "postgresql"), ("queue", "embedded"), ("queue", "postgresql")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "broker"), [("postgresql+kafka", "kafka"), ("nats", "nats"), ("postgresql", "")]
)
def test_a_backend_may_be_a_database_a_broker_or_both(
    monkeypatch: pytest.MonkeyPatch, backend: str, broker: str
):
    """And which broker that is is known."""
    monkeypatch.setattr(sys, "argv", ["run", "--backend", backend, "--only", "hop"])
    (_, _, embedded), (_, _, rig) = groups_of(arguments())
    assert (embedded.broker, rig.backend, rig.broker) == ("", backend, broker)


async def test_figures_of_backends_are_kept_apart():
    """And the run says which one it is about."""
    bench = Bench(Rig())
    await bench.measure([("a", rate, Rig()), ("b", size, Rig(backend="postgresql"))])
    assert [figure.name for figure in bench.result(sys.executable).figures] == ["rate"]
    ours = bench.result(sys.executable, "postgresql")
    assert [figure.name for figure in ours.figures] == ["size"]
    assert "On postgresql" in ours.about

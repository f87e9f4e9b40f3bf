"""Measure this machine: `python -m bench.run [--json FILE] [--only NAME ...] [--quick] [--compare FILE] [--backend NAME]`.

What each figure means and how it is taken: docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from bench import (
    accept,
    callbacks,
    campaigns,
    compare,
    digests,
    first_minute,
    footprint,
    growth,
    hop,
    inbox,
    index,
    latency,
    outlets,
    pages,
    peers,
    publish,
    push,
    queue_alone,
    report,
    retention,
    segments,
    steps,
    through,
    wakeups,
    workers,
)
from bench.backends import BACKENDS, EMBEDDED
from bench.progress import progress
from bench.report import Figure, Run, machine, medians
from bench.rig import GENERATOR_CORE, SERVER_CORE, Rig

Measure = Callable[[Rig], Awaitable[list[Figure]]]
Group = tuple[str, Measure, Rig]
"""A name, the function that measures what goes by it, and how."""

ONE_CORE: dict[str, Measure] = {
    "idle": footprint.idle,
    "accept": accept.single,
    "batched": accept.batched,
    "in-app": through.in_app,
    "email": through.email,
    "email-smtp": through.email_smtp,
    "push": push.alone,
    "sms": outlets.sms,
    "ses": outlets.ses,
    "callbacks": callbacks.callbacks,
    "arrival": latency.arrival,
    "critical": latency.critical,
    "sockets": footprint.sockets,
}
"""The server has a core to itself, and so has the generator."""
BOTH_CORES: dict[str, Measure] = {
    "batched": accept.batched,
    "in-app": through.in_app,
    "email": through.email,
    "email-smtp": through.email_smtp,
    "peer": peers.mails,
    "push": outlets.push,
    "sms": outlets.sms,
    "ses": outlets.ses,
    "callbacks": callbacks.callbacks,
    "arrival": latency.arrival,
    "critical": latency.critical,
    "workers": workers.workers,
    "steps": steps.steps,
    "first-minute": first_minute.first_minute,
    "retention": retention.retention,
    "growth": growth.growth,
    "queue": queue_alone.queue,
    "segments": segments.segments,
    "digests": digests.digests,
    "wakeups": wakeups.wakeups,
    "campaigns": campaigns.campaigns,
    "pages": pages.pages,
    "publish": publish.publish,
    "hop": hop.hop,
    "inbox": inbox.inbox,
}
"""Server and generator share all cores. What both lists have is measured twice."""
NAMES = list(dict.fromkeys([*ONE_CORE, *BOTH_CORES]))


def named(text: str) -> list[str]:
    """The names between commas."""
    names = text.split(",")
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"there is no {name!r}: there are {', '.join(NAMES)}")
    return names


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure this machine.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument(
        "--only",
        action="extend",
        type=named,
        metavar="NAME",
        help=f"some of {', '.join(NAMES)}, with commas between them; may be repeated",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: a fraction of the load, meaningless numbers"
    )
    parser.add_argument("--unpinned", action="store_true", help="only with server and generator on all cores")
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="also show this run against the JSON of an earlier one"
    )
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="measure nothing: take this run's figures from a JSON"
    )
    parser.add_argument(
        "--python", metavar="PATH", default=sys.executable, help="measure the Clarion of this interpreter"
    )
    parser.add_argument(
        "--against",
        metavar="PATH",
        help="measure also the Clarion of this interpreter, figure by figure in turns, and compare",
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="measure Clarion on this database server and this broker, beside the database it brings, and compare",
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", default=1, help="measure everything N times and take the medians"
    )
    return parser.parse_args()


class Bench:
    """One run of one or more versions of Clarion; what is measured so far can be read at any time."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._figures: dict[tuple[str, str], list[Figure]] = {}
        """By interpreter and backend."""
        self._indexes: list[index.Index] = []
        self._current = ""

    async def measure(self, groups: Sequence[Group]) -> None:
        """The groups, one after another, with the machine index before, between and after them."""
        self._current = "the machine index"
        self._indexes.append(self._index())
        for number, (name, figures_of, rig) in enumerate(groups, 1):
            rig.pin()
            self._current = name if rig.pinned else f"{name}, both cores"
            if rig.python != sys.executable:
                self._current += f", {rig.python}"
            if rig.backend != EMBEDDED:
                self._current += f", {rig.backend}"
            progress.begin(f"[{number}/{len(groups)}] {self._current}")
            try:
                found = await figures_of(rig)
            except Exception as failure:  # noqa: BLE001 - one broken figure must not cost the others
                why = f"{type(failure).__name__}: {failure}"
                found = [Figure(name=name, value=float("nan"), unit="", note=why)]
            self._indexes.append(self._index())
            speed = index.between(*self._indexes[-2:])
            progress.end(f", machine index {self._indexes[-1].value:.2f}")
            twice = not rig.pinned and name in ONE_CORE
            of = self._figures.setdefault((rig.python, rig.backend), [])
            of.extend(_finished(f, speed, twice=twice) for f in found)
        self._current = ""

    def result(self, python: str, backend: str = EMBEDDED) -> Run:
        """What is measured so far of the Clarion of that interpreter on that backend."""
        told = machine()
        about = f"{told['cpu']}, {told['cores']} cores, Linux {told['kernel']}, Python {told['python']}"
        about += f" ({report.build_of(sys.executable)}). "
        about += (
            f"Server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}; (unpinned): on all cores."
        )
        if python != sys.executable:
            about += f" Clarion of {python} ({report.build_of(python)})."
        if backend != EMBEDDED:
            about += f" On {backend}, which shares the cores of the server."
        figures = medians(self._figures.get((python, backend), []))
        return Run(
            about=about,
            figures=[*figures, *peers.ratio(figures)],
            indexes=self._indexes,
            quick=self._rig.quick,
            unfinished=self._current,
        )

    def _index(self) -> index.Index:
        return index.measure(self._rig.much(index.SAMPLES, 3), SERVER_CORE if self._rig.pinned else None)


def _finished(figure: Figure, speed: index.Index, *, twice: bool) -> Figure:
    """With the machine index, and a name of its own when the figure was also measured on one core."""
    name = f"{figure.name} (unpinned)" if twice else figure.name
    return replace(figure, name=name).at(speed)


def groups_of(asked: argparse.Namespace) -> list[Group]:
    """What was asked for, in the order in which it is measured: two versions take turns."""
    one = {} if asked.unpinned else ONE_CORE
    return [
        (name, figures_of, Rig(quick=asked.quick, python=python, pinned=pinned, backend=backend))
        for pinned, figures in ((True, one), (False, BOTH_CORES))
        for name, figures_of in figures.items()
        if name in (asked.only or NAMES)
        for _ in range(asked.rounds)
        for python in (asked.against, asked.python)
        if python
        for backend in (EMBEDDED, asked.backend)
        if backend
    ]


def measured(asked: argparse.Namespace) -> Bench:
    """A new run; on Ctrl-C (or SIGTERM) what there is of it."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    bench = Bench(Rig(quick=asked.quick, pinned=not asked.unpinned))
    gc.freeze()
    gc.disable()  # a collection in the generator would look like a slow server
    try:
        uvloop.run(bench.measure(groups_of(asked)))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    return bench


def main() -> None:
    """Measure, show, save, compare."""
    asked = arguments()
    try:
        earlier = [report.load(asked.compare)] if asked.compare else []
        if asked.read:
            run = report.load(asked.read)
        else:
            bench = measured(asked)
            run = bench.result(asked.python, asked.backend or EMBEDDED)
            earlier += [bench.result(asked.python)] if asked.backend else []
            earlier += [bench.result(asked.against, asked.backend or EMBEDDED)] if asked.against else []
    except ValueError as refused:
        sys.exit(str(refused))
    report.show(run)
    if asked.json:
        report.save(run, asked.json)
        if asked.against and not asked.read:
            report.save(earlier[-1], asked.json.with_stem(f"{asked.json.stem}-against"))
    for other in earlier:
        compare.show(other, run)
    if run.unfinished:
        sys.exit(130)
    sys.exit(any(not figure.measured for figure in run.figures))


if __name__ == "__main__":
    main()

"""Figures against their targets: one table for people, one JSON for machines."""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.index import Index, noise

PACKAGES = (
    "clarion",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "msgspec",
    "litestar",
    "cryptography",
    "minijinja",
)


OPTIMISED = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}
"""Options of CPython's `configure`."""
CPU = "us/message"
TIMES = {"s", "ms", "ms/request", CPU}
SIZES = {"KiB", "MiB", "bytes/message", "messages"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number. With a target it is met or missed; without, it is only told."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    """The target is an upper bound."""
    note: str = ""
    index: float | None = None
    """The machine's speed while it was measured; None when that is not known."""

    @property
    def measured(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    def at(self, speed: Index) -> Figure:
        """Measured while the machine had that speed. CPU time is not longer when other work takes the core."""
        return (
            self
            if self.index is not None
            else replace(self, index=speed.cpu if self.unit == CPU else speed.value)
        )

    @property
    def scaled(self) -> float:
        """The value that a machine of index 1.0 would have. Sizes, counts and ratios are the same on every machine."""
        if self.index is None:
            return self.value
        if self.unit.endswith("/s"):
            return self.value / self.index
        return self.value * self.index if self.unit in TIMES else self.value

    @property
    def less_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.at_most if self.target is not None else self.unit in TIMES | SIZES

    @property
    def met(self) -> bool | None:
        """Whether a machine of index 1.0 would reach the target. None: there is no target."""
        if self.target is None or not self.measured:
            return None
        return self.scaled <= self.target if self.at_most else self.scaled >= self.target

    @property
    def verdict(self) -> str:
        """`met`, or by which factor it was missed."""
        if not self.measured:
            return "not measured"
        if self.met is None:
            return ""
        if self.met:
            return "met"
        if not self.scaled or not self.target:
            return "missed"
        factor = self.scaled / self.target if self.at_most else self.target / self.scaled
        return f"missed by {factor:.2f}x"


@dataclass(frozen=True, kw_only=True)
class Run:
    """All figures of one run."""

    about: str
    figures: Sequence[Figure]
    indexes: Sequence[Index] = ()
    """In the order measured: before the first figure, between figures, after the last."""
    quick: bool = False
    unfinished: str = ""
    """The figure during which the run was interrupted; empty when it was not."""

    @property
    def noise(self) -> str:
        """What makes the figures doubtful; empty when nothing does."""
        return noise(self.indexes)


def medians(figures: Sequence[Figure]) -> list[Figure]:
    """One figure of each name: of several, the one in the middle at index 1.0, with the range of all of them."""
    rounds: dict[str, list[Figure]] = {}
    for figure in figures:
        rounds.setdefault(figure.name, []).append(figure)
    found = []
    for same in rounds.values():
        measured = sorted((f for f in same if f.measured), key=lambda f: f.scaled)
        middle = measured[(len(measured) - 1) // 2] if measured else same[0]
        if len(measured) > 1:
            said = f"median of {len(measured)}, {number(measured[0].scaled)} to {number(measured[-1].scaled)} at index 1.0"
            middle = replace(middle, note=f"{said}; {middle.note}" if middle.note else said)
        found.append(middle)
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in PACKAGES},
    }


def build_of(python: str) -> str:
    """How an interpreter was compiled: without profile-guided optimisation it is up to 1.6 times slower."""
    say = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_config_var('CONFIG_ARGS'))"
    try:
        told = subprocess.run([python, "-c", say], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "it does not say how it was built"
    prefix, _, options = told.partition(" ")
    found = [name for option, name in OPTIMISED.items() if option in options]
    if not found and prefix == "/usr":  # Debian, for one, optimises without an option of `configure`
        return "as the distribution builds it"
    return (
        f"built with {' and '.join(found)}" if found else "built without PGO and LTO, which slows everything"
    )


def number(value: float) -> str:
    """As many digits as mean something."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def show(run: Run) -> None:
    """The table, and what to know about it."""
    table = Table(title=run.about, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("figure")
    for title in ("value", "at index 1.0", "target"):
        table.add_column(title, justify="right")
    table.add_column("unit")
    table.add_column("verdict")
    table.add_column("note", style="dim", overflow="fold")
    for f in run.figures:
        scaled = "" if f.index is None or not f.measured else number(f.scaled)
        target = "" if f.target is None else f"{'<=' if f.at_most else '>='} {number(f.target)}"
        colour = {True: "green", False: "red", None: "yellow"}[f.met]
        verdict = f"[{colour}]{f.verdict}[/]"
        table.add_row(escape(f.name), number(f.value), scaled, target, f.unit, verdict, escape(f.note))
    console = terminal()
    console.print(table)
    for line in _remarks(run):
        console.print(line, soft_wrap=True)


def terminal() -> Console:
    """Standard output, wide enough for a table."""
    console = Console(highlight=False)
    console.width = max(console.width, 150)
    return console


def _remarks(run: Run) -> list[str]:
    told = []
    if run.indexes:
        first, last = run.indexes[0], run.indexes[-1]
        parts = ", ".join(f"{name} {speed:.2f}" for name, speed in last.parts.items())
        told.append(f"Machine index: {first.value:.2f} before, {last.value:.2f} after ({parts}).")
        told.append("Targets are meant for a machine of index 1.0: verdicts compare the scaled value.")
    if run.noise:
        told.append(f"[bold yellow]{run.noise}[/]")
    if run.quick:
        told.append("[bold yellow]Quick run: these numbers mean nothing.[/]")
    if run.unfinished:
        told.append(f"[bold yellow]Interrupted during {run.unfinished}: what follows it was not measured.[/]")
    return told


def save(run: Run, file: Path) -> None:
    """The same as JSON, with the machine and the versions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(f) | {"scaled": f.scaled, "verdict": f.verdict} for f in run.figures]
    for row in rows:  # JSON has no word for a number that is none
        row.update({key: None for key in ("value", "scaled") if math.isnan(row[key])})
    whole = {
        "about": run.about,
        "quick": run.quick,
        "unfinished": run.unfinished,
        "noise": run.noise,
        "machine": machine(),
        "indexes": [asdict(index) for index in run.indexes],
        "figures": rows,
    }
    file.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")


def load(file: Path) -> Run:
    """A run that was saved, also by an earlier version. ValueError saying why when it is none."""
    try:
        whole = json.loads(file.read_text())
        rows = whole["figures"]
        known = {field.name for field in fields(Figure)}
        figures = []
        for row in rows:
            value = float("nan") if row["value"] is None else row["value"]
            figures.append(Figure(**{k: v for k, v in row.items() if k in known} | {"value": value}))
        return Run(
            about=whole["about"],
            figures=figures,
            indexes=[Index(**index) for index in whole.get("indexes", ())],
            quick=whole.get("quick", "Quick run" in whole["about"]),
            unfinished=whole.get("unfinished", ""),
        )
    except OSError as missing:
        raise ValueError(f"{file} cannot be read: {missing.strerror}") from missing
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as broken:
        raise ValueError(f"{file} is not a result of this bench: {broken!r}") from broken

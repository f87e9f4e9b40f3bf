"""Figures against their targets: one table for people, one JSON for machines."""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

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

    @property
    def met(self) -> bool | None:
        """None: there is no target."""
        if self.target is None or math.isnan(self.value):
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    @property
    def verdict(self) -> str:
        """`met`, or by which factor it was missed."""
        if math.isnan(self.value):
            return "not measured"
        if self.met is None:
            return ""
        if self.met:
            return "met"
        if not self.value or not self.target:
            return "missed"
        factor = self.value / self.target if self.at_most else self.target / self.value
        return f"missed by {factor:.2f}x"


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


def number(value: float) -> str:
    """As many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def show(figures: Sequence[Figure], about: str) -> None:
    """The table."""
    table = Table(title=about, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("figure")
    for title in ("value", "target"):
        table.add_column(title, justify="right")
    table.add_column("unit")
    table.add_column("verdict")
    table.add_column("note", style="dim", overflow="fold")
    for f in figures:
        target = "" if f.target is None else f"{'<=' if f.at_most else '>='} {number(f.target)}"
        colour = {True: "green", False: "red", None: "yellow"}[f.met]
        verdict = f"[{colour}]{f.verdict}[/]"
        table.add_row(f.name, number(f.value), target, f.unit, verdict, f.note)
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)


def save(figures: Sequence[Figure], file: Path, about: str) -> None:
    """The same as JSON, with the machine and the versions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(f) | {"verdict": f.verdict} for f in figures]
    file.write_text(json.dumps({"about": about, "machine": machine(), "figures": rows}, indent=2) + "\n")

"""Measure this machine: `python bench/run.py [--json FILE] [--only NAME ...] [--quick] [--unpinned]`.

What each figure means and how it is taken: docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
# Run as a script, the directory of this file would come first and hide the package it belongs to.
sys.path[0] = str(ROOT)

from bench import accept, first_minute, footprint, latency, through  # noqa: E402
from bench.report import Figure, machine, save, show  # noqa: E402
from bench.rig import GENERATOR_CORE, SERVER_CORE, Rig  # noqa: E402

FIGURES: dict[str, Callable[[Rig], Awaitable[list[Figure]]]] = {
    "idle": footprint.idle,
    "accept": accept.single,
    "batched": accept.batched,
    "in-app": through.in_app,
    "email": through.email,
    "email-smtp": through.email_smtp,
    "arrival": latency.arrival,
    "critical": latency.critical,
    "sockets": footprint.sockets,
    "million": footprint.million,
    "first-minute": first_minute.first_minute,
}
ON_BOTH_CORES = ("in-app", "email", "email-smtp")
"""Shown once more with the server free to use every core."""


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Measure this machine.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument(
        "--only",
        action="append",
        choices=FIGURES,
        metavar="NAME",
        help=f"one of {', '.join(FIGURES)}; may be repeated",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: a fraction of the load, meaningless numbers"
    )
    parser.add_argument("--unpinned", action="store_true", help="let server and generator share all cores")
    return parser.parse_args()


async def measure(names: list[str], rig: Rig) -> list[Figure]:
    """The figures, one group after another."""
    rig.pin()
    figures: list[Figure] = []
    for name in names:
        began = time.perf_counter()
        print(f"{name} ...", end="", flush=True, file=sys.stderr)
        try:
            figures += await FIGURES[name](rig)
        except Exception as failure:  # noqa: BLE001 - one broken figure must not cost the others
            figures.append(Figure(name=name, value=float("nan"), unit="", note=str(failure)))
        print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return figures


def main() -> None:
    """Measure, show, save."""
    asked = arguments()
    names = asked.only or list(FIGURES)
    gc.freeze()
    gc.disable()  # a collection in the generator would look like a slow server
    figures = uvloop.run(measure(names, Rig(quick=asked.quick, pinned=not asked.unpinned)))
    if not asked.unpinned:
        again = uvloop.run(
            measure([n for n in names if n in ON_BOTH_CORES], Rig(quick=asked.quick, pinned=False))
        )
        figures += [replace(f, name=f"{f.name} (unpinned)") for f in again]
    told = machine()
    about = f"{told['cpu']}, {told['cores']} cores, Linux {told['kernel']}, Python {told['python']}. "
    about += (
        "Server and generator share all cores."
        if asked.unpinned
        else f"Server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}."
    )
    if asked.quick:
        about += " Quick run: these numbers mean nothing."
    show(figures, about)
    if asked.json:
        save(figures, asked.json, about)
    sys.exit(any(math.isnan(f.value) for f in figures))


if __name__ == "__main__":
    main()

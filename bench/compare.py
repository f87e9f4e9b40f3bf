"""Two runs side by side: what became better, what became worse, what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from bench.report import Figure, Run, number, terminal

SAME = 0.05
"""Runs of the same code differ by this much on a quiet machine."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure in both runs; None where a run does not have it."""

    name: str
    before: Figure | None
    now: Figure | None

    @property
    def pair(self) -> tuple[Figure, Figure] | None:
        """Both figures, when they can be compared."""
        if self.before is None or self.now is None or self.before.unit != self.now.unit:
            return None
        return (self.before, self.now) if self.before.measured and self.now.measured else None

    @property
    def ratio(self) -> float | None:
        """Now to before, as measured; None when there is none."""
        return _ratio(self.pair[0].value, self.pair[1].value) if self.pair else None

    @property
    def scaled_ratio(self) -> float | None:
        """The same for two machines of equal speed; None also when a run has no machine index."""
        if not self.pair or None in {self.pair[0].index, self.pair[1].index}:
            return None
        return _ratio(self.pair[0].scaled, self.pair[1].scaled)

    @property
    def gain(self) -> float | None:
        """How many times better it is now: 2.0 is twice the rate or half the time. For machines of equal speed, if known."""
        ratio = self.ratio if self.scaled_ratio is None else self.scaled_ratio
        if not ratio or self.now is None:
            return None
        return 1 / ratio if self.now.less_is_better else ratio

    @property
    def verdict(self) -> str:
        """In words."""
        if self.before is None:
            return "only in this run"
        if self.now is None:
            return "only in the earlier run"
        if self.before.unit != self.now.unit:
            return f"not comparable: {self.before.unit} before, {self.now.unit} now"
        missing = [w for w, f in (("before", self.before), ("now", self.now)) if not f.measured]
        if missing:
            return f"not measured {' and '.join(missing)}"
        if self.gain is None:
            return "the same" if self.before.value == self.now.value else "no ratio: one of them is 0"
        if self.gain > 1 + SAME:
            return f"better {self.gain:.2f}x"
        return f"worse {1 / self.gain:.2f}x" if self.gain < 1 / (1 + SAME) else "the same"


def changes(before: Run, now: Run) -> list[Change]:
    """Every figure of either run, in the order of this run; figures that only the earlier run has come last."""
    old = {figure.name: figure for figure in before.figures}
    new = {figure.name: figure for figure in now.figures}
    names = dict.fromkeys([*new, *old])
    return [Change(name=name, before=old.get(name), now=new.get(name)) for name in names]


def doubts(before: Run, now: Run) -> Iterator[str]:
    """Why the comparison may mislead."""
    for which, run in (("The earlier run", before), ("This run", now)):
        if run.quick:
            yield f"{which} is a quick one: its numbers mean nothing."
        if not run.indexes:
            yield f"{which} has no machine index: figures are compared as measured."
        elif run.noise:
            yield f"{which}: {run.noise}"


def show(before: Run, now: Run) -> None:
    """The comparison as a table."""
    table = Table(title="This run against the earlier one", title_justify="left", box=None, pad_edge=False)
    table.add_column("figure")
    for title in ("before", "now", "ratio", "at index 1.0"):
        table.add_column(title, justify="right")
    table.add_column("unit")
    table.add_column("verdict")
    for change in changes(before, now):
        figure = change.now or change.before
        assert figure is not None
        table.add_row(
            escape(change.name),
            *("" if f is None else number(f.value) for f in (change.before, change.now)),
            *("" if r is None else f"{r:.2f}" for r in (change.ratio, change.scaled_ratio)),
            figure.unit,
            f"[{_colour(change)}]{change.verdict}[/]",
        )
    console = terminal()
    console.print(table)
    console.print(f"before: {escape(before.about)}", soft_wrap=True)
    for line in doubts(before, now):
        console.print(f"[bold yellow]{escape(line)}[/]", soft_wrap=True)


def _ratio(before: float, now: float) -> float | None:
    return now / before if before else None


def _colour(change: Change) -> str:
    return {"better": "green", "worse": "red", "the": "default"}.get(change.verdict.split()[0], "yellow")

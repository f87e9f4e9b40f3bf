"""What runs that wait listen for, and what has come: in the transaction that stores a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.ids import Instant, RunId
from clarion.model.run import RunRow, Signal, Wake


def tell(tables: Tables, signals: Iterable[Signal]) -> None:
    """These are stored, and whoever listens for them is due."""
    for signal in signals:
        if signal.event_id in tables.canceled:
            continue
        tables.signals.setdefault((signal.key, signal.event_id), signal)
        for (run, key), wait in list(tables.waits.items()):
            if key == signal.key and wait.since <= signal.at < wait.until:
                _wake(tables, run, signal)
                row = tables.run_rows[run]
                if row.due_at is not None and row.due_at > signal.at:
                    tables.run_rows[run] = replace(row, due_at=signal.at)
        for gone in [place for place, one in tables.signals.items() if one.expires_at <= signal.at]:
            del tables.signals[gone]


def listen(tables: Tables, row: RunRow) -> None:
    """A run, which is stored, listens for what it says; who finds that it has come already is due."""
    stored = tables.run_rows[row.id]
    keys = {wait.key for wait in row.waits} if stored.due_at is not None else set()
    for place in [place for place in tables.waits if place[0] == row.id and place[1] not in keys]:
        del tables.waits[place]
    dealt_with = {(one.key, one.event_id) for one in row.wakes}
    for wake in [one for one in tables.wakes if one[0] == row.id]:
        if wake[1] not in keys or wake[1:] in dealt_with:
            del tables.wakes[wake]
    for wait in row.waits if keys else ():
        new = (row.id, wait.key) not in tables.waits
        tables.waits[row.id, wait.key] = wait
        for signal in list(tables.signals.values()) if new else ():
            if signal.key == wait.key and wait.since <= signal.at < wait.until:
                _wake(tables, row.id, signal)
    if (
        stored.due_at is not None
        and stored.due_at > row.updated_at
        and any(w[0] == row.id for w in tables.wakes)
    ):
        tables.run_rows[row.id] = replace(stored, due_at=Instant(row.updated_at))


def wakes(tables: Tables, runs: Sequence[RunId]) -> Mapping[RunId, list[Wake]]:
    """What has come for these runs."""
    found: dict[RunId, list[Wake]] = {}
    for (run, *_), wake in sorted(tables.wakes.items(), key=lambda one: (one[1].at, one[1].event_id)):
        if run in runs:
            found.setdefault(run, []).append(wake)
    return found


def _wake(tables: Tables, run: RunId, signal: Signal) -> None:
    wake = Wake(key=signal.key, at=signal.at, event_id=signal.event_id, workflow=signal.workflow)
    tables.wakes.setdefault((run, signal.key, signal.event_id), wake)

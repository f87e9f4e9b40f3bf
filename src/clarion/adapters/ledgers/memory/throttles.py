"""Counts the runs that come to throttles, in the transaction that stores them."""

from __future__ import annotations

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.ids import RunId
from clarion.model.run import RunRow
from clarion.rules.exact import counts_until


def count(tables: Tables, row: RunRow) -> None:
    """A run, which is stored, passes if it may."""
    stored, use, now = tables.run_rows[row.id], row.use, row.updated_at
    if use is None or stored.part != row.part or stored.due_at is None:
        return
    others = [until for (slot, *_), until in tables.throttle_uses.items() if slot == use.slot and until > now]
    if (until := counts_until(use, others, now)) is not None:
        tables.throttle_uses.setdefault((use.slot, row.id, row.part), until)


def again(tables: Tables, run: RunId, part: int) -> None:
    """A run that failed behind a throttle begins another part: it has passed."""
    for slot, one, its in [use for use in tables.throttle_uses if use[1:] == (run, part)]:
        tables.throttle_uses[slot, one, its + 1] = tables.throttle_uses.pop((slot, one, its))

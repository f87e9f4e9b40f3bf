"""Digests and their items as rows: the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.digest import DigestClose, DigestRow, StoredItem
from clarion.model.ids import EventId, RunId, UserNo

NAMES = (
    *("id", "tenant", '"user"', "workflow", "step", "slot", "number", "opened_at", "closes_at", "latest_at"),
    *("window_ms", "most_items", "touched_at", "items", "withdrawn", "closed_at", "cause", "total"),
)
COLUMNS = ", ".join(NAMES)
FOUND = ", ".join(f"digests.{name}" for name in NAMES)
PUT = """
    ON CONFLICT (id) DO UPDATE SET closes_at = excluded.closes_at, touched_at = excluded.touched_at,
        items = excluded.items, closed_at = excluded.closed_at, cause = excluded.cause
    WHERE digests.closed_at IS NULL
"""
"""The end of the statement that stores digests as items left them. What is closed stays so."""
ITEM_COLUMNS = ("id", "digest_id", "event_id", "at", "withdrawn_at", "content", "cancellation_key")


def row_of(digest: DigestRow) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    return (
        digest.id,
        digest.tenant,
        digest.user,
        digest.workflow,
        digest.step,
        digest.slot,
        digest.number,
        digest.opened_at,
        digest.closes_at,
        digest.latest_at,
        digest.window_ms,
        digest.most_items,
        digest.touched_at,
        digest.items,
        digest.withdrawn,
        digest.closed_at,
        digest.cause,
        digest.total,
    )


def digest_of(row: Sequence[Any]) -> DigestRow:
    """From a row of `COLUMNS`, behind which may stand when the one before it closed, and of how many events it told."""
    return DigestRow(
        id=EventId(row[0]),
        tenant=row[1],
        user=UserNo(row[2]),
        workflow=row[3],
        step=row[4],
        slot=row[5],
        number=row[6],
        opened_at=row[7],
        closes_at=row[8],
        latest_at=row[9],
        window_ms=row[10],
        most_items=row[11],
        touched_at=row[12],
        items=row[13],
        withdrawn=row[14],
        closed_at=row[15],
        cause=None if row[16] is None else DigestClose(row[16]),
        total=row[17],
        previous_at=row[18] if len(row) > 18 else None,
        previous_total=row[19] or 0 if len(row) > 18 else 0,
    )


def item_row(item: StoredItem) -> tuple[Any, ...]:
    """In the order of `ITEM_COLUMNS`."""
    when = (item.at, item.withdrawn_at)
    return (item.run, item.digest, item.event_id, *when, item.sealed, item.cancellation_key)


def item_of(row: Sequence[Any]) -> StoredItem:
    """From a row of `ITEM_COLUMNS`."""
    return StoredItem(
        run=RunId(row[0]),
        digest=EventId(row[1]),
        event_id=EventId(row[2]),
        at=row[3],
        withdrawn_at=row[4],
        sealed=row[5],
        cancellation_key=row[6],
    )

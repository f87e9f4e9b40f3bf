"""Slots, decided exactly: which one an item joins, opens or passes, and when that closes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from clarion.model.digest import DigestClose, DigestItem, DigestRow, DigestRule, StoredItem
from clarion.model.ids import EventId, Instant, RunId, id_text
from clarion.model.run import RunRow

CLOCKS_MS = 60_000
"""How far the clocks of two processes may lie apart: an item is never earlier than what its slot has seen, unless by more."""
_BY_ITSELF = (DigestClose.ALONE, DigestClose.CRITICAL)


class Arrival(NamedTuple):
    """What became of an item."""

    result: str
    """`joined`, `opened` or `passed`."""
    closes_at: Instant | None
    """When the digest closes; None: it is closed."""
    inputs: Mapping[str, Any]


class Slots:
    """Some slots while items come to them, one after the other, as if each had been stored alone."""

    def __init__(self, latest: Mapping[bytes, DigestRow]) -> None:
        """`latest`: the digest with the highest number of each slot, with the user's other plans locked out."""
        self._latest = dict(latest)
        self.rows: dict[EventId, DigestRow] = {}
        """Those that are new or changed, as they are now."""
        self.items: list[StoredItem] = []
        """To be added."""
        self.opened: dict[RunId, RunRow] = {}
        """The runs of new ones."""
        self.due: dict[RunId, Instant] = {}
        """Runs that wait for a digest, and need not any more."""

    def take(self, item: DigestItem) -> Arrival:
        """One more item."""
        latest = self._latest.get(item.slot)
        now = item.now if latest is None else _floored(item.now, latest.touched_at)
        if latest is not None and latest.closed_at is None and now >= latest.closes_at:
            # Its timer is late. What belongs to it does not depend on that.
            latest = self._closed(latest, latest.closes_at, DigestClose.TIME, now)
        cause = item.closes
        if cause in _BY_ITSELF:
            row, result = self._open(item, now, None, 0), "passed"
        elif latest is not None and latest.closed_at is None:
            row, result = self._moved(latest, item.rule, now), "joined"
        else:
            row = self._open(item, now, item.slot, 0 if latest is None else latest.number)
            back, last = item.rule.look_back_ms, None if latest is None else latest.closed_at
            if back is not None and (last is None or now - last >= back):
                result, cause = "passed", DigestClose.LOOK_BACK
            else:
                result = "opened"
        row = replace(row, items=row.items + 1, touched_at=now)
        if cause is None and row.items >= row.most_items:
            cause = DigestClose.MAX_ITEMS
        if cause is None:
            self._keep(row)
        else:
            row = self._closed(row, now, cause, now)
        self.items.append(_stored(item, row))
        inputs = {"digest": id_text(row.id), "items": row.items} | (
            {"closed_by": cause.value} if cause else {}
        )
        return Arrival(result, row.closes_at if row.closed_at is None else None, inputs)

    def _open(self, item: DigestItem, now: Instant, slot: bytes | None, before: int) -> DigestRow:
        rule, opens = item.rule, item.opens
        latest = None if rule.most_ms is None else Instant(now + rule.most_ms)
        closes_at = _beyond(rule.closes_at or Instant(now + rule.window_ms), rule)
        row = DigestRow(
            id=opens.event_id,
            tenant=opens.tenant,
            user=opens.user,
            workflow=opens.workflow,
            step=opens.step,
            slot=slot,
            number=before + 1,
            opened_at=now,
            closes_at=closes_at if latest is None else min(closes_at, latest),
            latest_at=latest,
            window_ms=rule.window_ms,
            most_items=rule.most_items,
            touched_at=now,
        )
        self.opened[opens.id] = replace(opens, started_at=now, updated_at=now, due_at=row.closes_at)
        return row

    def _moved(self, row: DigestRow, rule: DigestRule, now: Instant) -> DigestRow:
        """By an item: later, never sooner, and not beyond its latest end."""
        if row.latest_at is None:
            return row
        ends = min(_beyond(Instant(now + row.window_ms), rule), row.latest_at)
        return replace(row, closes_at=max(row.closes_at, ends))

    def _closed(self, row: DigestRow, at: Instant, cause: DigestClose, now: Instant) -> DigestRow:
        closed = replace(row, closed_at=at, cause=cause, touched_at=now)
        self._keep(closed)
        if closed.run in self.opened:
            self.opened[closed.run] = replace(self.opened[closed.run], due_at=at)
        elif at < row.closes_at:
            self.due[closed.run] = at
        return closed

    def _keep(self, row: DigestRow) -> None:
        self.rows[row.id] = row
        if row.slot is not None:
            self._latest[row.slot] = row


def _beyond(at: Instant, rule: DigestRule) -> Instant:
    """Behind the quiet hours that an end lies in."""
    if rule.quiet is None:
        return at
    start, over = rule.quiet
    return over if start <= at < over else at


def _floored(now: Instant, touched_at: Instant) -> Instant:
    return touched_at if now < touched_at < now + CLOCKS_MS else now


def _stored(item: DigestItem, row: DigestRow) -> StoredItem:
    return StoredItem(
        run=item.run,
        digest=row.id,
        event_id=item.event_id,
        at=item.at,
        sealed=item.sealed,
        cancellation_key=item.cancellation_key,
    )

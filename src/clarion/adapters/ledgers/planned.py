"""What is stored of a plan besides its messages, and what its worker holds of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clarion.model.channel import LANES
from clarion.model.ids import EventId, MessageId, TenantId
from clarion.model.message import Run
from clarion.model.plan import PlanCommit


def planned_events(runs: Sequence[Run], rows: Sequence[int]) -> list[tuple[Any, ...]]:
    """Rows of `events`: which row of the journal has runs of an event, of which workflow, tenant and lane, between which users."""
    found: dict[tuple[int, str, TenantId, int], dict[EventId, list[int]]] = {}
    for run, row in zip(runs, rows, strict=True):
        alike = row, run.workflow, run.tenant, LANES.index(run.lane)
        reach(found.setdefault(alike, {}), run)
    return [(event_id, *alike, *its) for alike, events in found.items() for event_id, its in events.items()]


def reach(events: dict[EventId, list[int]], run: Run) -> None:
    """The event of this run reaches its user: the first and last of its users."""
    its = events.get(run.event_id)
    if its is None:
        events[run.event_id] = [run.user, run.user]
    else:
        its[:] = min(its[0], run.user), max(its[1], run.user)


def kept_by_worker(plan: PlanCommit) -> Iterable[MessageId]:
    """What its worker goes on to hold."""
    settled = {s.message.id for s in plan.settled}
    return (m.id for m in plan.messages if m.fence and m.id not in settled)

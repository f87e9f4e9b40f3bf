"""Runs as rows, and which plans of claimed runs are not stored: the same in every database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Lane
from clarion.model.ids import EventId, RunId, TenantId, UserNo, run_id
from clarion.model.plan import PlanCommit
from clarion.model.run import RunFilter, RunRow, RunStatus, Wake
from clarion.model.status import Reason

COLUMNS = (
    'id, tenant, "user", event_id, workflow, version, lane, status, step, part, due_at, started_at, updated_at, reason, '
    "cancellation_key, state, fence, zoned, answers"
)
PUT = """
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, step = excluded.step, part = excluded.part,
        due_at = excluded.due_at, updated_at = excluded.updated_at, reason = excluded.reason, state = excluded.state,
        zoned = excluded.zoned, holder = NULL
    WHERE runs.due_at IS NOT NULL
"""
"""The end of the statement that stores runs as plans left them: nobody holds them. What is over stays so."""
SEEN = 2_000
"""Runs that one page looks at, those that do not match too."""


WAKES_AT_A_TIME = 5_000
"""Read with one claim. What is left makes its runs due again."""


TENANTS_AT_A_TIME = 16
"""Tenants of which runs are claimed in one go."""
TENANTS_SEEN = 512
"""Tenants that one claim looks at, those of which nothing is due too."""


class TenantTurns:
    """Whose turn it is in each lane: however much of one tenant is due, the runs of the others do not wait behind it."""

    def __init__(self) -> None:
        self._after: dict[Lane, int] = {}

    def after(self, lane: Lane) -> int:
        """Behind which tenant the next turn begins; -1: with the first."""
        return self._after.get(lane, -1)

    def taken(self, lane: Lane, seen: Sequence[tuple[int, bool]]) -> list[int]:
        """Whose turn it is, of tenants in their order, each with whether something is due."""
        due = [tenant for tenant, is_due in seen if is_due][:TENANTS_AT_A_TIME]
        if len(due) == TENANTS_AT_A_TIME:
            self._after[lane] = due[-1]
        else:
            self._after[lane] = seen[-1][0] if len(seen) == TENANTS_SEEN else -1
        return due


def share(tenants: Sequence[int], limit: int) -> tuple[Sequence[int], int]:
    """Who takes part in so many runs, and how many are theirs at most."""
    return tenants[:limit], max(1, limit // len(tenants))


def left_of(tenants: Sequence[int], each: int, found: Sequence[RunRow]) -> list[int]:
    """Those who may have more than what was found of them."""
    counts = Counter(row.tenant for row in found)
    return [tenant for tenant in tenants if counts[TenantId(tenant)] >= each]


def wakes_of(rows: Iterable[Sequence[Any]]) -> dict[RunId, list[Wake]]:
    """What has come, by run, from rows of run, key, time, event and workflow."""
    found: dict[RunId, list[Wake]] = {}
    for run, key, at, event_id, workflow in rows:
        wake = Wake(key=key, at=at, event_id=EventId(event_id), workflow=workflow)
        found.setdefault(RunId(run), []).append(wake)
    return found


def woken(
    rows: Iterable[RunRow], wakes: Mapping[RunId, Sequence[Wake]], passed: Set[tuple[RunId, int]]
) -> list[RunRow]:
    """Claimed runs with what has come for them and whether a throttle lets them through, those that have waited longest first."""
    given = [
        replace(row, wakes=tuple(wakes.get(row.id, ())), passes=(row.id, row.part) in passed) for row in rows
    ]
    return sorted(given, key=lambda row: (row.due_at, row.id))


def row_of(run: RunRow) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    what = (run.id, run.tenant, run.user, run.event_id, run.workflow, run.version, run.lane.value)
    where = (run.status.value, run.step, run.part, run.due_at, run.started_at, run.updated_at)
    return (*what, *where, run.reason, run.cancellation_key, run.sealed, run.fence, run.zoned, run.answers)


def run_of(row: Sequence[Any]) -> RunRow:
    """From a row of `COLUMNS`."""
    (
        id_,
        tenant,
        user,
        event_id,
        workflow,
        version,
        lane,
        status,
        step,
        part,
        due_at,
        started_at,
        updated_at,
        reason,
        key,
        sealed,
        fence,
        zoned,
        answers,
    ) = row
    return RunRow(
        id=RunId(id_),
        tenant=tenant,
        user=UserNo(user),
        event_id=EventId(event_id),
        workflow=workflow,
        version=version,
        lane=Lane(lane),
        status=RunStatus(status),
        step=step,
        part=part,
        due_at=due_at,
        started_at=started_at,
        updated_at=updated_at,
        reason=None if reason is None else Reason(reason),
        cancellation_key=key,
        sealed=sealed,
        fence=fence,
        zoned=zoned,
        answers=answers,
    )


def changing(row: RunRow) -> tuple[Any, ...]:
    """What a change of a run is made with: what it is to be, and what it was."""
    what = (row.status.value, row.reason, row.version, row.due_at, row.sealed, row.zoned)
    return (*what, row.answers, row.updated_at, row.id, row.fence, row.part)


def conditions(where: RunFilter) -> dict[str, Any]:
    """What a filter asks of runs that wait, by column."""
    asked = {
        '"user"': where.user,
        "event_id": where.event_id,
        "cancellation_key": where.cancellation_key,
        "workflow": where.workflow,
        "version": where.version,
        "step": where.step,
    }
    return {column: value for column, value in asked.items() if value is not None}


def claimed(plans: Iterable[PlanCommit]) -> dict[RunId, tuple[int, int]]:
    """Who claimed the runs that these plans go on with, and with which fence."""
    return {row.id: (plan.worker, row.fence) for plan in plans for row in plan.run_rows if row.fence}


def lost(plans: Sequence[PlanCommit], held: Set[RunId]) -> Set[bytes]:
    """Runs that go on in these plans although their claim is lost, with everything that was planned of them."""
    gone = claimed(plans).keys() - held
    if not gone:
        return frozenset()
    runs = [
        run
        for plan in plans
        for run in plan.runs
        if run.part and run_id(run.event_id, run.workflow, run.user) in gone
    ]
    messages = {one.message_id for run in runs for one in run.channels if one.message_id is not None}
    return gone | {run.id for run in runs} | messages


def waiting_of(rows: Iterable[Sequence[Any]]) -> dict[str, dict[tuple[int, str], int]]:
    """Rows of workflow, version, step and count, by workflow."""
    found: dict[str, dict[tuple[int, str], int]] = {}
    for workflow, version, step, count in rows:
        found.setdefault(workflow, {})[version, step] = count
    return found

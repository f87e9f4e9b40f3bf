"""Events that could not be planned, as rows of a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clarion.model.channel import Lane
from clarion.model.event import SetAside
from clarion.model.ids import EventId
from clarion.model.status import Reason


def set_aside_of(row: Iterable[Any]) -> SetAside:
    """What a whole row says."""
    seq, event_id, tenant, lane, workflow, reason, detail, at, discarded_at = row
    return SetAside(
        seq=seq,
        event_id=EventId(event_id),
        tenant=tenant,
        lane=Lane(lane),
        workflow=workflow,
        reason=Reason(reason),
        detail=detail,
        at=at,
        discarded_at=discarded_at,
    )

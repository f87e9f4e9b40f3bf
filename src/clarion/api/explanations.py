"""Explanations of stored runs, with what became of their messages since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clarion.api.dependencies import ApiParts
from clarion.model.ids import UserNo
from clarion.model.message import Run
from clarion.rules.explain import RunExplanation, explanation


async def explained(
    parts: ApiParts, runs: Sequence[Run], names: Mapping[UserNo, str | None]
) -> list[RunExplanation]:
    """Runs as callers see them: also what stopped a message right before it was sent, and what it has cost."""
    ids = [channel.message_id for run in runs for channel in run.channels if channel.message_id is not None]
    reasons = {one.id: one.reason for one in (await parts.ledger.receipts.messages(ids)).values()}
    costs = {one.message_id: one.cost for one in await parts.ledger.spending.costs(ids)}
    return [explanation(run, names.get(run.user), reasons, costs) for run in runs]

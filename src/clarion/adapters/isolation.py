"""Sends the messages of a batch one by one, so that a failure affects one message only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.model.outcome import Outcome, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.status import Reason
from clarion.ports.provider import Report

log = structlog.get_logger(__name__)


def each(batch: Sequence[Outgoing], send: Callable[[Outgoing], Outcome]) -> list[Outcome]:
    """`send` each; one that raises has not left the house and is tried again."""
    outcomes: list[Outcome] = []
    for outgoing in batch:
        try:
            outcomes.append(send(outgoing))
        except Exception as surprise:  # noqa: BLE001 - concerns this message only
            outcomes.append(surprised(surprise, idempotent=True))
    return outcomes


async def each_at_once(
    batch: Sequence[Outgoing],
    send: Callable[[Outgoing], Awaitable[Outcome]],
    report: Report | None,
    *,
    idempotent: bool,
) -> list[Outcome]:
    """`send` all at the same time, and tell each outcome as it comes; one that raises may have been taken."""

    async def alone(index: int, outgoing: Outgoing) -> Outcome:
        try:
            outcome = await send(outgoing)
        except Exception as surprise:  # noqa: BLE001 - concerns this message only
            outcome = surprised(surprise, idempotent=idempotent)
        if report is not None:
            report.ended(index, outcome)
        return outcome

    if len(batch) == 1:
        return [await alone(0, batch[0])]
    return await asyncio.gather(*(alone(index, one) for index, one in enumerate(batch)))


def surprised(surprise: Exception, *, idempotent: bool) -> Retry | Unknown:
    """What a failure nobody expected means for its message. Only its kind is told: its words may hold anything."""
    kind = type(surprise).__name__
    log.error("message_failed", error=kind)
    if idempotent:
        return Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail=kind)
    return Unknown(of_address=True, detail=f"it failed on the way ({kind})")

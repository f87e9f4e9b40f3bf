"""The messages of a batch kept apart: what goes wrong with one is its own outcome and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.model.outcome import Outcome, Retry, Unknown
from clarion.model.status import Reason
from clarion.ports.provider import Outgoing

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
    batch: Sequence[Outgoing], send: Callable[[Outgoing], Awaitable[Outcome]], *, idempotent: bool
) -> list[Outcome]:
    """`send` all at the same time; one that raises may have been taken."""

    async def alone(outgoing: Outgoing) -> Outcome:
        try:
            return await send(outgoing)
        except Exception as surprise:  # noqa: BLE001 - concerns this message only
            return surprised(surprise, idempotent=idempotent)

    if len(batch) == 1:
        return [await alone(batch[0])]
    return await asyncio.gather(*map(alone, batch))


def surprised(surprise: Exception, *, idempotent: bool) -> Retry | Unknown:
    """What a failure nobody expected means for its message. Only its kind is told: its words may hold anything."""
    kind = type(surprise).__name__
    log.error("message_failed", error=kind)
    if idempotent:
        return Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail=kind)
    return Unknown(of_address=True, detail=f"it failed on the way ({kind})")

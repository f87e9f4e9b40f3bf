"""In which order receipts are applied, and what is recorded of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clarion.model.ids import TenantId
from clarion.model.message import Change
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import Reason, Status

_A_STATUS = frozenset({ReceiptKind.DELIVERED, ReceiptKind.BOUNCED, ReceiptKind.BLOCKED, ReceiptKind.FAILED})
"""These say nothing but where the message is."""


def rounds(effects: Sequence[ReceiptEffect]) -> Iterator[list[int]]:
    """Places, in order, so that no round has a receipt about a message that an earlier one of it is about, cancels or
    advances: a later receipt builds on what the earlier did."""
    left = list(range(len(effects)))
    while left:
        touched: set[bytes] = set()
        now: list[int] = []
        later: list[int] = []
        for place in left:
            effect = effects[place]
            (later if effect.message.id in touched else now).append(place)
            touched.update((effect.message.id, *effect.cancels))
            if effect.advances is not None:
                touched.add(effect.advances)
        yield now
        left = later


def says_more(effect: ReceiptEffect) -> bool:
    """Whether it is worth keeping when it moves nothing, if it is the first of its kind."""
    return effect.kind not in _A_STATUS or effect.suppression is not None


def recorded(
    effect: ReceiptEffect,
    *,
    moves: bool,
    status: Status,
    reason: Reason | None,
    attempt: int,
    integration: str | None,
    tenant: TenantId,
) -> Change:
    """What is recorded of one that is taken: the message where it goes if it moves, or where it is."""
    moved = moves and effect.status is not None
    return Change(
        message_id=effect.message.id,
        tenant=tenant,
        at=effect.at,
        status=effect.status if moved and effect.status is not None else status,
        reason=effect.reason if moved else reason,
        attempt=attempt,
        integration=integration,
        outcome=effect.kind.value,
        provider_id=effect.provider_id,
        detail=effect.detail,
    )

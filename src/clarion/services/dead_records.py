"""Keeps records of sources, and events for sinks, that could not be done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clarion.errors import ConfigError
from clarion.flow.ledger import Ledger
from clarion.model.ids import TenantId
from clarion.model.reading import DeadRecord, DeadRecordFilter, DeadRecordKind, ReadingPlace
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault

MOST = 1_000
"""That may wait of one source or sink: then it is not followed any further, so that a wrong expression does not make a dead
letter of everything."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record or an event is not done."""

    reason: str
    detail: str
    pointer: str | None = None
    """JSON pointer of the expression that is to blame, if one is."""


class DeadRecordKeeper:
    """Of one kind. What is kept is sealed under the tenant's key."""

    def __init__(self, kind: DeadRecordKind, ledger: Ledger, vault: Vault, clock: Clock) -> None:
        self._kind = kind
        self._records = ledger.dead_records
        self._vault = vault
        self._clock = clock

    async def keep(self, place: ReadingPlace, refused: Sequence[tuple[str, bytes, Refused]]) -> None:
        """Where each stands, what it is, and why; durable when this returns."""
        if refused:
            key, now = self._vault.tenant_key(place.tenant), self._clock.now()
            await self._records.keep(
                [
                    DeadRecord(
                        tenant=place.tenant,
                        kind=self._kind,
                        origin=place.key,
                        place=where,
                        reason=why.reason,
                        detail=why.detail,
                        sealed=self._vault.seal(key, what),
                        at=now,
                    )
                    for where, what, why in refused
                ]
            )

    async def require_room(self, place: ReadingPlace) -> None:
        """Raises ConfigError when too many wait."""
        where = DeadRecordFilter(kind=self._kind, origin=place.key)
        if await self._records.count(place.tenant, where, MOST) >= MOST:
            raise ConfigError(
                f"{MOST:,} dead letters of the {place.kind} wait, so it does not go on: correct it, then retry or discard them"
            )

    def opened(self, dead: DeadRecord) -> bytes:
        """What was kept."""
        return self._vault.open(self._vault.tenant_key(dead.tenant), dead.sealed)

    async def discard(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        """Take them off the list; how many were there."""
        return await self._records.drop(tenant, seqs) if seqs else 0

"""Encrypts live resources for the store, and finds the newest states for messages that are about to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from clarion.errors import SealBroken
from clarion.flow.ledger import Ledger
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.live import Live, LiveRow
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.user import User
from clarion.ports.vault import Vault

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Live).decode


class LiveStates:
    """Reads live resources from the store, opened."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._lives = ledger.lives
        self._users = ledger.users
        self._vault = vault

    def sealed(self, live: Live, sole: User | None, due_at: Instant | None) -> LiveRow:
        """The row of a live resource: sealed under its only recipient's key, else under the tenant's."""
        key = sole.key if sole is not None else self._vault.tenant_key(live.tenant)
        return LiveRow(
            tenant=live.tenant,
            key=live.key,
            id=live.id,
            sequence=live.sequence,
            sealed=self._vault.seal(key, _encode(live)),
            sealed_for=sole.no if sole is not None else NO_USER,
            ended_at=live.ended_at,
            due_at=due_at,
        )

    async def opened(self, rows: Sequence[LiveRow]) -> Mapping[bytes, Live]:
        """By id; without those whose only recipient was erased, or that cannot be read."""
        users: Mapping[UserNo, User] = {}
        if wanted := [row.sealed_for for row in rows if row.sealed_for != NO_USER]:
            users = await self._users.get(wanted)
        return {row.id: live for row in rows if (live := self._opened(row, users)) is not None}

    async def newest(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[bytes, Live]:
        """The live resources with these keys as they are now, by id."""
        return await self.opened(list((await self._lives.get(tenant, keys)).values()))

    def _opened(self, row: LiveRow, users: Mapping[UserNo, User]) -> Live | None:
        if row.sealed_for == NO_USER:
            key = self._vault.tenant_key(row.tenant)
        elif (user := users.get(row.sealed_for)) is not None:
            key = user.key
        else:
            return None
        try:
            return _decode(self._vault.open(key, row.sealed))
        except (SealBroken, msgspec.DecodeError):
            return None


def update_of(live: Live, event: LiveEvent) -> LiveUpdate:
    """What is said of its state now. What has ended only ends."""
    return LiveUpdate(
        id=live.id,
        key=live.key,
        event=event if live.ended_at is None else LiveEvent.END,
        sequence=live.sequence,
        at=live.goes_at,
        stale_at=live.stale_at,
        dismiss_at=live.dismiss_at,
    )

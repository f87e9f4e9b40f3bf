"""One-time codes."""

from __future__ import annotations

from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.verification import Resend, Verification, VerificationId, VerificationStatus


class Verifications(Protocol):
    """One-time codes, by their hashes. Every change is one transaction."""

    async def add(self, verification: Verification, since: Instant, most: int) -> bool:
        """Store it, and cancel those of the same address that are pending. False, and nothing is changed, when so many
        for the address were created since then."""

    async def get(self, tenant: TenantId, verification_id: VerificationId) -> Verification | None:
        """As it is stored: one whose time is over may still say `pending`."""

    async def count_check(
        self, tenant: TenantId, verification_id: VerificationId, at: Instant, most: int
    ) -> Verification | None:
        """Counted before a code is compared. One that is not pending stays as it is; one whose time is over is
        `expired` from now on, and one that was checked so often before is `locked`."""

    async def resend(
        self, tenant: TenantId, verification_id: VerificationId, resend: Resend
    ) -> Verification | None:
        """With the new hash, if it may be sent again; None: it may not, or there is no such verification."""

    async def finish(
        self, tenant: TenantId, verification_id: VerificationId, status: VerificationStatus, at: Instant
    ) -> Verification | None:
        """A pending one gets this status, any other stays as it is; None: there is no such verification."""

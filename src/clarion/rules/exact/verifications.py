"""How verifications change: a store applies these inside its transaction."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.ids import Instant
from clarion.model.verification import Resend, Verification, VerificationStatus

PENDING = VerificationStatus.PENDING


def checked(verification: Verification, at: Instant, most: int) -> Verification:
    """One more check is counted, or it is over."""
    now = verification.at(at)
    if now.status is not PENDING:
        return now
    if now.checks >= most:
        return replace(now, status=VerificationStatus.LOCKED, finished_at=at)
    return replace(now, checks=now.checks + 1)


def resent(verification: Verification, resend: Resend) -> Verification | None:
    """With a new code; None: it may not be sent again."""
    now = verification.at(resend.at)
    if now.status is not PENDING or now.sends >= resend.most or resend.at - now.sent_at < resend.pause_ms:
        return None
    return replace(now, hash=resend.hash, sends=now.sends + 1, sent_at=resend.at)


def finished(verification: Verification, status: VerificationStatus, at: Instant) -> Verification:
    """A pending one ends."""
    now = verification.at(at)
    return replace(now, status=status, finished_at=at) if now.status is PENDING else now

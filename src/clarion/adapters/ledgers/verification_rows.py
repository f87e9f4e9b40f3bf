"""One-time codes as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import UserNo
from clarion.model.verification import Verification, VerificationId, VerificationStatus

COLUMNS = (
    'id, tenant, "user", contact, channels, workflow, digits, hash, status, sends, checks, created_at, sent_at, '
    "expires_at, finished_at"
)


def row_of(one: Verification) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    channels = ",".join(one.channels)
    who = (one.id, one.tenant, one.user, one.contact, channels, one.workflow, one.digits, one.hash)
    state = (one.status.value, one.sends, one.checks)
    return (*who, *state, one.created_at, one.sent_at, one.expires_at, one.finished_at)


def verification_of(row: Sequence[Any]) -> Verification:
    """From a row of `COLUMNS`."""
    (
        verification_id,
        tenant,
        user,
        contact,
        channels,
        workflow,
        digits,
        hash_,
        status,
        sends,
        checks,
        *times,
    ) = row
    created_at, sent_at, expires_at, finished_at = times
    return Verification(
        id=VerificationId(verification_id),
        tenant=tenant,
        user=UserNo(user),
        contact=contact,
        channels=tuple(Channel(channel) for channel in channels.split(",") if channel),
        workflow=workflow,
        digits=digits,
        hash=hash_,
        status=VerificationStatus(status),
        sends=sends,
        checks=checks,
        created_at=created_at,
        sent_at=sent_at,
        expires_at=expires_at,
        finished_at=finished_at,
    )

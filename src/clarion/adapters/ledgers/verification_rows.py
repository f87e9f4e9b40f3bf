"""One-time codes as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import UserNo
from clarion.model.verification import ConsentAsked, Verification, VerificationId, VerificationStatus

COLUMNS = (
    'id, tenant, "user", contact, channels, workflow, digits, hash, status, sends, checks, created_at, sent_at, '
    "expires_at, finished_at, consent"
)


def row_of(one: Verification) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    channels = ",".join(one.channels)
    who = (one.id, one.tenant, one.user, one.contact, channels, one.workflow, one.digits, one.hash)
    state = (one.status.value, one.sends, one.checks)
    asked = None if one.consent is None else msgspec.json.encode(one.consent).decode()
    return (*who, *state, one.created_at, one.sent_at, one.expires_at, one.finished_at, asked)


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
    created_at, sent_at, expires_at, finished_at, asked = times
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
        consent=None if asked is None else msgspec.json.decode(asked, type=ConsentAsked),
    )

"""Consent records as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.channel import Channel
from clarion.model.consent import Consent, ConsentAction, ConsentFilter, ConsentId
from clarion.model.ids import BEHIND_ALL, TenantId, first_id_at

COLUMNS = 'id, tenant, "user", purpose, channel, "action", at, recorded_at, source, text_version, proof'


def row_of(one: Consent) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    channel = None if one.channel is None else one.channel.value
    what = (one.purpose, channel, one.action.value, one.at, one.recorded_at)
    return (one.id, one.tenant, one.user, *what, one.source, one.text_version, one.proof)


def consent_of(row: Sequence[Any]) -> Consent:
    """From a row of `COLUMNS`."""
    id_, tenant, user, purpose, channel, action, at, recorded_at, source, text_version, proof = row
    return Consent(
        id=id_,
        tenant=tenant,
        user=user,
        purpose=purpose,
        channel=None if channel is None else Channel(channel),
        action=ConsentAction(action),
        at=at,
        recorded_at=recorded_at,
        source=source,
        text_version=text_version,
        proof=proof,
    )


def page_statement(mark: str) -> str:
    """SQL for a page of a tenant's records, newest first. `mark`: what stands before the number of a parameter."""
    optional = ("purpose", "channel", '"action"', "source")
    wanted = [f"({name} = {mark}{place} OR {mark}{place} IS NULL)" for place, name in enumerate(optional, 6)]
    return f"""
        SELECT {COLUMNS} FROM consents
        WHERE tenant = {mark}1 AND id < {mark}2 AND id >= {mark}3 AND recorded_at < {mark}4
            AND {" AND ".join(wanted)} {{of_user}}
        ORDER BY id DESC LIMIT {mark}5
    """


LAST = 2**63 - 1


def page_values(tenant: TenantId, where: ConsentFilter, before: ConsentId | None, limit: int) -> list[Any]:
    """The parameters of `page_statement`; behind them that of the user."""
    return [
        tenant,
        BEHIND_ALL if before is None else before,
        b"" if where.since is None else first_id_at(where.since),
        LAST if where.before is None else where.before,
        limit,
        where.purpose,
        None if where.channel is None else where.channel.value,
        None if where.action is None else where.action.value,
        where.source,
        *(() if where.user is None else (where.user,)),
    ]

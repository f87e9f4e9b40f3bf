"""Finds the frequency caps that count a message. The ledger counts, so that the count is exact."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.plan import CapCharge
from clarion.model.setup import Category, Tenant
from clarion.model.user import FrequencyCap, Preferences


def charges(
    *,
    tenant: Tenant,
    category: Category,
    preferences: Preferences,
    channel: Channel,
    user: UserNo,
    message_id: MessageId,
    at: Instant,
) -> tuple[CapCharge, ...]:
    """What a message that starts `at` counts against; nothing when its category is critical."""
    own = preferences.caps
    if category.critical or not (tenant.caps or category.caps or own):
        return ()
    return tuple(
        CapCharge(
            message_id=message_id,
            user=user,
            category=of,
            channel=cap.channel,
            scope=scope,
            limit=cap.limit,
            window_s=cap.window_s,
            at=at,
        )
        for scope, of, cap in _matching(tenant.caps, category.key, category.caps, own, channel)
    )


@lru_cache(maxsize=1_024)
def _matching(
    tenant_caps: tuple[FrequencyCap, ...],
    category: str,
    category_caps: tuple[FrequencyCap, ...],
    own: tuple[FrequencyCap, ...],
    channel: Channel,
) -> tuple[tuple[str, str, FrequencyCap], ...]:
    return (
        *((scope, "", cap) for scope, cap in _scoped("tenant", tenant_caps, channel)),
        *((scope, category, cap) for scope, cap in _scoped(f"category/{category}", category_caps, channel)),
        *((scope, "", cap) for scope, cap in _scoped("user", own, channel)),
    )


def _scoped(owner: str, caps: Iterable[FrequencyCap], channel: Channel) -> Iterable[tuple[str, FrequencyCap]]:
    """Scope and cap. Two caps over the same messages differ in their window, which then names them apart."""
    by_scope: dict[str, FrequencyCap] = {}
    for cap in caps:
        if cap.channel is None or cap.channel is channel:
            scope = f"{owner}/{cap.channel.value if cap.channel else '*'}"
            if scope in by_scope and by_scope[scope].window_s != cap.window_s:
                scope = f"{scope}/{cap.window_s}s"
            if scope not in by_scope or cap.limit < by_scope[scope].limit:
                by_scope[scope] = cap
    return by_scope.items()

"""Decides whether a category may use a channel for a user. The most specific setting wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from clarion.model.channel import CHANNELS, Channel
from clarion.model.setup import Category, Tenant
from clarion.model.user import CategoryPreference, Preferences

SETTINGS = (
    "critical",
    "user_category_channel",
    "user_category",
    "user_channel",
    "category_channel",
    "category_default",
    "tenant_channel",
    "default",
)
"""What can decide, most specific first."""


def allowed(
    tenant: Tenant, category: Category, preferences: Preferences, channel: Channel
) -> tuple[bool, str]:
    """Whether the channel is on, and which of `SETTINGS` said so."""
    if category.critical:
        return True, "critical"
    if preferences.categories:
        choice = preferences.categories.get(category.key)
        if choice is not None:
            chosen = choice.channels.get(channel)
            if chosen is not None:
                return chosen, "user_category_channel"
            if choice.enabled is not None:
                return choice.enabled, "user_category"
    if preferences.channels:
        chosen = preferences.channels.get(channel)
        if chosen is not None:
            return chosen, "user_channel"
    return _by_default(tenant, category, channel)


def _by_default(tenant: Tenant, category: Category, channel: Channel) -> tuple[bool, str]:
    """What holds when the user has not chosen."""
    preset = category.channels.get(channel)
    if preset is not None:
        return preset, "category_channel"
    if not category.enabled:
        return False, "category_default"
    preset = tenant.channels.get(channel)
    if preset is not None:
        return preset, "tenant_channel"
    return True, "default"


def effective(tenant: Tenant, categories: Iterable[Category], preferences: Preferences) -> dict[str, Any]:
    """What is in force for a user: category key -> channel -> `{"enabled": ..., "decided_by": ...}`."""
    return {
        category.key: {
            channel.value: {"enabled": enabled, "decided_by": setting}
            for channel in CHANNELS
            for enabled, setting in [allowed(tenant, category, preferences, channel)]
        }
        for category in categories
    }


def with_category(
    tenant: Tenant, category: Category, preferences: Preferences, channel: Channel, on: bool
) -> Preferences:
    """The preferences with this one choice made; what was never chosen stays so where that says the same."""
    known = preferences.categories.get(category.key, CategoryPreference())
    others = {one: chosen for one, chosen in known.channels.items() if one is not channel}

    def with_channels(channels: dict[Channel, bool]) -> Preferences:
        chosen = replace(known, channels=channels)
        return replace(preferences, categories={**preferences.categories, category.key: chosen})

    unsaid = with_channels(others)
    if on and allowed(tenant, category, unsaid, channel)[0]:
        return unsaid
    return with_channels({**others, channel: on})

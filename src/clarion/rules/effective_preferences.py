"""What is in force for a user, each value with what decided it: for the API and the preference page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from clarion.model.channel import CHANNELS, Channel
from clarion.model.setup import Category, Tenant, Tracking, Workflow
from clarion.model.user import DigestFrequency, PreferenceSet, Profile, Window
from clarion.rules import legal, places, preferences
from clarion.rules.time_format import rfc3339


class EffectiveChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a channel is on."""

    enabled: bool
    decided_by: str
    topic: str | None = None
    """Where a topic decides: which, the topic itself or one above it."""


class EffectiveSet(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a category, a workflow or a topic."""

    channels: dict[Channel, EffectiveChannel]
    digest: DigestFrequency
    digest_decided_by: str


class EffectiveText(msgspec.Struct, frozen=True, kw_only=True):
    """A language or a time zone."""

    value: str
    decided_by: str
    """`user`: confirmed. `device` and `phone`: detected. `tenant`: nothing is known."""


class EffectiveTracking(msgspec.Struct, frozen=True, kw_only=True):
    """What may be learned from opened emails and followed links."""

    value: Tracking
    decided_by: str
    """`category`, `tenant`, the id of a legal rule, or `default`."""


class EffectiveHours(msgspec.Struct, frozen=True, kw_only=True):
    """Quiet hours."""

    value: tuple[Window, ...]
    decided_by: str
    """`user` or `tenant`."""


class EffectiveOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order of channels."""

    value: tuple[Channel, ...]
    decided_by: str
    """`user` or `tenant`."""


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a user."""

    categories: dict[str, EffectiveSet]
    workflows: dict[str, EffectiveSet]
    """Those for which the user or the tenant has chosen something."""
    topics: dict[str, EffectiveSet]
    """Likewise, for what comes by the topic in a category that is on by default."""
    quiet_hours: EffectiveHours
    channel_order: EffectiveOrder
    snoozed_until: str | None
    locale: EffectiveText
    timezone: EffectiveText
    tracking: dict[str, EffectiveTracking]
    """By category."""


def effective_preferences(
    tenant: Tenant, categories: Mapping[str, Category], workflows: Mapping[str, Workflow], profile: Profile
) -> Effective:
    """Everything, for one user."""
    chosen, defaults = profile.preferences, tenant.preferences

    def decided(category: Category, workflow: str = "", topics: tuple[str, ...] = ()) -> EffectiveSet:
        digest, digest_decided_by = preferences.digest_frequency(tenant, category, chosen, workflow, topics)
        channels = {}
        for channel in CHANNELS:
            on, setting = preferences.allowed(tenant, category, chosen, channel, workflow, topics)
            sets = {"user_topic": chosen.topics, "topic": defaults.topics}.get(
                setting.removesuffix("_channel").removesuffix("_default")
            )
            by = None if sets is None else preferences.topic_that_says(sets, topics[0], channel)
            channels[channel] = EffectiveChannel(enabled=on, decided_by=setting, topic=by)
        return EffectiveSet(channels=channels, digest=digest, digest_decided_by=digest_decided_by)

    named = [key for key in _named(chosen.workflows, defaults.workflows) if key in workflows]
    return Effective(
        categories={key: decided(category) for key, category in categories.items()},
        workflows={
            key: decided(
                categories.get(workflows[key].category) or Category(key=workflows[key].category), key
            )
            for key in named
        },
        topics={
            key: decided(Category(key=""), topics=(key,)) for key in _named(chosen.topics, defaults.topics)
        },
        quiet_hours=EffectiveHours(
            value=preferences.quiet_hours(tenant, chosen), decided_by=_who(chosen.quiet_hours)
        ),
        channel_order=EffectiveOrder(
            value=preferences.channel_order(tenant, chosen), decided_by=_who(chosen.channel_order)
        ),
        snoozed_until=None if chosen.snoozed_until is None else rfc3339(chosen.snoozed_until),
        locale=_text(*places.locale(profile, tenant)),
        timezone=_text(*places.zone(profile, tenant)),
        tracking=dict(_tracking(tenant, categories, profile)),
    )


def _named(*sets: Mapping[str, PreferenceSet]) -> Collection[str]:
    return sorted({key for one in sets for key in one})


def _who(chosen: Any) -> str:
    return "tenant" if chosen is None else "user"


def _text(value: str, decided_by: str) -> EffectiveText:
    return EffectiveText(value=value, decided_by=decided_by)


def _tracking(
    tenant: Tenant, categories: Mapping[str, Category], profile: Profile
) -> Iterator[tuple[str, EffectiveTracking]]:
    for key, category in categories.items():
        value, decided_by = legal.tracking(tenant, category, profile)
        yield key, EffectiveTracking(value=value, decided_by=decided_by)

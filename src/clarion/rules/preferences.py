"""Decides whether a user gets a workflow over a channel. A user's own choices hold before every default.

Among the choices for the category, the workflow and its topics one that is off wins, so that an opt-out is never undone by
something more specific. One that is on wins over the choice for the channel as a whole. Among the defaults the most specific
wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from clarion.model.channel import CHANNELS, Channel
from clarion.model.setup import Category, Tenant
from clarion.model.user import DigestEvery, DigestFrequency, Preferences, PreferenceSet, Window
from clarion.rules.topics import lineage

SETTINGS = (
    "critical",
    "user_category_channel",
    "user_category",
    "user_workflow_channel",
    "user_workflow",
    "user_topic_channel",
    "user_topic",
    "user_channel",
    "workflow_channel",
    "workflow_default",
    "topic_channel",
    "topic_default",
    "category_channel",
    "category_default",
    "tenant_channel",
    "default",
)
"""What can decide."""
AT_ONCE = DigestFrequency(every=DigestEvery.AT_ONCE)

Setting = tuple[bool, str]
Topics = tuple[str, ...]
"""Those by which an event comes to a user; none when it names the user."""


def allowed(
    tenant: Tenant,
    category: Category,
    preferences: Preferences,
    channel: Channel,
    workflow: str = "",
    topics: Topics = (),
) -> Setting:
    """Whether the channel is on, and which of `SETTINGS` said so."""
    if category.critical:
        return True, "critical"
    chosen = None
    for one in _chosen(preferences, category.key, channel, workflow, topics):
        if not one[0]:
            return one
        chosen = chosen or one
    if chosen is not None:
        return chosen
    if preferences.channels and (on := preferences.channels.get(channel)) is not None:
        return on, "user_channel"
    return _by_default(tenant, category, channel, workflow, topics)


def blocking(
    tenant: Tenant,
    category: Category,
    preferences: Preferences,
    channel: Channel,
    workflow: str = "",
    topics: Topics = (),
) -> tuple[str, ...]:
    """All settings that have to change before the channel is on; none when it is."""
    on, setting = allowed(tenant, category, preferences, channel, workflow, topics)
    if on:
        return ()
    off = [
        name for chosen, name in _chosen(preferences, category.key, channel, workflow, topics) if not chosen
    ]
    return tuple(dict.fromkeys(off)) or (setting,)


def _chosen(
    preferences: Preferences, category: str, channel: Channel, workflow: str, topics: Topics
) -> Iterator[Setting]:
    """What the user chose for the category, the workflow and each topic."""
    if preferences.categories:
        yield from _said(preferences.categories.get(category), channel, "user_category")
    if preferences.workflows:
        yield from _said(preferences.workflows.get(workflow), channel, "user_workflow")
    if preferences.topics:
        for topic in topics:
            yield from _of_topic(preferences.topics, topic, channel, "user_topic")


def _said(
    chosen: PreferenceSet | None, channel: Channel, name: str, whole: str | None = None
) -> Iterator[Setting]:
    """What a set says of a channel, if anything. `whole`: the name of what holds for all channels, if it is another."""
    if chosen is None:
        return
    if (on := chosen.channels.get(channel)) is not None:
        yield on, f"{name}_channel"
    elif chosen.enabled is not None:
        yield chosen.enabled, whole or name


def _of_topic(
    sets: Mapping[str, PreferenceSet], topic: str, channel: Channel, name: str, whole: str | None = None
) -> Iterator[Setting]:
    """What is said of a topic, or of the nearest one above it of which something is."""
    for one in lineage(topic):
        if found := list(_said(sets.get(one), channel, name, whole)):
            yield from found
            return


def topic_that_says(sets: Mapping[str, PreferenceSet], topic: str, channel: Channel) -> str | None:
    """Which topic says whether a channel is on: this one, or the nearest above it that says something."""
    return next((one for one in lineage(topic) if any(_said(sets.get(one), channel, ""))), None)


def _by_default(
    tenant: Tenant, category: Category, channel: Channel, workflow: str, topics: Topics
) -> Setting:
    """What holds when the user has not chosen."""
    defaults = tenant.preferences
    if defaults.workflows:
        for one in _said(defaults.workflows.get(workflow), channel, "workflow", "workflow_default"):
            return one
    if defaults.topics and topics:
        found = [
            one
            for topic in topics
            for one in _of_topic(defaults.topics, topic, channel, "topic", "topic_default")
        ]
        if found:
            return min(found)
    preset = category.channels.get(channel)
    if preset is not None:
        return preset, "category_channel"
    if not category.enabled:
        return False, "category_default"
    preset = tenant.channels.get(channel)
    if preset is not None:
        return preset, "tenant_channel"
    return True, "default"


# -- choosing -----------------------------------------------------------------------------------------------


def with_category(
    tenant: Tenant, category: Category, preferences: Preferences, channel: Channel, on: bool
) -> Preferences:
    """The preferences with this one choice made; what was never chosen stays so where that says the same."""
    known = preferences.categories.get(category.key, PreferenceSet())
    others = {one: chosen for one, chosen in known.channels.items() if one is not channel}

    def with_channels(channels: dict[Channel, bool]) -> Preferences:
        chosen = replace(known, channels=channels)
        return replace(preferences, categories={**preferences.categories, category.key: chosen})

    unsaid = with_channels(others)
    if on and allowed(tenant, category, unsaid, channel)[0]:
        return unsaid
    return with_channels({**others, channel: on})


def stopped(preferences: Preferences) -> Preferences:
    """The preferences of somebody who wants nothing any more: every channel is off, and nothing is on besides."""
    return replace(
        preferences,
        channels=dict.fromkeys(CHANNELS, False),
        categories=_without_on(preferences.categories),
        workflows=_without_on(preferences.workflows),
        topics=_without_on(preferences.topics),
    )


def _without_on(sets: Mapping[str, PreferenceSet]) -> dict[str, PreferenceSet]:
    return {
        key: replace(
            one,
            enabled=None if one.enabled else one.enabled,
            channels={channel: on for channel, on in one.channels.items() if not on},
        )
        for key, one in sets.items()
    }


# -- what else is in force ----------------------------------------------------------------------------------


def quiet_hours(tenant: Tenant, preferences: Preferences) -> tuple[Window, ...]:
    """The user's quiet hours, else those of the tenant."""
    chosen = preferences.quiet_hours
    return tenant.preferences.quiet_hours if chosen is None else chosen


def channel_order(tenant: Tenant, preferences: Preferences) -> tuple[Channel, ...]:
    """The user's order of channels, else that of the tenant."""
    chosen = preferences.channel_order
    return tenant.preferences.channel_order if chosen is None else chosen


def in_order(channels: Iterable[Channel], order: tuple[Channel, ...]) -> list[Channel]:
    """These channels, those that the order names first."""
    return sorted(channels, key=lambda one: order.index(one) if one in order else len(order))


def digest_frequency(
    tenant: Tenant, category: Category, preferences: Preferences, workflow: str = "", topics: Topics = ()
) -> tuple[DigestFrequency, str]:
    """When a user wants the digests of a workflow, and what says so: the most specific choice, then the most specific
    default; without any, at once."""
    defaults = tenant.preferences
    for name, chosen in (
        ("user_workflow", _digest(preferences.workflows, workflow)),
        *(("user_topic", _digest_of_topic(preferences.topics, topic)) for topic in topics),
        ("user_category", _digest(preferences.categories, category.key)),
        ("user", preferences.digest),
        ("workflow_default", _digest(defaults.workflows, workflow)),
        *(("topic_default", _digest_of_topic(defaults.topics, topic)) for topic in topics),
        ("category_default", category.digest),
        ("tenant", defaults.digest),
    ):
        if chosen is not None:
            return chosen, name
    return AT_ONCE, "default"


def moment_of(frequency: DigestFrequency) -> str | None:
    """When digests close that come so often, as a time in words; None: at once."""
    match frequency.every:
        case DigestEvery.AT_ONCE:
            return None
        case DigestEvery.HOURLY:
            return "start of next hour"
        case DigestEvery.DAILY:
            return f"daily {frequency.at}"
        case DigestEvery.WEEKLY:
            return f"{frequency.day} {frequency.at}"


def _digest(sets: Mapping[str, PreferenceSet], key: str) -> DigestFrequency | None:
    return found.digest if (found := sets.get(key)) is not None else None


def _digest_of_topic(sets: Mapping[str, PreferenceSet], topic: str) -> DigestFrequency | None:
    return next((found for one in lineage(topic) if (found := _digest(sets, one)) is not None), None)

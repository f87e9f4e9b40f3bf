"""Finds the channels that the integrations of a tenant serve, and the channels of a workflow that none serves."""

from __future__ import annotations

from collections.abc import Iterable

from clarion.model.channel import Channel
from clarion.model.setup import Integration, SendFirst, Workflow, channels_of


def served(integrations: Iterable[Integration]) -> frozenset[Channel]:
    """The channels that at least one enabled integration serves."""
    return frozenset(one.channel for one in integrations if one.enabled)


def missing(workflow: Workflow, served: frozenset[Channel]) -> tuple[Channel, ...]:
    """Channels on which messages of this workflow would wait because no integration serves them, in its order.

    Where the first available channel is used, one that is served is enough.
    """
    found: dict[Channel, None] = {}
    for step in workflow.sends():
        to = step.to
        if isinstance(to, SendFirst):
            wanted = () if served.intersection(to.channels) else to.channels
        else:
            wanted = channels_of(step)
        if not served.issuperset(wanted):
            found.update((channel, None) for channel in wanted if channel not in served)
    return tuple(found)

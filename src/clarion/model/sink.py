"""Sinks: where a tenant is told what became of its messages."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from clarion.model.user import Value


class Sink(Value, frozen=True, kw_only=True):
    """A topic, a queue or a URL of your own that gets an event for every change of a message."""

    key: str
    name: str = ""
    kind: str
    """Where events go: `kafka`, `rabbitmq`, `sqs`, `sns` or `http`."""
    connection: dict[str, Any] = {}
    """Settings of the kind. Secret fields are encrypted at rest and never returned by the API."""
    types: tuple[str, ...] = ()
    """Types of events, such as `clarion.message.delivered`; `*` stands for one or more segments. Empty: all about
    messages."""
    where: Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)] | None = None
    """A condition in CEL over `event` and `data`: only events for which it is true."""
    paused: bool = True
    """A new sink is paused until you resume it."""

"""What a caller submits: the edge has checked its form, intake resolves it."""

from __future__ import annotations

from typing import Any

import msgspec

from clarion.model.channel import Lane
from clarion.model.event import EMPTY_DATA
from clarion.model.ids import EventId, Instant
from clarion.model.live_update import LiveUpdate
from clarion.model.recipient_object import ObjectName
from clarion.model.user import Value


class Recipient(Value, frozen=True, kw_only=True):
    """A user (updated with the other fields), a topic, a segment or an object: exactly one of the four."""

    user_id: str | None = None
    create: bool = False
    """Create the user if the id does not exist. Otherwise an unknown id is refused."""
    topic: str | None = None
    segment: str | None = None
    object: ObjectName | None = None
    """A team, a chat room, whoever is on duty."""
    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    timezone: str | None = None
    attributes: dict[str, Any] | None = None

    @property
    def topic_key(self) -> str | None:
        """The topic, or that of the object."""
        return self.topic if self.object is None else self.object.key


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it came in. `workflow=None`: matched to workflows by `type` (CloudEvents)."""

    workflow: str | None = None
    recipients: tuple[str | Recipient, ...] = ()
    data: msgspec.Raw = EMPTY_DATA
    actor: str | None = None
    lane: Lane | None = None
    """None: the workflow's own lane."""
    expires_at: Instant | None = None
    send_at: Instant | None = None
    """At most one of this, `send_at_local` and `delay_s`."""
    send_at_local: str | None = None
    delay_s: int | None = None
    overrides: msgspec.Raw = EMPTY_DATA
    source: str = ""
    type: str = ""
    subject: str = ""
    time: Instant | None = None
    event_key: str = ""
    """The CloudEvent's own `id`; with `source` it makes repeats harmless for 24 hours."""
    idempotency_key: str = ""
    fingerprint: bytes = b""
    """Hash of the request body, compared on a repeat of `idempotency_key`."""
    traceparent: str = ""
    live: LiveUpdate | None = None
    """It tells of this state of a live resource; set by Clarion."""
    event_id: EventId | None = None
    """The id of its event, where it follows from something else, so that a repetition is the same event; set by Clarion."""
    hops: int = 0
    """How many workflows started one another until this one; set by Clarion."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A warning about an accepted event."""

    code: str
    """`no_integration`: messages will wait, because no enabled integration serves their channel."""
    detail: str


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The durable answer to a submission."""

    event_id: EventId
    accepted: int
    """Recipients (users, topics and segments) times workflows; 0 when no workflow matches."""
    created_users: tuple[str, ...] = ()
    """Users that did not exist before and were asked for."""
    repeated: bool = False
    """An earlier submission with the same key gave this answer."""
    notices: tuple[Notice, ...] = ()

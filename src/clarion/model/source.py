"""Sources: topics, queues and streams of a tenant whose records become events."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from clarion.model.user import Value

Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
"""An expression in CEL over `data`, `event` and `record`, or a JSON pointer into `data` (it begins with `/`)."""


class RecordMap(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How a record becomes an event: each field is an expression; null: as described there."""

    workflow: Expression | None = None
    """The workflow to start, such as `'order-shipped'` (a text stands in quotes). null: those that listen to `type`."""
    recipients: Expression | None = None
    """A user id, a recipient object, or a list of them. null: as the workflow's `on` says."""
    data: Expression | None = None
    """The event's data, an object. null: all of `data`."""
    type: Expression | None = None
    """The event's type. null: that of the CloudEvent, if the record is one."""
    subject: Expression | None = None
    """The event's subject. null: that of the CloudEvent, if the record is one."""
    actor: Expression | None = None
    """The user who caused the event."""
    lane: Expression | None = None
    """Instead of the workflow's own lane."""
    send_at: Expression | None = None
    """Nothing is sent before this time (RFC 3339), such as `timestamp(record.time) + duration('10m')`."""
    expires_at: Expression | None = None
    """Nothing is sent after this time (RFC 3339)."""


class StartAt(StrEnum):
    """Where reading begins when nothing was read yet."""

    LATEST = "latest"
    """With what comes from now on."""
    EARLIEST = "earliest"
    """With the oldest record that is still there."""


class Source(Value, frozen=True, kw_only=True):
    """A topic, queue or stream of your own, whose records start workflows."""

    key: str
    name: str = ""
    kind: str
    """What is read: `kafka`, `rabbitmq`, `sqs`, ..."""
    connection: dict[str, Any] = {}
    """Settings of the kind. Secret fields are encrypted at rest and never returned by the API."""
    format: str = "json"
    """How records are written: `json`, `cloudevents`, `avro` or `protobuf`."""
    schema_registry: dict[str, Any] = {}
    """Where the schemas of `avro` and `protobuf` are: `url`, `username` and `password`, or `token`."""
    when: Expression | None = None
    """A condition: records for which it is false are passed over."""
    map: RecordMap = RecordMap()
    dedupe: Expression | None = None
    """What tells a repeated record, for 24 hours. null: its place in the topic, or its own id."""
    start_at: StartAt = StartAt.LATEST
    paused: bool = True
    """A new source is paused until you resume it."""

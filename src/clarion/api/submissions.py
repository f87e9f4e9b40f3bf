"""Checks trigger requests and turns them into submissions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from clarion.api import cloudevents, request_bodies
from clarion.api.problems import below, refuse
from clarion.api.times import Moment, instant_or_none
from clarion.content import check_overrides
from clarion.errors import ContentError, InvalidInput, check_all
from clarion.flow.intake.recipients import MAX_RECIPIENTS
from clarion.model.channel import Channel, Lane
from clarion.model.event import EMPTY_DATA
from clarion.model.submission import Recipient, Submission
from clarion.model.user import Value
from clarion.rules.schedule import LATEST_S
from clarion.rules.validation import check_recipient

RAW_OBJECT = msgspec.Meta(extra_json_schema={"type": "object"})
NDJSON = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
CLOUDEVENTS = "application/cloudevents"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^\s";]+)')


class Trigger(Value, frozen=True, kw_only=True):
    """Start one workflow for the given recipients."""

    recipients: Annotated[tuple[str | Recipient, ...], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    """User ids, `{"user_id": ...}` (created or updated with the event) or `{"topic": ...}`."""
    data: Annotated[msgspec.Raw, RAW_OBJECT] = msgspec.field(default_factory=cloudevents.no_data)
    """What templates and rules can read: a JSON object."""
    actor: str | None = None
    """The user who caused the event, if there is one."""
    lane: Lane | None = None
    """Instead of the workflow's own lane."""
    expires_at: Moment | None = None
    """No message of this event is sent after this time."""
    send_at: Moment | None = None
    """No message of this event is sent before this time. Send at most one of `send_at`, `send_at_local` and `delay_s`."""
    send_at_local: Annotated[str, msgspec.Meta(max_length=19, examples=["2026-05-04T09:00"])] | None = None
    """Like `send_at`, as local time of each recipient, without an offset. Users without a time zone get the tenant's."""
    delay_s: Annotated[int, msgspec.Meta(ge=0, le=LATEST_S)] | None = None
    """Like `send_at`, in seconds from now."""
    overrides: Annotated[msgspec.Raw, RAW_OBJECT] = msgspec.field(default_factory=cloudevents.no_data)
    """Per channel, content fields that replace what the template renders: `{"email": {"subject": "..."}}`."""


class TriggerLine(Trigger, frozen=True, kw_only=True):
    """One trigger of a batch."""

    workflow: Annotated[str, msgspec.Meta(min_length=1)]


_TRIGGER = msgspec.json.Decoder(Trigger)
_LINE = msgspec.json.Decoder(TriggerLine)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OVERRIDES = msgspec.json.Decoder(dict[Channel, dict[str, Any]])


def of_trigger(body: bytes, workflow: str, traceparent: str) -> Submission:
    """The submission of a trigger whose workflow stands in the path."""
    return _submission(request_bodies.decode(_TRIGGER, body), workflow, traceparent)


def of_single(headers: Sequence[tuple[bytes, bytes]], body: bytes, traceparent: str) -> Submission:
    """The submission of a call that carries one event: its media type decides on the mode, not its `ce-` headers."""
    known = dict(headers)
    if media_type(known) == STRUCTURED:
        return _traced(cloudevents.structured(body), traceparent)
    if is_binary(known):
        return _traced(cloudevents.binary(headers, body), traceparent)
    return of_item(body, traceparent)


def of_item(raw: bytes, traceparent: str) -> Submission:
    """The submission of a CloudEvent, known by its `specversion`, or of a trigger."""
    if b'"specversion"' in raw:
        try:
            return _traced(cloudevents.structured(raw), traceparent)
        except InvalidInput:
            if b'"workflow"' not in raw:
                raise
    line = request_bodies.decode(_LINE, raw)
    return _submission(line, line.workflow, traceparent)


def items_of(headers: Mapping[bytes, bytes], body: bytes) -> list[bytes] | None:
    """The items of a batch; None when the call carries a single event."""
    kind = media_type(headers)
    if kind in NDJSON:
        return [line for line in body.split(b"\n") if line and not line.isspace()]
    if kind == BATCHED:
        return [bytes(item) for item in request_bodies.decode(_ARRAY, body)]
    if kind == STRUCTURED or is_binary(headers):
        return None
    return (
        [bytes(item) for item in request_bodies.decode(_ARRAY, body)] if body.lstrip()[:1] == b"[" else None
    )


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what no mode reads, before the body is read."""
    kind = media_type(headers)
    if kind in NDJSON or kind in (STRUCTURED, BATCHED, "application/json"):
        if not is_utf8(headers):
            raise refuse("unsupported_media_type", "Send JSON as UTF-8, or leave `charset` out.")
    elif kind.startswith(CLOUDEVENTS) or not is_binary(headers):
        raise refuse(
            "unsupported_media_type",
            f"Send application/json, {STRUCTURED}, {BATCHED}, application/x-ndjson, or a CloudEvent in binary mode "
            "(`ce-` headers).",
        )


def is_utf8(headers: Mapping[bytes, bytes]) -> bool:
    """Whether no other encoding is named."""
    found = _CHARSET.search(headers.get(b"content-type", b"").lower())
    return found is None or found[1] in (b"utf-8", b"utf8", b"us-ascii")


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """The media type without parameters; JSON when none is given."""
    given = headers.get(b"content-type", b"application/json")
    return given.partition(b";")[0].strip().lower().decode("latin-1")


def is_binary(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a CloudEvent's attributes stand in the headers, unless the media type says otherwise."""
    return any(name.startswith(b"ce-") for name in headers)


def _submission(trigger: Trigger, workflow: str, traceparent: str) -> Submission:
    check_all(
        partial(check_recipient, recipient, f"#/recipients/{index}")
        for index, recipient in enumerate(trigger.recipients)
    )
    return Submission(
        workflow=workflow,
        recipients=trigger.recipients,
        data=cloudevents.checked_data(trigger.data, "#/data"),
        actor=trigger.actor,
        lane=trigger.lane,
        expires_at=instant_or_none(trigger.expires_at),
        send_at=instant_or_none(trigger.send_at),
        send_at_local=trigger.send_at_local,
        delay_s=trigger.delay_s,
        overrides=_overrides(trigger.overrides),
        traceparent=traceparent,
    )


def _overrides(raw: msgspec.Raw) -> msgspec.Raw:
    if raw is EMPTY_DATA or bytes(raw) == cloudevents.NULL:
        return EMPTY_DATA
    try:
        request_bodies.decode(_OVERRIDES, raw)
    except InvalidInput as wrong:
        raise below("/overrides", "overrides", wrong) from None
    try:
        check_overrides(raw)
    except ContentError as wrong:
        raise InvalidInput(f"overrides: {wrong.detail}", pointer=wrong.pointer) from None
    return raw


def _traced(submission: Submission, traceparent: str) -> Submission:
    """The event's own trace goes before the call's."""
    if not traceparent or submission.traceparent:
        return submission
    return msgspec.structs.replace(submission, traceparent=traceparent)

"""Turns the records of a source into submissions, by the expressions that its tenant wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from clarion.errors import InvalidInput, check_all
from clarion.model.channel import Lane
from clarion.model.ids import Instant
from clarion.model.source import RecordMap, Source
from clarion.model.submission import Recipient, Submission
from clarion.ports.record_format import Decoded
from clarion.ports.source import SourceRecord
from clarion.rules import match, validation
from clarion.rules.expressions import ExpressionError, compiled
from clarion.rules.time_format import rfc3339

VARIABLES = ("data", "event", "record")
OWN_TYPES = "clarion."
"""Types that begin with it are Clarion's own events."""

T = TypeVar("T")
Value = Callable[[Mapping[str, Any]], Any]
"""Of an expression, over the variables."""

_encode = msgspec.json.Encoder().encode


class RecordMapping:
    """The expressions of a source, checked. Raises InvalidInput with every expression that is wrong."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._values: dict[str, Value] = {}
        written = {
            "when": source.when,
            "dedupe": source.dedupe,
            **{f"map/{name}": getattr(source.map, name) for name in RecordMap.__struct_fields__},
        }
        check_all(
            [partial(self._compile, place, text) for place, text in written.items() if text is not None]
        )
        if source.map.workflow is None and source.map.type is None and source.format != "cloudevents":
            raise InvalidInput(
                "nothing says what a record starts: give `workflow` or `type`. A workflow's key stands in quotes: "
                "\"'order-shipped'\".",
                pointer="#/map",
            )
        if source.map.workflow is not None and source.map.recipients is None:
            raise InvalidInput(
                "nothing says who is notified: give `recipients`, such as `data.customer_id`.",
                pointer="#/map/recipients",
            )

    def submission(self, record: SourceRecord, decoded: Decoded, repeat: int = 0) -> Submission | None:
        """What the record starts; None: its condition is false. Raises InvalidInput saying where and why it is not to
        be had. `repeat`: see `Reading`."""
        seen = {"data": decoded.data, "event": decoded.event, "record": _shown(record)}
        if "when" in self._values and not self._condition(seen):
            return None
        workflow = self._text("map/workflow", seen)
        type_ = self._text("map/type", seen) or str(decoded.event.get("type", ""))
        if type_.lower().startswith(OWN_TYPES):
            raise InvalidInput(
                f"types that begin with `{OWN_TYPES}` are Clarion's own events: give another.",
                pointer="#/map/type",
            )
        if workflow is None and not type_:
            raise InvalidInput("the record has no type, so it starts nothing.", pointer="#/map/type")
        named, event_key = self._identity(record, decoded, seen)
        return Submission(
            workflow=workflow,
            recipients=self._recipients(seen),
            data=self._data(decoded, seen),
            actor=self._text("map/actor", seen),
            lane=self._converted("map/lane", seen, Lane),
            send_at=self._time("map/send_at", seen),
            expires_at=self._time("map/expires_at", seen),
            source=named,
            type=type_,
            subject=self._text("map/subject", seen) or str(decoded.event.get("subject") or ""),
            time=_instant(decoded.event.get("time")) or record.at,
            event_key=f"{event_key}#{repeat}" if event_key and repeat else event_key,
            traceparent=str(decoded.event.get("traceparent") or record.headers.get("traceparent") or ""),
        )

    def _identity(self, record: SourceRecord, decoded: Decoded, seen: Mapping[str, Any]) -> tuple[str, str]:
        """The event's `source`, and what a repeat of the record is recognised by."""
        event = decoded.event
        named = str(event.get("source") or f"/sources/{self.source.key}")
        if "dedupe" in self._values:
            key = self._values["dedupe"](seen)
            if key is None or isinstance(key, dict | list):
                raise InvalidInput("its value must be a text or a number.", pointer="#/dedupe")
            return named, f"{self.source.key}/{key}"
        if event.get("id"):
            return named, str(event["id"])
        return named, f"{self.source.key}:{record.place}" if record.offset or record.id else ""

    def _recipients(self, seen: Mapping[str, Any]) -> tuple[str | Recipient, ...]:
        found = self._value("map/recipients", seen)
        if found is None:
            return ()
        several = found if isinstance(found, list) else [found]
        place = "#/map/recipients"
        if any(isinstance(one, int | float) for one in several):
            raise InvalidInput("a user id is a text: write `string(...)` around the number.", pointer=place)
        try:
            named = msgspec.convert(several, tuple[str | Recipient, ...])
        except msgspec.ValidationError as wrong:
            raise InvalidInput(
                f"its value must be a user id, a recipient object, or a list of them: {wrong}.", pointer=place
            ) from None
        for recipient in named:
            validation.check_recipient(recipient, place)
        return named

    def _data(self, decoded: Decoded, seen: Mapping[str, Any]) -> msgspec.Raw:
        found = self._value("map/data", seen) if "map/data" in self._values else decoded.data
        if not isinstance(found, dict):
            raise InvalidInput(
                "the data of an event is an object: choose one with `map.data`, such as `{'value': data}`.",
                pointer="#/map/data",
            )
        return msgspec.Raw(_encode(found))

    def _condition(self, seen: Mapping[str, Any]) -> bool:
        found = self._values["when"](seen)
        if not isinstance(found, bool):
            raise InvalidInput(
                "a condition is true or false: compare with `==`, or use `has`.", pointer="#/when"
            )
        return found

    def _text(self, place: str, seen: Mapping[str, Any]) -> str | None:
        return self._converted(place, seen, str)

    def _converted(self, place: str, seen: Mapping[str, Any], kind: type[T]) -> T | None:
        found = self._value(place, seen)
        if found is None:
            return None
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError as wrong:
            raise InvalidInput(f"its value does not fit: {wrong}.", pointer=f"#/{place}") from None

    def _time(self, place: str, seen: Mapping[str, Any]) -> Instant | None:
        found = self._value(place, seen)
        if found is None:
            return None
        at = _instant(found)
        if at is None:
            raise InvalidInput(
                "its value must be an RFC 3339 time with an offset, like 2026-05-01T09:30:00Z.",
                pointer=f"#/{place}",
            )
        return at

    def _value(self, place: str, seen: Mapping[str, Any]) -> Any:
        value = self._values.get(place)
        return None if value is None else value(seen)

    def _compile(self, place: str, text: str) -> None:
        pointer = f"#/{place}"
        if text.startswith("/"):
            if wrong := match.check_pointer(text):
                raise InvalidInput(f"{wrong}.", pointer=pointer)
            self._values[place] = partial(_pointed, text)
            return
        try:
            expression = compiled(text, VARIABLES)
        except ExpressionError as wrong:
            raise InvalidInput(f"{wrong}.", pointer=pointer) from None

        def value(seen: Mapping[str, Any]) -> Any:
            try:
                return expression.value(seen)
            except ExpressionError as wrong:
                raise InvalidInput(f"{wrong}.", pointer=pointer) from None

        self._values[place] = value


def _pointed(pointer: str, seen: Mapping[str, Any]) -> Any:
    found = match.resolve(seen["data"], pointer)
    return None if found is match.MISSING else found


def _shown(record: SourceRecord) -> dict[str, Any]:
    """The record as expressions see it."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "id": record.id,
        "key": record.key,
        "headers": dict(record.headers),
        "time": None if record.at is None else rfc3339(record.at),
    }


def _instant(found: Any) -> Instant | None:
    """The instant of an RFC 3339 text with an offset; None when it is none."""
    try:
        at = datetime.fromisoformat(found)
    except (TypeError, ValueError):
        return None
    return Instant(round(at.timestamp() * 1_000)) if at.tzinfo is not None else None

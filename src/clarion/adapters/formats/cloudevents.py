"""Records that are CloudEvents 1.0 with data in JSON: structured (all in the body) or binary (attributes in headers)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from clarion.adapters.formats.json import JsonFormat, NoSettings, json_of
from clarion.errors import InvalidInput
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import Decoded, FormatPlugin
from clarion.ports.source import SourceRecord

PREFIXES = ("ce_", "ce-", "cloudevents:", "cloudevents_")
"""Of headers with attributes: in Kafka, in NATS and over HTTP, in AMQP 1.0, and in AMQP where `:` is not allowed."""
STRUCTURED = "application/cloudevents"
NEEDED = ("id", "source", "type", "specversion")


class CloudEventsFormat(JsonFormat):
    """Implements `ports.record_format.RecordFormat`."""

    def decode(self, record: SourceRecord) -> Decoded:
        headers = {name.lower(): value for name, value in record.headers.items()}
        media_type = headers.get("content-type") or headers.get("content_type") or ""
        if not media_type.startswith(STRUCTURED) and (attributes := _attributes(headers)):
            return _decoded(attributes, json_of(record.value) if record.value else {})
        whole = json_of(record.value)
        if not isinstance(whole, dict) or "specversion" not in whole:
            raise InvalidInput(
                "the record is no CloudEvent: it has neither the field `specversion` nor headers such as `ce_id`."
            )
        attributes = {name: value for name, value in whole.items() if name not in ("data", "data_base64")}
        return _decoded(attributes, _data(whole))


def _attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in headers.items()
        for prefix in PREFIXES
        if name.startswith(prefix)
    }


def _data(whole: Mapping[str, Any]) -> Any:
    if "data_base64" not in whole:
        return whole.get("data", {})
    try:
        return json_of(b64decode(whole["data_base64"], validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInput("`data_base64` is not base64.") from None


def _decoded(attributes: Mapping[str, Any], data: Any) -> Decoded:
    missing = [name for name in NEEDED if not isinstance(attributes.get(name), str) or not attributes[name]]
    if missing:
        raise InvalidInput(f"the CloudEvent has no `{'`, `'.join(missing)}`.")
    if attributes["specversion"] != "1.0":
        raise InvalidInput("the CloudEvent has another `specversion` than 1.0.")
    return Decoded(data={} if data is None else data, event=attributes)


def opened(config: NoSettings, tools: ProviderTools) -> CloudEventsFormat:
    """Reads every record alike."""
    return CloudEventsFormat()


plugin = FormatPlugin(name="cloudevents", title="CloudEvents", config=NoSettings, open=opened)

"""Google's own description of FCM as a JSON Schema: what a request may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs

DISCOVERY = json.loads(
    (Path(__file__).parent / "vendors" / "fcm-v1.discovery.json").read_text(encoding="utf-8")
)


def strict(schema: Any) -> Any:
    """A schema of a discovery document as JSON Schema that refuses names it does not know."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: strict(value) for name, value in schema.items() if name in {"type", "enum", "items"}}
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if "properties" in schema:
        kept["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        kept["additionalProperties"] = False
    elif "additionalProperties" in schema:
        kept["additionalProperties"] = strict(schema["additionalProperties"])
    return {} if kept.get("type") == "any" else kept


SCHEMA = jsonschema_rs.validator_for(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/SendMessageRequest",
        "$defs": {name: strict(schema) for name, schema in DISCOVERY["schemas"].items()},
    }
)

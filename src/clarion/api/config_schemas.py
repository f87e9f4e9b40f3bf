"""JSON Schemas (2020-12) of configuration files, for editors and for checks before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from clarion.api.config_kinds import BY_NAME, KINDS, ConfigKind
from clarion.api.dependencies import ApiParts
from clarion.api.docstrings import describe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REF = "#/$defs/{name}"
FOLDER = "clarion"
"""The schema of `clarion.yaml` itself."""


def schema_of(name: str, parts: ApiParts) -> dict[str, Any] | None:
    """The schema of one kind's files; None: there is no such kind."""
    if name == FOLDER:
        return _of_folder()
    kind = BY_NAME.get(name)
    return None if kind is None else _of_kind(kind, parts)


def _of_folder() -> dict[str, Any]:
    many = [kind.name for kind in KINDS if not kind.single]
    return {
        "$schema": DIALECT,
        "title": "clarion.yaml",
        "type": "object",
        "additionalProperties": False,
        "required": ["format"],
        "properties": {
            "format": {"const": 1, "description": "Of the folder."},
            "tenant": {
                "type": "string",
                "description": "The key of the tenant. With another tenant's API key, plan and apply are refused.",
            },
            "owns": {
                "type": "array",
                "uniqueItems": True,
                "items": {"enum": many},
                "description": "Kinds of which the folder is complete: what the server has besides is deleted.",
            },
        },
    }


def _of_kind(kind: ConfigKind, parts: ApiParts) -> dict[str, Any]:
    plugins = _plugins(kind, parts)
    types = [kind.document, *(config for _, found in plugins.items() for config, _ in found.values())]
    (ref, *configs), components = msgspec.json.schema_components(types, ref_template=REF)
    describe(components)
    document = components[kind.document.__name__]
    _as_file(document, kind)
    conditions = []
    refs = iter(configs)
    for field, found in plugins.items():
        for name, (_, secrets) in sorted(found.items()):
            config = next(refs)
            _without_secrets(components[config["$ref"].rpartition("/")[2]], secrets)
            discriminator = kind.secrets[field]
            conditions.append(
                {
                    "if": {"properties": {discriminator: {"const": name}}, "required": [discriminator]},
                    "then": {"properties": {field: config}},
                }
            )
    whole: dict[str, Any] = {
        "$schema": DIALECT,
        "title": kind.name,
        **ref,
        **({"allOf": conditions} if conditions else {}),
        "$defs": dict(sorted(components.items())),
    }
    return dict(_plain(whole))


def _as_file(document: dict[str, Any], kind: ConfigKind) -> None:
    """A file's name is the key, and what Clarion sets stands in no file."""
    left_out = {"key", *kind.made_by_clarion}
    document["properties"] = {
        name: schema for name, schema in document["properties"].items() if name not in left_out
    }
    required = [name for name in document.get("required", ()) if name not in left_out]
    document.pop("required", None)
    if required and kind.name not in ("templates", "partials"):  # theirs stand in files of their own
        document["required"] = required
    document["additionalProperties"] = False


def _plugins(kind: ConfigKind, parts: ApiParts) -> dict[str, dict[str, tuple[Any, frozenset[str]]]]:
    """By field, then by the name of a plug-in: the type of its settings, and which are secret."""
    by_kind: dict[str, dict[str, Mapping[str, Any]]] = {
        "integrations": {"config": parts.providers},
        "sources": {
            "connection": parts.services.sources.kinds,
            "schema_registry": parts.services.sources.formats,
        },
        "sinks": {"connection": parts.services.sinks.kinds},
    }
    return {
        field: {name: (plugin.config, frozenset(plugin.secrets)) for name, plugin in sorted(plugins.items())}
        for field, plugins in by_kind.get(kind.name, {}).items()
    }


def _without_secrets(config: dict[str, Any], secrets: frozenset[str]) -> None:
    """A file may leave secrets out: they stay as they are stored."""
    required = [name for name in config.get("required", ()) if name not in secrets]
    config.pop("required", None)
    if required:
        config["required"] = required


def _plain(schema: Any) -> Any:
    """With patterns as every engine reads them."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\A", "^").replace(r"\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else _plain(value)
            for name, value in schema.items()
        }
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema

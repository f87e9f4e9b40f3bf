"""Generates pages of the reference: `python -m clarion.api.reference docs/reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar import Litestar

from clarion.api import openapi
from clarion.api.faults import KINDS
from clarion.api.problems import CATALOGUE
from clarion.api.routes import routed

NOTE = "<!-- Written by `python -m clarion.api.reference docs/reference`: change the docstrings, not this page. -->"


def pages(app: Litestar) -> dict[str, str]:
    """File name to text."""
    document = openapi.whole(app)
    return {"http-api.md": "\n".join(_api(document)), "errors.md": "\n".join(_errors())}


def _api(document: dict[str, Any]) -> Iterator[str]:
    yield f"# HTTP API\n\n{NOTE}\n\n{document['info']['description']}\n"
    yield "The same as OpenAPI 3.1: `/openapi.json` of a running server; to read and search: `/docs`.\n"
    yield '**Pages.** A list is `{"items": [...], "next_cursor": ...}`. Send `next_cursor` as `cursor` until it is null.'
    yield "A page may be short or even empty and still have a next one.\n"
    yield "**Times** are RFC 3339 with an offset; answers are in UTC. **Scopes**: `admin` includes `send`, `send` includes `read`.\n"
    yield "**Repeats.** `Idempotency-Key` makes every POST safe to repeat: see [the how-to](../how-to/idempotency.md).\n"
    yield "**Errors** are RFC 9457 problems: see [the catalogue](errors.md).\n"
    for tag in document["tags"]:
        yield f"## {tag['name']}\n"
        for path, method, operation in openapi.operations(document):
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation)
    yield "## Types\n"
    for name, schema in document["components"]["schemas"].items():
        yield from _type(name, schema)


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{operation['description']}\n"
    scope = operation.get("x-scope")
    if scope:
        own = ", or the user's own token" if {"userToken": []} in operation["security"] else ""
        own += " or `operator`" if operation.get("x-operator") else ""
        yield f"- Scope: `{scope}`{own}"
    for one in operation.get("parameters", ()):
        needed = "" if one.get("required") else ", optional"
        words = f": {one['description']}" if one.get("description") else ""
        yield f"- `{one['name']}` ({one['in']}, {_kind(one['schema'])}{needed}){words}"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"- Body `{media_type}`: {_kind(content['schema'])}"
    for status, response in operation["responses"].items():
        kinds = [
            _kind(content["schema"])
            for content in response.get("content", {}).values()
            if "schema" in content
        ]
        if status != "default":
            yield f"- {status}: {', '.join(kinds) or 'no body'}"
    yield ""


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{schema['description']}\n"
    if "enum" in schema:
        yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"
    for field, shown in schema.get("properties", {}).items():
        needed = "" if field in schema.get("required", ()) else ", optional"
        words = f": {shown['description']}" if shown.get("description") else ""
        yield f"- `{field}` ({_kind(shown)}{needed}){words}"
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(_kind(one) for one in schema[several])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format", kind))


def _errors() -> Iterator[str]:
    yield f"# Error codes\n\n{NOTE}\n"
    yield "Every error of the HTTP API is an RFC 9457 problem (`application/problem+json`):\n"
    yield "```json"
    yield '{"type": "/docs/errors#invalid_request", "code": "invalid_request", "title": "The request is not valid",'
    yield ' "status": 400, "detail": "unknown field `payload`; did you mean `data`?",'
    yield ' "errors": [{"detail": "unknown field `payload`; did you mean `data`?", "pointer": "#/payload"}]}'
    yield "```\n"
    yield "Branch on `code`: its meaning and its status never change. `detail` is for people and may be reworded."
    yield "`errors[]` lists all errors of the request (at most 100) and where each one is: `pointer` (a JSON pointer into"
    yield "the body), `parameter` (of path or query) or `header`. `value` is the value sent, shortened and never a secret."
    yield "`allowed` lists the allowed values, and `did_you_mean` is the nearest of them. The `code` of an entry is explained"
    yield "below.\n"
    yield "| code | status | meaning | what to do |"
    yield "|---|---|---|---|"
    for code, kind in CATALOGUE.items():
        yield f"| `{code}` | {kind.status} | {kind.title} | {kind.advice} |"
    yield "\n## Codes in `errors[]`\n"
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in KINDS.items():
        yield f"| `{code}` | {meaning} |"
    yield "\nRepeat 429, 503 and `idempotency_in_flight` after `Retry-After` seconds. Repeat 500 only with the same"
    yield "Idempotency-Key. Every other request fails again until you correct it.\n"
    yield "The command line has one more code: `unreachable`. It means that no server answers at the given address.\n"


if __name__ == "__main__":
    for name, text in pages(routed("")).items():
        Path(sys.argv[1], name).write_text(text, encoding="utf-8")

"""`/docs` and `/docs/errors`: the API for people, made from the OpenAPI document. Loads nothing from elsewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

from litestar import MediaType, Request, Response, Router, get

from clarion.api import openapi
from clarion.api.access import OPEN
from clarion.api.problems import CATALOGUE

STYLE = """
:root{color-scheme:light dark;--line:light-dark(#d8dce3,#3a4150);--soft:light-dark(#f4f6f9,#1c2129);
--ink:light-dark(#1c2330,#e3e7ee);--mute:light-dark(#566074,#9aa5b8);--link:light-dark(#0b57d0,#8ab4f8);
--page:light-dark(#fff,#12151b)}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 4rem}a{color:var(--link)}h1{margin:.2rem 0 .5rem}
h2{margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:1rem 0}code,pre,.m{font:14px/1.45 ui-monospace,monospace}
code{background:var(--soft);border-radius:4px;padding:.05rem .3rem;overflow-wrap:anywhere}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.7rem;overflow-x:auto;margin:.5rem 0}
pre code{background:none;padding:0}details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0}
summary{cursor:pointer;padding:.5rem .7rem;display:flex;flex-wrap:wrap;gap:.2rem .7rem;align-items:baseline}
summary:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:4px}
details>div{padding:.2rem .8rem .8rem;border-top:1px solid var(--line)}.m{font-weight:700;min-width:4rem}
.t{color:var(--mute)}table{border-collapse:collapse;width:100%;margin:.4rem 0}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1rem 0 .2rem}
"""


@get("/docs", opt=OPEN, media_type=MediaType.HTML, include_in_schema=False)
async def reference(request: Request[Any, Any, Any]) -> Response[str]:
    """The API in one readable page."""
    document = openapi.whole(request.app)
    return _page("Clarion HTTP API", "".join(_reference(document)))


@get("/docs/errors", opt=OPEN, media_type=MediaType.HTML, include_in_schema=False)
async def errors() -> Response[str]:
    """Every error code: what it means and what to do."""
    return _page("Clarion error codes", "".join(_errors()))


def _reference(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} HTTP API <span class=t>{escape(info['version'])}</span></h1>"
    yield f"<p>{_text(info['description'])}</p>"
    yield '<nav aria-label="Contents">'
    yield "".join(f'<a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a>' for tag in document["tags"])
    yield '<a href="#types">Types</a><a href="/docs/errors">Errors</a><a href="/openapi.json">openapi.json</a></nav>'
    for tag in document["tags"]:
        yield f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>'
        for path, method, operation in openapi.operations(document):
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation)
    yield '<h2 id="types">Types</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="type-{escape(name)}"><summary><code>{escape(name)}</code>'
        yield f"<span class=t>{_text(schema.get('description', ''))}</span></summary><div>{_fields(schema)}</div></details>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    description = operation.get("description", "")
    yield f'<details id="{escape(operation["operationId"])}"><summary><span class=m>{method.upper()}</span>'
    yield f"<code>{escape(path)}</code><span class=t>{_text(operation['summary'])}</span></summary><div>"
    scope = operation.get("x-scope")
    yield f"<p>{_text(description)} {f'Scope: <code>{scope}</code>.' if scope else ''}</p>"
    if parameters := operation.get("parameters"):
        yield "<h3>Parameters</h3><table>"
        for one in parameters:
            needed = "required" if one.get("required") else "optional"
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td class=t>{one['in']}, {needed}</td>"
            yield f"<td>{_kind(one.get('schema', {}))} {_text(one.get('description') or '')}</td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield "<h3>Body</h3><table>"
        for media_type, content in body["content"].items():
            yield f"<tr><td><code>{escape(media_type)}</code></td><td>{_kind(content['schema'])}"
            if "example" in content:
                yield f"<pre><code>{escape(json.dumps(content['example'], indent=2))}</code></pre>"
            yield "</td></tr>"
        yield "</table>"
    yield "<h3>Answers</h3><table>"
    for status, response in operation["responses"].items():
        kinds = " ".join(_kind(content.get("schema", {})) for content in response.get("content", {}).values())
        yield f"<tr><td><code>{status}</code></td><td>{_text(response.get('description', ''))}</td><td>{kinds}</td></tr>"
    yield "</table></div></details>"


def _fields(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f"<pre><code>{escape(json.dumps(schema, indent=2))}</code></pre>"
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(field)}"
        f"{'' if name in schema.get('required', ()) else ' <span class=t>optional</span>'}</td>"
        f"<td>{_text(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    return f"<table>{rows}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words, with links to the types it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(one) for one in schema[several])
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    shown = kind if isinstance(kind, str) else " or ".join(kind)
    return f"<span class=t>{escape(schema.get('format', shown))}</span>"


def _errors() -> Iterator[str]:
    yield "<h1>Error codes</h1><p>Every error is an RFC 9457 problem. Branch on <code>code</code>: it never changes. "
    yield 'The <a href="/docs">API reference</a> shows where they occur.</p>'
    for code, kind in CATALOGUE.items():
        yield f'<h2 id="{code}"><code>{code}</code> <span class=t>{kind.status}</span></h2>'
        yield f"<p><strong>{escape(kind.title)}.</strong> {_text(kind.advice)}</p>"


def _text(text: str) -> str:
    """Escaped, with `code` as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _page(title: str, content: str) -> Response[str]:
    allowed = b64encode(sha256(STYLE.encode()).digest()).decode()
    return Response(
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{content}</main></body></html>",
        media_type=MediaType.HTML,
        headers={
            "content-security-policy": f"default-src 'none'; style-src 'sha256-{allowed}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        },
    )


router = Router("/", route_handlers=[reference, errors])

"""`/docs` and `/docs/errors`: API pages made from the OpenAPI document. They load nothing from other servers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any

from litestar import MediaType, Request, Response, Router, get

from clarion.api import openapi
from clarion.api.guards import OPEN
from clarion.api.problems import CATALOGUE

STYLE = """
:root{color-scheme:light dark;--line:light-dark(#d8dce3,#3a4150);--soft:light-dark(#f4f6f9,#1c2129);
--ink:light-dark(#1c2330,#e3e7ee);--mute:light-dark(#566074,#9aa5b8);--link:light-dark(#0b57d0,#8ab4f8);
--page:light-dark(#fff,#12151b)}
*{box-sizing:border-box}[hidden]{display:none!important}html{scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1.2rem 4rem;min-width:0}a{color:var(--link)}h1{margin:.2rem 0 .5rem}
.two{display:grid;grid-template-columns:21rem minmax(0,1fr)}.two main{margin:0}
h2{margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
aside{position:sticky;top:0;height:100vh;overflow-y:auto;padding:1.2rem 1rem;border-right:1px solid var(--line);
background:var(--soft);font-size:.9rem}aside b{display:block;margin:1rem 0 .2rem}aside a{display:flex;gap:.5rem;
padding:.2rem .3rem;border-radius:5px;text-decoration:none;color:var(--ink);overflow-wrap:anywhere}
aside a:hover{background:var(--page)}aside .m{min-width:3.4rem;font-size:.72rem;padding-top:.15rem;color:var(--mute)}
aside code{background:none;padding:0;font-size:.8rem}
input{width:100%;padding:.5rem .7rem;font:inherit;color:inherit;background:var(--page);border:1px solid var(--mute);
border-radius:6px}code,pre,.m{font:14px/1.45 ui-monospace,monospace}
code{background:var(--soft);border-radius:4px;padding:.05rem .3rem;overflow-wrap:anywhere}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.7rem;overflow-x:auto;margin:.5rem 0}
pre code{background:none;padding:0}article{border:1px solid var(--line);border-radius:6px;margin:.8rem 0;padding:.6rem .9rem}
article:target{border-color:var(--link)}h3{font-size:1rem;margin:0;display:flex;flex-wrap:wrap;gap:.2rem .7rem;font-weight:400;
align-items:baseline}h3 .m{font-weight:700}h4{font-size:.95rem;margin:.8rem 0 .1rem}
input:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:4px}
.m{font-weight:700}.t{color:var(--mute)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.2rem 0}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
@media(max-width:56rem){.two{display:block}aside{position:static;height:auto;max-height:50vh;border:0;
border-bottom:1px solid var(--line)}}
"""
SEARCH = """
const box = document.querySelector("input"), none = document.getElementById("none");
const links = new Map([...document.querySelectorAll("aside a")].map((link) => [link.hash, link]));
const pieces = [...document.querySelectorAll("article")].map((article) => ({
  article, link: links.get(`#${article.id}`), text: article.textContent.toLowerCase() }));
const groups = [...document.querySelectorAll("section, aside div")];
function search() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const { article, link, text } of pieces) {
    const hidden = !words.every((word) => text.includes(word));
    article.hidden = hidden;
    if (link) link.hidden = hidden;
  }
  for (const group of groups) group.hidden = !group.querySelector(":scope > article:not([hidden]), :scope > a:not([hidden])");
  none.hidden = pieces.some(({ article }) => !article.hidden);
}
box.addEventListener("input", search);
addEventListener("hashchange", () => { if (document.querySelector(":target")?.hidden) { box.value = ""; search(); } });
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); }
  if (event.key === "Escape" && document.activeElement === box) { box.value = ""; search(); }
});
"""
"""Hides what does not contain every word of the search box. The whole page is there without it."""


@get("/docs", opt=OPEN, media_type=MediaType.HTML, include_in_schema=False)
async def reference(request: Request[Any, Any, Any]) -> Response[str]:
    """The API in one readable page."""
    document = openapi.whole(request.app)
    return _page("Clarion HTTP API", "".join(_reference(document)), SEARCH)


@get("/docs/errors", opt=OPEN, media_type=MediaType.HTML, include_in_schema=False)
async def errors() -> Response[str]:
    """Every error code: what it means and what to do."""
    return _page("Clarion error codes", "".join(_errors()))


def health(
    *, ready: bool, parts: Mapping[str, str], warnings: Mapping[str, str], status_code: int
) -> Response[Any]:
    """`/readyz` for people: what does not work first."""
    rows = sorted([*((said == "ok", name, said) for name, said in parts.items())])
    content = "<main><h1>Health</h1>"
    content += (
        f"<p><strong>{'Everything works.' if ready else 'Not ready: a part does not work.'}</strong></p>"
    )
    if warnings:
        content += "<h2>Warnings</h2><p>These need attention. Requests are still served.</p>"
        content += f"<div class=scroll><table>{''.join(map(_row, warnings, warnings.values()))}</table></div>"
    content += "<h2>Parts</h2><div class=scroll><table>"
    content += "".join(_row(name, "Works" if fine else said) for fine, name, said in rows)
    content += (
        '</table></div><p><a href="/">Start page</a> · <a href="/docs">API documentation</a></p></main>'
    )
    page = _page("Health", content)
    page.status_code = status_code
    return page


def _row(name: str, said: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{_text(said)}</td></tr>"


def missing() -> tuple[bytes, str]:
    """What a browser is shown at an address where nothing is, and the policy of that page."""
    page = _page(
        "Page not found",
        "<main><h1>Page not found</h1><p>There is no page at this address.</p>"
        '<p><a href="/">Start page</a> · <a href="/docs">API documentation</a> · <a href="/readyz">Health</a></p></main>',
    )
    return page.content.encode(), page.headers["content-security-policy"]


def _reference(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    operations = list(openapi.operations(document))
    groups = {
        tag["name"]: [one for one in operations if tag["name"] in one[2]["tags"]] for tag in document["tags"]
    }
    schemas = document["components"]["schemas"]
    yield '<div class=two><aside><label>Search<input type=search placeholder="Press / to search" autocomplete=off></label>'
    yield '<nav aria-label="Contents"><a href="/">Start page</a><a href="/docs/errors">Error codes</a><a href="/openapi.json">openapi.json</a>'
    for name, members in groups.items():
        yield f"<div><b>{escape(name)}</b>"
        for path, method, operation in members:
            yield f'<a href="#{escape(operation["operationId"])}"><span class=m>{method.upper()}</span><code>{escape(path)}</code></a>'
        yield "</div>"
    yield "<div><b>Types</b>"
    yield "".join(f'<a href="#type-{escape(name)}"><code>{escape(name)}</code></a>' for name in schemas)
    yield "</div></nav></aside><main>"
    yield f"<h1>{escape(info['title'])} HTTP API <span class=t>{escape(info['version'])}</span></h1>"
    yield f"<p>{_text(info['description'])}</p><p id=none role=status hidden>Nothing matches. Clear the search to see everything.</p>"
    for name, members in groups.items():
        yield f'<section><h2 id="{_anchor(name)}">{escape(name)}</h2>'
        for path, method, operation in members:
            yield from _operation(path, method, operation)
        yield "</section>"
    yield '<section><h2 id="types">Types</h2>'
    for name, schema in schemas.items():
        yield f'<article id="type-{escape(name)}"><h3><code>{escape(name)}</code>'
        yield f"<span class=t>{_text(schema.get('description', ''))}</span></h3>{_fields(schema)}</article>"
    yield "</section></main></div>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<article id="{escape(operation["operationId"])}"><h3><span class=m>{method.upper()}</span>'
    yield f"<code>{escape(path)}</code></h3>"
    scope = operation.get("x-scope")
    said = operation.get("description") or operation["summary"]
    yield f"<p>{_text(said)} {f'Scope: <code>{scope}</code>.' if scope else ''}</p>"
    if parameters := operation.get("parameters"):
        yield "<h4>Parameters</h4><div class=scroll><table>"
        for one in parameters:
            needed = "required" if one.get("required") else "optional"
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td class=t>{one['in']}, {needed}</td>"
            yield f"<td>{_kind(one.get('schema', {}))} {_text(one.get('description') or '')}</td></tr>"
        yield "</table></div>"
    if body := operation.get("requestBody"):
        yield "<h4>Body</h4><div class=scroll><table>"
        for media_type, content in body["content"].items():
            yield f"<tr><td><code>{escape(media_type)}</code></td><td>{_kind(content['schema'])}"
            if "example" in content:
                yield f"<pre><code>{escape(json.dumps(content['example'], indent=2))}</code></pre>"
            yield "</td></tr>"
        yield "</table></div>"
    yield "<h4>Answers</h4><div class=scroll><table>"
    for status, response in operation["responses"].items():
        kinds = " ".join(_kind(content.get("schema", {})) for content in response.get("content", {}).values())
        yield f"<tr><td><code>{status}</code></td><td>{_text(response.get('description', ''))}</td><td>{kinds}</td></tr>"
    yield "</table></div></article>"


def _fields(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f"<pre><code>{escape(json.dumps(schema, indent=2))}</code></pre>"
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(field)}"
        f"{'' if name in schema.get('required', ()) else ' <span class=t>optional</span>'}</td>"
        f"<td>{_text(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    return f"<div class=scroll><table>{rows}</table></div>"


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
    yield "<main><h1>Error codes</h1><p>Every error is an RFC 9457 problem. Branch on <code>code</code>: it never changes. "
    yield 'The <a href="/docs">API reference</a> shows where they occur. <a href="/">Start page</a></p>'
    for code, kind in CATALOGUE.items():
        yield f'<h2 id="{code}"><code>{code}</code> <span class=t>{kind.status}</span></h2>'
        yield f"<p><strong>{escape(kind.title)}.</strong> {_text(kind.advice)}</p>"
    yield "</main>"


def _text(text: str) -> str:
    """Escaped, with `code` as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _page(title: str, content: str, script: str = "") -> Response[str]:
    code = f"<script>{script}</script>" if script else ""
    runs = f"script-src {_hash(script)}; " if script else ""
    return Response(
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{content}{code}</body></html>",
        media_type=MediaType.HTML,
        headers={
            "content-security-policy": f"default-src 'none'; style-src {_hash(STYLE)}; {runs}"
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        },
    )


def _hash(inline: str) -> str:
    """What the content security policy allows of the page itself."""
    return f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"


router = Router("/", route_handlers=[reference, errors])

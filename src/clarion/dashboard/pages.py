"""Page templates and static files, read once."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from minijinja import Environment

from clarion.dashboard.request import PageRequest, Response

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
SECTIONS = {
    "people": "People",
    "segments": "Segments",
    "campaigns": "Campaigns",
    "workflows": "Workflows",
    "templates": "Templates",
    "configuration": "Configuration",
    "stats": "Statistics",
}
"""The parts of the pages, by the last part of their address. A page says which it is in (`here`), and whether it is one of those
below its first page (`below`)."""
A_YEAR = "public, max-age=31536000, immutable"


@cache
def _folder(name: str) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in files("clarion.dashboard").joinpath(name).iterdir()
        if file.is_file()
    }


@cache
def _environment() -> Environment:
    sources = {name: content.decode() for name, content in _folder("templates").items()}
    known = {"static": address, "sections": list(SECTIONS.items())}
    return Environment(templates=sources, trim_blocks=True, lstrip_blocks=True, globals=known)


@cache
def _version() -> str:
    """Changes with any static file: modules import one another, so they carry one version together."""
    digest = blake2b(digest_size=6)
    for name, content in sorted(_folder("static").items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def address(name: str) -> str:
    """Where a static file is served, with its version, so that browsers may keep it for good."""
    if name not in _folder("static"):
        raise LookupError(name)
    return f"/ui/static/{_version()}/{name}"


def static(request: PageRequest) -> Response:
    """A static file."""
    version, _, name = request.path.removeprefix("/ui/static/").partition("/")
    return content(name, A_YEAR if version == _version() else "no-cache")


def content(name: str, keep: str) -> Response:
    """What is in a static file, and how long browsers may keep it."""
    found = _folder("static").get(name)
    kind = TYPES.get(name.rpartition(".")[2])
    if found is None or kind is None:
        return Response(status=404, body=b"not found", type="text/plain")
    return Response(body=found, type=kind, headers={"cache-control": keep})


def render(name: str, **context: Any) -> bytes:
    """A template filled in; everything in `context` is escaped."""
    return _environment().render_template(name, **context).encode()

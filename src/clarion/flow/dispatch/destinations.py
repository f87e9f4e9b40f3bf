"""Finds every URL and host in the settings of an integration, so that the guard can check them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from clarion.ports.provider import ProviderPlugin

WEB = ("http", "https")


class Leads(NamedTuple):
    """One place."""

    pointer: str
    """To the setting."""
    url: str
    """As the guard reads it."""


def destinations(config: Any, plugin: ProviderPlugin) -> Iterator[Leads]:
    """Of validated settings as plain values: web URLs as they are, of others (`ntfy://host/...`) the host."""
    for pointer, text in _texts(config, "#"):
        if pointer.removeprefix("#/") in plugin.hosts:
            yield Leads(pointer, f"https://{_bracketed(text)}")
        elif "://" in text:
            url = _url(text)
            if url:
                yield Leads(pointer, url)


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield pointer, value
        case dict():
            for name, inner in value.items():
                yield from _texts(inner, f"{pointer}/{name}")
        case list() | tuple():
            for place, inner in enumerate(value):
                yield from _texts(inner, f"{pointer}/{place}")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
    except ValueError:
        return text  # The guard says what is wrong with it.
    if parts.scheme.lower() in WEB:
        return text.strip()
    # In place of a host, others have tokens, which no name server must see.
    is_host = "." in host or ":" in host or host == "localhost"
    return f"https://{_bracketed(host)}" if is_host else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

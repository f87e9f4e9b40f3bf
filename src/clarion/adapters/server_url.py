"""What the URLs of servers have in common: hosts before the path, options behind the `?`. Errors are ValueErrors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from urllib.parse import parse_qsl, urlsplit


def hosts_of(text: str, port: int) -> tuple[tuple[str, int], ...]:
    """Hosts with commas between them, each with its port or `port`."""
    found = []
    for one in text.split(","):
        try:
            parts = urlsplit(f"//{one}")
            host, its = parts.hostname, parts.port or port
        except ValueError:
            host, its = None, port
        if not host:
            raise ValueError(f"{one!r} is not a host with or without a port, such as server.example:{port}")
        found.append((host, its))
    return tuple(found)


def options_of(query: str, known: Sequence[str]) -> dict[str, str]:
    """The options in a query, each of them a known one."""
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f" Did you mean `{near[0]}`?" if near else ""
            raise ValueError(
                f"there is no option `{name}`, only {', '.join(f'`{one}`' for one in known)}.{meant}"
            )
    return options


def number_of(options: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """An option that is a whole number."""
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)

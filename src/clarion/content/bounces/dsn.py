"""Delivery status notifications (RFC 3464): the fields, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_GROUPS = 100
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*(.*)")
_BEYOND_ASCII = re.compile(r"\\x\{((?:10|[0-9A-Fa-f])[0-9A-Fa-f]{4}|(?![Dd][89A-Fa-f])[0-9A-Fa-f]{1,4})\}")
"""`\\x{FC}` for a character that ASCII lacks (RFC 6533)."""
_LOOKS_LIKE = re.compile(
    r"^(?:final|original)-recipient[ \t]*:.{0,400}$(?s:.{0,2000})^(?:action|status)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


class DeliveryStatus(NamedTuple):
    """What is said about one recipient."""

    recipient: str
    original: str
    action: str
    status: str
    diagnostic: str


def notices(text: str) -> list[DeliveryStatus]:
    """One per recipient, those that failed first."""
    found = [_notice(group) for group in _groups(text) if _is_recipient(group)]
    return sorted(found, key=lambda notice: notice.action != "failed")


def holds_notice(text: str) -> bool:
    """Whether the fields stand in an ordinary text."""
    return _LOOKS_LIKE.search(text) is not None


def _groups(text: str) -> Iterator[dict[str, str]]:
    """Groups of fields, unfolded, names in lower case."""
    group: dict[str, str] = {}
    name = ""
    count = 0
    for line in text.splitlines():
        if not line.strip():
            if group:
                count += 1
                yield group
            group, name = {}, ""
        elif line[0] in " \t" and name:
            group[name] = f"{group[name]} {line.strip()}"[:4000]
        elif (field := _FIELD.match(line)) is not None:
            name = field.group(1).lower()
            if name in ("final-recipient", "original-recipient") and name in group:
                yield group
                group = {}
            group.setdefault(name, field.group(2).strip())
        if count > MOST_GROUPS:
            return
    if group:
        yield group


def _is_recipient(group: dict[str, str]) -> bool:
    return bool(group.keys() & {"final-recipient", "original-recipient", "action", "status"}) and bool(
        group.keys() & {"action", "status", "diagnostic-code"}
    )


def _notice(group: dict[str, str]) -> DeliveryStatus:
    return DeliveryStatus(
        recipient=_after_type(group.get("final-recipient", "")),
        original=_after_type(group.get("original-recipient", "")),
        action=group.get("action", "").split()[0].strip(";,()").lower()
        if group.get("action", "").split()
        else "",
        status=_status(group.get("status", "")),
        diagnostic=_after_type(group.get("diagnostic-code", "")),
    )


def _after_type(value: str) -> str:
    """`rfc822; ada@example.org` -> `ada@example.org`."""
    kind, semicolon, rest = value.partition(";")
    text = rest if semicolon and len(kind.split()) == 1 else value
    return _BEYOND_ASCII.sub(lambda found: chr(int(found.group(1), 16)), text.strip())


def _status(value: str) -> str:
    found = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})", value)
    return found.group(1) if found else ""

"""The contact address for push services (RFC 8292, section 2.1). Checked as strictly as the strictest service."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"mailto:[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]{1,64}@([A-Za-z0-9.-]{1,253})")
_PAGE = re.compile(r"https://([A-Za-z0-9.-]{1,253})(?::\d{1,5})?(?:[/?#][!-~]{0,500})?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PRIVATE = frozenset(
    {
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "invalid",
        "test",
        "onion",
    }
)
"""Names that exist inside a network only, or nowhere."""


def subject_trouble(subject: str) -> str:
    """What push services would refuse about it, as the end of a sentence; empty: nothing."""
    found = _ADDRESS.fullmatch(subject) or _PAGE.fullmatch(subject)
    if found is None:
        return "must be one address such as mailto:ops@example.com, or a page such as https://example.com/contact"
    labels = found.group(1).lower().split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(labels) < 2 or labels[-1].isdigit():
        return f"names {found.group(1)!r}, which is no domain such as example.com"
    if labels[-1] in _PRIVATE or labels[-2:] == ["home", "arpa"]:
        return (
            f"names {found.group(1)!r}, which nobody outside can reach: push services refuse it (BadJwtToken)"
        )
    return ""

"""A user name and a password in a header."""

from __future__ import annotations

from base64 import b64encode


def basic(user: str, password: str) -> str:
    """The value of `Authorization` (RFC 7617)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

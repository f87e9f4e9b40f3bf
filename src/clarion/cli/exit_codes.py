"""What a command tells the script that called it. Stable; documented in docs/reference/cli.md."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    FAILED = 1
    """It was tried and did not work, wholly or in part; the text says what."""
    USAGE = 2
    """The command line or the settings are wrong; nothing was tried."""
    UNREACHABLE = 3
    """Clarion cannot be reached, is starting or stopping, or has no room: try again later."""
    NOT_FOUND = 4
    """The named thing does not exist."""
    NOT_ALLOWED = 5
    """The API key is missing, wrong, or lacks the scope."""
    REFUSED = 6
    """The request is not valid; repeating it does not help."""
    CHANGES = 10
    """`clarion plan` found changes."""


def for_status(status: int) -> Exit:
    """The exit code for an HTTP error."""
    if status in {401, 403}:
        return Exit.NOT_ALLOWED
    if status in {404, 410}:
        return Exit.NOT_FOUND
    if status == 429 or status >= 500:
        return Exit.UNREACHABLE
    return Exit.REFUSED

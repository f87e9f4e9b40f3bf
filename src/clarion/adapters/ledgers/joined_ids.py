"""Ids that lie one behind the other in one column."""

from __future__ import annotations

ID_BYTES = 16


def split_ids(joined: bytes | None) -> tuple[bytes, ...]:
    """Each of them."""
    if not joined:
        return ()
    return tuple([joined[i : i + ID_BYTES] for i in range(0, len(joined), ID_BYTES)])

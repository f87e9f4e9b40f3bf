"""Which of two suppressions of one address stays, decided inside the transaction that adds one."""

from __future__ import annotations

from clarion.model.suppression import Suppression


def outlasts(new: Suppression, stored: Suppression) -> bool:
    """Whether a new one takes the place of the stored one: only if that ends, and earlier."""
    if stored.expires_at is None:
        return False
    return new.expires_at is None or new.expires_at > stored.expires_at

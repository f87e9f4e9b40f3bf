"""What one region hands to the other: events of users at home there, and what became of each."""

from __future__ import annotations

import msgspec

from clarion.model.submission import Acceptance, Submission

PATH = "/v1/region/events"


class ForwardedEvents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one tenant."""

    tenant: str
    """Its key: numbers differ between databases."""
    submissions: tuple[Submission, ...]


class ForwardedResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Accepted, or refused with the fields of the error."""

    acceptance: Acceptance | None = None
    status: int = 0
    code: str = ""
    detail: str = ""
    pointer: str | None = None

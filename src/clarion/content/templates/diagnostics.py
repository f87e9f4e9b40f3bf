"""The findings of a template review."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.content.templates.errors import Code


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    """The template cannot be used."""
    WARNING = "warning"
    """It can, but readers or the sender will be sorry."""
    NOTE = "note"
    """Good to know."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to say about a template. `pointer` leads to the field or partial, `line` into its source."""

    severity: Severity
    code: Code
    pointer: str
    line: int | None = None
    detail: str

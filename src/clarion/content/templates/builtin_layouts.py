"""Layouts that come with Clarion."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

EMAIL = "clarion/email"


def _source(name: str) -> str:
    return files("clarion.content.templates").joinpath("layouts", name).read_text(encoding="utf-8")


BUILTIN_LAYOUTS: Mapping[str, str] = {EMAIL: _source("email.html")}
"""By key; a tenant's own partial of the same key comes first."""

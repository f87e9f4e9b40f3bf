"""Connections: HTTP services that workflows may call, and the secrets that such settings name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from clarion.model.ids import Instant
from clarion.model.user import Value

LONGEST_SECRET = 16_384
LONGEST_HEADER = 4_096
MOST_HEADERS = 20


class HttpMethod(StrEnum):
    """What a call asks for."""

    GET = "get"
    POST = "post"


class SecretName(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Stands for the value of a secret."""

    secret: str
    """Its key."""


class Secret(Value, frozen=True, kw_only=True):
    """A value that is written and never read."""

    key: str
    value: str
    updated_at: Instant

    def __repr__(self) -> str:
        """Without its value."""
        return f"Secret({self.key})"


class ConnectionLimits(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a connection may be burdened with."""

    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    """Calls of one process that are under way at once."""
    tokens_per_day: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    """What steps that generate may take of it in a day of the tenant's zone; null: it is counted and not limited."""


class Connection(Value, frozen=True, kw_only=True):
    """An HTTP service that steps of workflows may call."""

    key: str
    name: str = ""
    url: str
    """Where its paths begin, such as `https://api.example.com/v1`."""
    methods: tuple[HttpMethod, ...] = (HttpMethod.GET,)
    """What steps may do there."""
    headers: Mapping[
        Annotated[str, msgspec.Meta(max_length=100)],
        Annotated[str, msgspec.Meta(max_length=LONGEST_HEADER)] | SecretName,
    ] = {}
    """Sent with every call. A value may be `{"secret": "name"}`."""
    timeout_s: Annotated[int, msgspec.Meta(ge=2, le=30)] = 10
    """How long one call may take."""
    limits: ConnectionLimits = ConnectionLimits()

    def secrets(self) -> Mapping[str, str]:
        """Keys of the secrets that it names, by header."""
        return {name: value.secret for name, value in self.headers.items() if isinstance(value, SecretName)}

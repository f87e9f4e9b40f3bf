"""Consents: what a user allowed or forbade, for which purpose and on which channel. Records are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, NewType

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, UserNo

ConsentId = NewType("ConsentId", bytes)

EVERY_PURPOSE = ""
"""The purpose of a record that is about all of them."""


class ConsentAction(StrEnum):
    """What the user did."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


class ConsentSource(StrEnum):
    """How Clarion itself learned of it. Callers have words of their own."""

    API = "api"
    PREFERENCES = "preferences"
    """A change of the user's preferences through the API."""
    PREFERENCE_PAGE = "preference_page"
    UNSUBSCRIBE_LINK = "unsubscribe_link"
    """The link of an email: its page, or the mail program's one click (RFC 8058)."""
    UNSUBSCRIBE_EMAIL = "unsubscribe_email"
    """An email to the address that the message names for it."""
    PROVIDER = "provider"
    """A provider or a mail server reported it."""
    REPLY = "reply"
    """STOP or START, or the same in other words."""
    DOUBLE_OPT_IN = "double_opt_in"
    """The user confirmed through their own address."""


class ConsentState(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The newest record of one purpose and channel, as it decides."""

    purpose: str
    channel: Channel | None
    """None: every channel."""
    action: ConsentAction
    at: Instant
    id: ConsentId


class ConsentStatement(NamedTuple):
    """What a user says about a purpose and a channel."""

    purpose: str
    channel: Channel | None
    action: ConsentAction


class ConsentRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A record that is to be added."""

    id: ConsentId
    """A record whose id is stored already is not added again."""
    purpose: str
    channel: Channel | None = None
    action: ConsentAction
    at: Instant | None = None
    """When the user said so; None: just now, which is behind everything that is known of them."""
    recorded_at: Instant
    source: str
    text_version: str = ""
    """Which text the user was shown."""
    proof: Mapping[str, Any] = {}
    """Anything that shows it. Stored under the user's own key, which an erasure destroys."""


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was added."""

    id: ConsentId
    tenant: TenantId
    user: UserNo
    purpose: str
    channel: Channel | None
    action: ConsentAction
    at: Instant
    recorded_at: Instant
    source: str
    text_version: str
    proof: bytes
    """Sealed under the user's key; empty: there is none."""


class ConsentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    user: UserNo | None = None
    purpose: str | None = None
    channel: Channel | None = None
    action: ConsentAction | None = None
    source: str | None = None
    since: Instant | None = None
    """Recorded at or after this."""
    before: Instant | None = None

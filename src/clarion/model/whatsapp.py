"""WhatsApp: the templates that it must approve, and what keeps a message from being sent."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from clarion.model.ids import Instant, TenantId
from clarion.model.user import Value

WINDOW_MS = 24 * 3_600_000
"""After a message of the person's: free text may be sent to them for so long."""


class Approval(StrEnum):
    """What WhatsApp has decided about a template. Only an approved one may be sent."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"
    PAUSED = "paused"
    DISABLED = "disabled"


class WhatsAppTemplate(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A template as its service lists it."""

    name: str
    language: str
    approval: Approval
    category: str = ""
    """`utility`, `marketing` or `authentication`."""
    id: str = ""
    """What the service calls it where that is not its name."""
    header: Literal["", "text", "image", "video", "document"] = ""
    """What its header takes; empty: nothing."""
    parameters: tuple[str, ...] = ()
    """The names of the texts that its body takes, in order; most are numbers."""
    buttons: tuple[str, ...] = ()
    """What each of its buttons takes: `url`, `quick_reply` or `copy_code`; empty: nothing."""


class WhatsAppTemplates(Value, frozen=True, kw_only=True):
    """The templates of one integration."""

    key: str
    """Of the integration."""
    templates: tuple[WhatsAppTemplate, ...]
    synced_at: Instant
    """When the service listed them last."""


class TemplateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A service reports that one of its templates is in another state."""

    name: str
    language: str
    approval: Approval


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """When a person wrote to an integration last."""

    tenant: TenantId
    integration: str
    contact: bytes
    """Hash of their number."""
    at: Instant

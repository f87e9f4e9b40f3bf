"""Channels and lanes."""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """A channel on which a user can be reached."""

    IN_APP = "in_app"
    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    CHAT = "chat"
    WEBHOOK = "webhook"
    VOICE = "voice"
    WHATSAPP = "whatsapp"


class Lane(StrEnum):
    """A priority class with its own queue, workers and budget. Declared most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


LANES: tuple[Lane, ...] = tuple(Lane)
CHANNELS: tuple[Channel, ...] = tuple(Channel)
PHONES = frozenset({Channel.SMS, Channel.VOICE, Channel.WHATSAPP})
"""Whose addresses are phone numbers."""

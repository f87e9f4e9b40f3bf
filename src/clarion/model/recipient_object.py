"""Objects that get notifications as users do: a team, a chat room, whoever is on duty.

An object is a topic, whose members are its members, and a user of the same name, who has its channels, attributes and
preferences. Callers name neither: the name begins with `$`.
"""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant
from clarion.model.user import RESERVED, Value

_PREFIX = f"{RESERVED}object:"
OBJECTS_END = f"{RESERVED}object;"
"""Comes behind the keys of all objects, and before all topics that callers name."""


class ObjectName(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What names an object."""

    type: str
    id: str

    @property
    def key(self) -> str:
        """Of its topic and of its user."""
        return f"{first_key(self.type)}{self.id}"

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.type}/{self.id}"


class OnDuty(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event reaches somebody: they were on duty when it was planned."""

    object: ObjectName
    until: Instant
    override: bool


def first_key(type: str) -> str:
    """What the keys of all objects of a type begin with."""
    return f"{_PREFIX}{type}:"


def is_object_key(key: str) -> bool:
    """Whether a topic or user is that of an object."""
    return key.startswith(_PREFIX)


def object_name(key: str) -> ObjectName:
    """The object whose topic and user have this key."""
    kind, _, own_id = key.removeprefix(_PREFIX).partition(":")
    return ObjectName(type=kind, id=own_id)

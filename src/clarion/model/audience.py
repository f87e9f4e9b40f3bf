"""Audiences: conditions that choose users, as values that every store can answer, and segments, which have one each."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec

from clarion.model.ids import Instant
from clarion.model.user import Value

LONGEST_WHERE = 2_048
"""Characters of a condition."""
OPEN_ATTRIBUTES = ""
"""The key under which `SegmentMembers.states` says how far users were gone through to open or close attributes."""


class AttributeType(StrEnum):
    """What values an attribute has."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    """An instant as RFC 3339 writes it, with an offset."""
    STRINGS = "strings"
    """A list of texts."""


class Attribute(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a tenant says about an attribute of its users."""

    type: AttributeType
    searchable: bool = False
    """Stored unencrypted, so that conditions can ask for it."""


class SearchableField(StrEnum):
    """What conditions can ask for besides attributes only when the tenant has it stored unencrypted."""

    LOCALE = "locale"
    TIMEZONE = "timezone"
    CONSENTS = "consents"
    """Which purposes a user granted and withdrew."""


class UserField(StrEnum):
    """What conditions can ask for besides attributes. No attribute that can be asked for begins with `$`."""

    ID = "$id"
    LOCALE = "$locale"
    TIMEZONE = "$timezone"
    CHANNELS = "$channels"
    TOPICS = "$topics"
    CREATED_AT = "$created_at"
    LAST_SEEN_AT = "$last_seen_at"
    GRANTED = "$granted"
    WITHDRAWN = "$withdrawn"


class Operator(StrEnum):
    """How a value is compared."""

    PRESENT = "present"
    EQUAL = "equal"
    LESS = "less"
    AT_MOST = "at_most"
    ONE_OF = "one_of"
    STARTS = "starts"
    ENDS = "ends"
    CONTAINS = "contains"
    """Of a text."""
    HOLDS = "holds"
    """Of a list."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True, tag="comparison", tag_field="kind"):
    """True when the user has the field and the comparison holds (`negated`: does not hold). A user without the field
    satisfies neither, except that `present` can be negated."""

    field: str
    """A `UserField`, or the name of an attribute."""
    type: AttributeType
    operator: Operator
    value: bool | int | float | str | tuple[int | float | str, ...] | None = None
    """A time is an instant in milliseconds."""
    from_now: bool = False
    """The value is added to the time at which the condition is asked."""
    negated: bool = False


class And(msgspec.Struct, frozen=True, tag="all", tag_field="kind"):
    """True when every part is; without parts it chooses everybody."""

    parts: tuple[Condition, ...]


class Or(msgspec.Struct, frozen=True, tag="any", tag_field="kind"):
    """True when a part is; without parts it chooses nobody."""

    parts: tuple[Condition, ...]


Condition = Comparison | And | Or


def comparisons(where: Condition) -> Iterator[Comparison]:
    """Everything a condition compares."""
    if isinstance(where, Comparison):
        yield where
        return
    for part in where.parts:
        yield from comparisons(part)


class Segment(Value, frozen=True, kw_only=True):
    """The users for whom a condition is true."""

    key: str
    name: str = ""
    where: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WHERE)]
    """A condition in CEL over `user` and `now`."""


class CheckedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment whose condition was checked."""

    key: str
    where: Condition

    @property
    def definition(self) -> str:
        """Another one whenever the condition means something else."""
        return msgspec.json.encode(self.where).decode()


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """How far all users were gone through for a definition."""

    definition: str
    running: bool
    done: int = 0
    """Users gone through since it began."""
    total: int = 0
    """Users there were when it began."""
    refreshed_at: Instant | None = None
    """When all were gone through last. None: never."""

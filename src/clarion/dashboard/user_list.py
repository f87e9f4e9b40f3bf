"""Users as the pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clarion.model.graphemes import first_of
from clarion.model.ids import UserNo
from clarion.model.user import User
from clarion.ports.ledger import Users

HUES = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A face with a name."""

    id: str
    no: int
    name: str
    first: str
    initial: str
    hue: int
    locale: str
    zone: str
    place: str


def person(user: User) -> Person:
    """`user` as a person; without a name, by their id."""
    attributes, zone = user.profile.attributes, user.profile.timezone or "UTC"
    name = str(attributes.get("name") or user.id)
    first = str(attributes.get("first_name") or name.partition(" ")[0])
    return Person(
        id=user.id,
        no=user.no,
        name=name,
        first=first,
        initial=first_of(first).upper(),
        hue=user.no % HUES,
        locale=user.profile.locale or "en",
        zone=zone,
        place=zone.rpartition("/")[2].replace("_", " "),
    )


NOBODY = Person(
    id="", no=0, name="deleted user", first="deleted", initial="–", hue=0, locale="en", zone="UTC", place=""
)
"""Stands for a user who was deleted: messages keep an anonymous number only."""


async def people(users: Users, numbers: Sequence[UserNo]) -> Mapping[UserNo, Person]:
    """Everyone of `numbers`; NOBODY for the deleted."""
    found = await users.get(list(dict.fromkeys(numbers)))
    return {no: person(found[no]) if no in found else NOBODY for no in numbers}

"""Checks that names in requests exist, and suggests the nearest."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from clarion.errors import UnknownName, UnknownReference
from clarion.model.ids import TenantId
from clarion.ports.ledger import Directory
from clarion.rules.match import closest

NEIGHBOURS = 50
"""Names looked at on either side of an unknown one in the alphabet."""
MOST = 10
"""Unknown names of one call for which a name is looked for."""


async def suggest(directory: Directory, tenant: TenantId, outcomes: Iterable[object]) -> None:
    """Add the names of people and topics that were probably meant. For callers who may read users."""
    left = MOST
    for error in outcomes:
        if not isinstance(error, UnknownReference):
            continue
        suggested = []
        for one in error.unknown:
            left -= 1
            suggested.append(await _suggested(directory, tenant, one) if left >= 0 else one)
        error.say(suggested)


async def _suggested(directory: Directory, tenant: TenantId, one: UnknownName) -> UnknownName:
    if one.noun == "user":
        names = await directory.users_near(tenant, one.name, NEIGHBOURS)
    elif one.noun == "topic":
        names = await directory.topics_near(tenant, one.name, NEIGHBOURS)
    else:
        return one
    return one._replace(near=closest(one.name, names))


def unknown_in(
    noun: str, named: Iterable[tuple[str, str]], known: Collection[str], advice: str = ""
) -> list[UnknownName]:
    """The names (with their pointers) that are not known; a name that was probably meant for the first few."""
    unknown = [(name, pointer) for name, pointer in named if name not in known]
    return [
        UnknownName(noun, name, pointer, advice, closest(name, known) if index < MOST else "")
        for index, (name, pointer) in enumerate(unknown)
    ]

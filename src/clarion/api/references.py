"""Checks that names in requests exist, and suggests the nearest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from clarion.errors import UnknownName, UnknownReference
from clarion.flow.ledger import Ledger
from clarion.model.ids import TenantId
from clarion.model.recipient_object import ObjectName, is_object_key, object_name
from clarion.model.user import User
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
    elif one.noun == "object":
        kind, _, own_id = one.name.partition("/")
        names = await objects_near(directory, tenant, ObjectName(type=kind, id=own_id))
    else:
        return one
    return one._replace(near=closest(one.name, names))


async def objects_near(directory: Directory, tenant: TenantId, name: ObjectName) -> Sequence[str]:
    """Objects whose names come before and behind this one in the alphabet, as people write them."""
    near = await directory.topics_near(tenant, name.key, NEIGHBOURS)
    return [str(object_name(key)) for key in near if is_object_key(key)]


async def users_named(
    ledger: Ledger, tenant: TenantId, named: Sequence[tuple[str, str]], advice: str
) -> Mapping[str, User]:
    """The users that a body names, each with its pointer. Raises UnknownReference with the names that were probably meant."""
    found = await ledger.users.find(tenant, [user_id for user_id, _ in named])
    unknown = [
        UnknownName("user", user_id, pointer, advice) for user_id, pointer in named if user_id not in found
    ]
    if unknown:
        error = UnknownReference(unknown)
        await suggest(ledger.directory, tenant, (error,))
        raise error
    return found


def unknown_in(
    noun: str, named: Iterable[tuple[str, str]], known: Collection[str], advice: str = ""
) -> list[UnknownName]:
    """The names (with their pointers) that are not known; a name that was probably meant for the first few."""
    unknown = [(name, pointer) for name, pointer in named if name not in known]
    return [
        UnknownName(noun, name, pointer, advice, closest(name, known) if index < MOST else "")
        for index, (name, pointer) in enumerate(unknown)
    ]

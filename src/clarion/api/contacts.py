"""`/v1/users/{user_id}/contacts`: the addresses of a user."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Router, delete, get, patch, post

from clarion.api import request_bodies
from clarion.api.conditions import ADDS, one
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser
from clarion.api.merging import merge
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_all
from clarion.errors import Conflict, InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.user import Contact, Profile, User, Value
from clarion.ports.vault import normal_address
from clarion.rules import validation


class ContactBody(Value, frozen=True, kw_only=True):
    """One address of a user on one channel."""

    channel: Channel
    address: str
    """Email address, E.164 phone number, device token or URL, depending on the channel."""
    label: str | None = None
    verified: bool = False


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as it is stored."""

    id: str
    channel: Channel
    address: str
    label: str | None
    verified: bool
    suppressed: bool
    """Nothing is sent to it, because of a hard bounce, a complaint or a STOP."""


@get("/", opt=READ)
async def list_contacts(person: PathUser, limit: Limit = PAGE, cursor: Cursor = START) -> Page[ContactView]:
    """All addresses of a user."""
    return page_of_all(views(person), lambda contact: contact.id, cursor, limit)


@post("/", opt=SEND | ADDS)
async def add_contact(person: PathUser, data: ContactBody, caller: Caller, parts: Parts) -> ContactView:
    """Add an address, such as a device token. If the user has it already, its label and verification are updated."""
    validation.check_address(data.channel, data.address, "#/address")
    contact = stored(data)

    def added(profile: Profile) -> Profile:
        contacts = (*(c for c in profile.contacts if not _is_same(c, contact)), contact)
        validation.check_contacts(contacts, "#")
        return msgspec.structs.replace(profile, contacts=contacts)

    return _shown(await parts.services.users.change(caller.tenant, person.id, added), contact)


@get("/{contact_id:str}", opt=READ)
async def get_contact(person: PathUser, contact_id: str) -> ContactView:
    """One address."""
    return _view(person, _one(person.profile, contact_id))


@patch("/{contact_id:str}", opt=SEND)
async def patch_contact(
    person: PathUser, contact_id: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> ContactView:
    """Change some fields (JSON merge patch). A new address gets a new id, and is not verified unless you send `verified`."""
    before = _one(person.profile, contact_id)
    whole = {
        "channel": before.channel,
        "address": before.address,
        "label": before.label or None,
        "verified": before.verified and data.get("address", before.address) == before.address,
    }
    body = request_bodies.convert(merge(whole, data), ContactBody)
    if body.channel is not before.channel:
        raise InvalidInput(
            "the channel of a contact cannot be changed: add another contact.", pointer="#/channel"
        )
    validation.check_address(body.channel, body.address, "#/address")
    after = stored(body)

    def patched(profile: Profile) -> Profile:
        changed = _one(profile, contact_id)
        if any(c is not changed and _is_same(c, after) for c in profile.contacts):
            raise Conflict("The user has this address already: delete one of the two.")
        contacts = tuple(after if c is changed else c for c in profile.contacts)
        return msgspec.structs.replace(profile, contacts=contacts)

    return _shown(await parts.services.users.change(caller.tenant, person.id, patched), after)


@delete("/{contact_id:str}", opt=SEND)
async def remove_contact(person: PathUser, contact_id: str, caller: Caller, parts: Parts) -> None:
    """Remove an address."""

    def without(profile: Profile) -> Profile:
        gone = _one(profile, contact_id)
        return msgspec.structs.replace(profile, contacts=tuple(c for c in profile.contacts if c is not gone))

    await parts.services.users.change(caller.tenant, person.id, without)


def views(user: User) -> list[ContactView]:
    """All contacts as callers see them."""
    return [_view(user, contact) for contact in user.profile.contacts]


def stored(body: ContactBody) -> Contact:
    """The contact of a body that was checked."""
    address = validation.plain_address(body.channel, body.address, "#")
    return Contact(channel=body.channel, address=address, label=body.label or "", verified=body.verified)


def _view(user: User, contact: Contact) -> ContactView:
    return ContactView(
        id=contact.hash.hex(),
        channel=contact.channel,
        address=contact.address,
        label=contact.label or None,
        verified=contact.verified,
        suppressed=contact.hash in user.suppressed,
    )


def _shown(user: User, contact: Contact) -> ContactView:
    return next(_view(user, c) for c in user.profile.contacts if _is_same(c, contact))


def _one(profile: Profile, contact_id: str) -> Contact:
    for contact in profile.contacts:
        if contact.hash.hex() == contact_id:
            return contact
    raise NotFound(f"The user has no contact {contact_id!r}.")


def _is_same(one: Contact, other: Contact) -> bool:
    """Whether both reach the same place: a browser that renews its keys is still that browser."""
    if one.channel is not other.channel:
        return False
    return normal_address(one.channel, one.address) == normal_address(other.channel, other.address)


router = Router(
    "/v1/users/{user_id:str}/contacts",
    route_handlers=[list_contacts, add_contact, get_contact, patch_contact, remove_contact],
    opt=one("user", "user_id"),
    tags=["Users"],
)

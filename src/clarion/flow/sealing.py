"""Encrypts events for the log, and decrypts them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.model.event import Entry, Event
from clarion.model.ids import NO_USER, UserNo
from clarion.model.user import User
from clarion.ports.vault import Vault

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def sealed_entry(event: Event, sole: User | None, vault: Vault, setup_revision: int) -> Entry:
    """The entry of an event: sealed under its only recipient's key, else under the tenant's."""
    key = sole.key if sole is not None else vault.tenant_key(event.tenant)
    return Entry(
        event_id=event.id,
        tenant=event.tenant,
        lane=event.lane,
        workflow=event.workflow,
        sealed=vault.seal(key, _encode(event)),
        sealed_for=sole.no if sole is not None else NO_USER,
        setup_revision=setup_revision,
        event=event,
    )


def opened(entry: Entry, users: Mapping[UserNo, User], vault: Vault) -> Event | None:
    """The event of an entry; None when the person it was sealed for has been erased.

    Raises SealBroken or DecodeError when it cannot be read.
    """
    if entry.event is not None:
        return entry.event
    if entry.sealed_for == NO_USER:
        return _decode(vault.open(vault.tenant_key(entry.tenant), entry.sealed))
    user = users.get(entry.sealed_for)
    return _decode(vault.open(user.key, entry.sealed)) if user is not None else None

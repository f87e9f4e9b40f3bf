"""What is different about the messages of a live resource: where they go, and what they replace."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.device_address import (
    ACTIVITY_SERVICES,
    APNS_SERVICES,
    read_device_address,
    service_of,
)
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.message import Message
from clarion.model.user import Contact
from clarion.rules.keys import KeyedHash
from clarion.rules.validation import plain_address


def devices_for(contacts: Sequence[Contact], live: LiveUpdate | None) -> Sequence[Contact]:
    """The push addresses that a message may go to.

    Those of Live Activities show one live resource, or start one, and get nothing else. The other addresses get every
    message; but where somebody has Live Activities, their other addresses at APNs are not told of live resources again.
    """
    services = [service_of(contact.address) for contact in contacts]
    if ACTIVITY_SERVICES.isdisjoint(services):
        return contacts
    plain = [one for one, its in zip(contacts, services, strict=True) if its not in ACTIVITY_SERVICES]
    if live is None:
        return plain
    of_activities = [one for one, its in zip(contacts, services, strict=True) if its in ACTIVITY_SERVICES]
    others = [one for one in plain if service_of(one.address) not in APNS_SERVICES]
    return [*(one for one in of_activities if _shows(one, live)), *others]


def activity_address(key: str, address: str, pointer: str) -> str:
    """The address of a Live Activity that shows the resource with this key. InvalidInput when it cannot be one."""
    service, _, token = address.partition(":")
    named = service if service.endswith("-channel") else f"{service}-activity"
    whole = f"{named}:{key}/{token}"
    if service_of(whole) not in ACTIVITY_SERVICES:
        raise InvalidInput(
            "a Live Activity has an address like apns:TOKEN, fcm:REGISTRATION/TOKEN or apns-channel:CHANNEL.",
            pointer=pointer,
        )
    return plain_address(Channel.PUSH, whole, pointer)


def _shows(contact: Contact, live: LiveUpdate) -> bool:
    to = read_device_address(contact.address)
    return live.event is LiveEvent.START if to.starts else to.live == live.key


def is_counted(live: LiveUpdate | None) -> bool:
    """Whether frequency caps count a message: a live resource counts once, however often it changes."""
    return live is None or live.event is LiveEvent.START


def replacement_key(
    hash: KeyedHash, message: Message, live: LiveUpdate, place: str, *, waiting: bool = False
) -> bytes:
    """What a message replaces: on a device the state that is shown there. While it is `waiting` it replaces states that
    wait as well, but never the start: whoever missed that would not see any other."""
    first = b"start" if waiting and live.event is LiveEvent.START else b""
    where = f"{message.workflow}/{message.step}/{place}".encode()
    return hash("live", b"%d\0%d\0%s\0%s\0%s" % (message.tenant, message.user, where, live.id, first))

"""Finds the webhook endpoints of a user that receive an event, and the endpoints a message is for.

The id of a message to an endpoint is derived from the endpoint's, so it needs no column to say where it goes: it is
for the endpoint that gives its id.
"""

from __future__ import annotations

from clarion.model.channel import Channel
from clarion.model.endpoint import Endpoint, endpoint_place
from clarion.model.event import Event
from clarion.model.ids import message_id, run_id
from clarion.model.message import Message
from clarion.model.setup import Workflow
from clarion.model.user import RESERVED, Contact, User
from clarion.rules.match import matches

TENANT_USER = f"{RESERVED}tenant"
"""The user who owns the endpoints of the tenant itself."""


def event_type(event: Event, workflow: Workflow) -> str:
    """What endpoints filter by: the type of a CloudEvent, else the key of the workflow that was triggered."""
    return event.type or workflow.key


def listeners(user: User, type: str) -> tuple[Contact, ...]:
    """Every webhook address of a user that hears of `type`: plain contacts first, then endpoints."""
    plain = tuple(one for one in user.profile.contacts if one.channel is Channel.WEBHOOK)
    return plain + tuple(contact_of(one) for one in user.profile.endpoints if hears(one, type))


def hears(endpoint: Endpoint, type: str) -> bool:
    """Whether its filter lets the type through."""
    return not endpoint.events or any(matches(pattern, type) for pattern in endpoint.events)


def contact_of(endpoint: Endpoint) -> Contact:
    """An endpoint as the address it is; suppressed under its own id, not under its URL."""
    return Contact(channel=Channel.WEBHOOK, address=endpoint.url, hash=endpoint.id)


def place_of(user: User, contact: Contact | None) -> str:
    """What ids and keys of messages to this webhook address are made with."""
    if contact is None or user.profile.endpoint(contact.hash) is None:
        return Channel.WEBHOOK.value
    return endpoint_place(contact.hash)


def endpoint_of(message: Message, user: User) -> Endpoint | None:
    """The endpoint a message is for, if it is for one."""
    if message.channel is not Channel.WEBHOOK:
        return None
    run = run_id(message.event_id, message.workflow, message.user)
    for one in user.profile.endpoints:
        if message_id(run, message.step, endpoint_place(one.id)) == message.id:
            return one
    return None


def addresses(message: Message, user: User) -> tuple[Contact, ...] | None:
    """Where a planned message may go; None: wherever its channel leads. A webhook stays with its endpoint."""
    if message.channel is not Channel.WEBHOOK:
        return None
    endpoint = endpoint_of(message, user)
    if endpoint is not None:
        return (contact_of(endpoint),)
    run = run_id(message.event_id, message.workflow, message.user)
    plain = message_id(run, message.step, Channel.WEBHOOK.value) == message.id
    return None if plain else ()  # its endpoint was deleted

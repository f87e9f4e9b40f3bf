"""What a provider is given: one rendered message for one contact, or one that is out and is to be taken back."""

from __future__ import annotations

import msgspec

from clarion.model.content import AnyContent
from clarion.model.live_update import LiveUpdate
from clarion.model.message import Message
from clarion.model.user import Contact, User
from clarion.model.whatsapp import WhatsAppTemplate


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one contact, ready to go. `message.id` is its idempotency key, the same on every attempt; on
    push together with the contact, since one message goes to every device of its person."""

    message: Message
    user: User
    contact: Contact | None
    """None on channels that need no address (in-app)."""
    content: AnyContent
    traceparent: str = ""
    unsubscribe_url: str = ""
    """Where this person leaves the message's category with one click (RFC 8058); empty: it cannot be left."""
    whatsapp_template: WhatsAppTemplate | None = None
    """The approved template it is sent as; None: it is none, or its service has not listed any yet."""
    sender: str = ""
    """Who a text message is from; empty: as the settings of the integration say."""
    collapse_key: bytes = b""
    """The same for messages of which only the newest matters; empty: each matters."""
    live: LiveUpdate | None = None
    """Which state of a live resource it shows; None: it is a message like any other."""
    supersedes: bool = False
    """It takes the place of what is out of its `collapse_key`."""
    replaces: str = ""
    """What the provider called the message that is out and is to show this from now on; empty: it is a new one. Only for
    providers that edit (`ProviderPlugin.takes_back`)."""


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was sent to a contact and is to be withdrawn."""

    message: Message
    user: User
    contact: Contact | None
    """Where it would go today: it may be another contact than the one it went to."""
    provider_id: str
    """What the provider called it (`Accepted.provider_id`); empty: nothing."""
    collapse_key: bytes = b""
    """As it was sent with."""

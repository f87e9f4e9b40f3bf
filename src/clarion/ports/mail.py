"""Building MIME emails. Clarion builds them, so every provider that takes raw email sends the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from clarion.model.content import EmailContent
from clarion.model.ids import Instant
from clarion.model.message import Message

ReturnTag = Callable[[Message], str]
"""What a message's return path carries, so that a bounce finds it: signed, `[a-z0-9]`, at most 60 characters."""


class DkimKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key (RFC 6376, RFC 8463): its PEM tells RSA from Ed25519."""

    domain: str
    selector: str
    private_key: str


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """In whose name an integration sends; what is the same for all its mails."""

    address: str
    name: str = ""
    reply_to: str = ""
    return_domain: str = ""
    """Bounces go to `b+<tag>` at this domain, mailed unsubscribes to `u+<tag>`; empty: bounces go to `address`."""
    list_domain: str = ""
    """Domain of List-Id; empty: the domain of `address`."""
    feedback_id: str = ""
    """Sender part of Feedback-ID; empty: none is written."""
    dkim: tuple[DkimKey, ...] = ()
    seven_bit: bool = False
    """The next hop does not take 8-bit mail (RFC 6152). Signed mail is always 7 bit: nobody may re-encode it."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One email for one recipient, ready to be sent."""

    return_path: str
    """Envelope sender."""
    recipient: str
    body: bytes
    """RFC 5322 with CRLF line ends, not dot-stuffed."""
    utf8: bool = False
    """Needs SMTPUTF8 (RFC 6531): an address is not ASCII."""


class OutgoingEmail(msgspec.Struct, frozen=True, kw_only=True):
    """One email for one recipient, before it is written as MIME."""

    message: Message
    to: str
    to_name: str = ""
    content: EmailContent
    unsubscribe_url: str = ""
    unsubscribe_mailto: str = ""
    """Empty: `u+<tag>` at the sender's `return_domain`, if it has one and there is an `unsubscribe_url`."""
    at: Instant


class MailBuilder(Protocol):
    """Makes mails. CPU only: attachments are fetched before. Callable from any thread."""

    def check(self, sender: Sender) -> None:
        """Raises ConfigError saying what is wrong with a sender: an address, a domain, a key."""

    def make(self, sender: Sender, email: OutgoingEmail) -> Mail:
        """The mail, the same for the same letter. Raises ContentError for what cannot be written as one."""

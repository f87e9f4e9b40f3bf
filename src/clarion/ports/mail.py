"""Email as it goes over the wire. The house makes it, so that every provider that takes raw mail sends the same."""

from __future__ import annotations

from typing import Protocol

import msgspec

from clarion.model.content import EmailContent
from clarion.model.ids import Instant
from clarion.model.message import Message


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
    """Bounces go to a tagged address at this domain; empty: to `address`."""
    list_domain: str = ""
    """Domain of List-Id; empty: the domain of `address`."""
    feedback_id: str = ""
    """Sender part of Feedback-ID; empty: none is written."""
    dkim: tuple[DkimKey, ...] = ()


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail for one recipient."""

    return_path: str
    """Envelope sender."""
    recipient: str
    body: bytes
    """RFC 5322 with CRLF line ends, not dot-stuffed."""
    utf8: bool = False
    """Needs SMTPUTF8 (RFC 6531): an address is not ASCII."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What one mail is made of."""

    message: Message
    to: str
    to_name: str = ""
    content: EmailContent
    unsubscribe_url: str = ""
    unsubscribe_mailto: str = ""
    at: Instant


class Mailwright(Protocol):
    """Makes mails. CPU only: attachments are fetched before. Callable from any thread."""

    def make(self, sender: Sender, letter: Letter) -> Mail:
        """The mail. Raises ContentError for what cannot be written as one."""

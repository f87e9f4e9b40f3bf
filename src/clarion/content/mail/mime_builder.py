"""Builds emails. What all emails of a sender share is built once."""

from __future__ import annotations

import re
from functools import lru_cache

from clarion.content.mail import headers
from clarion.content.mail.addresses import domain_of, wire_address, wire_domain
from clarion.content.mail.dkim import Signer, signatures
from clarion.content.mail.invitations import calendar, method
from clarion.content.mail.parts import Invited, entity
from clarion.errors import ConfigError, ContentError
from clarion.model.lru import Lru
from clarion.ports.mail import Mail, OutgoingEmail, ReturnTag, Sender

CACHED_SENDERS = 256
CACHED_KINDS = 1024
_URL = re.compile(r"(?:https?|mailto):[!#-;=?-~]{1,900}").fullmatch


class MimeBuilder:
    """Implements `ports.mail.Mailwright`. `tag` names a message in its return path."""

    def __init__(self, tag: ReturnTag) -> None:
        self._tag = tag
        self._prepared = lru_cache(maxsize=CACHED_SENDERS)(_PreparedSender)

    def check(self, sender: Sender) -> None:
        """Every part of a sender is parsed here, as for a mail."""
        self._prepared(sender)

    def make(self, sender: Sender, email: OutgoingEmail) -> Mail:
        """The mail; its Message-ID and boundaries come from the message's id, its date from the letter."""
        prepared = self._prepared(sender)
        message = email.message
        hexadecimal = message.id.hex()
        to = wire_address(email.to)
        second = email.at // 1000
        fields, body = entity(
            email.content,
            "=_" + hexadecimal,
            seven_bit=prepared.seven_bit,
            invitation=prepared.invited(email, to),
        )
        tag = self._tag(message) if prepared.return_domain else ""
        mailto = f"mailto:u+{tag}@{prepared.return_domain}?subject=unsubscribe" if tag else ""
        head = (
            f"Date: {headers.date(second)}\r\n"
            f"{prepared.fields}"
            f"To: {headers.mailbox(email.to_name, to)}\r\n"
            f"Subject: {headers.unstructured(email.content.subject, 9)}\r\n"
            f"Message-ID: <{hexadecimal}@{prepared.domain}>\r\n"
            f"{prepared.of_kind(message.workflow, message.category)}"
            f"{_unsubscribe(email, mailto)}"
            f"{fields}"
        ).encode()
        if prepared.signers:
            head = signatures(prepared.signers, head, body, second) + head
        return Mail(
            return_path=f"b+{tag}@{prepared.return_domain}" if tag else prepared.address,
            recipient=to,
            body=b"%b\r\n%b" % (head, body),
            utf8=prepared.utf8 or not to.isascii(),
        )


class _PreparedSender:
    """What all mails of a sender have in common."""

    def __init__(self, sender: Sender) -> None:
        try:
            self.address = wire_address(sender.address)
            reply_to = wire_address(sender.reply_to) if sender.reply_to else ""
            self.return_domain = wire_domain(sender.return_domain) if sender.return_domain else ""
            self._list_domain = wire_domain(sender.list_domain or domain_of(sender.address))
        except ContentError:
            raise ConfigError(
                "the sender needs an email address such as news@example.com; its `reply_to` must be one too, and "
                "`return_domain` and `list_domain` must be domains"
            ) from None
        self.name = sender.name
        self.domain = domain_of(self.address)
        self.utf8 = not (self.address + reply_to).isascii()
        self.signers = tuple(Signer(key) for key in sender.dkim)
        self.seven_bit = sender.seven_bit or bool(self.signers)
        self._feedback_id = headers.token(sender.feedback_id)
        self.fields = (
            f"From: {headers.mailbox(sender.name, self.address)}\r\n"
            + (f"Reply-To: {reply_to}\r\n" if reply_to else "")
            + "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
        )
        self._kinds: Lru[tuple[str, str], str] = Lru(CACHED_KINDS)

    def invited(self, email: OutgoingEmail, to: str) -> Invited | None:
        """The invitation of a mail, from whom it names or else the sender."""
        invitation = email.content.calendar
        if invitation is None:
            return None
        text = calendar(
            invitation,
            subject=email.content.subject,
            organizer=(invitation.organizer_name, wire_address(invitation.organizer))
            if invitation.organizer
            else (self.name, self.address),
            attendee=(email.to_name, to),
            at=email.at,
        )
        return Invited(text, method(invitation))

    def of_kind(self, workflow: str, category: str) -> str:
        """List-Id of the category (RFC 2919), and Feedback-ID by which Gmail counts complaints."""
        found = self._kinds.get((workflow, category))
        if found is None:
            label, campaign = headers.token(category), headers.token(workflow)
            found = f"List-Id: <{label}.{self._list_domain}>\r\n"
            if self._feedback_id:
                found += f"Feedback-ID: {campaign}:{label}::{self._feedback_id}\r\n"
            self._kinds.put((workflow, category), found)
        return found


def _unsubscribe(email: OutgoingEmail, mailto: str) -> str:
    """List-Unsubscribe (RFC 2369), one click when there is a web address (RFC 8058)."""
    if not email.unsubscribe_url and not email.unsubscribe_mailto:
        return ""
    ways = [way for way in (email.unsubscribe_url, email.unsubscribe_mailto or mailto) if way]
    if not all(map(_URL, ways)):
        raise ContentError("the unsubscribe address is not an https: or mailto: URL")
    shown = ",\r\n ".join(f"<{way}>" for way in ways)
    field = f"List-Unsubscribe: {shown}\r\n"
    if email.unsubscribe_url:
        field += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return field

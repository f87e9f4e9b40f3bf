"""Callbacks: what a provider reports by calling a URL of ours. Its plug-in verifies and reads it, and does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from clarion.model.ids import Instant
from clarion.model.inbound import InboundMessage
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason
from clarion.model.whatsapp import TemplateChange

Method = Literal["GET", "POST"]


class CallbackRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the provider sent it."""

    method: Method = "POST"
    url: str
    """As the provider knows it, with its query string: what signatures are made over."""
    headers: Mapping[str, str] = {}
    """Names in lower case; values of repeated ones are joined by `, `."""
    body: bytes = b""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the URL, decoded; of a repeated one the last."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


class RefusedEmail(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail server's refusal of an email means."""

    cause: Literal["address", "moment", "sender", "unknown"]
    """`address`: it will never work. `moment`: it may work another time. `sender`: policy, authentication, reputation or
    content, so nothing is wrong with the address. `unknown`: the words do not say."""
    detail: str = ""
    """The server's words without addresses."""


def _not_classified(status: str, said: str) -> RefusedEmail:
    return RefusedEmail(cause="unknown")


class CallbackTools(msgspec.Struct, frozen=True, kw_only=True):
    """What a plug-in may need to judge a callback."""

    now: Instant
    documents: Mapping[str, bytes] = {}
    """What was asked for with `DocumentNeeded`, by URL."""
    refused_email: Callable[[str, str], RefusedEmail] = _not_classified
    """`refused_email(status, said)`: what a refusal means, by its enhanced status code (or none) and the server's words."""


class DocumentNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """A signature can only be verified with what is at this URL, such as a certificate. The plug-in has checked that the
    URL is the provider's own: whoever calls us can write any."""

    url: str


class ReportedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """One report about one message."""

    reference: str
    """What `ProviderTools.reference` made for the message, as it came back."""
    kind: ReceiptKind
    at: Instant | None = None
    """When it happened; None: the provider does not say."""
    permanent: bool = False
    """A bounce only: the address is gone for good."""
    reason: Reason | None = None
    """Why, where that is more exact than the kind."""
    address: str = ""
    """The contact's address, where the provider says it; empty: the one the message went to."""
    detail: str = ""
    """Codes and words of the provider that name no address and quote no content."""
    provider_id: str | None = None


class PressedButton(msgspec.Struct, frozen=True, kw_only=True):
    """A button under a message that somebody pressed."""

    id: str
    """`Action.id`, as it came back."""
    by: str = ""
    """Who pressed it, as the provider names them."""


class CallbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider is answered."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback says. One that says nothing of interest is an empty one."""

    receipts: tuple[ReportedReceipt, ...] = ()
    messages: tuple[InboundMessage, ...] = ()
    pressed: tuple[PressedButton, ...] = ()
    """Buttons that answer messages."""
    templates: tuple[TemplateChange, ...] = ()
    """What WhatsApp decided about templates."""
    answer: CallbackAnswer = CallbackAnswer()
    """Given once everything is stored."""
    told: Callable[[str], CallbackAnswer] | None = None
    """`told(text)`: the answer that shows whoever pressed a button what came of it; None: there is no such thing."""
    visits: tuple[str, ...] = ()
    """URLs to GET before it is answered: how some providers want a subscription confirmed. They are the provider's own."""
    unread: str = ""
    """Why a part of it was not understood, in words that quote nothing; the rest is taken, and the whole is kept for a
    person. Empty: all of it was."""


class Callbacks(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's callbacks: the capability `ProviderPlugin.callbacks`. All of it is pure."""

    verify: Callable[[CallbackRequest, Any, CallbackTools], DocumentNeeded | None]
    """`verify(request, config, tools)` raises CallbackForged unless the provider made the request: its signature,
    compared in constant time, and a time within the provider's replay window where it signs one. Whatever it is given,
    it raises nothing else."""
    read: Callable[[CallbackRequest, Any, CallbackTools], Callback]
    """`read(request, config, tools)` of a verified request. Raises CallbackUnreadable for one that makes no sense."""
    kinds: frozenset[ReceiptKind]
    """What it can report."""
    inbound: bool = False
    """It passes on what people write."""
    methods: frozenset[Method] = frozenset({"POST"})
    replay_window_s: int | None = None
    """How old a signed time may be; None: the provider signs none. A repeated callback changes nothing either way."""

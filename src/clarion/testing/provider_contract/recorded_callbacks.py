"""Callbacks as a service makes them, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from clarion.model.ids import Instant
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import CallbackRequest, Method

REFERENCE: Final = "$REFERENCE"
"""Stands in a recorded callback for what the service brings back."""
OURS: Final = "00000001" + "a0" * 24
OTHERS: Final = "00000001" + "b1" * 24
URL: Final = "https://notify.example/v1/callbacks/checked/AAAAAQ"

Sign = Callable[[CallbackRequest, Instant], CallbackRequest]
"""Signs a request as the service does at this time."""


class RecordedCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as the service makes it, and what it says."""

    method: Method = "POST"
    query: str = ""
    """Behind the URL's `?`. Here and in the body `REFERENCE` stands for what the service brings back."""
    content_type: str = ""
    body: bytes = b""
    means: tuple[ReceiptKind, ...] = ()
    """Its receipts, in order."""
    permanent: bool = False
    """The address of each of its bounces is gone for good."""
    messages: int = 0
    """How many messages of people it passes on."""
    pressed: int = 0
    """How many buttons of messages it says somebody pressed."""
    unread: bool = False
    """A part of it makes no sense, and the rest is taken."""

    def request(self, reference: str) -> CallbackRequest:
        """The request for a message, not signed."""
        query = self.query.replace(REFERENCE, reference)
        return CallbackRequest(
            method=self.method,
            url=f"{URL}?{query}" if query else URL,
            headers={"content-type": self.content_type} if self.content_type else {},
            body=self.body.replace(REFERENCE.encode(), reference.encode()),
        )


class CallbackVendor(msgspec.Struct, frozen=True, kw_only=True):
    """How the service reports."""

    sign: Sign
    """With the secrets of `Vendor.config`."""
    stranger: Sign
    """The same with other secrets: somebody who knows everything but the service's key."""
    recorded: tuple[RecordedCallback, ...]
    """At least one for each kind that it can report."""
    documents: Mapping[str, bytes] = {}
    """What is at the URLs that verifying asks for."""

"""The possible outcomes of an attempt, one per message. Expected failures are values, not exceptions."""

from __future__ import annotations

import msgspec

from clarion.model.endpoint import Delivery
from clarion.model.ids import Instant
from clarion.model.inbox import Captured, InboxCard, InboxItem, InboxReplacement
from clarion.model.status import Reason


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The provider owns it now. `delivered` when acceptance is arrival (the in-app inbox)."""

    provider_id: str | None = None
    delivered: bool = False
    content: bytes = b""
    """Of an inbox item as JSON, for devices that are connected: they need not wait for the seal to be opened again."""
    replaced: InboxReplacement | None = None
    """Of what is withdrawn or edited in the inbox."""
    record: InboxItem | InboxCard | Captured | Delivery | None = None
    """Stored by the ledger in the very transaction that settles the message: exactly once. So are those of failures."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Not now. `after_s` is the provider's own wish (Retry-After): honoured up to the longest pause of the lane's schedule."""

    reason: Reason = Reason.PROVIDER_ERROR
    after_s: float | None = None
    of_address: bool | None = None
    """Only this address, its domain or its own server says so: the provider is well, and its circuit stays closed.
    None: whoever's URL was called, so a user's server in trouble stops nobody else. False: the provider itself."""
    called: bool = True
    """False: put off without a call, which uses up no attempt."""
    detail: str | None = None
    record: Delivery | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """This message, never. The address stays usable."""

    reason: Reason = Reason.PROVIDER_REJECTED
    detail: str | None = None
    record: Delivery | None = None


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """This address, never again: it becomes a suppression."""

    reason: Reason = Reason.ADDRESS_GONE
    since: Instant | None = None
    """When the provider saw that it is gone, where it says so: an address registered again later is not meant."""
    detail: str | None = None
    record: Delivery | None = None


class Misconfigured(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials or set-up are wrong: open the circuit, alert, fail over. Not the message's fault."""

    reason: Reason = Reason.MISCONFIGURED
    detail: str | None = None


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """It may have been sent: the request went out and no answer came."""

    reason: Reason = Reason.OUTCOME_UNKNOWN
    of_address: bool | None = None
    """As with `Retry`."""
    detail: str | None = None
    record: Delivery | None = None


Outcome = Accepted | Retry | Rejected | Gone | Misconfigured | Unknown

"""Receipts that are fetched: a service that calls nobody is asked about what it took, some time later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import ReportedReceipt


class FetchedReceipts(msgspec.Struct, frozen=True, kw_only=True):
    """What receipts a service has: `ProviderPlugin.fetched_receipts`. Its provider is a `ReceiptSource`."""

    kinds: frozenset[ReceiptKind]
    """What it can report."""
    after_s: int
    """How long after a message was taken its receipt is there, if there will be one."""
    kept_s: int
    """How long after a message was taken its receipt is still there."""
    at_once: int
    """Most messages one call asks about."""


class ReceiptSource(Protocol):
    """Implemented by providers whose service is asked for receipts."""

    async def fetch_receipts(self, asked: Mapping[str, str]) -> Sequence[ReportedReceipt]:
        """What there is to report. `asked`: the references of messages, by the ids that the service gave them. Raises
        ConfigError or Unavailable, and is asked again."""

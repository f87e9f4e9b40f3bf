"""Sources: where records of a tenant's own topics, queues and streams come from. A kind is one file plus one
entry-point line in the group `clarion.sources`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools

Position = Mapping[str, str]
"""By partition, the offset of the last record that is done; empty: none is."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record, as it lies in its topic or queue."""

    topic: str
    partition: str = ""
    """Empty where there are none."""
    offset: str = ""
    """Orders the records of a partition; empty where a server keeps no positions."""
    id: str = ""
    """What a redelivered record is recognised by, where that is not its offset; empty: nothing."""
    key: str | None = None
    value: bytes
    headers: Mapping[str, str] = {}
    at: Instant | None = None
    receipt: Any = None
    """Whatever the reader needs to settle it. Never stored."""

    @property
    def place(self) -> str:
        """Tells a person, and a repeat, which record it is."""
        return "/".join(filter(None, (self.topic, self.partition, self.offset or self.id)))


class RecordReader(Protocol):
    """One live connection to a topic, a queue or a stream, used by one task at a time.

    At least once: what was fetched and is not `done` when the connection ends comes again. A server that keeps positions
    need not be told what is done: the ledger knows. Every method raises ConfigError for settings that cannot work and
    Unavailable when the server cannot be reached, each saying what to do.
    """

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        """Go on behind this position, in the partitions that it names and no others; or in all, at one of the ends, or at a
        time. The position that this is. Nothing is taken.

        Raises InvalidInput where a server cannot go there.
        """

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        """The next records, in order within each partition: waits up to a second for the first, never for more."""

    async def done(self, records: Sequence[SourceRecord]) -> None:
        """These are stored, here or as dead letters: they need not come again."""

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        """The last records, oldest first, or those that come next where a server keeps no others. None is taken."""

    async def lag(self) -> Mapping[str, int | None]:
        """By partition there is, the records that wait behind what is done; None: the server does not say, or this reader is
        not there."""

    async def close(self) -> None:
        """Release the connection; called once."""


class SourcePlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a kind of source brings."""

    name: str
    title: str
    config: type[msgspec.Struct]
    """Its settings; the `connection` of a source is validated against this."""
    open: Callable[[Any, ProviderTools], RecordReader]
    """`open(config, tools)`. Reaches nobody; raises ConfigError, with a pointer to the field, for settings that cannot
    work and when a package is missing."""
    rewinds: bool = True
    """The server keeps what is done, so that it can be read again."""
    competing: bool = False
    """The server hands each record to one of those who read at the same time, so any number of processes may."""
    secrets: frozenset[str] = frozenset()
    """Names of config fields that must never be returned or logged."""
    example: dict[str, Any] = {}
    """A valid config, for documentation and the contract suite."""

"""How workers are stored, in every database: sets of words as text, separated by commas; an empty one is all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from clarion.model.channel import CHANNELS, LANES, Lane
from clarion.model.ids import Instant, WorkerId
from clarion.model.worker import ROLES, Process, Worker

Word = TypeVar("Word", bound=StrEnum)

COLUMNS = ("node", "version", "roles", "lanes", "channels", "lease_ms")
"""Of what `stored` returns."""


def stored(process: Process) -> tuple[str, str, str, str, str, int]:
    """What a process says about itself, as `COLUMNS`."""
    words = (process.roles, process.lanes, process.channels)
    roles, lanes, channels = (",".join(some) for some in words)
    return process.node, process.version, roles, lanes, channels, process.lease_ms


def worker_of(
    id_: int,
    started_at: int,
    lease_until: int,
    held: int,
    draining: bool | int,
    *,
    described: Sequence[Any],
    plans: Iterable[str],
) -> Worker:
    """A row as a value; `described` are its `COLUMNS`. Words of another version are left out."""
    node, version, roles, lanes, channels, lease_ms = described
    return Worker(
        id=WorkerId(id_),
        process=Process(
            node=node,
            version=version,
            roles=_words("" if roles == "all" else roles, ROLES),
            lanes=_words(lanes, LANES),
            channels=_words(channels, CHANNELS),
            lease_ms=lease_ms,
        ),
        started_at=Instant(started_at),
        lease_until=Instant(lease_until),
        held=held,
        draining=bool(draining),
        plans=tuple(sorted(map(Lane, plans), key=LANES.index)),
    )


def _words(text: str, known: tuple[Word, ...]) -> tuple[Word, ...]:
    given = text.split(",")
    return tuple(one for one in known if one in given) if text else known

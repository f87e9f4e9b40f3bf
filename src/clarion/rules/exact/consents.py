"""What follows from new consent records, decided inside the transaction that adds them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from clarion.model.consent import ConsentRecord, ConsentState
from clarion.model.ids import Instant
from clarion.rules.consents import States, with_state


def added(states: States, records: Iterable[ConsentRecord]) -> tuple[States, list[ConsentRecord]]:
    """The fold with these records in it, and the records with their times. What was said just now is behind everything that is
    known, whatever the clocks of two processes say."""
    timed: list[ConsentRecord] = []
    for record in records:
        at = record.at
        if at is None:
            newest = max((one.at for one in states), default=Instant(-1))
            at = Instant(max(record.recorded_at, newest + 1))
        timed.append(replace(record, at=at))
        state = ConsentState(
            purpose=record.purpose, channel=record.channel, action=record.action, at=at, id=record.id
        )
        states = with_state(states, state)
    return states, timed

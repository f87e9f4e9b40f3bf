"""What processes know of how integrations do: counted in memory, shared through the store every few seconds.

Each process stores its own counts under a key of its own, and adds up those of all others. A restart reads what the
process before it had stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from clarion.errors import ClarionError
from clarion.flow.setup_view import DocumentsView
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.setup import Learned
from clarion.ports.clock import Clock
from clarion.rules.provider_score import (
    PATIENCE_S,
    SLOT_MS,
    SLOTS,
    Record,
    Standing,
    Tally,
    slot_of,
    standing,
    together,
)

log = structlog.get_logger(__name__)

INSTALLATION = TenantId(0)
KEY = "provider-scores."
FRESH_S = 1.0
"""How long a standing is used before it is worked out anew."""

_decode = msgspec.json.Decoder(dict[str, Record]).decode

Place = tuple[TenantId, str]
"""A tenant, and the key of one of its integrations."""


class ProviderScores:
    """Counts what came of calls and receipts, and says how each integration stands."""

    def __init__(self, learned: DocumentsView[Learned], worker: Callable[[], WorkerId], clock: Clock) -> None:
        """`worker()`: who this process is among those that use the store."""
        self._learned = learned
        self._worker = worker
        self._clock = clock
        self._own: dict[Place, Record] = {}
        self._compared: set[Place] = set()
        """Those that are one of several: nobody asks for the scores of others."""
        self._changed = False
        self._seen: Mapping[str, Learned] = {}
        self._others: dict[str, dict[str, Record]] = {}
        """By the key under which a process stored them."""
        self._standings: dict[Place, tuple[float, Standing]] = {}

    def called(self, place: Place, *, ok: int, failed: int, took_ms: int, accepted: int) -> None:
        """Count the results of one call: `took_ms` of all its messages together; `accepted`: a receipt may follow."""
        tally = self._tally(place, self._clock.now())
        tally.ok += ok
        tally.failed += failed
        tally.took_ms += took_ms
        tally.accepted += accepted

    def reported(self, reports: Sequence[tuple[Place, Instant]]) -> None:
        """Count receipts: whose message it was, and when they had taken it."""
        now = self._clock.now()
        for place, taken_at in reports:
            if slot_of(taken_at) > slot_of(now) - SLOTS:
                self._tally(place, min(taken_at, now)).reported += 1

    def standing(self, place: Place, patience_s: float = PATIENCE_S) -> Standing:
        """How an integration does, by what all processes know. `patience_s`: how long its receipts may take."""
        now_s = self._clock.monotonic()
        known = self._standings.get(place)
        if known is not None and known[0] + FRESH_S > now_s:
            return known[1]
        found = standing(self._record(place), slot_of(self._clock.now()), patience_s)
        self._standings[place] = now_s, found
        return found

    def compare(self, place: Place) -> None:
        """It is one of several, so from now on other processes are told what is counted of it."""
        self._compared.add(place)

    async def run(self) -> None:
        """Share what is counted, until cancelled."""
        while True:
            await self._clock.sleep(SLOT_MS / 1_000)
            try:
                await self.share()
            except ClarionError as fault:
                log.warning("provider_scores_not_stored", error=type(fault).__name__)

    async def share(self) -> None:
        """Store what this process counted since the last time, and forget what is old."""
        now_slot = slot_of(self._clock.now())
        await self._inherit(now_slot)
        for record in self._own.values():
            record.forget(now_slot)
        if not self._changed:
            return
        self._changed = False
        told = {
            _name(place): record
            for place, record in self._own.items()
            if place in self._compared and (record.slots or record.usual.accepted)
        }
        if told:
            text = msgspec.json.encode(told).decode()
            await self._learned.put(INSTALLATION, Learned(key=self._key, text=text))

    async def _inherit(self, now_slot: int) -> None:
        """Take over the memory of processes that have stored nothing for so long that only that is left."""
        for key, records in list(self._look().items()):
            newest = max((slot for one in records.values() for slot in one.slots), default=0)
            if newest > now_slot - SLOTS:
                continue
            if await self._learned.delete(INSTALLATION, key):
                for name, record in records.items():
                    record.forget(now_slot)
                    own = self._own.setdefault(_place(name), Record())
                    own.usual.add(record.usual.accepted, record.usual.reported)
                    self._compared.add(_place(name))
                    self._changed = True

    @property
    def _key(self) -> str:
        return f"{KEY}{self._worker()}"

    def _tally(self, place: Place, at: Instant) -> Tally:
        self._changed = True
        record = self._own.get(place)
        if record is None:
            record = self._own[place] = Record()
        return record.at(slot_of(at))

    def _record(self, place: Place) -> Record:
        others = [records[name] for records in self._look().values() if (name := _name(place)) in records]
        own = self._own.get(place)
        return together([*others, *([] if own is None else [own])])

    def _look(self) -> dict[str, dict[str, Record]]:
        """What other processes have stored."""
        stored = self._learned.all(INSTALLATION)
        if stored is not self._seen:
            self._others = {
                key: self._others[key] if self._seen.get(key) is one else _read(one)
                for key, one in stored.items()
                if key.startswith(KEY) and key != self._key
            }
            self._seen = stored
        return self._others


def _read(one: Learned) -> dict[str, Record]:
    try:
        return _decode(one.text)
    except msgspec.MsgspecError:
        return {}  # of another version: it is counted anew


def _name(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _place(name: str) -> Place:
    tenant, _, key = name.partition("/")
    return TenantId(int(tenant)), key

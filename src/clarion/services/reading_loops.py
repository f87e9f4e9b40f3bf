"""Runs a loop for each source or sink that is not paused. A sink, and each partition of a source, is read by one process at a
time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec.structs import replace

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.model.ids import TenantId, WorkerId
from clarion.model.reading import WHOLE, Reading, ReadingKind, ReadingPlace
from clarion.ports.clock import Clock
from clarion.ports.ledger import Readings
from clarion.rules import shares

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""How often it is looked what there is to read."""
TAKE_EVERY_S = 2.0
"""How often a process asks for what another one reads."""
TURN_EVERY_S = 0.1
"""Before it is asked for again what was lost."""
PAUSE_S = 5.0
"""After a failure."""


class Pausable(Protocol):
    """A source or a sink."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def paused(self) -> bool:
        """Whether it is read."""


D = TypeVar("D", bound=Pausable)
C_co = TypeVar("C_co", bound=Pausable, covariant=True)


class TurnLost(Exception):
    """Somebody else reads by now, or a person moved the position. Nothing was stored."""


class Turn(Generic[D]):
    """The right to read a source, or those of its partitions that fall to this process, or a sink; until it is lost."""

    def __init__(
        self,
        document: D,
        place: ReadingPlace,
        worker: WorkerId,
        readings: Readings,
        clock: Clock,
    ) -> None:
        self.document = document
        self.place = place
        self.worker = worker
        self.known: Mapping[str, Reading] = {}
        """All partitions, as of the last look."""
        self.held: dict[str, Reading] = {}
        """Those that this process reads."""
        self.trouble = ""
        """Why nothing can be read now; empty when it can."""
        self._readings = readings
        self._clock = clock

    @property
    def position(self) -> Mapping[str, str]:
        """How far this process is, in all partitions that it reads."""
        return {name: offset for one in self.held.values() for name, offset in one.position.items()}

    @property
    def fences(self) -> Mapping[str, int]:
        """Of the partitions that this process reads: others whenever it has to read from another place."""
        return {partition: one.fence for partition, one in self.held.items()}

    @property
    def repeat(self) -> int:
        """How often a person asked that records which were done are done again."""
        return max((one.repeat for one in self.held.values()), default=0)

    @property
    def lag(self) -> int | None:
        """What waits for this process, as it was told last."""
        lags = [one.lag for one in self.held.values() if one.lag is not None]
        return sum(lags) if lags else None

    async def look(self) -> None:
        """See who reads what by now, and what was lost."""
        every = await self._readings.of(self.place.tenant, self.place.kind)
        self.known = every.get(self.place.key, {})
        for partition, reading in list(self.held.items()):
            now = self.known.get(partition)
            if now is None or (now.reader, now.fence) != (self.worker, reading.fence):
                del self.held[partition]

    async def take(
        self,
        wanted: Mapping[str, WorkerId | None],
        new: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Read on in these partitions, as far as nobody else does; see `Readings.take`."""
        if not wanted and not new:
            return
        taken = await self._readings.take(self.worker, self.place, wanted, new or {})
        if new and WHOLE not in new:
            self.held.pop(WHOLE, None)
        self.held |= taken

    async def move(self, positions: Mapping[str, Mapping[str, str]]) -> None:
        """Store how far it is by partition, durable when this returns.

        Partitions that were lost are no longer held. Raises TurnLost when all are.
        """
        self.trouble = ""
        await self._store(
            {
                partition: replace(
                    self.held[partition],
                    position={**self.held[partition].position, **position},
                    trouble="",
                )
                for partition, position in positions.items()
                if partition in self.held
            }
        )

    async def tell(self, lags: Mapping[str, int | None], trouble: str = "") -> None:
        """Store how it is doing. Raises TurnLost."""
        self.trouble = trouble
        await self._store(
            {
                partition: replace(one, lag=lags.get(partition, one.lag), trouble=trouble)
                for partition, one in self.held.items()
            }
        )

    async def give_up(self) -> None:
        """Others may read on."""
        if self.held:
            await self._readings.give_up(self.worker, self.place)

    async def _store(self, readings: Mapping[str, Reading]) -> None:
        now = self._clock.now()
        stored = {partition: replace(one, at=now) for partition, one in readings.items()}
        there = await self._readings.move(self.worker, self.place, stored)
        for partition, reading in stored.items():
            if partition in there:
                self.held[partition] = reading
            else:
                del self.held[partition]
        if not self.held:
            raise TurnLost


class Documents(Protocol[C_co]):
    """The sources or sinks of tenants."""

    def all(self, tenant: TenantId) -> Mapping[str, C_co]:
        """By key."""


class ReadingLoops(Generic[D]):
    """Supervises the loops of all tenants. `read` reads one source or sink until it is cancelled or fails.

    `competing(document)`: its server hands each record to one of several readers, so every process reads.
    """

    def __init__(
        self,
        kind: ReadingKind,
        documents: Documents[D],
        read: Callable[[Turn[D]], Awaitable[None]],
        ledger: Ledger,
        lease: WorkerLease,
        clock: Clock,
        competing: Callable[[D], bool] = lambda _: False,
    ) -> None:
        self._kind = kind
        self._documents = documents
        self._read = read
        self._tenants = ledger.setup.tenants
        self._readings = ledger.readings
        self._lease = lease
        self._clock = clock
        self._competing = competing
        self._running: dict[tuple[TenantId, str], tuple[D, asyncio.Task[None]]] = {}
        self._turns: dict[tuple[TenantId, str], Turn[D]] = {}
        """The last ones of this process; gone when another process reads, or nobody."""

    @property
    def trouble(self) -> str:
        """Why one of them cannot be read; empty when all can be."""
        last = ((key, turn.trouble) for (_, key), turn in self._turns.items())
        return next((f"{key}: {why}" for key, why in last if why), "")

    def lags(self) -> Mapping[str, int]:
        """Of what this process reads, by tenant and key: what waits."""
        return {
            f"{tenant}/{key}": turn.lag for (tenant, key), turn in self._turns.items() if turn.lag is not None
        }

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await self._clock.sleep(LOOK_EVERY_S)
        finally:
            await self._stop(list(self._running))

    async def look(self) -> None:
        """Read what there is by now, as it is set up by now."""
        wanted = {
            (tenant, key): document
            for tenant in self._tenants.all()
            for key, document in self._documents.all(tenant).items()
            if not document.paused
        }
        await self._stop(
            [at for at, (one, task) in self._running.items() if wanted.get(at) is not one or task.done()]
        )
        for at, document in wanted.items():
            if at not in self._running:
                task = asyncio.create_task(self._follow(at, document), name=f"{self._kind} {at[1]}")
                self._running[at] = document, task

    async def _stop(self, places: list[tuple[TenantId, str]]) -> None:
        tasks = [self._running.pop(place)[1] for place in places]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, at: tuple[TenantId, str], document: D) -> None:
        place = ReadingPlace(tenant=at[0], kind=self._kind, key=at[1])
        try:
            while True:
                await self._clock.sleep(await self._take_turn(at, place, document))
        finally:
            self._turns.pop(at, None)

    async def _take_turn(self, at: tuple[TenantId, str], place: ReadingPlace, document: D) -> float:
        """Read as long as that goes well; how long to wait before it is tried again."""
        worker = await self._lease.lasting()
        turn = Turn(document, place, worker, self._readings, self._clock)
        try:
            if not await self._may_read(turn):
                self._turns.pop(at, None)
                return TAKE_EVERY_S
        except Unavailable:
            return PAUSE_S
        self._turns[at] = turn
        try:
            await self._read(turn)
        except TurnLost:
            return TURN_EVERY_S
        except (Busy, Unavailable) as fault:
            await self._tell(turn, fault.detail)
            return float(fault.retry_after_s)
        except ClarionError as fault:
            await self._tell(turn, fault.detail)
        except Exception as surprise:
            log.exception("reading_failed", kind=self._kind, key=at[1], error=type(surprise).__name__)
            await self._tell(turn, f"reading it failed ({type(surprise).__name__}): the log has the details")
        finally:
            await self._give_up(turn)
        return PAUSE_S

    async def _may_read(self, turn: Turn[D]) -> bool:
        """Take what nobody reads. True, too, when somebody has more partitions than is fair: they are taken over once the
        server could be reached."""
        await turn.look()
        readers = {partition: one.reader for partition, one in turn.known.items()}
        if self._competing(turn.document):
            seat = shares.seat_for(turn.worker, readers)
            await turn.take({} if seat is None else {seat: None}, {} if seat is None else {seat: {}})
            return bool(turn.held)
        new: Mapping[str, Mapping[str, str]] = {} if readers else {WHOLE: {}}
        wanted = shares.partitions_for(turn.worker, readers or {WHOLE: None})
        await turn.take({partition: None for partition, from_ in wanted.items() if from_ is None}, new)
        return bool(turn.held or wanted)

    async def _tell(self, turn: Turn[D], why: str) -> None:
        place = turn.place
        log.warning("reading_interrupted", kind=place.kind, tenant=place.tenant, key=place.key, detail=why)
        turn.trouble = why
        if turn.held:
            with suppress(TurnLost, Unavailable):
                await turn.tell({}, why)

    async def _give_up(self, turn: Turn[D]) -> None:
        try:
            await turn.give_up()
        except Unavailable:
            log.warning("turn_not_given_up", kind=self._kind, key=turn.place.key)

"""Runs a loop for each source or sink that is not paused, each in one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec.structs import replace

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.setup_view import DocumentsView
from clarion.model.ids import TenantId, WorkerId
from clarion.model.reading import Reading, ReadingKind, ReadingPlace
from clarion.ports.clock import Clock
from clarion.ports.ledger import Readings

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


class TurnLost(Exception):
    """Somebody else reads by now, or a person moved the position. Nothing was stored."""


class Turn(Generic[D]):
    """The right to read one source or sink, until it is lost."""

    def __init__(
        self,
        document: D,
        place: ReadingPlace,
        reading: Reading,
        worker: WorkerId,
        readings: Readings,
        clock: Clock,
    ) -> None:
        self.document = document
        self.place = place
        self.reading = reading
        self.worker = worker
        self._readings = readings
        self._clock = clock

    async def move(self, position: Mapping[str, str]) -> None:
        """Store how far it is, durable when this returns. Partitions that are not named stay where they are.

        Raises TurnLost.
        """
        await self._store(replace(self.reading, position={**self.reading.position, **position}, trouble=""))

    async def tell(self, *, lag: int | None, trouble: str = "") -> None:
        """Store how it is doing. Raises TurnLost."""
        await self._store(replace(self.reading, lag=lag, trouble=trouble))

    async def _store(self, reading: Reading) -> None:
        reading = replace(reading, at=self._clock.now())
        if not await self._readings.move(self.worker, self.place, reading):
            raise TurnLost
        self.reading = reading


class ReadingLoops(Generic[D]):
    """Supervises the loops of all tenants. `read` reads one source or sink until it is cancelled or fails."""

    def __init__(
        self,
        kind: ReadingKind,
        documents: DocumentsView[D],
        read: Callable[[Turn[D]], Awaitable[None]],
        ledger: Ledger,
        lease: WorkerLease,
        clock: Clock,
    ) -> None:
        self._kind = kind
        self._documents = documents
        self._read = read
        self._tenants = ledger.setup.tenants
        self._readings = ledger.readings
        self._lease = lease
        self._clock = clock
        self._running: dict[tuple[TenantId, str], tuple[D, asyncio.Task[None]]] = {}
        self._turns: dict[tuple[TenantId, str], Turn[D]] = {}
        """The last ones of this process; gone when another process reads, or nobody."""

    @property
    def trouble(self) -> str:
        """Why one of them cannot be read; empty when all can be."""
        last = ((key, turn.reading.trouble) for (_, key), turn in self._turns.items())
        return next((f"{key}: {why}" for key, why in last if why), "")

    def lags(self) -> Mapping[str, int]:
        """Of what this process reads, by tenant and key: what waits."""
        return {
            f"{tenant}/{key}": turn.reading.lag
            for (tenant, key), turn in self._turns.items()
            if turn.reading.lag is not None
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
        try:
            reading = await self._readings.take(worker, place)
        except Unavailable:
            return PAUSE_S
        if reading is None:
            self._turns.pop(at, None)
            return TAKE_EVERY_S
        turn = self._turns[at] = Turn(document, place, reading, worker, self._readings, self._clock)
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

    async def _tell(self, turn: Turn[D], why: str) -> None:
        place = turn.place
        log.warning("reading_interrupted", kind=place.kind, tenant=place.tenant, key=place.key, detail=why)
        try:
            await turn.tell(lag=turn.reading.lag, trouble=why)
        except (TurnLost, Unavailable):
            turn.reading = replace(turn.reading, trouble=why)

    async def _give_up(self, turn: Turn[D]) -> None:
        try:
            await self._readings.give_up(turn.worker, turn.place)
        except Unavailable:
            log.warning("turn_not_given_up", kind=self._kind, key=turn.place.key)

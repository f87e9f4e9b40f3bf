"""Two regions: whether this process may work on its database, and whether its commits wait for the other region."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from clarion.adapters.ledgers.postgresql import servers
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.config import Settings
from clarion.errors import Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.region import ServerState, Share
from clarion.ports.clock import Clock
from clarion.rules import regions

log = structlog.get_logger(__name__)

LOOK_S = 0.5


class RegionServers:
    """The two servers of this database, as a process or a command of this region sees them."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings.region
        self.here = servers.DatabaseServer(read_address(settings.database))
        self.there = servers.DatabaseServer(read_address(settings.region.other_database))
        self.alone = False
        """Commits do not wait for the standby, which is away."""
        self.lost = ""
        """Why this region may not go on."""
        self._share = Share.WHOLE
        self._clock = clock
        self._away_since_s: float | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, settings: Settings, clock: Clock) -> AsyncIterator[RegionServers]:
        """Connected when they are asked."""
        regions = cls(settings, clock)
        try:
            yield regions
        finally:
            await regions.here.close()
            await regions.there.close()

    async def stand(self) -> tuple[ServerState | None, ServerState | None]:
        """Both servers: here, there; None for one that does not answer."""
        here, there = await asyncio.gather(_answer(self.here), _answer(self.there))
        return here, there

    # -- of a process -----------------------------------------------------------------------------------------

    async def turn(self) -> None:
        """Wait until this region is the one that works on the database."""
        said = None
        while True:
            here, there = await self.stand()
            waits = (
                f"the database server {self.here.place} does not answer"
                if here is None
                else regions.obstacle(here, there, self.settings.other)
            )
            if not waits:
                await self.here.check_rights()
                return
            if waits != said:
                log.info("region_waits", reason=waits)
                said = waits
            await self._clock.sleep(LOOK_S)

    async def watch(self, database: Database, stop: Callable[[], None]) -> None:
        """Until cancelled: see that commits do not wait for ever for a standby that is away, and `stop` when the other
        region has taken over."""
        while True:
            here, there = await self.stand()
            if here is not None:
                self.lost = regions.succeeded(here, there, self.settings.other)
                if self.lost:
                    log.error("region_lost", reason=self.lost)
                    database.refuse(self.lost)
                    stop()
                    return
                await self._follow(here, database)
            await self._clock.sleep(LOOK_S)

    async def _follow(self, here: ServerState, database: Database) -> None:
        was_alone, self.alone = self.alone, self._goes_alone(here)
        database.go_on(alone=self.alone)
        # One look longer: a transaction that began alone may still be counting.
        database.share = self._share = regions.share_of(here, alone=self.alone or was_alone)
        if self.alone != was_alone:
            log.warning("region_alone" if self.alone else "region_mirrored", other=self.settings.other)
        with contextlib.suppress(Unavailable):
            if self.alone:
                await self.here.release()
            elif here.mirrored and here.taken_over:
                await self.here.note(servers.TAKEN_OVER, 0)

    def _goes_alone(self, here: ServerState) -> bool:
        if here.mirrored or not here.awaited:
            self._away_since_s = None
            return False
        if here.taken_over == here.timeline:
            return True
        if not self.settings.alone_after_s:
            return False
        now_s = self._clock.monotonic()
        if self._away_since_s is None:
            self._away_since_s = now_s
        return self.alone or now_s - self._away_since_s >= self.settings.alone_after_s

    def warning(self) -> str:
        """What a person should know; empty when both regions have everything."""
        half = "; half of each frequency cap may be spent" if self._share is not Share.WHOLE else ""
        if self.alone:
            return f"the standby in region {self.settings.other} is away: what is accepted is in this region only{half}"
        return (
            half and f"region {self.settings.other} was taken over, and this copy may not be complete{half}"
        )


def database_of(ledger: Ledger) -> Database:
    """Its connections."""
    store = ledger.store
    assert isinstance(store, PostgresLedger), "the settings allow nothing else in two regions"
    return store.database


async def _answer(server: servers.DatabaseServer) -> ServerState | None:
    try:
        return await server.stands()
    except Unavailable:
        return None

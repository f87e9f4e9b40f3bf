"""Fetches reports from the queues of integrations whose providers leave them there. A report is taken off its queue after
what it says is stored, so a crash repeats and never loses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from clarion.errors import Busy, ConfigError, NotFound, Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.ids import TenantId
from clarion.model.setup import Integration
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.ports.report_queue import ReportQueue
from clarion.services.callbacks import CallbackService

log = structlog.get_logger(__name__)

LOOK_S = 5.0
"""How often it is looked which integrations have a queue."""
PAUSE_S = 10.0
"""After a failure."""

Place = tuple[TenantId, str]


class ReportQueues:
    """Reads each queue in a task of its own: waiting for one keeps no other."""

    def __init__(
        self,
        ledger: Ledger,
        plugin: Callable[[str], ProviderPlugin | None],
        callbacks: CallbackService,
        tools: ProviderTools,
    ) -> None:
        """`plugin(name)`: the provider of that name."""
        self._setup = ledger.setup
        self._plugin = plugin
        self._callbacks = callbacks
        self._tools = tools
        self._clock: Clock = tools.clock
        self._reading: dict[Place, tuple[Integration, asyncio.Task[None]]] = {}
        self._troubles: dict[Place, str] = {}
        self.fetched = 0
        """Reports; read by metrics."""

    @property
    def trouble(self) -> str:
        """Why a queue cannot be read; empty when all can be."""
        return next((f"{key}: {why}" for (_, key), why in self._troubles.items()), "")

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await self._clock.sleep(LOOK_S)
        finally:
            await self._stop(list(self._reading))

    async def look(self) -> None:
        """Read the queues that there are by now, as they are set up by now."""
        wanted = {
            (tenant, key): integration
            for tenant in self._setup.tenants.all()
            for key, integration in self._setup.integrations.all(tenant).items()
            if integration.enabled
        }
        await self._stop(
            [
                place
                for place, (integration, task) in self._reading.items()
                if wanted.get(place) is not integration or task.done()
            ]
        )
        for place, integration in wanted.items():
            if place not in self._reading and (queue := self._opened(place, integration)) is not None:
                task = asyncio.create_task(self._read(place, queue), name=f"queue {place[1]}")
                self._reading[place] = integration, task

    def _opened(self, place: Place, integration: Integration) -> ReportQueue | None:
        plugin = self._plugin(integration.provider)
        if plugin is None or plugin.report_queue is None:
            return None
        try:
            target = self._callbacks.target_of(*place)
            return plugin.report_queue(integration, target.config, self._tools)
        except (NotFound, ConfigError, Unavailable) as wrong:
            self._troubles[place] = wrong.detail
            return None

    async def _stop(self, places: list[Place]) -> None:
        tasks = [self._reading.pop(place)[1] for place in places]
        for place in places:
            self._troubles.pop(place, None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, place: Place, queue: ReportQueue) -> None:
        try:
            while True:
                try:
                    await self._take(place, queue)
                    self._troubles.pop(place, None)
                except (Busy, Unavailable, ConfigError, NotFound) as trouble:
                    await self._wait(place, trouble.detail)
                except Exception as surprise:
                    log.exception("report_queue_failed", integration=place[1], error=type(surprise).__name__)
                    await self._wait(place, f"reading it failed ({type(surprise).__name__})")
        finally:
            await queue.close()

    async def _take(self, place: Place, queue: ReportQueue) -> None:
        reports = await queue.fetch()
        if not reports:
            return
        await self._callbacks.take_queued(
            self._callbacks.target_of(*place), [report.body for report in reports]
        )
        self.fetched += len(reports)
        await queue.done([report.key for report in reports])

    async def _wait(self, place: Place, why: str) -> None:
        self._troubles[place] = why
        log.warning("report_queue_unavailable", tenant=place[0], integration=place[1], detail=why)
        await self._clock.sleep(PAUSE_S)

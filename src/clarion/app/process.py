"""Everything one process runs. `App.open` starts it in order, and it stops in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from clarion import api, dashboard, gateway
from clarion.adapters.telemetry.prometheus import Metrics
from clarion.app.engine import engine_of
from clarion.app.http_app import Asgi, api_parts, dashboard_parts, gateway_parts, metrics_of, mount
from clarion.app.resources import Resources, open_resources
from clarion.app.store_process import StoreProcess
from clarion.config import Settings
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.worker import Role
from clarion.ports.clock import Clock
from clarion.services.api_keys import ApiKeys

GOODBYE_S = 1.0
"""How long devices have to hang up after they were told to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """Everything one process runs, ready to be served: `asgi` is all of it that clients see."""

    settings: Settings
    ledger: Ledger
    keys: ApiKeys
    pipeline: Pipeline
    gateway: gateway.Gateway
    clock: Clock
    metrics: Metrics
    asgi: Asgi
    stopping: asyncio.Event

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings, store: StoreProcess | None = None) -> AsyncIterator[App]:
        """Open the store, run the engine, and on the way out drain and close.

        `store`: the process that has the database; None: this one opens it. Raises ConfigError saying what to do; nothing is left open then.
        """
        async with contextlib.AsyncExitStack() as ends:
            resources = await open_resources(settings, ends, store)
            pipeline, services = engine_of(resources, ends)
            stopping = asyncio.Event()

            inboxes = gateway.create(gateway_parts(resources, services))
            metrics = metrics_of(resources, pipeline, services, inboxes)
            served = api_parts(resources, pipeline, services, inboxes, metrics, stopping)
            rest = api.create(served)
            configuration = api.ConfigDocuments(served)
            pages = dashboard.create(dashboard_parts(resources, pipeline, services, configuration))
            app = cls(
                settings=settings,
                ledger=resources.ledger,
                keys=services.api_keys,
                pipeline=pipeline,
                gateway=inboxes,
                clock=resources.clock,
                metrics=metrics,
                asgi=mount(pages, inboxes, rest, settings.roles),
                stopping=stopping,
            )

            if settings.region.name:
                await _watch_regions(resources, pipeline, ends)
            await pipeline.start()
            services.start(pipeline)
            ends.push_async_callback(pipeline.drain, settings.drain_s)
            if Role.GATEWAY in settings.roles:
                inboxes.start()
            ends.push_async_callback(app.dismiss)
            yield app

    async def leave(self) -> None:
        """Say that this process stops, and go on until proxies had time to notice."""
        await self.pipeline.announce_drain()
        await self.clock.sleep(self.settings.unready_s)

    async def dismiss(self) -> None:
        """Tell everybody who is connected or waits for something that the process stops. Repeating it is safe."""
        if not self.stopping.is_set():
            self.stopping.set()
            await self.gateway.close(GOODBYE_S)


async def _watch_regions(resources: Resources, pipeline: Pipeline, ends: contextlib.AsyncExitStack) -> None:
    """Before the first commit, which may wait for a standby that is away."""
    from clarion.app.regions import RegionServers, database_of  # with packages that one region does not need

    regions = await ends.enter_async_context(RegionServers.of(resources.settings, resources.clock))
    watch = partial(regions.watch, database_of(resources.ledger), pipeline.lease.drain_asked.set)
    pipeline.loops.start("region", watch)
    pipeline.readiness.watch("region", regions.warning)

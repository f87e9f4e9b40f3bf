"""Everything one process runs: `App.open` is the order in which it comes to life, and whose end follows whose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from clarion import api, dashboard, gateway
from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.system import SystemClock
from clarion.adapters.telemetry.prometheus import Metrics
from clarion.app.edges import Asgi, api_parts, dashboard_parts, front, gateway_parts, metrics_of
from clarion.app.engine import pipeline_of
from clarion.app.ground import ground_of
from clarion.app.services import services_of
from clarion.config import Settings
from clarion.flow.keys import ApiKeys
from clarion.flow.pipeline import Pipeline

GOODBYE_S = 1.0
"""How long devices have to hang up after they were told to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """Everything one process runs, ready to be served: `asgi` is all of it that clients see."""

    settings: Settings
    ledger: SqliteLedger
    keys: ApiKeys
    pipeline: Pipeline
    gateway: gateway.Gateway
    clock: SystemClock
    metrics: Metrics
    asgi: Asgi
    stopping: asyncio.Event

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[App]:
        """Open the store, run the engine, and on the way out drain and close.

        Raises ConfigError saying what to do; nothing is left open then.
        """
        async with contextlib.AsyncExitStack() as ends:
            ground = ground_of(settings, ends)
            pipeline = pipeline_of(ground, ends)
            services = services_of(ground, ends)
            stopping = asyncio.Event()

            inboxes = gateway.create(gateway_parts(ground, services))
            pages = dashboard.create(dashboard_parts(ground, pipeline, services))
            metrics = metrics_of(ground, pipeline, inboxes)
            rest = api.create(api_parts(ground, pipeline, services, inboxes, metrics, stopping))
            app = cls(
                settings=settings,
                ledger=ground.ledger,
                keys=services.keys,
                pipeline=pipeline,
                gateway=inboxes,
                clock=ground.clock,
                metrics=metrics,
                asgi=front(pages, inboxes, rest),
                stopping=stopping,
            )

            await pipeline.start()
            ends.push_async_callback(pipeline.drain, settings.drain_s)
            inboxes.start()
            ends.push_async_callback(app.dismiss)
            yield app

    async def dismiss(self) -> None:
        """Tell everybody who is connected or waits for something that the process stops. Repeating it is safe."""
        if not self.stopping.is_set():
            self.stopping.set()
            await self.gateway.close(GOODBYE_S)

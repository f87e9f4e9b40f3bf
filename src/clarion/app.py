"""The composition root: opens every part in order, serves, and closes in reverse order. No logic of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from clarion import __version__, api, dashboard, gateway, plugins
from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.http import Caller
from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.mailboxes.maildir import Maildir
from clarion.adapters.system import SystemClock, SystemEntropy
from clarion.adapters.telemetry import logs
from clarion.adapters.telemetry.prometheus import Metrics
from clarion.adapters.vaults.local import LocalVault
from clarion.config import DEV_FILE, Inbound, Settings
from clarion.content import Renderer
from clarion.content.mail import MimeMailwright
from clarion.errors import ConfigError
from clarion.flow.authoring import Authoring
from clarion.flow.endpoints import Endpoints
from clarion.flow.engagement import Engagement
from clarion.flow.keys import ApiKeys
from clarion.flow.pipeline import Pipeline
from clarion.flow.preview import Previews
from clarion.flow.return_tags import ReturnTags
from clarion.flow.tokens import UserTokens
from clarion.ports.mailbox import Mailbox
from clarion.ports.provider import ProviderTools

SWITCH_INTERVAL_S = 0.0002
"""The writer thread must get the interpreter back soon after each file system call."""
GC_THRESHOLD = (50_000, 20, 100)
"""A batch allocates thousands of short-lived values; the default would collect in the middle of every one."""
PING_S = 25.0
"""A peer that is gone without a word is noticed within two of these."""
URL_CHECK_S = 9.0
"""A third of it may pass until the name in a user's URL is resolved."""
FRAME_BYTES = 16 * 1024
"""Largest WebSocket message a client may send."""

log = structlog.get_logger(__name__)

OnReady = Callable[["App"], Awaitable[None]]
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]


class App:
    """Everything one process runs. `open` it, serve `asgi`, `close` it."""

    def __init__(
        self, settings: Settings, ledger: SqliteLedger, vault: LocalVault, system: ProviderTools
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.vault = vault
        self.clock = system.clock
        self.entropy = system.entropy
        self.plugins = plugins.providers()
        self.fanout = MemoryFanout()
        self.tokens = UserTokens(vault, self.clock)
        self.keys = ApiKeys(ledger.setup.keys, vault, self.clock, self.entropy)
        self.authoring = Authoring(ledger.setup, self.clock)
        self.previews = Previews(self.clock)
        self.caller = Caller(system, timeout_s=URL_CHECK_S, urls="user")
        self.endpoints = Endpoints(ledger, self.caller.refusal, self.clock, self.entropy)
        self.engagement = Engagement(ledger.inboxes, self.fanout, self.clock)
        self.pipeline = Pipeline(
            ledger=ledger,
            broker=SqlBroker(ledger.log),
            fanout=self.fanout,
            renderer=Renderer(),
            plugins=self.plugins,
            tools=system,
            public_url=settings.base_url,
            mailboxes=mailboxes(settings.inbound),
            mail_home=settings.inbound.tenant,
            mail_poll_s=settings.inbound.poll_s,
            disable_endpoints_after_s=settings.outbound.disable_endpoints_after_days * 86_400,
        )
        self.gateway = gateway.create(self._gateway_parts())
        self.metrics = Metrics()
        self.metrics.add("ledger", ledger.stats)
        self.metrics.add("pipeline", self.pipeline.stats)
        self.metrics.add("gateway", self.gateway.stats)
        self.asgi = front(
            dashboard.create(self._dashboard_parts()), self.gateway, api.create(self._api_parts())
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[App]:
        """Open the store, run the engine, and on the way out drain and close.

        Raises ConfigError saying what to do; nothing is left open then.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(only_process(settings.data_dir))
            clock, entropy = SystemClock(), SystemEntropy()
            vault = LocalVault.from_file(
                settings.key_path, entropy, create=not settings.database_path.exists()
            )
            ledger = SqliteLedger.open(settings.database_path, vault=vault, clock=clock, entropy=entropy)
            stack.push_async_callback(ledger.close)
            if ledger.erased_on_opening:
                log.warning("erased_on_opening", users=ledger.erased_on_opening)
            tools = ProviderTools(
                clock=clock,
                entropy=entropy,
                vault=vault,
                mail=MimeMailwright(ReturnTags(vault).of),
                allowed_networks=settings.outbound.allowed_networks,
            )
            app = cls(settings, ledger, vault, tools)
            stack.push_async_callback(app.caller.close)
            stack.push_async_callback(app.keys.flush)
            app.gateway.start()
            await app.pipeline.start()
            stack.push_async_callback(app.pipeline.drain, settings.drain_s)
            yield app

    def _gateway_parts(self) -> gateway.GatewayParts:
        limits = self.settings.gateway
        return gateway.GatewayParts(
            users=self.ledger.users,
            inboxes=self.ledger.inboxes,
            vault=self.vault,
            clock=self.clock,
            entropy=self.entropy,
            fanout=self.fanout,
            tokens=self.tokens,
            engagement=self.engagement,
            limits=gateway.GatewayLimits(
                connections=limits.connections,
                connections_per_tenant=limits.connections,
                connections_per_user=limits.connections_per_user,
            ),
            allowed_origins=limits.allowed_origins,
        )

    def _dashboard_parts(self) -> dashboard.DashboardParts:
        return dashboard.DashboardParts(
            mode=self.settings.mode,
            pipeline=self.pipeline,
            ledger=self.ledger,
            vault=self.vault,
            clock=self.clock,
            tokens=self.tokens,
            authoring=self.authoring,
            previews=self.previews,
            dev_file=self.settings.data_dir / DEV_FILE,
        )

    def _api_parts(self) -> api.ApiParts:
        limits = self.settings.limits
        return api.ApiParts(
            previews=self.previews,
            pipeline=self.pipeline,
            ledger=self.ledger,
            vault=self.vault,
            clock=self.clock,
            entropy=self.entropy,
            keys=self.keys,
            tokens=self.tokens,
            engagement=self.engagement,
            authoring=self.authoring,
            endpoints=self.endpoints,
            providers=self.plugins,
            health=self.pipeline.health,
            metrics=self.metrics,
            version=__version__,
            limits=api.Limits(body_bytes=limits.body_bytes, batch=limits.batch),
        )


def mailboxes(inbound: Inbound) -> list[Mailbox]:
    """The mailboxes that are to be read."""
    found: list[Mailbox] = []
    if inbound.maildir is not None:
        found.append(Maildir(inbound.maildir))
    if inbound.imap_host:
        server = ImapServer(
            host=inbound.imap_host,
            port=inbound.imap_port,
            user=inbound.imap_user,
            password=inbound.imap_password.get_secret_value(),
            folder=inbound.imap_folder,
            security=inbound.imap_security,
        )
        found.append(ImapFolder(server))
    return found


def front(pages: Asgi, inboxes: Asgi, rest: Asgi) -> Asgi:
    """One application on one port: the pages, the live inboxes, and the API behind everything else."""

    def serve(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        # Handing on the coroutine instead of awaiting it saves a frame per open connection.
        path = scope["path"]
        if scope["type"] == "websocket" or path == gateway.SSE_PATH:
            return inboxes(scope, receive, send)
        if path == "/" or path.startswith("/ui/"):
            return pages(scope, receive, send)
        return rest(scope, receive, send)

    return serve


@contextlib.contextmanager
def only_process(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; ConfigError when another process has it."""
    with (data_dir / "clarion.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{data_dir} is in use by another Clarion process: stop it, or choose another directory with --data."
            ) from None
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as refused:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {os.strerror(refused.errno or 0).lower()}. "
            f"Stop what uses it, or choose another port, e.g. --port {port + 1 if 0 < port < 65_535 else 8081}."
        ) from None
    listener.listen(4096)
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Uvicorn, with its signal handling left to us: it does not know what has to be drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """Serve until SIGINT or SIGTERM, then drain; the exit code. A second signal ends the process at once.

    `on_ready` is called when the engine runs and the port is taken; requests are answered once it has returned.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _on_signal, stop)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    listener = listen(settings.host, settings.port)
    if settings.port == 0:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    with contextlib.closing(listener):
        async with App.open(settings) as app:
            server = _Server(
                uvicorn.Config(
                    app.asgi,
                    http="httptools",
                    ws="websockets-sansio",
                    ws_max_size=FRAME_BYTES,
                    ws_per_message_deflate=False,
                    ws_ping_interval=PING_S,
                    ws_ping_timeout=PING_S,
                    interface="asgi3",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    proxy_headers=False,
                    server_header=False,
                    timeout_graceful_shutdown=1,
                )
            )
            if on_ready is not None:
                await on_ready(app)
            gc.collect()
            gc.freeze()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.wait(
                {serving, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            await app.gateway.close(1.0)
            server.should_exit = True
            await serving
    return 0


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        # What was accepted is durable, and what is under way is recovered by its lease.
        os._exit(1)
    stop.set()


def serve(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """`run` on a fast event loop of its own."""
    logs.set_up(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, on_ready=on_ready))

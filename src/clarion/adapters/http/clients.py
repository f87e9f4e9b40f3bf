"""Connection pools, one per host. Host names are resolved and checked first."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from pyreqwest.client import Client
from pyreqwest.http import Url

from clarion.adapters.http.connection_limit import ConnectionLimit
from clarion.adapters.http.guard import RefusedUrl, UrlGuard, target
from clarion.adapters.http.request import USUAL, Transport, builder
from clarion.ports.clock import Clock
from clarion.ports.http import HttpFailure

HOSTS = 128
"""Hosts that keep their connections; each takes about 240 KB."""
CALLS_OF_HOST = 1_024
"""To one host under way at once: half of all there may be, so that no host has them all, and more than one
lane's, so that lanes need not wait for one another."""
IDLE_OF_HOST = 16
"""Connections kept for its next calls."""
RESOLVE_AGAIN_S = 60.0
RESOLVERS = 16
"""Names that are looked up at once: a few that hang do not hold up the others."""

Way = tuple[Client, Url, ConnectionLimit]
"""The client for a URL, the URL, and where its calls take their places."""
Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""All addresses of a host name; OSError when it has none or nobody answers."""


class _Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A host whose addresses have been looked at, and a client that knows no other."""

    addresses: tuple[str, ...]
    client: Client
    permits: ConnectionLimit
    until_s: float
    refused_plain: RefusedUrl | None
    """Why `http://` will not do."""


class Clients:
    """A client per host, tied to an address that the guard has seen: what was vetted is what gets connected.

    A name is resolved once and all its addresses are checked; the client is given one of them and asks nobody again,
    so a name server that answers differently the next time (DNS rebinding) changes nothing.
    """

    def __init__(
        self,
        guard: UrlGuard,
        clock: Clock,
        connect_s: float,
        permits: ConnectionLimit,
        resolve: Resolve | None = None,
        transport: Transport = USUAL,
    ) -> None:
        """`permits`: of all hosts together."""
        self._transport = transport
        self._guard = guard
        self._clock = clock
        self._connect_s = connect_s
        self._threads = ThreadPoolExecutor(max_workers=RESOLVERS, thread_name_prefix="resolve")
        self._resolve = resolve or self._ask_system
        self._permits = permits
        self._addresses = builder(connect_s, transport).pool_max_idle_per_host(IDLE_OF_HOST).build()
        self._places_of_addresses = ConnectionLimit(clock, CALLS_OF_HOST, permits)
        self._pins: OrderedDict[str, _Pin] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Pin | HttpFailure]] = {}

    async def at(self, text: str) -> Way | HttpFailure:
        """The client for a URL, or why there is none."""
        goal = target(text)
        if isinstance(goal, RefusedUrl):
            return HttpFailure(kind="refused", detail=goal.detail)
        if goal.address is not None:
            refused = self._guard.vet(goal.host, (str(goal.address),), secure=goal.secure)
            client, permits = self._addresses, self._places_of_addresses
        else:
            pin = await self._pin(goal.host)
            if isinstance(pin, HttpFailure):
                return pin
            refused = None if goal.secure else pin.refused_plain
            client, permits = pin.client, pin.permits
        return HttpFailure(kind="refused", detail=refused.detail) if refused else (client, goal.url, permits)

    def has_another(self, url: Url, client: Client) -> bool:
        """`client` got no connection: whether the next call goes to another address of the host."""
        host = url.host_str or ""
        pin = self._pins.get(host)
        if pin is None or len(pin.addresses) < 2:
            return False
        if pin.client is client:
            self._keep(host, (*pin.addresses[1:], pin.addresses[0]), pin.until_s, elsewhere=True)
        return True

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for asking in self._asking.values():
            asking.cancel()
        for client in (self._addresses, *(pin.client for pin in self._pins.values())):
            await client.close()
        self._pins.clear()

    async def _pin(self, host: str) -> _Pin | HttpFailure:
        pin = self._pins.get(host)
        if pin is not None and self._clock.monotonic() < pin.until_s:
            self._pins.move_to_end(host)
            return pin
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.create_task(self._ask(host))
            asking.add_done_callback(lambda _: self._asking.pop(host, None))
        return await asyncio.shield(asking)  # Others wait for the same answer.

    async def _ask(self, host: str) -> _Pin | HttpFailure:
        try:
            async with asyncio.timeout(self._connect_s):
                addresses = tuple(dict.fromkeys(await self._resolve(host)))
        except TimeoutError:
            old = self._pins.get(host)
            addresses = old.addresses if old is not None else ()  # They were looked at, whoever has them now.
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            return HttpFailure(
                kind="unsent", detail=f"{host} has no address, or its name server did not answer"
            )
        refused = self._guard.vet(host, addresses, secure=True)
        if refused:
            self._pins.pop(host, None)
            return HttpFailure(kind="refused", detail=refused.detail)
        return self._keep(host, addresses, self._clock.monotonic() + RESOLVE_AGAIN_S)

    def _keep(
        self, host: str, addresses: tuple[str, ...], until_s: float, *, elsewhere: bool = False
    ) -> _Pin:
        """`elsewhere`: at the first of the addresses, although another was good so far."""
        old = self._pins.get(host)
        if old is not None and old.addresses[0] in addresses and not elsewhere:
            first = old.addresses[0]
            addresses = (first, *(one for one in addresses if one != first))
            client = old.client  # Keeps its open connections.
        else:
            client = (
                builder(self._connect_s, self._transport)
                .pool_max_idle_per_host(IDLE_OF_HOST)
                .resolve(host, addresses[0], 0)
                .build()
            )
        pin = self._pins[host] = _Pin(
            addresses=addresses,
            client=client,
            permits=old.permits
            if old is not None
            else ConnectionLimit(self._clock, CALLS_OF_HOST, self._permits),
            until_s=until_s,
            refused_plain=self._guard.vet(host, addresses, secure=False),
        )
        self._pins.move_to_end(host)
        if len(self._pins) > HOSTS:
            self._pins.popitem(last=False)  # Calls under way keep their client until they end.
        return pin

    async def _ask_system(self, host: str) -> Sequence[str]:
        """In threads of its own: names of users that take long to resolve must not hold up the rest of the house."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]

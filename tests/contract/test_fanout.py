"""Every fan-out keeps the contract, and the contract finds one that does not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.fanouts.unix import opened, relay, relay_path
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.inbox import InboxChange
from clarion.plugins import FANOUTS as FANOUTS_GROUP
from clarion.plugins import backend
from clarion.ports.backend import BackendTools, OpenFanout
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.testing.fanout_contract import FANOUT_CONTRACT, PATIENCE_S, FanoutSubject
from clarion.testing.ports import ManualClock
from tests.servers.postgresql import PostgreSql

Subject = Callable[[Path, pytest.FixtureRequest], AbstractAsyncContextManager[FanoutSubject]]

CHECKS = {check.__name__: check for check in FANOUT_CONTRACT}


class OverAWire(MemoryFanout):
    """Processes that share a wire: bytes go out, and arrive everywhere a moment later."""

    def __init__(self, wire: list["OverAWire"]) -> None:
        super().__init__()
        self._wire = wire
        wire.append(self)

    def missed(self) -> None:
        for process in self._wire:
            asyncio.get_running_loop().call_soon(MemoryFanout.missed, process)

    def publish(self, changes: Sequence[InboxChange]) -> None:
        sent = msgspec.msgpack.encode(changes)
        for process in self._wire:
            asyncio.get_running_loop().call_soon(process.arrive, sent)

    def arrive(self, sent: bytes) -> None:
        super().publish(msgspec.msgpack.decode(sent, type=list[InboxChange]))


@asynccontextmanager
async def one_process(*_: object) -> AsyncIterator[FanoutSubject]:
    """A process alone."""
    yield FanoutSubject(MemoryFanout())


@asynccontextmanager
async def three_processes(*_: object) -> AsyncIterator[FanoutSubject]:
    """What a fan-out of several processes is, without the processes."""
    wire: list[OverAWire] = []
    yield FanoutSubject(*(OverAWire(wire) for _ in range(3)))


@asynccontextmanager
async def over_a_socket(folder: Path, _: object) -> AsyncIterator[FanoutSubject]:
    """Three processes, connected by the one that has the store."""
    async with relay(relay_path(folder / "store.sock")), AsyncExitStack() as ends:
        tools = backend_tools(folder, ManualClock())
        processes = [await ends.enter_async_context(opened("unix:store.sock", tools)) for _ in range(3)]
        yield FanoutSubject(*processes)


def over_a_server(fixture: str) -> Subject:
    """Three processes, connected by a server that the fixture tells the URL of."""

    @asynccontextmanager
    async def subject(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[FanoutSubject]:
        server = request.getfixturevalue(fixture)
        url = server if isinstance(server, str) else str(server.url)
        complete = not url.startswith("postgresql")
        if complete:  # apart from other tests on this server
            url += f"{'&' if '?' in url else '?'}prefix={folder.name}"
        async with AsyncExitStack() as ends:
            processes = [await ends.enter_async_context(joined(url, folder)) for _ in range(3)]
            yield FanoutSubject(*processes, complete=complete)

    return subject


@asynccontextmanager
async def joined(url: str, folder: Path) -> AsyncIterator[Fanout]:
    """The fan-out of a process, once it is connected."""
    connect: OpenFanout = backend(FANOUTS_GROUP, "fanout", url)
    async with connect(url, backend_tools(folder, SystemClock())) as fanout:
        whole = asyncio.Event()
        stop = fanout.subscribe(print, whole.set)
        async with asyncio.timeout(PATIENCE_S):
            await whole.wait()
        stop()
        assert fanout.state().trouble == ""
        yield fanout


def backend_tools(folder: Path, clock: Clock) -> BackendTools:
    """For fan-outs."""
    random = SystemRandom()
    return BackendTools(data_dir=folder, clock=clock, random=random, vault=LocalVault(b"k" * 32, random))


FANOUTS: dict[str, Subject] = {
    "memory": one_process,
    "three processes": three_processes,
    "unix": over_a_socket,
    "redis": over_a_server("redis"),
    "rediss": over_a_server("redis_with_tls"),
    "redis cluster": over_a_server("redis_cluster"),
    "postgresql": over_a_server("postgresql_of_ours"),
}


@pytest.fixture
def postgresql_of_ours(postgresql: PostgreSql) -> str:
    """The URL of the database that every cluster has: nothing is stored there."""
    return postgresql.url()


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", FANOUTS)
async def test_every_fanout_keeps_the_contract(name, check, tmp_path, request):
    """A new one for every check."""
    async with FANOUTS[name](tmp_path, request) as subject:
        await check(subject)


class Raises(MemoryFanout):
    def publish(self, changes):
        for receive in tuple(self._receivers.values()):
            receive(changes)


class NewestFirst(MemoryFanout):
    def publish(self, changes):
        super().publish(changes[::-1])


class OnlyTheFirst(MemoryFanout):
    def subscribe(self, receive, missed=print):
        return super().subscribe(receive) if not self._receivers else lambda: None


class NeverUnsubscribes(MemoryFanout):
    def subscribe(self, receive, missed=print):
        super().subscribe(receive)
        return lambda: None


class Remembers(MemoryFanout):
    def __init__(self):
        super().__init__()
        self.past: list = []

    def publish(self, changes):
        self.past += changes
        super().publish(changes)

    def subscribe(self, receive, missed=print):
        receive(self.past)
        return super().subscribe(receive)


class KeepsTroubleToItself(MemoryFanout):
    def missed(self):
        pass


class ForgetsEmptyInboxes(MemoryFanout):
    def publish(self, changes):
        super().publish([change for change in changes if change.items])


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Raises, "a_receiver_that_fails_stops_no_other"),
        (NewestFirst, "changes_arrive_in_the_order_of_publication"),
        (OnlyTheFirst, "every_receiver_gets_what_is_published_after_it_joined"),
        (NeverUnsubscribes, "whoever_has_unsubscribed_gets_nothing_more"),
        (NeverUnsubscribes, "a_receiver_may_unsubscribe_while_it_receives"),
        (NeverUnsubscribes, "each_subscription_ends_alone"),
        (Remembers, "every_receiver_gets_what_is_published_after_it_joined"),
        (KeepsTroubleToItself, "what_may_never_have_been_published_is_announced_everywhere"),
        (ForgetsEmptyInboxes, "a_change_arrives_complete"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_fanout_that_breaks_a_promise_is_found(kind, check, monkeypatch):
    """Each check finds the fault it is there for."""
    monkeypatch.setattr("clarion.testing.fanout_contract.PATIENCE_S", 0.2)
    with pytest.raises((AssertionError, TimeoutError, ValueError)):
        await CHECKS[check](FanoutSubject(kind()))


async def test_processes_that_do_not_hear_one_another_are_found(monkeypatch):
    """Two fan-outs with nothing between them are no fan-out."""
    monkeypatch.setattr("clarion.testing.fanout_contract.PATIENCE_S", 0.2)
    with pytest.raises(TimeoutError):
        await CHECKS["whoever_publishes_is_heard_everywhere"](FanoutSubject(MemoryFanout(), MemoryFanout()))

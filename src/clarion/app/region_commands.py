"""What `clarion region` does: says which region works on a database, takes it over, and gives it back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql import servers
from clarion.adapters.system import SystemClock
from clarion.app.backends import broker_of, ledger_of
from clarion.app.regions import RegionServers
from clarion.app.resources import backend_tools_of
from clarion.config import Settings
from clarion.errors import Conflict, Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.channel import LANES
from clarion.model.ids import Instant
from clarion.model.region import ServerState
from clarion.model.worker import Role, Worker
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock
from clarion.rules import regions as rules
from clarion.rules.time_format import rfc3339

LOOK_S = 0.2
NEAR_BYTES = 16 * 1024 * 1024
"""A standby that lacks more is not handed anything: it would take too long."""
STOP_S = 120.0
"""How long processes have to stop, and a standby to catch up."""
STANDBY = "see docs/how-to/run-in-two-regions.md"

Told = Callable[[str], None]
"""Is told what was done."""


async def report(settings: Settings) -> dict[str, Any]:
    """Both servers, and what this region may do."""
    async with _regions(settings) as regions:
        here, there = await regions.stand()
    own, other = settings.region.name, settings.region.other
    written = max(
        (one.position for one in (here, there) if one is not None and not one.standby), default=None
    )
    if here is None:
        advice = f"Region {own} cannot work: its database server does not answer."
    elif reason := rules.obstacle(here, there, other) or rules.succeeded(here, there, other):
        advice = f"Region {own} waits: {reason}."
    else:
        advice = f"Region {own} works on these users, and {_copied(here, other)}."
    return {
        "region": own,
        "home": settings.region.home or own,
        "servers": [
            _server(own, regions.here, here, written),
            _server(other, regions.there, there, written),
        ],
        "advice": advice,
    }


def _copied(here: ServerState, other: str) -> str:
    if here.mirrored:
        return f"each answer waits until region {other} has it too"
    if here.awaited:
        return f"the standby in region {other} is away"
    return f"its answers do not wait for region {other}: `synchronous_standby_names` is not set"


def _server(
    region: str, server: servers.DatabaseServer, stands: ServerState | None, written: int | None
) -> dict[str, Any]:
    last = None if stands is None else stands.last_commit_ms
    return {
        "region": region,
        "server": server.place,
        "is": "away" if stands is None else "standby" if stands.standby else "primary",
        "timeline": None if stands is None else stands.timeline,
        "lacks_bytes": max(0, written - stands.position) if stands and stands.standby and written else None,
        "last_commit_at": None if last is None else rfc3339(Instant(last)),
    }


async def takeover_plan(settings: Settings, *, complete: bool) -> Sequence[str]:
    """What a takeover would do, line by line. Raises Conflict when this region cannot."""
    async with _regions(settings) as regions:
        here = _may_take_over(regions, *await regions.stand())
    own, other = settings.region.name, settings.region.other
    if not here.standby:
        return (
            f"Region {own} has the primary already: its processes may begin although region {other} does not answer.",
        )
    last = "nothing" if here.last_commit_ms is None else rfc3339(Instant(here.last_commit_ms))
    return (
        f"The standby {regions.here.place} becomes the primary. The last transaction that it has was committed at {last}.",
        f"With --complete: it has everything that region {other} answered, opt-outs too. Frequency caps are spent whole."
        if complete
        else f"Without --complete: what region {other} did later, opt-outs too, is not known here. Half of each frequency cap "
        "may be spent until the users are given back.",
    )


async def take_over(settings: Settings, *, complete: bool) -> ServerState:
    """Make the database here the primary. `complete`: its copy has everything that the other region answered. Raises
    Conflict, or Unavailable when the server does not do it."""
    async with _regions(settings) as regions:
        here = _may_take_over(regions, *await regions.stand())
        promoted = here.standby
        if promoted:
            await regions.here.promote()
            here = await regions.here.stands()
        # Nothing waits for the standby: it is what is lost.
        if promoted and not complete:
            await regions.here.note(servers.INCOMPLETE, here.timeline, wait=False)
        await regions.here.note(servers.TAKEN_OVER, here.timeline, wait=False)
        return here


def _may_take_over(
    regions: RegionServers, here: ServerState | None, there: ServerState | None
) -> ServerState:
    other = regions.settings.other
    if here is None:
        raise Conflict(f"The database server of this region, {regions.here.place}, does not answer.")
    if there is not None and not there.standby and there.timeline >= here.timeline:
        raise Conflict(
            f"The database server of region {other} answers and is the primary. To hand over without a loss, run "
            f"`clarion region giveback` in region {other}. If region {other} is broken, stop that server first."
        )
    return here


async def check_giveback(settings: Settings) -> None:
    """Raises Conflict, saying what to do, when the users cannot be given back now."""
    async with _regions(settings) as regions:
        await _may_give_back(regions)


async def give_back(settings: Settings, told: Told) -> ServerState:
    """Stop all processes here, and make the standby in the other region the primary, which is returned. Raises Conflict, or
    Unavailable when something takes too long; repeating it goes on from there."""
    tools = backend_tools_of(settings)
    async with (
        _regions(settings) as regions,
        ledger_of(settings, tools) as ledger,
        broker_of(settings, tools, ledger) as broker,
    ):
        here = await _may_give_back(regions)
        await regions.here.note(servers.HANDED_OVER, here.timeline)
        workers = await ledger.leases.workers()
        await _stop(ledger, [one for one in workers if Role.WORKER not in one.process.roles], tools.clock)
        told("Nothing is accepted here any more.")
        await _until_planned(broker, tools.clock)
        told("Everything that was accepted here is planned.")
        await _stop(ledger, workers, tools.clock)
        told("All processes here have stopped.")
        position = (await regions.here.stands()).position
        other = settings.region.other
        async with _within(tools.clock, f"the standby in region {other} has not caught up"):
            while (await regions.there.stands()).position < position:
                await tools.clock.sleep(LOOK_S / 10)
        await regions.there.promote()
        return await regions.there.stands()


async def _may_give_back(regions: RegionServers) -> ServerState:
    other = regions.settings.other
    here, there = await regions.stand()
    if here is None or here.standby:
        raise Conflict(f"Region {other} works on these users: there is nothing to give back from here.")
    if there is None or not there.standby:
        raise Conflict(
            f"The database server of region {other}, {regions.there.place}, is no standby that answers: make it one first, {STANDBY}."
        )
    if here.position - there.position > NEAR_BYTES:
        raise Conflict(
            f"The standby in region {other} still lacks {here.position - there.position:,} bytes: wait until it has them."
        )
    return here


async def _until_planned(broker: Broker, clock: Clock) -> None:
    async with _within(clock, "events still wait in the broker of this region"):
        while any([(await broker.backlog(lane)).entries for lane in LANES]):
            await clock.sleep(LOOK_S)


async def _stop(ledger: Ledger, workers: Sequence[Worker], clock: Clock) -> None:
    """Ask these processes to stop, and wait until they are gone; those that died are given up when their leases are over."""
    for one in workers:
        await ledger.leases.drain(one.process.node)
    ids = {one.id for one in workers}
    async with _within(clock, "processes still work: see `clarion cluster`"):
        while ids & {one.id for one in await ledger.leases.workers()}:
            await ledger.leases.reap(clock.now())
            await clock.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _within(clock: Clock, otherwise: str) -> AsyncIterator[None]:
    try:
        async with clock.timeout(STOP_S):
            yield
    except TimeoutError:
        raise Unavailable(f"{otherwise} {STOP_S:.0f} seconds later: run the command again") from None


def _regions(settings: Settings) -> contextlib.AbstractAsyncContextManager[RegionServers]:
    return RegionServers.of(settings, SystemClock())

"""Moves an installation in four steps: copy while it serves, catch up with what changed meanwhile, compare everything, and
the last changes while nobody writes.

Each transaction on the server says how far it is, so a move that was cut off anywhere goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import asyncpg
import msgspec
from msgspec.structs import replace

from clarion.adapters.ledgers.migrate import Progress
from clarion.adapters.ledgers.moving.checksums import Checksum
from clarion.adapters.ledgers.moving.origin import Key, Origin, Row
from clarion.adapters.ledgers.moving.tables import Moved, moved
from clarion.adapters.ledgers.moving.target import ROWS_AT_ONCE, State, Target
from clarion.adapters.ledgers.moving.user_keys import UserKeys
from clarion.adapters.ledgers.postgresql.address import Address, read_address
from clarion.adapters.ledgers.postgresql.faults import unusable
from clarion.adapters.ledgers.postgresql.revision import migrate
from clarion.adapters.ledgers.sqlite.files import require_current
from clarion.adapters.ledgers.sqlite.keyring_binding import open_keyring
from clarion.errors import ConfigError
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault

NOTES_AT_ONCE = 5_000
FEW = 1_000
"""Changes that are copied while nobody writes: a fraction of a second."""
ROUNDS = 20
"""How often it tries to catch up until few are left."""


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved."""

    rows: dict[str, int]
    """By table, as they were compared."""
    changes: int
    """Written meanwhile, and copied again."""
    paused_ms: int
    """How long nobody could write."""


async def move(
    path: Path, url: str, *, vault: Vault, clock: Clock, random: Random, progress: Progress
) -> Arrived:
    """Everything in the file at `path` to the server. Raises ConfigError saying what to do when that is not possible."""
    require_current(path)
    address = read_address(url)
    try:
        return await _moved(path, address, vault, clock, random, progress)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        told = unusable(error, address.place)
        if told is None:
            raise
        raise ConfigError(f"{told.detail} Then run the command again: it goes on from there.") from error


async def _moved(
    path: Path, address: Address, vault: Vault, clock: Clock, random: Random, progress: Progress
) -> Arrived:
    async with AsyncExitStack() as stack:
        keyring = stack.enter_context(closing(open_keyring(path, vault, random)))
        await migrate(address)
        origin = stack.enter_context(closing(Origin(path)))
        target = await Target.open(address)
        stack.push_async_callback(target.close)
        state = await _begun(origin, target, address)
        if origin.moved_to is None:
            return await _Move(origin, target, address, UserKeys(keyring, vault), clock, progress).all(state)
        await target.finish(origin.numbers())
        await target.analyze()
        return Arrived(rows={}, changes=0, paused_ms=0)


async def _begun(origin: Origin, target: Target, address: Address) -> State:
    """The move that is under way, or a new one."""
    state, there = await target.state(), origin.moved_to
    if there is not None and (state is None or there != address.place):
        raise ConfigError(f"this installation has moved to {there} already: set `database` to its URL.")
    if state is not None and state.origin != origin.id:
        raise ConfigError(
            f"another installation is being moved to the database {address.place}: choose an empty one."
        )
    if state is None:
        used = await target.first_used()
        if used is not None:
            raise ConfigError(
                f"the database {address.place} is not empty, its table `{used}` has rows: choose an empty one, or drop it and "
                "create it again."
            )
        state = await target.begin(origin.id)
    elif not origin.is_watched and there is None:
        raise ConfigError(
            f"the file was given up or restored since its move to {address.place} began: drop that database, create it again "
            "and start anew."
        )
    return state


class _Move:
    """One run of the command."""

    def __init__(
        self,
        origin: Origin,
        target: Target,
        address: Address,
        keys: UserKeys,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._origin = origin
        self._target = target
        self._address = address
        self._keys = keys
        self._clock = clock
        self._tell = progress

    async def all(self, state: State) -> Arrived:
        self._origin.watch()
        state = await self._copy(state)
        self._tell.phase("Copying what was written meanwhile")
        state = await self._catch_up(state)
        rows, state = await self._compare(state)
        self._origin.forget(state.applied)
        state = await self._catch_up(state)
        self._tell.phase("Nobody can write now")
        began_s = self._clock.monotonic()
        with self._origin.locked():
            state = await self._catch_up(state, least=0)
            self._origin.retire(self._address.place)
        await self._target.finish(self._origin.numbers())
        paused_ms = round((self._clock.monotonic() - began_s) * 1000)
        self._tell.phase("Counting")
        await self._target.analyze()
        return Arrived(rows=rows, changes=state.applied, paused_ms=paused_ms)

    async def _copy(self, state: State) -> State:
        """Every table, page by page."""
        for place, table in enumerate(moved()):
            if place < state.table:
                continue
            total, done, key = self._origin.count(table), 0, state.key if place == state.table else None
            self._tell.phase(f"Copying {table.name}")
            while page := self._origin.page(table, key, ROWS_AT_ONCE):
                key = page[-1][0]
                state = replace(state, table=place, key=key)
                rows = self._keys.for_server(table, (row for _, row in page))
                await self._target.store([(table, rows, ())], state)
                done += len(page)
                self._tell.rows(min(done, total), total)
            state = replace(state, table=place + 1, key=None)
            await self._target.store((), state)
        return state

    async def _catch_up(self, state: State, *, least: int = FEW) -> State:
        """What was written since, until at most `least` changes are left."""
        for _ in range(ROUNDS):
            left = self._origin.left(state.applied)
            if left <= least:
                return state
            last = state.applied + left
            while state.applied < last and (following := await self._apply(state)) != state:
                state = following
                self._tell.rows(left - max(0, last - state.applied), left)
        if least:
            return state  # Somebody writes as fast as it is copied: the rest takes a little longer.
        raise ConfigError(
            "the last changes could not be copied: run the command again, it goes on from there."
        )

    async def _apply(self, state: State) -> State:
        """The next changes, and whether the server has them now."""
        changes, last = self._origin.changes(state.applied, NOTES_AT_ONCE)
        if last == state.applied:
            return state
        stored: list[tuple[Moved, Sequence[Row], Sequence[Key]]] = []
        for table, keys in changes:
            found = self._origin.named(table, keys)
            rows = self._keys.for_server(table, found.values())
            stored.append((table, rows, [key for key in keys if key not in found]))
        state = await self._target.store(stored, replace(state, applied=last))
        for table, put, _ in stored:
            found_there = self._of_use(table, await self._target.named(table, put))
            if {*found_there} != {*self._of_use(table, put)}:
                raise ConfigError(
                    f"table `{table.name}`: the server has something else than was stored. {_BROKEN}"
                )
        return state

    async def _compare(self, state: State) -> tuple[dict[str, int], State]:
        """Every row of both sides, as of one moment of the file."""
        self._tell.phase("Comparing everything")
        counted: dict[str, int] = {}
        with self._origin.one_moment():
            state = await self._catch_up(state, least=0)
            for done, table in enumerate(moved()):
                here, there = Checksum(), Checksum()
                for some in self._origin.rows(table, ROWS_AT_ONCE):
                    here.add(self._of_use(table, self._keys.in_file(table, some)))
                async for part in self._target.rows(table):
                    there.add(self._of_use(table, self._keys.on_server(table, part)))
                if here != there:
                    raise ConfigError(
                        f"table `{table.name}` differs: the file has {here.rows:,} rows with checksum {here.total:016x}, the "
                        f"server {there.rows:,} with {there.total:016x}. {_BROKEN}"
                    )
                counted[table.name] = here.rows
                self._tell.rows(done + 1, len(moved()))
        return counted, state

    def _of_use(self, table: Moved, rows: Sequence[Row]) -> Sequence[Row]:
        """Without what may be missing by now."""
        if table.until is None:
            return rows
        place, now = table.columns.index(table.until), self._clock.now()
        return [row for row in rows if row[place] > now]


_BROKEN = "Go on with the file, drop that database, and please report this."

"""The two servers of one database, one in each region: how each stands, and making the standby the primary."""

from __future__ import annotations

from typing import Any

from clarion.adapters.extras import needs
from clarion.adapters.ledgers.postgresql.address import Address
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import Instant
from clarion.model.region import ServerState

with needs("postgresql", "region: a database in two regions"):
    import asyncpg

    from clarion.adapters.ledgers.postgresql.faults import LOST, refusal

ANSWER_S = 2.0
PROMOTE_S = 60

HANDED_OVER, TAKEN_OVER, INCOMPLETE = "region_handed_over", "region_taken_over", "region_incomplete"
"""Rows of `meta`. Each holds for the timeline that it names, so no later promotion has to delete it."""

ASK = f"""
    SELECT pg_is_in_recovery(),
        CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0' ELSE pg_current_wal_lsn() - '0/0' END::bigint,
        CASE WHEN pg_is_in_recovery()
            THEN (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::bigint END,
        current_setting('synchronous_standby_names') <> ''
            AND (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') <> 'local',
        EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')),
        (SELECT value FROM meta WHERE key = '{HANDED_OVER}'),
        (SELECT value FROM meta WHERE key = '{TAKEN_OVER}'),
        (SELECT value FROM meta WHERE key = '{INCOMPLETE}')
"""
SET = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
RELEASE = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND usename = current_user AND datname = current_database()
"""
"""Ends the wait, not the transaction: it is committed, on this server only."""
RIGHTS = """
    SELECT pg_has_role(current_user, 'pg_monitor', 'USAGE'),
        has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE')
"""


class DatabaseServer:
    """One of them, over a connection of its own: those of the pool may all be waiting for the other."""

    def __init__(self, address: Address) -> None:
        self.place = address.place
        self._dsn = address.dsn
        self._connection: Any = None

    async def stands(self) -> ServerState:
        """What it says of itself. Raises Unavailable when it does not answer."""
        standby, timeline, position, last_ms, awaited, mirrored, *notes = await self._ask("fetchrow", ASK)
        handed_over, taken_over, incomplete = (note or 0 for note in notes)
        return ServerState(
            standby=standby,
            timeline=timeline,
            position=position,
            last_commit_ms=None if last_ms is None else Instant(last_ms),
            awaited=awaited,
            mirrored=mirrored,
            handed_over=handed_over,
            taken_over=taken_over,
            incomplete=incomplete,
        )

    async def check_rights(self) -> None:
        """Raises ConfigError naming what the user of the database may not do and has to."""
        watches, promotes = await self._ask("fetchrow", RIGHTS)
        if not (watches and promotes):
            raise ConfigError(
                f"the user of the database {self.place} may not watch and promote it: as its administrator run "
                "`GRANT pg_monitor TO clarion; GRANT EXECUTE ON FUNCTION pg_promote TO clarion`, with the name of that user"
            )

    async def promote(self) -> None:
        """Make it the primary, on a new timeline."""
        promoted = await self._ask(
            "fetchval", f"SELECT pg_promote(true, {PROMOTE_S})", within_s=PROMOTE_S + 1
        )
        if not promoted:
            raise Unavailable(f"{self.place} was not promoted within {PROMOTE_S} seconds: look at its log")

    async def note(self, what: str, timeline: int, *, wait: bool = True) -> None:
        """Write that it is so on this timeline; `wait`: for the standby, if the server is set to."""
        await self._ask("execute", f"SET synchronous_commit = {'on' if wait else 'local'}")
        await self._ask("execute", SET, what, timeline, within_s=PROMOTE_S)

    async def release(self) -> None:
        """Let go commits that wait for the standby."""
        await self._ask("execute", RELEASE)

    async def close(self) -> None:
        """Without a word: the server may be away."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _ask(self, how: str, statement: str, *values: object, within_s: float = ANSWER_S) -> Any:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn,
                    timeout=ANSWER_S,
                    statement_cache_size=0,
                    server_settings={"application_name": "clarion regions"},
                )
            return await getattr(self._connection, how)(statement, *values, timeout=within_s)
        except (asyncpg.PostgresError, *LOST) as error:
            await self.close()
            told = refusal(error)
            why = str(error) if told is None else told.detail.partition(":")[0]
            raise Unavailable(f"{self.place}: {why or type(error).__name__}") from error

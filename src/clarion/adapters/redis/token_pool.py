"""Tokens of rate limits that were taken from the database and not used yet, for all processes to take from.

They are worth something for a quarter of a second by the clock of the server. A server that starts again, or that another
one replaced, may bring back tokens that were used already: what an earlier run of it stored is worth nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from clarion.adapters.redis.server import Server

LASTS_MS = 250
TURN_MS = 50
"""Between two processes that fill a pool: the database has some tokens again by then."""

NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local pool = redis.call('HMGET', KEYS[1], 'tokens', 'run')
local left = pool[2] == run and tonumber(pool[1]) or 0
"""
TAKE = f"""{NOW}
local given = math.min(left, tonumber(ARGV[1]))
if given > 0 then redis.call('HINCRBY', KEYS[1], 'tokens', -given) end
local turn = left == given and redis.call('SET', KEYS[2], '', 'NX', 'PX', {TURN_MS}) and 1 or 0
return {{given, turn, now + {LASTS_MS}, run}}
"""
PUT = f"""{NOW}
local ends = tonumber(ARGV[2])
if run ~= ARGV[3] or ends <= now then return 0 end
redis.call('HSET', KEYS[1], 'tokens', left + ARGV[1], 'run', run)
redis.call('PEXPIREAT', KEYS[1], ends, left > 0 and 'LT' or 'NX')
return 1
"""


class PoolTokens(NamedTuple):
    """What a process got."""

    tokens: int
    turn: bool
    """The pool is empty, and it is on this process to fill it."""
    ends: int
    """When tokens that are taken from the database from now on are worth nothing any more, by the clock of the server."""
    run: str
    """The run of the server that said so."""


class TokenPool:
    """One for each rate limit, by name."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._take = server.client.register_script(TAKE)
        self._put = server.client.register_script(PUT)

    async def take(self, name: str, want: int) -> PoolTokens | None:
        """At most so many; None when the server is away."""
        if self._server.away:
            return None
        said = await self._server.answer(self._take(keys=self._keys(name), args=[want]))
        return (
            None if said is None else PoolTokens(int(said[0]), bool(said[1]), int(said[2]), said[3].decode())
        )

    async def put(self, name: str, tokens: int, taken: PoolTokens) -> None:
        """Tokens that came from the database since `taken`. Too late they are lost."""
        await self._server.answer(self._put(keys=self._keys(name)[:1], args=[tokens, taken.ends, taken.run]))

    def _keys(self, name: str) -> list[str]:
        pool = f"{self._server.prefix}:limit:{{{name}}}"
        return [pool, f"{pool}:turn"]

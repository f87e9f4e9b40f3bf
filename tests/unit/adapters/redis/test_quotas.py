"""Rate limits through Redis: never more than the limit, whatever happens between processes and the server."""

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.redis import quotas as module
from clarion.adapters.redis.client import client_of, close, parse
from clarion.adapters.redis.quotas import AHEAD_S, HELD_S, RedisQuotas
from clarion.adapters.redis.server import PAUSE_S, Server
from clarion.adapters.redis.token_pool import LASTS_MS, TURN_MS, PoolTokens, TokenPool
from clarion.adapters.system import SystemClock
from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant, QuotaState
from clarion.rules.exact import take
from clarion.testing.ports import ManualClock
from tests.servers.redis import start_one

TENANT = TenantId(1)
RATE = 100.0
RESERVE = 20.0


def ask(count: int = 1, *, critical: bool = False, rate: float = RATE, **fields) -> QuotaAsk:
    return QuotaAsk(
        costs=(1,) * count,
        per_second=rate,
        reserve=0.0 if critical else RESERVE,
        day="2030-05-04",
        **fields,
    )


class Database:
    """The limits as every ledger keeps them."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._states: dict[tuple[TenantId, str], QuotaState] = {}
        self.writes = self.granted = 0
        self.during: list = []

    async def take(self, tenant, integration, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        self.writes += 1
        state = self._states.get((tenant, integration), QuotaState())
        self._states[tenant, integration], grant = take(state, ask, now)
        self.granted += grant.granted
        await asyncio.sleep(0)
        for happens in self.during:
            happens()
        return grant


class ModelPool(TokenPool):
    """What the scripts do, on a clock of the server's own that may stand still, and with answers that get lost."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.run, self.away, self.loses_answers = "1", False, False
        self.pools: dict[str, tuple[int, int, str]] = {}
        self.turns: dict[str, int] = {}
        self.late: list[tuple[str, int, PoolTokens]] = []
        self.holds_back = False

    def _now(self) -> int:
        return self._clock.now()

    async def take(self, name: str, want: int) -> PoolTokens | None:
        await asyncio.sleep(0)
        if self.away:
            return None
        left, ends, run = self.pools.get(name, (0, 0, ""))
        if run != self.run or ends <= self._now():
            left = 0
        tokens = min(left, want)
        self.pools[name] = left - tokens, ends, run
        turn = tokens == left and self.turns.get(name, 0) <= self._now()
        if turn:
            self.turns[name] = self._now() + TURN_MS
        return None if self.loses_answers else PoolTokens(tokens, turn, self._now() + LASTS_MS, self.run)

    async def put(self, name: str, tokens: int, taken: PoolTokens) -> None:
        await asyncio.sleep(0)
        if self.holds_back:
            self.late.append((name, tokens, taken))
        elif not self.away:
            self.arrive(name, tokens, taken)

    def arrive(self, name: str, tokens: int, taken: PoolTokens) -> None:
        if taken.run != self.run or taken.ends <= self._now():
            return
        left, ends, run = self.pools.get(name, (0, 0, ""))
        if run == self.run and ends > self._now() and left:
            self.pools[name] = left + tokens, min(ends, taken.ends), run
        else:
            self.pools[name] = tokens, taken.ends, self.run


def over(
    grants: Sequence[tuple[float, int]], rate: float, slack: float = 0.0
) -> list[tuple[float, float, int]]:
    """The stretches of time in which more went than the limit allows: `rate` a second, and a second's worth at once."""
    found = []
    for first, (begin, _) in enumerate(grants):
        total = 0
        for end, count in grants[first:]:
            total += count
            if total > rate * (end - begin) + rate + slack + 1e-6:
                found.append((begin, end, total))
    return found


class Story:
    """Three processes, of which the last is cut off from the server."""

    def __init__(self, delay_ms: int) -> None:
        self.clock = ManualClock()
        self.database = Database(self.clock)
        self.database.during.append(lambda: self.clock.advance(delay_ms / 1_000))
        self.pool, cut_off = ModelPool(self.clock), ModelPool(self.clock)
        cut_off.away = True
        self.processes = [
            RedisQuotas(self.database, one, self.clock) for one in (self.pool, self.pool, cut_off)
        ]
        self.asking: list[asyncio.Future[None]] = []
        self.grants: list[tuple[float, int]] = []

    async def tell(self, what: str, *values: int) -> None:
        """What happens next; two processes may ask at once."""
        getattr(self, what)(*values)
        if len(self.asking) % 2 == 0:
            for _ in range(5):
                await asyncio.sleep(0)

    def ask(self, process: int, count: int) -> None:
        self.asking.append(asyncio.ensure_future(self._ask(process, ask(count))))

    def ask_for_critical(self, process: int, count: int) -> None:
        self.asking.append(asyncio.ensure_future(self._ask(process, ask(count, critical=True))))

    async def _ask(self, process: int, wanted: QuotaAsk) -> None:
        grant = await self.processes[process].take(TENANT, "main", wanted, self.clock.now())
        self.grants.append((self.clock.monotonic(), grant.granted))

    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms / 1_000)

    def server_away(self) -> None:
        self.pool.away = True

    def server_back(self) -> None:
        self.pool.away = False

    def server_restarts(self) -> None:
        self.pool.run += "1"

    def answers_get_lost(self) -> None:
        self.pool.loses_answers = True

    def answers_come(self) -> None:
        self.pool.loses_answers = False

    def tokens_are_held_up(self) -> None:
        self.pool.holds_back = True

    def tokens_come_late(self) -> None:
        self.pool.holds_back = False
        for late in self.pool.late:
            self.pool.arrive(*late)
        self.pool.late.clear()


TROUBLE = (
    "server_away",
    "server_back",
    "server_restarts",
    "answers_get_lost",
    "answers_come",
    "tokens_are_held_up",
    "tokens_come_late",
)
MANY = (1, 5, 30, 150)
HAPPENS = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2), st.sampled_from(MANY)),
    st.tuples(st.just("ask_for_critical"), st.integers(0, 2), st.sampled_from(MANY)),
    st.tuples(st.just("time_passes"), st.sampled_from([1, 20, 60, 99, 200, 249, 1_000])),
    st.tuples(st.sampled_from(TROUBLE)),
)


@given(st.lists(HAPPENS, min_size=5, max_size=60), st.sampled_from([0, 0, 0, 10, 30]))
def test_no_interleaving_lets_more_through_than_the_limit(happened, delay_ms):
    """While the server starts again, loses what it was told or is told late; and no token goes twice. What a slow database
    grants is used when it arrives, as it is without the server."""

    async def play() -> None:
        story = Story(delay_ms)
        for what in happened:
            await story.tell(*what)
        await asyncio.gather(*story.asking)
        slow = RATE * delay_ms * len(story.asking) / 1_000
        assert [(end - begin, total) for begin, end, total in over(sorted(story.grants), RATE, slow)] == []
        assert sum(count for _, count in story.grants) <= story.database.granted

    asyncio.run(play())


async def test_a_batch_asks_nobody_while_there_are_tokens_for_100_ms():
    """A process takes them at once; the database hears of a limit about four times a second, however many batches go."""
    clock = ManualClock()
    database, pool = Database(clock), ModelPool(clock)
    asked = 0
    model_take = pool.take

    async def counting(name: str, want: int) -> PoolTokens | None:
        nonlocal asked
        asked += 1
        return await model_take(name, want)

    pool.take = counting  # type: ignore[method-assign]
    processes = [RedisQuotas(database, pool, clock) for _ in range(4)]
    batches = granted = 0
    for _ in range(400):
        for process in processes:
            grant = await process.take(TENANT, "main", ask(1, rate=1_000.0), clock.now())
            batches, granted = batches + 1, granted + grant.granted
        clock.advance(0.01)
    assert (batches, granted) == (1_600, 1_600)
    assert database.writes <= 24
    assert asked <= batches / 6


async def test_a_process_keeps_tokens_for_100_ms():
    """What it has not used by then is worth nothing: it asks again."""
    clock = ManualClock()
    pool = ModelPool(clock)
    process = RedisQuotas(Database(clock), pool, clock)
    for _ in range(4):
        await process.take(TENANT, "main", ask(3), clock.now())
    (held,) = process._held.values()
    assert held.at(clock.monotonic()) > 0
    before = pool.pools["1/main"][0]
    clock.advance(AHEAD_S)
    await process.take(TENANT, "main", ask(1), clock.now())
    assert pool.pools["1/main"][0] < before


async def test_the_limit_is_reached():
    """Processes that want more than it get all of it, within a tenth."""
    clock = ManualClock()
    database, pool = Database(clock), ModelPool(clock)
    processes = [RedisQuotas(database, pool, clock) for _ in range(3)]
    granted = 0
    for _ in range(500):
        for process in processes:
            granted += (await process.take(TENANT, "main", ask(5), clock.now())).granted
        clock.advance(0.01)
    assert 0.9 * RATE * 5 <= granted <= RATE * 5 + RATE


async def test_critical_messages_find_what_is_left_for_them():
    """Whatever the others take, with the server and without it."""
    clock = ManualClock()
    database, pool = Database(clock), ModelPool(clock)
    process = RedisQuotas(database, pool, clock)
    for away in (False, True, False):
        pool.away = away
        for _ in range(50):
            await process.take(TENANT, "main", ask(20), clock.now())
            clock.advance(0.01)
        assert (await process.take(TENANT, "main", ask(5, critical=True), clock.now())).granted == 5


@pytest.mark.parametrize(
    "wanted",
    [
        ask(1, rate=20.0),
        ask(1, per_day=9),
        ask(1, critical=True),
        QuotaAsk(costs=(11,), per_second=RATE, reserve=RESERVE),
    ],
    ids=["slow", "of a day", "critical", "more than 100 ms at once"],
)
async def test_what_the_pool_is_of_no_use_for_asks_the_database_alone(wanted):
    """It is exact there."""
    clock = ManualClock()
    database, pool = Database(clock), ModelPool(clock)
    grant = await RedisQuotas(database, pool, clock).take(TENANT, "main", wanted, clock.now())
    assert (grant.granted, database.writes, pool.pools) == (1, 1, {})


async def test_those_without_tokens_wait_and_do_not_ask_again_at_once():
    """The answer says for how long; the database is not asked meanwhile."""
    clock = ManualClock()
    database, pool = Database(clock), ModelPool(clock)
    process = RedisQuotas(database, pool, clock)
    first = await process.take(TENANT, "main", ask(200), clock.now())
    assert 0 < first.granted < 200
    assert first.wait_ms >= 20
    writes = database.writes
    again = await process.take(TENANT, "main", ask(10), clock.now())
    assert (again.granted, database.writes) == (0, writes)
    assert 0 < again.wait_ms <= 20
    clock.advance(1)
    assert (await process.take(TENANT, "main", ask(10), clock.now())).granted == 10


async def test_without_the_server_the_database_shares_the_limit_out_and_it_is_asked_again_soon(tmp_path):
    """Of two processes each gets what it needs; when the server is back it is used by itself."""
    server = start_one(tmp_path / "server")
    url = parse(f"redis://127.0.0.1:{server.port}?timeout_s=0.5", "redis")
    clock = ManualClock()
    database = Database(clock)
    servers = [Server(client_of(url), url, clock) for _ in range(2)]
    processes = [RedisQuotas(database, TokenPool(one), clock) for one in servers]

    async def each() -> list[int]:
        clock.advance(1)
        return [(await one.take(TENANT, "main", ask(10), clock.now())).granted for one in processes]

    assert await each() == [10, 10]
    server.kill()
    assert await each() == [10, 10]
    assert all("does not answer" in one.trouble for one in servers)
    failed = [one.stats()["failed"] for one in servers]
    clock.advance(PAUSE_S / 2)
    for process in processes:
        await process.take(TENANT, "main", ask(1), clock.now())
    assert [one.stats()["failed"] for one in servers] == failed  # not worth asking yet
    server = server.again()
    assert await each() == [10, 10]
    assert [one.trouble for one in servers] == ["", ""]
    for one in servers:
        await close(one.client)
    server.kill()


@pytest.fixture(params=["redis", "redis_cluster"])
async def pool(request, tmp_path):
    """A pool on a real server and on a Cluster."""
    found = request.getfixturevalue(request.param)
    url = found if isinstance(found, str) else found.url
    where = parse(f"{url}{'&' if '?' in url else '?'}prefix={tmp_path.name}", "redis")
    server = Server(client_of(where), where, SystemClock())
    yield TokenPool(server)
    await close(server.client)


async def test_the_scripts_do_what_the_model_does(pool):
    """Empty at first, and one process fills it; tokens go once, end with those that were there, and are worth nothing in
    another run of the server or too late."""
    taken = await pool.take("limit", 5)
    assert (taken.tokens, taken.turn) == (0, True)
    other = await pool.take("limit", 5)
    assert (other.tokens, other.turn) == (0, False)  # until the turn is over
    await pool.put("limit", 8, taken._replace(ends=taken.ends + 60_000))
    assert [(await pool.take("limit", 5)).tokens for _ in range(3)] == [5, 3, 0]
    await pool.put("limit", 7, taken._replace(ends=taken.ends - 60_000))
    await pool.put("limit", 7, taken._replace(run="another", ends=taken.ends + 60_000))
    assert (await pool.take("limit", 5)).tokens == 0
    await pool.put("limit", 7, taken._replace(ends=taken.ends + 60_000))
    await pool.put("limit", 7, taken._replace(ends=taken.ends + 120_000))
    assert (await pool.take("limit", 20)).tokens == 14
    assert (await pool.take("another", 1)).turn


async def test_tokens_end_by_the_clock_of_the_server(pool):
    """Nobody has to take them away; those that come later do not make them last."""
    taken = await pool.take("ends", 1)
    await pool.put("ends", 5, taken._replace(ends=taken.ends + 100))
    await pool.put("ends", 5, taken._replace(ends=taken.ends + 60_000))
    async with asyncio.timeout(30):
        while (await pool.take("ends", 0)).turn is False:
            pass
    assert (await pool.take("ends", 9)).tokens == 0


async def test_a_server_that_starts_again_brings_no_tokens_back(tmp_path):
    """It may have forgotten that they were taken."""
    server = start_one(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
    where = parse(f"redis://127.0.0.1:{server.port}", "redis")
    client = client_of(where)
    pool = TokenPool(Server(client, where, ManualClock()))
    taken = await pool.take("limit", 5)
    assert taken is not None
    await pool.put("limit", 8, taken._replace(ends=taken.ends + 60_000))
    assert (await client.hget("clarion:limit:{limit}", "tokens")) == b"8"
    server.kill()
    server = server.again()
    await close(client)
    assert (await client.hget("clarion:limit:{limit}", "tokens")) == b"8"
    again = await pool.take("limit", 5)
    assert again is not None
    assert (again.tokens, again.turn) == (0, True)
    await close(client)
    server.kill()


async def test_many_clients_on_a_real_server_stay_within_the_limit(redis, tmp_path):
    """Eight processes that want more, by real clocks, for a second and a half."""
    where = parse(f"{redis.url}?prefix={tmp_path.name}", "redis")
    clock = SystemClock()
    database = Database(clock)
    servers = [Server(client_of(where), where, clock) for _ in range(8)]
    processes = [RedisQuotas(database, TokenPool(server), clock) for server in servers]
    grants: list[tuple[float, int]] = []
    until = clock.monotonic() + 1.5

    async def want(process: RedisQuotas) -> None:
        while clock.monotonic() < until:
            grant = await process.take(TENANT, "main", ask(7, rate=400.0), clock.now())
            grants.append((clock.monotonic(), grant.granted))
            await asyncio.sleep(0.002)

    await asyncio.gather(*map(want, processes))
    grants.sort()
    assert over(grants, 400.0, 8.0) == []  # two clocks: one counts whole milliseconds
    assert sum(count for _, count in grants) >= 400
    for server in servers:
        await close(server.client)


def test_what_may_be_held_is_what_the_database_counts_with():
    """Tokens lie in the pool, then in a process."""
    assert pytest.approx(LASTS_MS / 1_000 + AHEAD_S) == HELD_S
    assert math.ceil(module.SLOW * AHEAD_S) <= 2

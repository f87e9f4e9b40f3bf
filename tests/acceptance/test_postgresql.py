"""Two processes on one PostgreSQL server, each a `clarion serve`: what one leaves undone the other takes over, and nothing is lost."""

import asyncio
import contextlib
import os

import asyncpg
import pytest

from bench.wire import Api
from tests.acceptance.forks import ForkedServer, run_command
from tests.acceptance.setup_data import USERS, create_setup
from tests.servers.postgresql import PostgreSql

EVENTS = 20
DONE = ("delivered", "sent")


class Serving(ForkedServer):
    """`clarion serve` with settings in a file."""

    def __init__(self, config, name, data, key):
        super().__init__(data)
        self.log = data.with_name(f"{name}.log")
        self.settings = {"CLARION_PORT": str(self.port)}
        self._config = config
        self._api = Api(self.port, key)

    @property
    def words(self):
        return ["serve", "--config", str(self._config)]

    async def ready(self, within=60):
        async with asyncio.timeout(within):
            while not await self._works():
                assert self.running, self.tail()
                await asyncio.sleep(0.05)

    async def _works(self):
        with contextlib.suppress(OSError):
            return (await self.api.call("GET", "/readyz")).status == 200
        return False


@pytest.fixture
async def database(postgresql: PostgreSql):
    """The URL of an empty one."""
    name = f"serving_{os.getpid()}"
    connection = await asyncpg.connect(postgresql.url())
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgresql.url(name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def serving(database, tmp_path):
    """Two processes that work, on an installation that was made by the commands of the documentation."""
    config, data = tmp_path / "clarion.toml", tmp_path / "data"
    config.write_text(f'database = "{database}"\ndata_dir = "{data}"\nlease_s = 3\n')
    migrated = await run_command("migrate", "--config", config, cwd=tmp_path)
    assert migrated.code == 0, migrated.err
    words = ("keys", "create", "--config", config, "--name", "app", "--scope", "admin", "--json")
    key = (await run_command(*words, cwd=tmp_path)).json["key"]
    both = [Serving(config, name, data, key) for name in ("first", "second")]
    try:
        for process in both:
            await process.start(within=60)
        yield both
    finally:
        for process in both:
            await process.discard()
            print(process.tail())


async def capture(api):
    """Integrations that keep what they would send."""
    for channel in ("email", "sms", "push"):
        await api.put(f"/v1/integrations/{channel}", {"channel": channel, "provider": "capture"})


async def statuses(api):
    """Of all messages."""
    found: list[str] = []
    page: str | None = "/v1/messages?limit=200"
    while page:
        answer = await api.get(page)
        found += [one["status"] for one in answer["items"]]
        page = f"/v1/messages?limit=200&cursor={answer['next_cursor']}" if answer["next_cursor"] else None
    return found


async def test_what_one_process_leaves_undone_the_other_does(serving):
    """One is killed in the middle: the set-up it wrote and the events it accepted are the other's by then."""
    first, second = serving
    await create_setup(first.api)
    await capture(first.api)
    for number in range(EVENTS):
        asked = {"recipients": list(USERS[:5]), "data": {"n": number}}
        await (first, second)[number % 2].api.post("/v1/workflows/acc-order/trigger", asked)
    first.kill()
    async with asyncio.timeout(90):
        while True:
            found = await statuses(second.api)
            if len(found) == EVENTS * 10 and all(one in DONE for one in found):
                break
            await asyncio.sleep(0.2)

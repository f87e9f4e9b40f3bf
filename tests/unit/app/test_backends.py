"""The process runs on the backends that its settings name."""

import contextlib

import pytest
from structlog.testing import capture_logs

from clarion import plugins
from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.app.backends import broker_of, fanout_of, ledger_of
from clarion.app.process import App
from clarion.app.resources import backend_tools_of
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.errors import ConfigError
from clarion.model.ids import TenantId
from clarion.model.setup import Tenant
from clarion.model.worker import Role
from clarion.testing.memory_broker import MemoryBroker, MemoryLanes


@pytest.fixture
def settings(tmp_path):
    """A prepared data directory."""
    one = Settings(data_dir=tmp_path, port=0)
    prepare(one)
    return one


class Point:
    """An entry point of another package."""

    dist = None

    def __init__(self, name, opened):
        self.name = name
        self.value = f"{name}:opened"
        self.load = lambda: opened


@pytest.fixture
def install(monkeypatch):
    """Adds packages to those that are installed."""

    def more(**groups):
        def points_of(group):
            return (*installed(group), *groups.get(group.removeprefix("clarion."), ()))

        installed = plugins.points_of
        monkeypatch.setattr(plugins, "points_of", points_of)

    return more


async def test_each_setting_selects_its_backend(settings, install):
    """The process runs on the broker and the fan-out of other packages, which get their whole URL and are closed."""
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def pigeons(url, tools, ledger):
        events.append(f"open {url}")
        yield MemoryBroker(MemoryLanes())
        events.append("close broker")

    @contextlib.asynccontextmanager
    async def bells(url, tools):
        events.append(f"open {url} of {tools.data_dir.name}")
        yield MemoryFanout()
        events.append("close fan-out")

    install(brokers=[Point("pigeons", pigeons)], fanouts=[Point("bells", bells)])
    chosen = settings.model_copy(update={"broker": "pigeons://loft/1", "fanout": "bells:"})
    async with App.open(chosen) as app:
        assert await app.pipeline.health()
    assert events == [
        "open pigeons://loft/1",
        f"open bells: of {settings.data_dir.name}",
        "close fan-out",
        "close broker",
    ]


async def test_a_gateway_opens_no_broker(settings, install):
    """It needs no way to one; its metrics and its health are there without."""

    @contextlib.asynccontextmanager
    async def far(url, tools, ledger):
        raise ConfigError("broker: nobody answers")
        yield

    install(brokers=[Point("far", far)])
    async with App.open(settings.model_copy(update={"broker": "far:", "roles": (Role.GATEWAY,)})) as app:
        assert set((await app.pipeline.health()).values()) == {"ok"}
        assert not any(name.startswith("backlog") for name in await app.pipeline.stats())


async def test_a_backend_that_cannot_be_opened_leaves_nothing_open(settings, install):
    """The start ends with its reason, and the next one finds the data directory free."""

    @contextlib.asynccontextmanager
    async def broken(url, tools, ledger):
        raise ConfigError("broker: nobody answers")
        yield

    install(brokers=[Point("broken", broken)])
    with pytest.raises(ConfigError, match="nobody answers"):
        async with App.open(settings.model_copy(update={"broker": "broken:"})):
            raise AssertionError("it must not start")
    async with App.open(settings) as app:
        assert await app.ledger.health() == "ok"


@pytest.mark.parametrize(
    ("setting", "url", "said"),
    [
        (
            "database",
            "sqlit:clarion.db",
            r"database: .* `sqlit:` URLs, only `memory:`, `postgresql:`, `sqlite:`, `unix:`\. Did you mean `sqlite:`\?",
        ),
        (
            "broker",
            "pigeons://u:hunter2@b.example",
            r"broker: .* `pigeons:` URLs, only .*`database:`.*`sqs:`\. Otherwise install",
        ),
        (
            "fanout",
            "rediz://h.example/1",
            r"fanout: .* `rediz:` URLs, only `memory:`, .*`unix:`\. Did you mean `redis:`\? Otherwise install",
        ),
    ],
)
async def test_an_unknown_scheme_stops_the_start(settings, setting, url, said):
    """It is refused with the setting and what is installed, and the rest of the URL is not shown."""
    with pytest.raises(ConfigError, match=said) as refused:
        async with App.open(settings.model_copy(update={setting: url})):
            raise AssertionError("it must not start")
    assert url.partition(":")[2] not in str(refused.value)


async def test_a_database_in_memory_leaves_no_file_and_begins_empty(settings):
    """It says so in the log, and works like any other until the process ends."""
    chosen = settings.model_copy(update={"database": "memory:"})
    with capture_logs() as logged:
        async with App.open(chosen) as app:
            await app.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
            assert await app.ledger.health() == "ok"
    assert [entry["log_level"] for entry in logged if entry["event"] == "not_durable"] == ["warning"]
    async with App.open(chosen) as app:
        assert app.ledger.setup.tenants.all() == {}


async def test_a_process_needs_no_file(settings):
    """A database in memory takes the place of the one in the data directory, and begins empty."""
    async with App.open(settings.model_copy(update={"database": "memory:"})) as app:
        await app.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
        assert await app.pipeline.health()
    async with App.open(settings) as app:
        assert not app.ledger.setup.tenants.all()


async def test_the_defaults_are_one_file_and_one_process(settings):
    """Everything lies in the data directory."""
    tools = backend_tools_of(settings)
    async with (
        ledger_of(settings, tools) as ledger,
        broker_of(settings, tools, ledger),
        fanout_of(settings, tools),
    ):
        assert sorted(path.name for path in settings.data_dir.glob("*.db")) == ["clarion.db"]

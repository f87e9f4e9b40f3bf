"""Every kind of source keeps the contract, on a real server."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.plugins import SOURCES, sources
from clarion.ports.provider import ProviderTools
from clarion.testing.memory_topic import MemoryTopic
from clarion.testing.ports import provider_tools
from clarion.testing.source_contract import SOURCE_CONTRACT, SourceSubject
from tests.architecture.source_tree import ROOT

REGISTERED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
INSTALLED = sources()


def tools() -> ProviderTools:
    """For servers of this machine, in real time."""
    random = SystemRandom()
    return provider_tools(SystemClock(), random, LocalVault(b"k" * 32, random))


def in_memory(request: pytest.FixtureRequest) -> SourceSubject:
    """The referee."""
    topic, lent = MemoryTopic(), tools()
    plugin = topic.plugin()

    async def publish(publications: Any) -> None:
        for one in publications:
            topic.publish(one.value, key=one.key, headers=one.headers, at=lent.clock.now())

    return SourceSubject(lambda: plugin.open(None, lent), publish)


def in_kafka(request: pytest.FixtureRequest) -> SourceSubject:
    """A topic of three partitions."""
    from tests.servers.kafka_topic import new_topic, produce

    servers = request.getfixturevalue("kafka").servers
    topic = new_topic(servers)
    plugin = INSTALLED["kafka"]
    config = plugin.config(servers=servers, topic=topic)

    async def publish(publications: Any) -> None:
        produce(servers, topic, publications)

    return SourceSubject(lambda: plugin.open(config, tools()), publish)


def in_outbox(request: pytest.FixtureRequest) -> SourceSubject:
    """A table of a PostgreSQL."""
    from tests.outboxes import new_outbox

    outbox = new_outbox(request.getfixturevalue("postgresql"))
    plugin = INSTALLED["postgresql"]
    config = plugin.config(**outbox.connection)
    return SourceSubject(lambda: plugin.open(config, tools()), outbox.publish, positions=False, binary=False)


KINDS: dict[str, Callable[[pytest.FixtureRequest], SourceSubject]] = {
    "memory": in_memory,
    "kafka": in_kafka,
    "postgresql": in_outbox,
}


@pytest.mark.parametrize("check", SOURCE_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_source_keeps_the_contract(kind, check, request):
    """On a new and empty topic for every check."""
    await check(KINDS[kind](request))


def test_every_registered_kind_runs_its_contract():
    """A new entry point fails here until the suite has a case for it."""
    assert [kind for kind in REGISTERED[SOURCES] if kind not in KINDS] == []


@pytest.mark.parametrize("kind", INSTALLED)
def test_the_example_of_a_kind_is_valid_and_its_secrets_are_fields(kind):
    """So what the documentation shows can be stored."""
    import msgspec

    plugin = INSTALLED[kind]
    config = msgspec.convert(plugin.example, plugin.config)
    assert plugin.secrets <= {*plugin.config.__struct_fields__}
    for secret in plugin.secrets:
        if value := getattr(config, secret):
            assert str(value) not in repr(config)
    assert plugin.title

"""Plug-ins are found by entry points, and a broken one is named."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import msgspec
import pytest

from clarion.adapters.providers import capture
from clarion.errors import ConfigError
from clarion.plugins import BROKERS, FANOUTS, LEDGERS, PROVIDERS, backend, providers


@pytest.fixture
def package(monkeypatch):
    """A module of somebody else's."""
    module = ModuleType("pigeon")
    module.plugin = msgspec.structs.replace(capture.plugin, name="pigeon")  # type: ignore[attr-defined]
    module.twin = msgspec.structs.replace(capture.plugin, name="pigeon", title="Twin")  # type: ignore[attr-defined]
    module.nonsense = 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pigeon", module)
    return module


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, PROVIDERS)


def test_what_is_installed_is_found():
    """Our own providers come the same way as everybody else's."""
    assert {"inapp", "capture"} <= providers().keys()
    assert all(name == plugin.name for name, plugin in providers().items())


def test_a_foreign_plugin_is_found_by_its_name(package):
    """One line in its pyproject.toml is all it takes."""
    assert providers([point("pigeon", "pigeon:plugin")]) == {"pigeon": package.plugin}


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([("pigeon", "no_such_module:plugin")], "cannot be loaded"),
        ([("pigeon", "pigeon:missing")], "cannot be loaded"),
        ([("pigeon", "pigeon:nonsense")], "is not a ProviderPlugin"),
        ([("dove", "pigeon:plugin")], "give both one name"),
        ([("pigeon", "pigeon:plugin"), ("pigeon", "pigeon:twin")], "two packages"),
    ],
)
def test_a_broken_plugin_stops_the_start_and_is_named(package, points, said):
    """The error says which entry point and what to do."""
    with pytest.raises(ConfigError, match=said) as caught:
        providers([point(*p) for p in points])
    assert "pigeon" in str(caught.value)


def test_a_package_that_is_missing_is_named_with_the_extra_that_has_it(monkeypatch):
    """What to run, instead of a traceback."""
    monkeypatch.setitem(sys.modules, "aiormq", None)
    monkeypatch.delitem(sys.modules, "clarion.adapters.rabbitmq", raising=False)
    monkeypatch.delitem(sys.modules, "clarion.adapters.brokers.rabbitmq", raising=False)
    with pytest.raises(ConfigError, match=r"install 'aiormq<"):
        backend(BROKERS, "broker", "amqp://localhost/")


def test_the_same_plugin_listed_twice_is_one(package):
    """An editable and a normal installation of one package may both be visible."""
    assert len(providers([point("pigeon", "pigeon:plugin")] * 2)) == 1


# ── databases, brokers, fan-outs ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("group", "url"), [(LEDGERS, "sqlite:clarion.db"), (BROKERS, "database:"), (FANOUTS, "memory:")]
)
def test_a_backend_is_found_by_the_scheme_of_its_url(group, url):
    """Ours are registered like everybody else's."""
    assert callable(backend(group, "setting", url))


def test_a_foreign_backend_is_found_by_its_scheme(package):
    """One line in its pyproject.toml is all it takes; a broken package of another scheme is not loaded."""
    package.opened = lambda url, tools: None
    points = [point("pigeons", "pigeon:opened"), point("doves", "no_such_module:opened")]
    assert backend(BROKERS, "broker", "pigeons://loft.example/1", points) is package.opened


def test_an_unknown_scheme_is_refused_with_the_nearest():
    """And with what is installed, and what to look for; whatever stands behind the scheme is not shown."""
    points = [point("kafka", "k:opened"), point("database", "d:opened")]
    with pytest.raises(ConfigError) as caught:
        backend(BROKERS, "broker", "kafak://ada:hunter2@broker.example", points)
    assert str(caught.value) == (
        "broker: nothing that is installed opens `kafak:` URLs, only `database:`, `kafka:`. Did you mean `kafka:`? "
        "Otherwise install the package that has the entry point `kafak` in the group `clarion.brokers`."
    )


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([("pigeons", "no_such_module:opened")], "cannot be loaded"),
        ([("pigeons", "pigeon:nonsense")], "is not a function"),
        ([("pigeons", "pigeon:plugin"), ("pigeons", "pigeon:twin")], "two packages have a broker `pigeons`"),
    ],
)
def test_a_broken_backend_stops_the_start_and_is_named(package, points, said):
    """The error says which package and what to do, and shows nothing of the URL."""
    with pytest.raises(ConfigError, match=said) as caught:
        backend(BROKERS, "broker", "pigeons://ada:hunter2@loft", [point(*p) for p in points])
    assert "hunter2" not in str(caught.value)

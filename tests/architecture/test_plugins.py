"""A plug-in is one file plus one entry-point line, and brings everything of its own."""

import inspect
import re
import tomllib
from importlib.metadata import EntryPoint

import msgspec
import pytest

from clarion.plugins import BROKERS, FANOUTS, LEDGERS
from clarion.ports.provider import ProviderPlugin
from tests.architecture.source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROVIDERS = PROJECT["entry-points"]["clarion.providers"]


@pytest.fixture(params=sorted(PROVIDERS))
def declared(request) -> tuple[str, ProviderPlugin]:
    """The name in pyproject.toml and what it points to."""
    return request.param, EntryPoint(request.param, PROVIDERS[request.param], "clarion.providers").load()


def test_an_entry_point_leads_to_a_plugin_of_that_name(declared):
    """What an integration calls its provider is the name the plug-in gives itself."""
    name, plugin = declared
    assert isinstance(plugin, ProviderPlugin)
    assert plugin.name == name
    assert plugin.title
    assert plugin.channels
    assert plugin.batch >= 1


def test_the_example_of_a_plugin_is_a_valid_config(declared):
    """The example in the documentation can be copied as it stands."""
    _, plugin = declared
    msgspec.convert(plugin.example, plugin.config)


def test_the_secrets_of_a_plugin_are_fields_of_its_config(declared):
    """A misspelt secret would be shown."""
    _, plugin = declared
    assert plugin.secrets <= set(plugin.config.__struct_fields__)


BACKENDS = {
    (group, scheme): value
    for group in (LEDGERS, BROKERS, FANOUTS)
    for scheme, value in PROJECT["entry-points"][group].items()
}


@pytest.mark.parametrize(("group", "scheme"), BACKENDS)
def test_an_entry_point_of_a_backend_leads_to_a_function_that_opens_urls(group, scheme):
    """Its name can be the scheme of a URL."""
    opened = EntryPoint(scheme, BACKENDS[group, scheme], group).load()
    assert inspect.isfunction(opened)
    assert list(inspect.signature(opened).parameters)[:2] == ["url", "tools"]
    assert re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme)

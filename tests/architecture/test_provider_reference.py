"""The page of providers says of each what its plug-in says."""

import re
from importlib.metadata import EntryPoint

import msgspec
import pytest

from clarion.ports.provider import ProviderPlugin
from tests.architecture.source_tree import ROOT
from tests.architecture.test_plugins import PROVIDERS

PAGE = (ROOT / "docs/reference/providers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([a-z]+)`[^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def plugin_of(name: str) -> ProviderPlugin:
    """What the entry point of pyproject.toml leads to."""
    return EntryPoint(name, PROVIDERS[name], "clarion.providers").load()


def facts(plugin: ProviderPlugin) -> str:
    """The line under the heading."""
    channels = ", ".join(f"`{channel}`" for channel in sorted(plugin.channels))
    repeat = "has no second effect" if plugin.idempotent else "is a second message"
    return f"Channels: {channels}. At once: {plugin.batch}. A repeat {repeat}."


def rows(plugin: ProviderPlugin) -> list[str]:
    """How the row of each setting begins: its name, and what happens without it."""
    found = []
    for field in msgspec.structs.fields(plugin.config):
        default = (
            field.default_factory()
            if field.default is msgspec.NODEFAULT and not field.required
            else field.default
        )
        without = "required" if field.required else f"`{msgspec.json.encode(default).decode()}`"
        kind = " (secret)" if field.name in plugin.secrets else ""
        found.append(f"| `{field.name}`{kind} | {without} |")
    return found


def test_every_provider_has_a_section():
    """And no section is left over of one that is gone."""
    assert sorted(SECTIONS) == sorted(PROVIDERS)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_section_of_a_provider_is_right(name):
    """Channels, batch, what a repeat does, and every setting with its default; secrets are called so."""
    plugin, section = plugin_of(name), SECTIONS.get(name, "")
    assert facts(plugin) in section
    missing = [row for row in rows(plugin) if row not in section]
    assert not missing, f"write these rows into docs/reference/providers.md, under `{name}`: {missing}"
    assert section.count("\n| `") == len(rows(plugin)), "a setting is explained that does not exist"

"""The page of providers says of each what its plug-in says."""

import re
from importlib.metadata import EntryPoint

import pytest

from clarion.cli.provider_reference import page_of
from clarion.ports.provider import ProviderPlugin
from tests.architecture.source_tree import ROOT
from tests.architecture.test_plugins import PROVIDERS

PAGE = (ROOT / "docs/reference/providers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([a-z_]+)`[^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
WRITE = "python -m clarion.cli.provider_reference docs/reference/providers.md"


def plugin_of(name: str) -> ProviderPlugin:
    """What the entry point of pyproject.toml leads to."""
    return EntryPoint(name, PROVIDERS[name], "clarion.providers").load()


def test_the_page_is_what_the_plugins_say():
    """The matrix, channels, batch, what a repeat does, and every setting with its default; secrets are called so."""
    written = page_of(PAGE, {name: plugin_of(name) for name in PROVIDERS})
    assert written == PAGE, f"run `{WRITE}`, then say in words what is new"


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_setting_is_explained_in_words(name):
    """A row without a meaning says nothing."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\| [^|]* \| *(.*?) *\|$", SECTIONS[name], re.MULTILINE)
    assert [setting for setting, meaning in rows if not meaning] == []

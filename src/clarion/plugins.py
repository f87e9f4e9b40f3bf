"""Loads plug-ins through entry points: providers, sources and their formats, sinks, databases, brokers, fan-outs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeVar

from clarion.errors import ConfigError, MissingPackage
from clarion.ports.provider import ProviderPlugin
from clarion.ports.record_format import FormatPlugin
from clarion.ports.sink import SinkPlugin
from clarion.ports.source import SourcePlugin

PROVIDERS = "clarion.providers"
SOURCES = "clarion.sources"
FORMATS = "clarion.formats"
SINKS = "clarion.sinks"
LEDGERS = "clarion.ledgers"
BROKERS = "clarion.brokers"
FANOUTS = "clarion.fanouts"

P = TypeVar("P", ProviderPlugin, SourcePlugin, FormatPlugin, SinkPlugin)


def providers(found: Iterable[EntryPoint] | None = None) -> Mapping[str, ProviderPlugin]:
    """Every installed provider by name (`found`: instead of what is installed).

    Raises ConfigError naming the package when one cannot be loaded, is no plug-in, or takes another's name.
    """
    if found is None:
        return _installed(PROVIDERS, "provider", ProviderPlugin)
    return _named(found, "provider", ProviderPlugin)


def sources() -> Mapping[str, SourcePlugin]:
    """Every installed kind of source by name. Raises ConfigError as `providers` does."""
    return _installed(SOURCES, "source", SourcePlugin)


def formats() -> Mapping[str, FormatPlugin]:
    """Every installed format of records by name. Raises ConfigError as `providers` does."""
    return _installed(FORMATS, "format", FormatPlugin)


def sinks() -> Mapping[str, SinkPlugin]:
    """Every installed kind of sink by name. Raises ConfigError as `providers` does."""
    return _installed(SINKS, "sink", SinkPlugin)


@cache
def points_of(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of the installed packages. They are looked up once: each look reads the metadata of all of them."""
    return tuple(entry_points(group=group))


@cache
def _installed(group: str, noun: str, kind: type[P]) -> Mapping[str, P]:
    return MappingProxyType(_named(points_of(group), noun, kind))


def _named(found: Iterable[EntryPoint], noun: str, kind: type[P]) -> Mapping[str, P]:
    plugins: dict[str, P] = {}
    for name, (plugin, package) in _load(found, noun).items():
        if not isinstance(plugin, kind):
            raise ConfigError(
                f"the {noun} `{name}` of {package} is not a {kind.__name__}: point its entry point at one"
            )
        if plugin.name != name:
            raise ConfigError(
                f"the {noun} of {package} is `{plugin.name}` but its entry point `{name}`: give both one name"
            )
        plugins[name] = plugin
    return plugins


def backend(group: str, setting: str, url: str, found: Iterable[EntryPoint] | None = None) -> Any:
    """The function that opens URLs of this scheme: the entry point of that name in `group`. `setting` holds the URL.

    Raises ConfigError with the nearest scheme when none is installed, and as `providers` does. No message shows
    more of the URL than its scheme: the rest may hold a password.
    """
    scheme = url.partition(":")[0]
    points = points_of(group) if found is None else tuple(found)
    installed = sorted({point.name for point in points})
    if scheme not in installed:
        near = get_close_matches(scheme, installed, 1)
        meant = f" Did you mean `{near[0]}:`?" if near else ""
        raise ConfigError(
            f"{setting}: nothing that is installed opens `{scheme}:` URLs, only "
            f"{', '.join(f'`{name}:`' for name in installed)}.{meant} Otherwise install the package that has the "
            f"entry point `{scheme}` in the group `{group}`."
        )
    opener, package = _load([point for point in points if point.name == scheme], setting)[scheme]
    if not callable(opener):
        raise ConfigError(f"the {setting} `{scheme}` of {package} is not a function that opens a URL")
    return opener


def _load(points: Iterable[EntryPoint], noun: str) -> dict[str, tuple[Any, str]]:
    """What the entry points lead to, and whose they are, by name."""
    loaded: dict[str, tuple[Any, str]] = {}
    for point in sorted(points, key=lambda p: p.name):
        package = point.dist.name if point.dist is not None else point.value
        try:
            plugin = point.load()
        except Exception as error:  # foreign code can raise anything while it is imported
            if extra := _missing_extra(point, error):
                raise MissingPackage(f"the {noun} `{point.name}`", extra, package=package) from error
            raise ConfigError(
                f"the {noun} `{point.name}` of {package} cannot be loaded ({point.value}): {error!r}; "
                "update or uninstall the package"
            ) from error
        other, its_package = loaded.setdefault(point.name, (plugin, package))
        if other is not plugin:
            raise ConfigError(
                f"two packages have a {noun} `{point.name}`, {its_package} and {package}: uninstall one"
            )
    return loaded


def _missing_extra(point: EntryPoint, error: Exception) -> str | None:
    """The extra of its package that has what a plug-in misses; None when that is not why it cannot be loaded."""
    if isinstance(error, ModuleNotFoundError) and point.dist is not None:
        missing = (error.name or "").partition(".")[0]
        for requirement in point.dist.requires or ():
            if found := re.match(rf"{re.escape(missing)}\b.*extra == ['\"]([\w-]+)", requirement):
                return found[1]
    return None

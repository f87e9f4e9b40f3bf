"""Providers found through the entry-point group `clarion.providers`: ours and everybody else's, alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from clarion.errors import ConfigError
from clarion.ports.provider import ProviderPlugin

PROVIDERS = "clarion.providers"


def providers(found: Iterable[EntryPoint] | None = None) -> Mapping[str, ProviderPlugin]:
    """Every installed provider by name (`found`: instead of what is installed).

    Raises ConfigError naming the package when one cannot be loaded, is no plug-in, or takes another's name.
    """
    plugins: dict[str, ProviderPlugin] = {}
    packages: dict[str, str] = {}
    for point in sorted(entry_points(group=PROVIDERS) if found is None else found, key=lambda p: p.name):
        package = point.dist.name if point.dist is not None else point.value
        plugin = _load(point, package)
        if point.name in plugins and plugins[point.name] is not plugin:
            raise ConfigError(
                f"two packages have a provider `{point.name}`, {packages[point.name]} and {package}: uninstall one"
            )
        plugins[point.name] = plugin
        packages[point.name] = package
    return plugins


def _load(point: EntryPoint, package: str) -> ProviderPlugin:
    try:
        plugin = point.load()
    except Exception as error:  # foreign code can raise anything while it is imported
        raise ConfigError(
            f"the provider `{point.name}` of {package} cannot be loaded ({point.value}): {error!r}; "
            "update or uninstall the package"
        ) from error
    if not isinstance(plugin, ProviderPlugin):
        raise ConfigError(
            f"`{point.value}` of {package} is not a ProviderPlugin: point the entry point `{point.name}` at one"
        )
    if plugin.name != point.name:
        raise ConfigError(
            f"the provider of {package} is `{plugin.name}` but its entry point `{point.name}`: give both one name"
        )
    return plugin

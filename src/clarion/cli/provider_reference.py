"""Writes what plug-ins say of themselves into the page of providers: `python -m clarion.cli.provider_reference PAGE`.

The matrix, the line under each heading, and the names and defaults of settings come from the plug-ins. Words stay as they are
on the page; those of a new setting come from its docstring.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from clarion.api.docstrings import said_in
from clarion.plugins import providers
from clarion.ports.provider import ProviderPlugin

BEGIN, END = (
    "<!-- matrix: written by `python -m clarion.cli.provider_reference` -->",
    "<!-- end of the matrix -->",
)
_SECTION = re.compile(r"^## `([a-z_]+)`[^\n]*\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)`[^|]*\| [^|]* \| (.*) \|$", re.MULTILINE)
_TABLE = re.compile(r"\| setting \| default \| meaning \|\n\|---\|---\|---\|\n(?:\|.*\n)*")
_FACTS = re.compile(r"^Channels: .*$", re.MULTILINE)


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do, as data."""

    name: str
    title: str
    channels: tuple[str, ...]
    batch: int
    """Most messages of one call."""
    idempotent: bool
    """A repeat has no second effect."""
    receipts: tuple[str, ...]
    """Kinds of receipts that it reports, or that are fetched."""
    inbound: bool
    """It passes on what people write."""
    takes_back: tuple[str, ...]
    """What it can do about a message that is out: `edit`, `withdraw`."""


def features(plugin: ProviderPlugin) -> Features:
    """Those of one plug-in."""
    callbacks = plugin.callbacks
    reporting = callbacks or plugin.fetched_receipts
    return Features(
        name=plugin.name,
        title=plugin.title,
        channels=tuple(sorted(plugin.channels)),
        batch=plugin.batch,
        idempotent=plugin.idempotent,
        receipts=() if reporting is None else tuple(sorted(reporting.kinds)),
        inbound=callbacks is not None and callbacks.inbound,
        takes_back=_takes_back(plugin),
    )


def _takes_back(plugin: ProviderPlugin) -> tuple[str, ...]:
    able = plugin.takes_back
    if able is None:
        return ()
    return tuple(name for name, can in (("edit", able.edits), ("withdraw", able.withdraws)) if can)


def page_of(text: str, plugins: Mapping[str, ProviderPlugin]) -> str:
    """The page, brought up to date."""
    sections = {found[1]: found[0].strip() for found in _SECTION.finditer(text)}
    head = _SECTION.sub("", text).partition(BEGIN)[0].strip()
    matrix = "\n".join([BEGIN, "", *_matrix([features(plugin) for plugin in plugins.values()]), "", END])
    names = [*(name for name in sections if name in plugins), *sorted(plugins.keys() - sections.keys())]
    written = [_section(sections.get(name, ""), plugins[name]) for name in names]
    return "\n\n".join([head, matrix, *written]) + "\n"


def _matrix(known: list[Features]) -> Iterator[str]:
    yield "| provider | channels | at once | a repeat | delivery reports | messages of people | once it is out |"
    yield "|---|---|---|---|---|---|---|"
    for one in sorted(known, key=lambda one: (one.channels, one.name)):
        repeat = "no second effect" if one.idempotent else "second message"
        reports = ", ".join(f"`{kind}`" for kind in one.receipts) or "no"
        anchor = f"{one.name} {one.title}".lower()
        anchor = re.sub(r"[^\w\- ]", "", anchor).replace(" ", "-")
        yield (
            f"| [`{one.name}`](#{anchor}) | {', '.join(one.channels)} | {one.batch} | {repeat} | {reports} "
            f"| {'yes' if one.inbound else 'no'} | {', '.join(one.takes_back) or 'nothing'} |"
        )


def _section(text: str, plugin: ProviderPlugin) -> str:
    """The section of one provider; its words stay."""
    facts, table = _facts(plugin), "\n".join(_settings(text, plugin))
    if not text:
        return f"## `{plugin.name}`: {plugin.title}\n\n{facts}\n\n{table}".strip()
    text = _FACTS.sub(lambda _: facts, text, count=1)
    if _TABLE.search(f"{text}\n"):
        return _TABLE.sub(lambda _: f"{table}\n", f"{text}\n", count=1).strip()
    return f"{text}\n\n{table}".strip()


def _facts(plugin: ProviderPlugin) -> str:
    channels = ", ".join(f"`{channel}`" for channel in sorted(plugin.channels))
    repeat = "has no second effect" if plugin.idempotent else "is a second message"
    return f"Channels: {channels}. At once: {plugin.batch}. A repeat {repeat}.{_limits(plugin)}"


def _limits(plugin: ProviderPlugin) -> str:
    """What can be done about a message that is out."""
    able = " and ".join({"edit": "changed", "withdraw": "withdrawn"}[one] for one in _takes_back(plugin))
    if plugin.takes_back is None or not able:
        return ""
    return f" A message that is out can be {able}. {plugin.takes_back.limits}".rstrip()


def _settings(text: str, plugin: ProviderPlugin) -> Iterator[str]:
    fields = msgspec.structs.fields(plugin.config)
    if not fields:
        return
    words = {found[1]: found[2] for found in _ROW.finditer(text)}
    own: dict[str, str] = {}
    for owner in reversed(plugin.config.__mro__):
        if issubclass(owner, msgspec.Struct) and owner is not msgspec.Struct:
            own |= said_in(owner.__module__).get(owner.__name__, {})
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for field in fields:
        kind = " (secret)" if field.name in plugin.secrets else ""
        meaning = words.get(field.name) or " ".join(own.get(field.name, "").split())
        yield f"| `{field.name}`{kind} | {_default(field)} | {meaning} |"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    made = field.default_factory
    default = field.default if made is msgspec.NODEFAULT else made()
    return f"`{msgspec.json.encode(default).decode()}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page_of(path.read_text(encoding="utf-8"), providers()), encoding="utf-8")

"""Writes a configuration folder: the same documents always become the same files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clarion.cli.folder.layout import (
    DOCUMENT_ENDINGS,
    FORMAT,
    LONG_FIELDS,
    PARTIAL_ENDINGS,
    PRICE_COLUMNS,
    SCHEMAS,
    SETTINGS,
)
from clarion.rules import yaml_text
from clarion.rules.yaml_text import YamlError

OWNED = ("categories", "partials", "templates", "workflows")
"""What a new folder owns: nothing that runs a server, such as its integrations."""


class Exported(NamedTuple):
    """What writing a folder did."""

    written: list[str]
    unchanged: int
    extra: list[str]
    """Files of documents that the server does not have."""


def write(
    directory: Path,
    tenant: str | None,
    documents: Mapping[str, Any],
    kinds: Sequence[str],
    schemas: Mapping[str, Any],
    *,
    owns: Sequence[str] = OWNED,
    prune: bool = False,
) -> Exported:
    """Write every document into its file. A file that says the same already stays as it is, comments and all.

    `kinds`: those that have keys; the others are settings. `owns`: of a folder that is new. `prune` deletes files of documents that are not there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        **schema_files(schemas),
        **_settings_file(directory, tenant, [kind for kind in owns if kind in kinds]),
        **_document_files(directory, documents, kinds),
    }
    done: list[str] = []
    for name, text in files.items():
        file = directory / name
        if _says(file, text):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")
        done.append(name)
    extra = [name for name in _known_files(directory, kinds) if name not in files]
    if prune:
        for name in extra:
            (directory / name).unlink()
    return Exported(done, len(files) - len(done), extra)


def _says(file: Path, text: str) -> bool:
    """Whether a file says the same: YAML in other words does."""
    try:
        there = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if there == text:
        return True
    if file.suffix not in DOCUMENT_ENDINGS or file.parent.name == SCHEMAS:
        return False
    try:
        return bool(yaml_text.read(there)[0] == yaml_text.read(text)[0])
    except YamlError:
        return False


def schema_files(schemas: Mapping[str, Any]) -> dict[str, str]:
    """The files that editors read."""
    return {f"{SCHEMAS}/{name}.json": _json(schema) for name, schema in schemas.items()}


def _settings_file(directory: Path, tenant: str | None, owns: Sequence[str]) -> dict[str, str]:
    settings = {"format": FORMAT, "tenant": tenant, "owns": [*owns]}
    if (directory / SETTINGS).exists():
        there = _settings_there(directory)
        settings = {**settings, **there, "tenant": tenant or there.get("tenant")}
    return {SETTINGS: _document(SETTINGS, "clarion", {k: v for k, v in settings.items() if v is not None})}


def _document_files(directory: Path, documents: Mapping[str, Any], kinds: Sequence[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for kind, found in documents.items():
        if kind not in kinds:
            name = "prices.csv" if kind == "prices" else _existing(directory, kind)
            if found or (directory / name).exists():  # what has its defaults needs no file
                files[name] = _prices(found) if kind == "prices" else _document(name, kind, found)
        else:
            for key, document in found.items():
                files |= _files_of(directory, kind, key, document)
    return files


def _settings_there(directory: Path) -> dict[str, Any]:
    try:
        found = yaml_text.read((directory / SETTINGS).read_text("utf-8"))[0]
    except (YamlError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _files_of(directory: Path, kind: str, key: str, document: dict[str, Any]) -> dict[str, str]:
    if kind == "templates":
        return dict(_template_files(directory, key, document))
    if kind == "partials":
        return dict(_partial_files(directory, key, document))
    name = _existing(directory, f"{kind}/{key}")
    return {name: _document(name, kind, document)}


def _template_files(directory: Path, key: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    short: dict[str, Any] = {}
    long: dict[str, str] = {}
    for channel, locales in document["channels"].items():
        for locale, fields in locales.items():
            for field, text in fields.items():
                if channel == "email" and field in LONG_FIELDS and _is_plain(text):
                    long[f"templates/{key}/{channel}.{locale}{LONG_FIELDS[field]}"] = text + "\n"
                else:
                    short.setdefault(channel, {}).setdefault(locale, {})[field] = text
    rest = {name: value for name, value in document.items() if name != "channels"}
    name = _existing(directory, f"templates/{key}/template")
    yield name, _document(name, "templates", {**rest, **({"channels": short} if short else {})})
    yield from long.items()


def _partial_files(directory: Path, key: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rest = dict(document)
    if _is_plain(document["source"]):
        there = [ending for ending in PARTIAL_ENDINGS if (directory / f"partials/{key}{ending}").exists()]
        yield f"partials/{key}{(there or PARTIAL_ENDINGS)[0]}", rest.pop("source") + "\n"
    if rest:
        name = _existing(directory, f"partials/{key}")
        yield name, _document(name, "partials", rest)


def _is_plain(text: str) -> bool:
    """Whether a file of its own keeps a text as it is, whatever line ends a checkout gives it."""
    return "\r" not in text and not text.startswith("\ufeff")


def _existing(directory: Path, stem: str) -> str:
    """The file that has a document, or the one to write."""
    names = [stem + ending for ending in DOCUMENT_ENDINGS]
    return next((name for name in names if (directory / name).exists()), names[0])


def _document(name: str, kind: str, value: Mapping[str, Any]) -> str:
    if name.endswith(".json"):
        return _json(value)
    up = "../" * name.count("/")
    text = yaml_text.written(value) if value else ""
    return f"# yaml-language-server: $schema={up}{SCHEMAS}/{kind}.json\n{text}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _prices(prices: Mapping[str, Any]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(PRICE_COLUMNS)
    tables = [("", prices), *sorted(prices.get("providers", {}).items())]
    rows.writerows(
        (channel, provider, place, money["amount"], money["currency"])
        for provider, table in tables
        for channel, places in table.items()
        if channel != "providers"
        for place, money in sorted(places.items())
    )
    return text.getvalue()


def _known_files(directory: Path, kinds: Sequence[str]) -> list[str]:
    """Files that hold documents, as far as they are there."""
    return [
        file.relative_to(directory).as_posix()
        for kind in kinds
        for file in sorted((directory / kind).rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]

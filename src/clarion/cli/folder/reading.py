"""Reads a configuration folder, and knows where in its files everything stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clarion.cli.folder.layout import (
    DOCUMENT_ENDINGS,
    DOCUMENTS,
    ENVIRONMENTS,
    FIELD_OF,
    FORMAT,
    PARTIAL_ENDINGS,
    PRICE_COLUMNS,
    SCHEMAS,
    SETTINGS,
)
from clarion.rules import yaml_text
from clarion.rules.yaml_text import Place, YamlError, pointer


class Spot(NamedTuple):
    """A place in a file of the folder."""

    file: str
    line: int
    column: int


class FileProblem(NamedTuple):
    """Something that is wrong with a file."""

    detail: str
    spot: Spot
    pointer: str = ""
    """Inside the document."""


class Folder:
    """What the files of a folder say."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tenant: str | None = None
        self.owns: list[Any] = []
        self.documents: dict[str, dict[str, Any]] = {}
        self.problems: list[FileProblem] = []
        self.unread: set[str] = set()
        """Keys of documents that could not be read."""
        self._spots: dict[str, Spot] = {}

    def spot(self, place: str, *, name: bool = False) -> Spot:
        """Where this JSON pointer (`/documents/workflows/x/lane`) leads: the value, or the `name` of the field."""
        while place:
            for found in (f"{place}#", place) if name else (place,):
                if found in self._spots:
                    return self._spots[found]
            place = place.rpartition("/")[0]
        return Spot(SETTINGS, 1, 1)

    def text(self, file: str) -> list[str]:
        """The lines of one of its files."""
        try:
            return (self.directory / file).read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []

    # -- reading -----------------------------------------------------------------------------------------------

    def take(self, file: Path, place: str) -> Any:
        """The value in a YAML or JSON file, which belongs at `place`; None when it cannot be read."""
        name = self.name_of(file)
        text = self.raw(file)
        if text is None:
            return None
        try:
            value, places = yaml_text.read(text)
        except YamlError as wrong:
            self.problems.append(FileProblem(str(wrong), Spot(name, *wrong.place)))
            self.unread.add(place.rpartition("/")[2])
            return None
        self.note(name, place, places)
        return value

    def raw(self, file: Path) -> str | None:
        """The text of a file; None when it cannot be read."""
        try:
            return file.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError) as wrong:
            why = (
                "it is not UTF-8: save it as UTF-8"
                if isinstance(wrong, UnicodeDecodeError)
                else str(wrong.strerror)
            )
            self.problems.append(
                FileProblem(f"the file cannot be read: {why}", Spot(self.name_of(file), 1, 1))
            )
            return None

    def take_object(self, file: Path, place: str) -> dict[str, Any]:
        """The object in a file; empty when there is none."""
        value = self.take(file, place)
        if value is not None and not isinstance(value, dict):
            self.wrong(file, "a document is an object: fields with values, like `name: Orders`")
        return value if isinstance(value, dict) else {}

    def note(self, file: str, place: str, places: Mapping[str, Place]) -> None:
        """Remember where the parts of a value stand."""
        self._spots |= {place + inner: Spot(file, *found) for inner, found in places.items()}

    def wrong(self, file: Path, detail: str) -> None:
        """Remember what is wrong with a whole file."""
        self.problems.append(FileProblem(detail, Spot(self.name_of(file), 1, 1)))

    def add(self, kind: str, key: str, document: dict[str, Any], file: Path) -> None:
        """Keep a document, of which there is one."""
        known = self.documents.setdefault(kind, {})
        if key in known:
            other = self.spot(f"{DOCUMENTS}{pointer((kind, key))}").file
            self.wrong(file, f"{other} describes the same document: keep one")
        known[key] = document

    def overlay(self, file: Path) -> None:
        """Lay the differences in a file over the documents, as a JSON merge patch."""
        changes = self.take_object(file, DOCUMENTS)
        self.documents = _merged(self.documents, changes)

    def name_of(self, file: Path) -> str:
        """The file inside the folder."""
        try:
            return file.relative_to(self.directory).as_posix()
        except ValueError:
            return str(file)


def read(directory: Path, overlays: list[Path]) -> Folder:
    """Everything in a folder, with what is wrong with its files."""
    folder = Folder(directory)
    _read_settings(folder)
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(".") or entry.name in (SCHEMAS, ENVIRONMENTS, SETTINGS):
            continue
        if entry.is_dir():
            _read_kind(folder, entry)
        elif entry.name == "prices.csv":
            folder.documents["prices"] = _read_prices(folder, entry)
        elif entry.suffix in DOCUMENT_ENDINGS:
            if entry.stem in folder.documents:
                folder.wrong(entry, f"there is another file for `{entry.stem}`: keep one")
            folder.documents[entry.stem] = folder.take_object(entry, f"{DOCUMENTS}/{entry.stem}")
    for file in overlays:
        folder.overlay(file)
    return folder


def _read_settings(folder: Folder) -> None:
    file = folder.directory / SETTINGS
    if not file.exists():
        folder.wrong(
            file,
            "this file is missing, so this is no configuration folder: make one with `clarion export DIR`",
        )
        return
    settings = folder.take_object(file, "")
    if settings.get("format") != FORMAT:
        folder.problems.append(
            FileProblem(f"`format: {FORMAT}` is the only one there is", folder.spot("/format"), "/format")
        )
    for name in settings:
        if name not in ("format", "tenant", "owns"):
            detail = f"unknown field `{name}`; valid here: `format`, `tenant`, `owns`"
            folder.problems.append(FileProblem(detail, folder.spot(f"/{name}", name=True), f"/{name}"))
    folder.tenant = settings.get("tenant")
    owns = settings.get("owns") or []
    if isinstance(owns, list):
        folder.owns = owns
    else:
        folder.problems.append(
            FileProblem("a list of kinds, like `owns: [workflows, templates]`", folder.spot("/owns"), "/owns")
        )


def _read_kind(folder: Folder, directory: Path) -> None:
    kind = directory.name
    folder.documents.setdefault(kind, {})
    folder.note(f"{kind}/", f"{DOCUMENTS}/{kind}", {"": Place(1, 1)})
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith("."):
            continue
        if kind == "templates" and entry.is_dir():
            _read_template(folder, entry)
        elif kind == "partials" and entry.suffix in PARTIAL_ENDINGS:
            _read_partial(folder, entry)
        elif entry.suffix in DOCUMENT_ENDINGS and kind != "templates":
            if kind != "partials" or not _has_source(entry):
                _read_document(folder, kind, entry)
        else:
            folder.wrong(entry, _unexpected(kind))


def _has_source(file: Path) -> bool:
    """The text of this partial stands in a file beside."""
    return any(file.with_name(file.stem + ending).exists() for ending in PARTIAL_ENDINGS)


def _read_document(folder: Folder, kind: str, file: Path) -> None:
    document = folder.take_object(file, DOCUMENTS + pointer((kind, file.stem)))
    if file.stem not in folder.unread:
        folder.add(kind, file.stem, document, file)


def _unexpected(kind: str) -> str:
    if kind == "templates":
        return "a template is a folder: templates/KEY/template.yaml"
    if kind == "partials":
        return f"a partial is a file that ends in {', '.join(PARTIAL_ENDINGS)}"
    return f"a document is a file that ends in {', '.join(DOCUMENT_ENDINGS)}"


def _read_template(folder: Folder, directory: Path) -> None:
    key = directory.name
    place = DOCUMENTS + pointer(("templates", key))
    document: dict[str, Any] = {}
    found = [file for ending in DOCUMENT_ENDINGS if (file := directory / f"template{ending}").exists()]
    if found:
        document = folder.take_object(found[0], place)
    else:
        folder.note(f"templates/{key}", place, {"": Place(1, 1)})
    channels = document.get("channels")
    channels = document["channels"] = channels if isinstance(channels, dict) else {}
    for file in sorted(directory.iterdir()):
        if file in found or file.name.startswith("."):
            continue
        channel, _, rest = file.name.partition(".")
        locale = rest.removesuffix(file.suffix)
        if file.suffix not in FIELD_OF or not locale:
            folder.wrong(
                file, "a text of a template is named CHANNEL.LOCALE.html, .txt or .mjml, like email.en.html"
            )
            continue
        text = folder.raw(file)
        field = FIELD_OF[file.suffix]
        fields = channels.setdefault(channel, {}).setdefault(locale, {})
        if field in fields:
            folder.wrong(
                file, f"template.yaml has the field `{field}` of this channel and language too: keep one"
            )
        fields[field] = (text or "").removesuffix("\n")
        where = place + pointer(("channels", channel, locale, field))
        folder.note(folder.name_of(file), where, {"": Place(1, 1)})
    if key not in folder.unread:
        folder.add("templates", key, document, directory)


def _read_partial(folder: Folder, file: Path) -> None:
    key = file.stem
    place = DOCUMENTS + pointer(("partials", key))
    document: dict[str, Any] = {}
    for ending in DOCUMENT_ENDINGS:
        if (beside := file.with_name(key + ending)).exists():
            document = folder.take_object(beside, place)
    document["source"] = (folder.raw(file) or "").removesuffix("\n")
    folder.note(f"partials/{file.name}", place, {"/source": Place(1, 1)})
    folder.add("partials", key, document, file)


def _read_prices(folder: Folder, file: Path) -> dict[str, Any]:
    rows = csv.DictReader(io.StringIO(folder.raw(file) or "", newline=""))
    if tuple(rows.fieldnames or ()) != PRICE_COLUMNS:
        folder.wrong(file, f"the first line names the columns: {','.join(PRICE_COLUMNS)}")
        return {}
    found: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for row in rows:
        if None in row or None in row.values():
            spot = Spot("prices.csv", rows.line_num, 1)
            folder.problems.append(FileProblem(f"a line has {len(PRICE_COLUMNS)} values", spot))
            continue
        above = ("providers", row["provider"]) if row["provider"] else ()
        of = found
        for step in (*above, row["channel"]):
            of = of.setdefault(step, {})
        of[row["place"]] = {"amount": row["amount"], "currency": row["currency"]}
        places[pointer((*above, row["channel"], row["place"]))] = Place(rows.line_num, 1)
    folder.note("prices.csv", f"{DOCUMENTS}/prices", places)
    return found


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result

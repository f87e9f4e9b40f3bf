"""What an importer made of an export, and the report about it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from clarion.errors import ConfigError

UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}


class ImportVerdict(StrEnum):
    """What became of a part of an export."""

    TAKEN = "taken over"
    CHANGED = "changed"
    NO_EQUAL = "no equal"


class ReportLine(NamedTuple):
    """What became of one part, or of several that are alike."""

    part: str
    verdict: ImportVerdict
    why: str
    times: int = 1


class Imported:
    """Documents and users, and what is to be said about them."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {"categories": {}, "templates": {}, "workflows": {}}
        self.users: dict[str, dict[str, Any]] = {}
        self.suppressions: list[dict[str, str]] = []
        self._lines: Counter[tuple[str, ImportVerdict, str]] = Counter()

    def say(self, part: str, verdict: ImportVerdict, why: str = "") -> None:
        """Remember what became of a part."""
        self._lines[part, verdict, why] += 1

    @property
    def report(self) -> list[ReportLine]:
        """Everything that was said, in its order."""
        return [ReportLine(*said, count) for said, count in self._lines.items()]

    def category(self, name: str, *, critical: bool = False) -> str:
        """The key of a category, which is there from now on."""
        key = key_of(name, "_") + ("_critical" if critical else "")
        self.documents["categories"].setdefault(
            key, {"name": name} | ({"critical": True} if critical else {})
        )
        return key

    def send(
        self, workflow: str, step: str, channel: str, locale: str, fields: dict[str, str]
    ) -> dict[str, Any]:
        """A step that sends these texts: in the workflow's template, or in one of its own where that has such texts."""
        templates = self.documents["templates"]
        template = workflow
        if channel in templates.get(template, {}).get("channels", {}):
            template = f"{workflow}-{step}"
        channels = templates.setdefault(template, {"default_locale": locale, "channels": {}})["channels"]
        channels.setdefault(channel, {})[locale] = fields
        return {"key": step, "template": template, "to": {"mode": "all", "channels": [channel]}}


def key_of(text: str, between: str = "-") -> str:
    """`Order shipped!` -> `order-shipped`: a key."""
    return re.sub(r"[^a-z0-9]+", between, text.lower()).strip(between) or "unnamed"


def wait(step: str, amount: Any, unit: Any) -> dict[str, Any] | None:
    """A step that waits so long; None when that is no length of time."""
    name = str(unit).lower().removesuffix("s")
    if not isinstance(amount, int) or amount < 1:
        return None
    if name == "month":
        return {"key": step, "type": "wait", "for": f"P{amount}M"}
    return {"key": step, "type": "wait", "for_s": amount * UNITS[name]} if name in UNITS else None


def digest(step: str, amount: Any, unit: Any, by: Any) -> dict[str, Any] | None:
    """A step that collects so long, by a field of the data; None when that is no length of time."""
    made = wait(step, amount, unit)
    if made is None or "for_s" not in made:
        return None
    field = str(by or "").removeprefix("payload.").removeprefix("data.")
    key = {"by": f"/{field.replace('.', '/')}"} if field else {}
    return {"key": step, "type": "digest", "window_s": made["for_s"], **key}


CONDITION_BEHIND_A_DIGEST = "behind a digest there are many data: write its condition anew"
BEHIND_A_DIGEST = "texts behind it get `items`, each with its `data`, and `total`: change the names in them"


def json_files(path: Path) -> Iterator[tuple[Path, Any]]:
    """The JSON in a file, or in every `.json` file of a folder."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    for file in files:
        try:
            yield file, json.loads(file.read_text("utf-8-sig"))
        except (OSError, ValueError) as wrong:
            raise ConfigError(f"{file}: this is no JSON that can be read: {wrong}") from None


def items_of(document: Any, *names: str) -> list[dict[str, Any]]:
    """The objects in an answer of an API, whatever it is wrapped in."""
    if isinstance(document, dict):
        for name in (*names, "data", "results", "entries", "items"):
            if isinstance(document.get(name), list):
                return items_of(document[name])
        if isinstance(document.get("data"), dict):
            return items_of(document["data"], *names)
        return [document]
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []

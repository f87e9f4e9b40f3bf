"""How a plan and its errors are told: every change field by field, every error with the line it is on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clarion.cli.folder.layout import DOCUMENTS
from clarion.cli.folder.reading import Folder, Spot
from clarion.cli.output import SILENT, err, out

SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}
VERBS = {"create": "to create", "change": "to change", "delete": "to delete"}
PAST = {"create": "created", "change": "changed", "delete": "deleted"}
WIDEST = 70
"""Characters of a value."""
MOST_LINES = 30
"""Of the difference between two long texts."""
_LINE = re.compile(r"line (\d+): ")


class FileError(NamedTuple):
    """What is wrong with a file, and where."""

    detail: str
    spot: Spot
    pointer: str


def name_of(change: Mapping[str, Any]) -> str:
    """A document as its path in the folder says it."""
    return f"{change['kind']}/{change['key']}" if change["key"] else str(change["kind"])


def changes(plan: Mapping[str, Any]) -> None:
    """Every change, then how many there are."""
    from rich.text import Text

    console = out()
    for change in plan["changes"]:
        sign, tone = SIGNS[change["action"]]
        console.print(Text(f"  {sign} {name_of(change)}", style=f"bold {tone}"))
        for field in change["fields"]:
            _field(field, change["action"])
        if change["waiting_runs"]:
            console.print(Text(f"      {_runs(change)}", style=SILENT))
    if plan["changes"]:
        console.print()


def summary(plan: Mapping[str, Any], verbs: Mapping[str, str] = VERBS) -> str:
    """How many changes there are, in a sentence."""
    counts = Counter(change["action"] for change in plan["changes"])
    return ", ".join(f"{counts[action]} {verb}" for action, verb in verbs.items() if counts[action]) + "."


def kept(plan: Mapping[str, Any]) -> None:
    """What only the server has."""
    from rich.text import Text

    if plan["kept"]:
        names = ", ".join(map(name_of, plan["kept"]))
        out().print(
            Text(f"On the server only, and kept (`owns` does not name their kind): {names}", style=SILENT)
        )


def _runs(change: Mapping[str, Any]) -> str:
    """What becomes of runs under way."""
    waiting = [
        f"{count} {'run waits' if count == 1 else 'runs wait'} in version {version}"
        for version, count in change["waiting_runs"].items()
    ]
    after = "they end" if change["action"] == "delete" else "they keep their version"
    return f"{', '.join(waiting)}: {after}."


def _field(field: Mapping[str, Any], action: str) -> None:
    from rich.text import Text

    before, after = field["before"], field["after"]
    line = Text(f"      {field['field']}: ")
    if _is_long(before) or _is_long(after):
        out().print(line)
        _lines(before or "", after or "")
        return
    if action == "create":
        line.append(_short(after), style="green")
    elif before == after:
        line.append("another secret", style="yellow")
    else:
        line.append(_short(before), style="red").append(" -> ").append(_short(after), style="green")
    out().print(line)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.rstrip("\n")


def _lines(before: str, after: str) -> None:
    """The lines of two texts that differ, with one around them."""
    from difflib import unified_diff

    from rich.text import Text

    found = [*unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")][2:]
    for line in found[:MOST_LINES]:
        tone = {"+": "green", "-": "red"}.get(line[:1], SILENT)
        out().print(Text(f"        {line}", style=tone))
    if len(found) > MOST_LINES:
        out().print(Text(f"        ... and {len(found) - MOST_LINES} more lines", style=SILENT))


def _short(value: Any) -> str:
    """A value as JSON, cut."""
    import msgspec

    if value is None:
        return "(nothing)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


# -- errors --------------------------------------------------------------------------------------------------------


def located(folder: Folder, faults: Sequence[Mapping[str, Any]]) -> list[FileError]:
    """All that is wrong, file by file in order of lines: what the files themselves lack, and what the server refused."""
    found = [FileError(one.detail, one.spot, one.pointer) for one in folder.problems]
    for fault in faults:
        if fault.get("code") == "unknown_reference" and fault.get("value") in folder.unread:
            continue
        place = fault.get("pointer", "").removeprefix("#")
        spot = folder.spot(place, name=fault.get("code") == "unknown_field")
        detail, spot = _on_its_line(folder, fault["detail"], spot)
        found.append(FileError(detail, spot, _inside(place)))
    return sorted(found, key=lambda one: (one.spot, one.detail))


def _on_its_line(folder: Folder, detail: str, spot: Spot) -> tuple[str, Spot]:
    """Templates say `line 3: ...` of a text, which begins somewhere in its file."""
    if (said := _LINE.match(detail)) is None:
        return detail, spot
    number, lines = int(said[1]), folder.text(spot.file)
    in_yaml = spot.file.endswith((".yaml", ".yml", ".json"))
    if not in_yaml:
        return detail[said.end() :], Spot(spot.file, number, 1)
    if lines[spot.line - 1][spot.column - 1 : spot.column] == "|":
        return detail[said.end() :], Spot(spot.file, spot.line + number, 1)
    return (detail[said.end() :] if number == 1 else detail), spot


def _inside(place: str) -> str:
    """The pointer inside its document."""
    if not place.startswith(DOCUMENTS):
        return place
    steps = place.split("/")[2:]
    return "".join(f"/{step}" for step in steps[2:])


def errors(folder: Folder, found: Sequence[FileError]) -> None:
    """Every error with its place and its line."""
    from rich.text import Text

    console = err()
    for one in found:
        console.print(Text("error: ", style="bold red"), Text(one.detail, style="bold"), sep="")
        where = f"  --> {one.spot.file}:{one.spot.line}:{one.spot.column}"
        console.print(Text(where, style="cyan"), Text(f"  {one.pointer}", style=SILENT), sep="")
        lines = folder.text(one.spot.file)
        if 0 < one.spot.line <= len(lines) and (line := lines[one.spot.line - 1]).strip():
            number = str(one.spot.line)
            start = max(0, one.spot.column - WIDEST)
            console.print(
                Text(f"   {number} | ", style="cyan"), Text(line[start : start + WIDEST * 2]), sep=""
            )
            gap = " " * (len(number) + 3 + 2 + one.spot.column - 1 - start)
            console.print(Text(f"{gap} ^", style="red"))
        console.print()
    files = len({one.spot.file for one in found})
    count = f"{len(found)} {'error' if len(found) == 1 else 'errors'} in {files} {'file' if files == 1 else 'files'}"
    console.print(f"{count}. Nothing was changed.", style="bold")


def refused(fault: Mapping[str, Any]) -> None:
    """An error of a document that comes from no file."""
    from rich.text import Text

    place = fault.get("pointer", "").removeprefix(f"#{DOCUMENTS}/")
    err().print(Text("error: ", style="bold red"), Text(f"{place}: {fault['detail']}"), sep="")

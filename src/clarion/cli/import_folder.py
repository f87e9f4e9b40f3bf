"""`clarion import`: what another notification system exported becomes a configuration folder."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clarion.cli.options import Json

if TYPE_CHECKING:
    from clarion.cli.importers.imported import Imported

KINDS = ("categories", "templates", "workflows")


class ExportingSystem(StrEnum):
    """Where an export comes from."""

    NOVU = "novu"
    KNOCK = "knock"
    ONCALL = "oncall"
    NOTIFY = "notify"
    ONESIGNAL = "onesignal"
    PINPOINT = "pinpoint"


def import_(
    origin: Annotated[
        ExportingSystem,
        typer.Argument(metavar="SYSTEM", help="novu, knock, oncall, notify, onesignal or pinpoint."),
    ],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The export: a file, or a folder of files.", exists=True)
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The configuration folder to write into.")
    ] = Path("notifications"),
    json: Json = False,
) -> None:
    """Turn what another system exported into a configuration folder, and report what was taken over, what was changed,
    and what has no equal. Nothing is sent to a server: look at the files, then use plan and apply.

    novu: workflows as its API answers them. knock: folders of `knock workflow pull`. oncall: escalation chains and
    policies of Grafana OnCall. notify: templates of GOV.UK Notify. onesignal, pinpoint: users, as CSV or JSON lines,
    also compressed; they become users.ndjson for `clarion users import`.

    \b
    Examples:
      clarion import novu workflows.json notifications
      clarion import knock ./knock/workflows notifications
      clarion import onesignal users.csv.gz people && clarion users import people/users.ndjson
    """
    from clarion.cli import output
    from clarion.cli.folder import writing

    imported = _reader(origin)(path)
    files: list[str] = []
    if any(imported.documents.values()):
        files += writing.write(directory, None, imported.documents, KINDS, {}, owns=()).written
    for name, rows in (("users", [*imported.users.values()]), ("suppressions", imported.suppressions)):
        if rows:
            directory.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{json_text.dumps(row, ensure_ascii=False)}\n" for row in rows)
            (directory / f"{name}.ndjson").write_text(lines, "utf-8")
            files.append(f"{name}.ndjson")
    if json:
        output.as_json({"files": files, "report": [line._asdict() for line in imported.report]})
        return
    output.table(
        ["part", "result", "why"],
        (
            (line.part + (f" ({line.times})" if line.times > 1 else ""), line.verdict, line.why)
            for line in imported.report
        ),
    )
    output.out().print(
        f"{len(files)} files written to {directory}. {_next(imported, directory)}", markup=False
    )


def _next(imported: Imported, directory: Path) -> str:
    """What to do with them."""
    if imported.users:
        return f"Next: clarion users import {directory / 'users.ndjson'}"
    return f"Next: look at them, then clarion plan {directory}"


def _reader(origin: ExportingSystem) -> Callable[[Path], Imported]:
    from clarion.cli.importers import govuk_notify, knock, novu, oncall, user_exports

    return {
        ExportingSystem.NOVU: novu.read,
        ExportingSystem.KNOCK: knock.read,
        ExportingSystem.ONCALL: oncall.read,
        ExportingSystem.NOTIFY: govuk_notify.read,
        ExportingSystem.ONESIGNAL: user_exports.read_onesignal,
        ExportingSystem.PINPOINT: user_exports.read_pinpoint,
    }[origin]

"""`clarion users import`: many people at once, from NDJSON or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.exits import Exit, for_status
from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.errors import ClarionError

program = typer.Typer(no_args_is_help=True, help="Manage the people who are notified.")

BATCH = 500
BATCH_BYTES = 1024 * 1024
TRIES = 6
COLUMNS = ("user_id", "email", "phone", "locale", "timezone")
ATTRIBUTE = "attributes."


@program.callback()
def _users() -> None:
    """Without a callback Typer would make the only command the program itself."""


@program.command("import")
@connected
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="NDJSON, or CSV when it ends in .csv."
        ),
    ],
    errors: Annotated[
        Path | None,
        typer.Option(
            "--errors",
            help="Where refused lines go, as they were; default NAME.errors.SUFFIX beside the file.",
        ),
    ] = None,
    skip: Annotated[
        int, typer.Option("--skip", min=0, help="Go on behind this line, as the last run said.")
    ] = 0,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create or replace users from a file. A wrong line does not stop the others.

    NDJSON: one user a line, as in PUT /v1/users/{id}, with its user_id. CSV: the columns user_id, email, phone,
    locale, timezone, and attributes.NAME for anything else.

    Refused lines are written to the errors file, ready to be corrected and imported again. The exit code is 1 then.

    \b
    Examples:
      clarion users import people.ndjson
      clarion users import people.csv --errors wrong.csv
      clarion users import people.ndjson --skip 120000
    """

    target = errors or file.with_name(f"{file.stem}.errors{file.suffix}")
    run = _Import(connect(), file, target, quiet=json)
    run.go(skip)
    run.report(json=json)
    if run.stopped:
        raise typer.Exit(for_status(run.stopped.status))
    if run.problems:
        raise typer.Exit(Exit.FAILED)


class Line:
    """A line of the file: its number, as it was, and the user it stands for (or what is wrong with it)."""

    __slots__ = ("number", "problem", "raw", "user")

    def __init__(self, number: int, raw: str, user: bytes = b"", problem: str = "") -> None:
        self.number, self.raw, self.user, self.problem = number, raw, user, problem


class _Import:
    def __init__(self, client: Any, file: Path, target: Path, *, quiet: bool) -> None:
        self._client, self._file, self._target, self._quiet = client, file, target, quiet
        self.accepted = 0
        self.done_line = 0
        self.problems: list[tuple[int, str]] = []
        self.stopped: ClarionError | None = None

    def go(self, skip: int) -> None:
        from clarion.cli import show

        is_csv = self._file.suffix.lower() == ".csv"
        self.done_line = skip
        with (
            show.progress(quiet=self._quiet) as bar,
            self._file.open(encoding="utf-8-sig", newline="") as source,
        ):
            task = bar.add_task("Importing", total=self._file.stat().st_size)
            header, lines = _csv(source) if is_csv else ("", _ndjson(source))
            with _Refused(self._target, header, more=skip > 0) as refused:
                for batch in _batches(line for line in lines if line.number > skip):
                    if not self._send(batch, refused):
                        return
                    bar.update(task, advance=sum(len(line.raw.encode()) + 1 for line in batch))
            bar.update(task, completed=self._file.stat().st_size)

    def _send(self, batch: list[Line], refused: _Refused) -> bool:
        from clarion.errors import ClarionError

        good = [line for line in batch if not line.problem]
        answer: dict[str, Any] = {"accepted": 0, "errors": []}
        try:
            if good:
                answer = self._call(b"\n".join(line.user for line in good))
        except ClarionError as error:
            self.stopped = error
            return False
        for wrong in answer["errors"]:
            good[wrong["index"]].problem = _said(wrong["error"])
        for line in batch:
            if line.problem:
                self.problems.append((line.number, line.problem))
                refused.write(line.raw)
        self.accepted += answer["accepted"]
        self.done_line = batch[-1].number
        return True

    def _call(self, body: bytes) -> Any:
        """Try again while Clarion is busy or away for a moment."""
        from clarion.cli.client import Answered, Unreachable

        for tried in range(1, TRIES + 1):
            try:
                headers = {"content-type": "application/x-ndjson"}
                return self._client.call("POST", "/v1/users/bulk", body, headers)
            except (Answered, Unreachable) as error:
                if error.status not in {429, 503} or tried == TRIES:
                    raise
                _pause(getattr(error, "retry_after_s", None) or tried)
        raise AssertionError("unreachable")

    def report(self, *, json: bool) -> None:
        from clarion.cli import show

        if json:
            show.as_json(
                {
                    "accepted": self.accepted,
                    "rejected": len(self.problems),
                    "last_line": self.done_line,
                    "stopped": self.stopped.detail if self.stopped else None,
                    "errors": [{"line": number, "detail": text} for number, text in self.problems],
                }
            )
            return
        show.out().print(f"{self.accepted} users imported.")
        for number, text in self.problems[:20]:
            show.complain(f"line {number}: {text}")
        if self.problems:
            show.complain(
                f"{len(self.problems)} lines refused. They are in {self._target}: correct them and import that file."
            )
        if self.stopped:
            show.complain(
                f"stopped behind line {self.done_line}: {self.stopped.detail}\n"
                f"Go on with: clarion users import {self._file} --skip {self.done_line}"
            )


def _pause(seconds: float) -> None:
    import asyncio

    from clarion.adapters.system import SystemClock

    asyncio.run(SystemClock().sleep(seconds))


class _Refused:
    """The file of refused lines; made when the first one comes, continued when the import is."""

    def __init__(self, target: Path, header: str, *, more: bool) -> None:
        self._target, self._header, self._more = target, header, more
        self._file: Any = None

    def __enter__(self) -> _Refused:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, raw: str) -> None:
        if self._file is None:
            self._file = self._target.open("a" if self._more else "w", encoding="utf-8")
            if self._header and self._file.tell() == 0:
                self._file.write(self._header + "\n")
        self._file.write(raw + "\n")


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.user)
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ndjson(source: Any) -> Iterator[Line]:
    import msgspec

    for number, raw in enumerate(source, 1):
        text = raw.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            msgspec.json.decode(text, type=dict)
            yield Line(number, text, user=text.encode())
        except msgspec.MsgspecError as wrong:
            yield Line(number, text, problem=f"not a JSON object: {wrong}")


def _csv(source: Any) -> tuple[str, Iterator[Line]]:
    import csv
    from difflib import get_close_matches

    header = source.readline().rstrip("\r\n")
    names = [name.strip() for name in next(csv.reader([header]), [])]
    for name in names:
        if name not in COLUMNS and not name.startswith(ATTRIBUTE):
            near = get_close_matches(name, COLUMNS, 1)
            hint = f"did you mean {near[0]}?" if near else f"use {ATTRIBUTE}{name} for an attribute"
            raise typer.BadParameter(f"column {name!r} is not known; {hint}", param_hint="FILE")
    if "user_id" not in names:
        raise typer.BadParameter(
            "the first line must name the columns, user_id among them", param_hint="FILE"
        )
    return header, _rows(source, names)


def _rows(source: Any, names: list[str]) -> Iterator[Line]:
    import csv

    import msgspec

    taken: list[str] = []

    def remembered() -> Iterator[str]:
        for raw in source:
            taken.append(raw)
            yield raw

    reader = csv.reader(remembered(), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:
            yield Line(reader.line_num + 1, "".join(taken).rstrip("\r\n"), problem=f"not a CSV row: {wrong}")
            taken.clear()
            continue
        raw = "".join(taken).rstrip("\r\n")
        taken.clear()
        number = reader.line_num + 1
        if not row:
            continue
        if len(row) != len(names):
            yield Line(number, raw, problem=f"has {len(row)} values, the header has {len(names)}")
            continue
        yield Line(number, raw, user=msgspec.json.encode(_user(dict(zip(names, row, strict=True)))))


def _user(row: dict[str, str]) -> dict[str, Any]:
    user: dict[str, Any] = {name: row[name].strip() for name in COLUMNS if row.get(name, "").strip()}
    attributes = {
        name.removeprefix(ATTRIBUTE): value for name, value in row.items() if name.startswith(ATTRIBUTE)
    }
    filled = {name: value for name, value in attributes.items() if value}
    return {**user, "attributes": filled} if filled else user


def _said(problem: dict[str, Any]) -> str:
    faults = problem.get("errors", ())
    told = [
        f"{fault.get('pointer', '').removeprefix('#/')}: {fault['detail']}".lstrip(": ") for fault in faults
    ]
    return "; ".join(told) or str(problem.get("detail", "refused"))

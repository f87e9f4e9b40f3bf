"""`clarion users import`: many people at once, from NDJSON or CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TextIO

import typer

from clarion.cli.documents import Column, Noun, add
from clarion.cli.exit_codes import Exit, for_status
from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.textfile import TextLine

program = typer.Typer(no_args_is_help=True, help="Manage users.")

BATCH = 500
BATCH_BYTES = 1024 * 1024
TRIES = 6
MOST_TOLD = 1_000
"""Refused lines of which a report says what is wrong; all of them are in the errors file."""
COLUMNS = ("user_id", "email", "phone", "locale", "timezone")
CSV = frozenset({".csv", ".tsv", ".txt"})
ATTRIBUTE = "attributes."


class Mode(StrEnum):
    """What becomes of what is known already."""

    REPLACE = "replace"
    MERGE = "merge"


COLUMNS_SHOWN: dict[str, Column] = {
    "user_id": lambda one: one["user_id"],
    "locale": lambda one: one["locale"] or "",
    "timezone": lambda one: one["timezone"] or "",
    "contacts": lambda one: ", ".join(dict.fromkeys(contact["channel"] for contact in one["contacts"])),
}
"""Of a table of users."""

SAID_BY_THE_SERVER = frozenset({"created_at", "updated_at", "unreadable"})
ABOUT_CONTACTS = frozenset({"id", "suppressed"})


def writable(shown: dict[str, Any]) -> dict[str, Any]:
    """A user as `show` prints them, without what only the server can say."""
    kept = {name: value for name, value in shown.items() if name not in SAID_BY_THE_SERVER}
    if isinstance(contacts := kept.get("contacts"), list):
        kept["contacts"] = [
            {name: value for name, value in one.items() if name not in ABOUT_CONTACTS}
            if isinstance(one, dict)
            else one
            for one in contacts
        ]
    return kept


add(
    program,
    Noun(
        path="users",
        one="user",
        columns=COLUMNS_SHOWN,
        example="ada",
        change="locale=en-GB",
        destroys="all their contacts, preferences and inbox",
        writable=writable,
    ),
)


@program.command()
@connected
def search(
    where: Annotated[
        str | None,
        typer.Option("--where", help="For whom a condition is true, e.g. \"user.attributes.plan == 'pro'\"."),
    ] = None,
    email: Annotated[str | None, typer.Option("--email", help="Who has this email address.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="Who has this phone number.")] = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Find people by a condition, or by an address of theirs.

    \b
    Examples:
      clarion users search --email ada@example.com
      clarion users search --phone +447700900123
      clarion users search --where "user.attributes.plan == 'pro' && 'push' in user.channels"
    """
    from clarion.cli import output

    given = {"where": where, "email": email, "phone": phone}
    asked = {name: value for name, value in given.items() if value is not None}
    if len(asked) != 1:
        raise typer.BadParameter("name one of --where, --email and --phone")
    found = [*connect().found("/v1/users/search", asked, limit)]
    if json:
        output.as_json(found)
    else:
        output.table([*COLUMNS_SHOWN], ([cell(one) for cell in COLUMNS_SHOWN.values()] for one in found))


@program.command("import")
@connected
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="NDJSON, or CSV when it ends in .csv, .tsv or .txt.",
        ),
    ],
    errors: Annotated[
        Path | None,
        typer.Option(
            "--errors",
            help="File for refused lines, unchanged. Default: NAME.errors.SUFFIX next to the file.",
        ),
    ] = None,
    skip: Annotated[
        int, typer.Option("--skip", min=0, help="Continue after this line, as the last run said.")
    ] = 0,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            help="Encoding of the file, like cp1252 (Excel's plain CSV in Western Europe), shift_jis, utf-16; "
            "default what its byte order mark says, else UTF-8.",
        ),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            help="replace: a line says all there is to know about a user. merge: what a line does not name stays.",
        ),
    ] = Mode.REPLACE,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create or replace users from a file. A wrong line does not stop the import.

    NDJSON: one user a line, as in PUT /v1/users/{id}, with its user_id. CSV: the columns user_id, email, phone,
    locale, timezone, and attributes.NAME for anything else, separated by comma, semicolon, tab or |.

    Refused lines are written to the errors file, ready to be corrected and imported again. The exit code is 1 then.

    \b
    Examples:
      clarion users import people.ndjson
      clarion users import people.csv --errors wrong.csv
      clarion users import people.csv --encoding cp1252
      clarion users import new-addresses.csv --mode merge
      clarion users import people.ndjson --skip 120000
    """

    target = errors or file.with_name(f"{file.stem}.errors{file.suffix}")
    if target.exists() and target.samefile(file):
        raise typer.BadParameter("is the file that is imported", param_hint="--errors")
    run = _Import(connect(), file, target, mode, quiet=json)
    run.go(skip, encoding)
    run.report(json=json)
    if run.exit_code is not None:
        raise typer.Exit(run.exit_code)
    if run.rejected:
        raise typer.Exit(Exit.FAILED)


class Line:
    """A row of the file: the numbers of its first and last line, as it was, and the user it stands for (or what is
    wrong with it)."""

    __slots__ = ("last", "number", "problem", "raw", "user")

    def __init__(self, number: int, raw: str, user: bytes = b"", problem: str = "", last: int = 0) -> None:
        self.number, self.raw, self.user, self.problem, self.last = number, raw, user, problem, last or number


class _Import:
    def __init__(self, client: Any, file: Path, target: Path, mode: Mode, *, quiet: bool) -> None:
        self._client, self._file, self._target, self._mode, self._quiet = client, file, target, mode, quiet
        self._again = ""
        self.accepted = 0
        self.rejected = 0
        self.done_line = 0
        self.problems: list[tuple[int, str]] = []
        self.stopped = ""
        """Why it ended before the file did."""
        self.exit_code: int | None = None

    def go(self, skip: int, wanted: str | None) -> None:
        from clarion.errors import ClarionError

        self._again = f" --encoding {wanted}" if wanted is not None else ""
        self._again += f" --mode {self._mode}" if self._mode is not Mode.REPLACE else ""
        self.done_line = skip
        try:
            with self._file.open("rb") as file:
                self._read(file, skip, wanted)
        except ClarionError as error:
            self.stopped, self.exit_code = error.detail, for_status(error.status)
        except OSError as error:
            self.stopped, self.exit_code = str(error), Exit.FAILED
        except KeyboardInterrupt:
            self.stopped, self.exit_code = "interrupted", 130

    def _read(self, file: BinaryIO, skip: int, wanted: str | None) -> None:
        from clarion.cli import output
        from clarion.cli.textfile import encoding_of, lines_of, open_text

        try:
            encoding = encoding_of(file, wanted)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong), param_hint="--encoding") from None
        with open_text(file, encoding) as source, output.progress(quiet=self._quiet) as bar:
            lines = lines_of(source)
            header, people = _csv(lines) if self._file.suffix.lower() in CSV else ("", _ndjson(lines))
            task = bar.add_task("Importing", total=self._file.stat().st_size)
            with _Refused(self._target, header, encoding, more=skip > 0) as refused:
                for batch in _batches(line for line in people if line.number > skip):
                    self._send(batch, refused)
                    bar.update(task, completed=file.tell())

    def _send(self, batch: list[Line], refused: _Refused) -> None:
        good = [line for line in batch if not line.problem]
        answer: dict[str, Any] = {"accepted": 0, "items": []}
        if good:
            answer = self._call(b"\n".join(line.user for line in good))
        for wrong in answer["items"]:
            good[wrong["index"]].problem = _said(wrong["error"])
        for line in batch:
            if line.problem:
                self.rejected += 1
                if len(self.problems) < MOST_TOLD:
                    self.problems.append((line.number, line.problem))
                refused.write(line.raw)
        self.accepted += answer["accepted"]
        self.done_line = batch[-1].last

    def _call(self, body: bytes) -> Any:
        """Try again while Clarion is busy or away for a moment."""
        from clarion.cli.client import Answered, Unreachable, pause

        for tried in range(1, TRIES + 1):
            try:
                headers = {"content-type": "application/x-ndjson"}
                return self._client.call("POST", f"/v1/users/bulk?mode={self._mode}", body, headers)
            except (Answered, Unreachable) as error:
                if isinstance(error, Answered) and error.code == "all_rejected":
                    return error.problem
                if error.status not in {429, 503} or tried == TRIES:
                    raise
                pause(getattr(error, "retry_after_s", None) or tried)
        raise AssertionError("unreachable")

    def report(self, *, json: bool) -> None:
        from clarion.cli import output

        if json:
            output.as_json(
                {
                    "accepted": self.accepted,
                    "rejected": self.rejected,
                    "last_line": self.done_line,
                    "stopped": self.stopped or None,
                    "errors": [{"line": number, "detail": text} for number, text in self.problems],
                }
            )
            return
        output.out().print(f"{self.accepted} users imported.")
        for number, text in self.problems[:20]:
            output.complain(f"line {number}: {text}")
        if self.rejected:
            output.complain(
                f"{self.rejected} lines refused. They are in {self._target}: correct them and import that file."
            )
        if self.stopped:
            output.complain(
                f"stopped after line {self.done_line}: {self.stopped}\n"
                f"Go on with: clarion users import {self._file} --skip {self.done_line}{self._again}"
            )


class _Refused:
    """The file of refused lines, in the encoding they came in; made when the first one comes, continued when the
    import is."""

    def __init__(self, target: Path, header: str, encoding: str, *, more: bool) -> None:
        self._target, self._header, self._encoding, self._more = target, header, encoding, more
        self._file: TextIO | None = None

    def __enter__(self) -> _Refused:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, raw: str) -> None:
        from clarion.cli.textfile import open_text

        if self._file is None:
            file = self._target.open("ab" if self._more else "wb")
            begun = file.tell() > 0
            self._file = open_text(file, self._encoding)
            if self._header and not begun:
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


def _ndjson(lines: Iterator[TextLine]) -> Iterator[Line]:
    import msgspec

    for line in lines:
        text = line.text.rstrip("\r\n")
        if line.problem:
            yield Line(line.number, text, problem=line.problem)
        elif text.strip():
            try:
                msgspec.json.decode(text, type=dict)
                yield Line(line.number, text, user=text.encode())
            except (msgspec.MsgspecError, RecursionError) as wrong:
                hint = " (one user a line, not a list of them)" if text.lstrip().startswith("[") else ""
                yield Line(line.number, text, problem=f"not a JSON object: {wrong}{hint}")


def _csv(lines: Iterator[TextLine]) -> tuple[str, Iterator[Line]]:
    from clarion.cli.csv_rows import header_of, rows_of

    try:
        header = header_of(lines, _is_known)
        if problems := list(_wrong_names(header.names)):
            raise ValueError("; ".join(problems))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="FILE") from None
    names = header.names
    rows = rows_of(lines, header, lambda cells: _looks_like_user(names, cells))
    return header.raw, (_line(names, row) for row in rows)


def _line(names: Sequence[str], row: Any) -> Line:
    import msgspec

    if row.problem:
        return Line(row.number, row.raw, problem=row.problem)
    if row.values == names:
        return Line(row.number, row.raw, problem="repeats the line of column names")
    user = msgspec.json.encode(_user(dict(zip(names, row.values, strict=True))))
    return Line(row.number, row.raw, user, last=row.last)


def _is_known(name: str) -> bool:
    return name in COLUMNS or (name.startswith(ATTRIBUTE) and name != ATTRIBUTE)


def _wrong_names(names: Sequence[str]) -> Iterator[str]:
    from difflib import get_close_matches

    for place, name in enumerate(names, 1):
        if not name:
            yield f"column {place} has no name"
        elif name in names[: place - 1]:
            yield f"column {name!r} is there twice"
        elif not _is_known(name):
            near = get_close_matches(re.sub(r"\W+", "_", name.lower()), COLUMNS, 1)
            hint = f"did you mean {near[0]}?" if near else f"use {ATTRIBUTE}{name} for an attribute"
            yield f"column {name!r} is not known; {hint}"
    if "user_id" not in names:
        yield "the first line must name the columns, user_id among them"


_SHAPES = {
    "user_id": re.compile(r"\S+"),
    "email": re.compile(r"(?:\S+@\S+)?"),
    "phone": re.compile(r"[+\d() ./-]*"),
    "locale": re.compile(r"[\w.@-]{0,40}"),
    "timezone": re.compile(r"[\w+/-]{0,60}"),
}
_PROSE = re.compile(r"(?![ \t]).*")
"""People write a space behind a comma, programs do not."""


def _looks_like_user(names: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether the values of a line could be those of a user."""
    return all(
        _SHAPES.get(name, _PROSE).fullmatch(cell) is not None for name, cell in zip(names, cells, strict=True)
    )


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

"""`clarion users`: find people, and many at once from and to files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from clarion.cli.documents import Column, Noun, add
from clarion.cli.exit_codes import Exit
from clarion.cli.messages import Limit
from clarion.cli.operations import NoWait
from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.client import Client

program = typer.Typer(no_args_is_help=True, help="Manage users.")

PATH = "/v1/users/import"
PIECE = 2 * 1024 * 1024
"""Bytes sent at a time."""
TRIES = 6
CSV = frozenset({".csv", ".tsv", ".txt"})


class FileKind(StrEnum):
    """How a file has users."""

    NDJSON = "ndjson"
    CSV = "csv"


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
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            help="replace: a line says all there is to know about a user. merge: what a line does not name stays.",
        ),
    ] = Mode.REPLACE,
    format_: Annotated[
        FileKind | None, typer.Option("--format", help="What the file is, if its name does not say it.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            help="Encoding of the file, like cp1252, shift_jis, utf-16; default what its byte order mark says, else it is "
            "detected.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option("--delimiter", help="What separates the values of CSV; default: it is detected."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="The field of a column with another name, as 'E-Mail=email' or 'Plan=attributes.plan'; 'Note=' leaves it out.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first lines that are wrong and what would change.")
    ] = False,
    errors: Annotated[
        Path | None,
        typer.Option(
            "--errors",
            help="File for refused lines, unchanged. Default: NAME.errors.SUFFIX next to the file.",
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with this operation, whose upload broke off.")
    ] = None,
    no_wait: NoWait = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create or change users from a file, as an operation. A wrong line does not stop the import.

    NDJSON: one user a line, as in PUT /v1/users/{id}, with its user_id. CSV: the columns user_id, email, phone,
    locale, timezone, attributes.NAME, contacts.CHANNEL, topics, consents.PURPOSE, separated by comma, semicolon, tab or |.

    Refused lines are written to the errors file, ready to be corrected and imported again. The exit code is 1 then.
    Ctrl-C while the file is sent: the command says how to go on. Later it ends the watching, not the import.

    \b
    Examples:
      clarion users import people.ndjson
      clarion users import people.csv --dry-run
      clarion users import people.csv --column 'E-Mail=email' --column 'Plan=attributes.plan'
      clarion users import new-addresses.csv --mode merge --encoding cp1252
      clarion users import people.csv --resume 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import operations, output

    target = errors or file.with_name(f"{file.stem}.errors{file.suffix}")
    if target.exists() and target.samefile(file):
        raise typer.BadParameter("is the file that is imported", param_hint="--errors")
    query = _query(mode, format_ or _kind(file), encoding, delimiter, column or [])
    client = connect()
    if dry_run:
        _preview(client, file, query, json=json)
        return
    with file.open("rb") as source, output.progress(quiet=json) as bar:
        one = _sent(client, source, f"{PATH}?{query}", resume, bar, file)
    if no_wait:
        operations.end(client, one, no_wait=True, json=json)
        return
    one = operations.awaited(client, one, quiet=json)
    if one["progress"]["failed"]:
        client.download(f"{one['errors_url']}?lines=true", target)
    if json:
        output.as_json(one)
    else:
        operations.tell(one)
        if one["progress"]["failed"]:
            output.complain(
                f"{one['progress']['failed']} lines refused. They are in {target}: correct them and import that file."
            )
    if one["status"] != "succeeded":
        raise typer.Exit(Exit.FAILED)


@program.command()
@connected
def export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write; CSV when it ends in .csv.")],
    format_: Annotated[
        FileKind | None, typer.Option("--format", help="What to write, if its name does not say it.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", help="Only those for whom a condition is true, e.g. \"user.attributes.plan == 'pro'\"."
        ),
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Write users with their contacts into a file that `users import` takes. Needs an admin's key.

    \b
    Examples:
      clarion users export people.ndjson
      clarion users export pro.csv --where "user.attributes.plan == 'pro'"
    """
    from clarion.cli import operations, output

    client = connect()
    chosen = {} if where is None else {"where": where}
    body = {"resource": "users", "format": format_ or _kind(file), "filter": chosen}
    one = operations.awaited(client, client.call("POST", "/v1/exports", body), quiet=json)
    if one["result_url"] is not None:
        client.download(one["result_url"], file)
    output.as_json(one) if json else operations.tell(one)
    if one["status"] != "succeeded":
        raise typer.Exit(Exit.FAILED)


def _kind(file: Path) -> FileKind:
    return FileKind.CSV if file.suffix.lower() in CSV else FileKind.NDJSON


def _query(
    mode: Mode, kind: FileKind, encoding: str | None, delimiter: str | None, columns: list[str]
) -> str:
    from urllib.parse import urlencode

    import msgspec

    given = {"mode": mode.value, "format": kind.value, "encoding": encoding, "delimiter": delimiter}
    named: dict[str, str | None] = {}
    for one in columns:
        name, separator, field = one.rpartition("=")
        if not separator:
            raise typer.BadParameter(f"write it like 'E-Mail=email', not {one!r}", param_hint="--column")
        named[name] = field or None
    if named:
        given["columns"] = msgspec.json.encode(named).decode()
    return urlencode({name: value for name, value in given.items() if value is not None})


def _preview(client: Client, file: Path, query: str, *, json: bool) -> None:
    from clarion.cli import output

    with file.open("rb") as source:
        content = source.read(PIECE)
        last = not source.read(1)
    shown = client.call("POST", f"{PATH}?{query}&dry_run=true", content, _headers(complete=last))
    if json:
        output.as_json(shown)
        return
    whole = "" if last else " of the beginning of the file"
    output.out().print(
        f"{shown['encoding']} ({shown['encoding_source']}): {shown['lines']} lines{whole}; of the first ones "
        f"{shown['wrong']} are wrong. Nothing was stored."
    )
    output.table(
        ["line", "user_id", "", *list(COLUMNS_SHOWN)[1:]],
        (
            [one["line"], one["user_id"], "new" if one["before"] is None else "changed"]
            + [cell(one["after"]) for cell in list(COLUMNS_SHOWN.values())[1:]]
            for one in shown["users"]
        ),
    )
    for one in shown["errors"]:
        output.complain(f"line {one['index']}: {one['error']['detail']}")


def _sent(client: Client, source: BinaryIO, path: str, resume: str | None, bar: Any, file: Path) -> Any:
    """The operation, once all of the file was sent."""
    from clarion.cli import operations, output

    task = bar.add_task("Sending", total=file.stat().st_size)
    one = None if resume is None else client.get(operations.path_of(resume))
    try:
        while one is None or not one["file"]["complete"]:
            start = 0 if one is None else one["file"]["bytes"]
            source.seek(start)
            content = source.read(PIECE)
            headers = _headers(complete=source.tell() >= file.stat().st_size)
            if one is None:
                one = client.call("POST", path, content, headers)
            else:
                one = _piece(client, one, content, headers | {"upload-offset": str(start)})
            bar.update(task, completed=source.tell())
    except BaseException:
        if one is not None:
            output.complain(f"Go on with: clarion users import {file} --resume {one['id']}")
        raise
    return one


def _piece(client: Client, one: Any, content: bytes, headers: dict[str, str]) -> Any:
    """The operation behind a piece. While Clarion is busy or away for a moment, it is asked how far the file is."""
    from clarion.cli.client import Answered, Unreachable, pause

    for tried in range(1, TRIES + 1):
        try:
            return client.call("PATCH", one["file"]["upload_url"], content, headers)
        except (Answered, Unreachable) as error:
            if error.status not in {409, 429, 503} or tried == TRIES:
                raise
            pause(getattr(error, "retry_after_s", None) or tried)
        try:
            now = client.get(f"/v1/operations/{one['id']}")
        except (Answered, Unreachable):
            continue
        if now["file"]["complete"] or now["file"]["bytes"] != one["file"]["bytes"]:
            return now  # it had arrived
    raise AssertionError("unreachable")


def _headers(*, complete: bool) -> dict[str, str]:
    return {"content-type": "application/octet-stream", "upload-complete": f"?{int(complete)}"}

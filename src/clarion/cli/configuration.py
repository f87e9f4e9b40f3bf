"""`clarion export`, `plan`, `apply`, `promote`, `schemas`: a tenant's configuration as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.documents import Yes
from clarion.cli.exit_codes import Exit
from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.client import Client
    from clarion.cli.folder.reading import Folder
    from clarion.cli.plan_output import FileError


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Language(StrEnum):
    """Of generated code."""

    PYTHON = "python"
    TYPESCRIPT = "typescript"


Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The configuration folder.")]
As = Annotated[Output, typer.Option("-o", "--output", help="`json` for scripts, the same as --json.")]
Environment = Annotated[
    str | None,
    typer.Option("--environment", help="Lay environments/NAME.yaml over the documents.", metavar="NAME"),
]
Overlays = Annotated[
    list[Path] | None,
    typer.Option(
        "--overlay",
        metavar="FILE",
        help="Lay another file over them, such as one with secrets that is not in git. May be repeated.",
    ),
]
PlanId = Annotated[
    str | None,
    typer.Option("--plan-id", help="Apply only if the plan is exactly this one, as `plan -o json` named it."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Only this kind of documents. May be repeated."),
]


@connected
def export(
    directory: Directory,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete files of documents that the server does not have.")
    ] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Write everything a tenant has configured into a folder, one file a document. No secrets.

    A file that says the same already stays as it is, with its comments.

    \b
    Examples:
      clarion export notifications
      clarion export notifications --prune && git diff
    """
    from clarion.cli import output
    from clarion.cli.folder import writing

    client = connect()
    config = client.get("/v1/config")
    done = writing.write(
        directory,
        config["tenant"],
        config["documents"],
        config["kinds"],
        _schemas(client, config),
        prune=prune,
    )
    if json:
        output.as_json({**done._asdict(), "pruned": prune})
        return
    written = [name for name in done.written if not name.startswith("schemas/")]
    for name in written:
        output.out().print(f"  {name}", markup=False)
    output.out().print(
        f"{len(written)} files written to {directory}; {done.unchanged} said the same already."
    )
    if done.extra:
        said = "Deleted, because" if prune else "Kept (--prune deletes them), although"
        output.err().print(
            f"{said} the server does not have these documents: {', '.join(done.extra)}", markup=False
        )


@connected
def plan(
    directory: Directory,
    environment: Environment = None,
    overlay: Overlays = None,
    as_: As = Output.TABLE,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show field by field what `clarion apply` would change. Nothing is changed.

    Exit codes: 0 no changes, 10 changes, 6 errors in the files. All errors are shown at once, with file, line and column.

    \b
    Examples:
      clarion plan notifications
      clarion plan notifications --environment production
      clarion plan notifications -o json > plan.json
    """
    from clarion.cli import plan_output

    client = connect()
    folder, body = _read(directory, environment, overlay)
    found, wrong = _planned(client, folder, body)
    if json or as_ is Output.JSON:
        _print_json(found, wrong)
    elif not wrong:
        _show(client, found)
        plan_output.kept(found)
        if found["changes"]:
            _say(f"{plan_output.summary(found)} Apply with: clarion apply {directory}")
        else:
            _say("No changes: the server is as the folder says.")
    if wrong:
        if not (json or as_ is Output.JSON):
            plan_output.errors(folder, wrong)
        raise typer.Exit(Exit.REFUSED)
    if found["changes"]:
        raise typer.Exit(Exit.CHANGES)


@connected
def apply(
    directory: Directory,
    environment: Environment = None,
    overlay: Overlays = None,
    plan_id: PlanId = None,
    yes: Yes = False,
    as_: As = Output.TABLE,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show the plan, ask, and apply exactly that plan: refused if anything it changes was changed meanwhile.

    \b
    Examples:
      clarion apply notifications
      clarion apply notifications --environment production --overlay ~/secrets.yaml
      clarion apply notifications --yes --plan-id 5d3c90a1b7e2f6480c9d1e2f
    """
    from clarion.cli import plan_output

    client = connect()
    folder, body = _read(directory, environment, overlay)
    found, wrong = _planned(client, folder, body)
    quiet = json or as_ is Output.JSON
    if wrong:
        _print_json(found, wrong) if quiet else plan_output.errors(folder, wrong)
        raise typer.Exit(Exit.REFUSED)
    _carry_out(client, body, found, plan_id=plan_id, yes=yes, json=quiet)


@connected
def promote(
    source: Annotated[
        str, typer.Option("--from", envvar="CLARION_FROM_URL", help="Address of the server to take from.")
    ],
    source_key: Annotated[
        str,
        typer.Option(
            "--from-api-key",
            envvar="CLARION_FROM_API_KEY",
            help="API key there. Prefer the variable.",
            show_default=False,
        ),
    ],
    kind: Kinds = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Also delete documents of these kinds that are not there.")
    ] = False,
    yes: Yes = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Bring documents from one server to another, such as from staging to production: show the plan, ask, apply it.

    By default categories, partials, templates and workflows. Secrets are not read, so they cannot be brought.

    \b
    Examples:
      clarion promote --from https://staging.example.com --url https://notify.example.com
      clarion promote --from https://staging.example.com --kind templates --kind partials --yes
    """
    from clarion.cli import plan_output
    from clarion.cli.client import Client
    from clarion.cli.folder.writing import OWNED

    client = connect()
    config = Client(source, source_key).get("/v1/config")
    wanted = kind or [*OWNED]
    if unknown := [one for one in wanted if one not in (*config["kinds"], *config["settings"])]:
        raise typer.BadParameter(
            f"there is no kind {unknown[0]!r}; there are {', '.join((*config['kinds'], *config['settings']))}"
        )
    body = {
        "documents": {name: found for name, found in config["documents"].items() if name in wanted},
        "owns": [one for one in wanted if one in config["kinds"]] if delete else [],
    }
    found = client.call("POST", "/v1/config/plan", body)
    if found["errors"]:
        for one in found["errors"]:
            plan_output.refused(one)
        raise typer.Exit(Exit.REFUSED)
    _carry_out(client, body, found, plan_id=None, yes=yes, json=json)


@connected
def schemas(directory: Directory, *, connect: Connect) -> None:
    """Write the JSON Schemas of all files into DIR/schemas: editors complete and check with them.

    \b
    Example:
      clarion schemas notifications
    """
    from clarion.cli.folder.writing import schema_files

    client = connect()
    files = schema_files(_schemas(client, client.get("/v1/config")))
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    _say(f"{len(files)} schemas are in {directory / 'schemas'}.")


@connected
def types(
    language: Annotated[Language, typer.Option("--language", help="Of the generated code.")],
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Read the workflows of this folder instead of the server's."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Write into this file. Default: standard output.")
    ] = None,
    *,
    connect: Connect,
) -> None:
    """Generate typed triggers: for each workflow a function, and the type of the data that its `data_schema` asks for.

    The same schemas always give the same code.

    \b
    Examples:
      clarion types --language python --file app/notifications.py
      clarion types --language typescript notifications > src/notifications.ts
    """
    from clarion.cli.stubs import data_types, python, typescript

    if directory is None:
        documents = connect().get("/v1/config")["documents"]
    else:
        folder, body = _read(directory, None, None)
        _stop_at_problems(folder)
        documents = body["documents"]
    language_of = {Language.PYTHON: python, Language.TYPESCRIPT: typescript}
    code = language_of[language].written(data_types.triggers(documents))
    if file is None:
        print(code, end="")
    else:
        file.write_text(code, "utf-8")
        _say(f"{file} has the triggers of {len(documents.get('workflows', {}))} workflows.")


def _stop_at_problems(folder: Folder) -> None:
    from clarion.cli import plan_output

    if wrong := plan_output.located(folder, []):
        plan_output.errors(folder, wrong)
        raise typer.Exit(Exit.REFUSED)


def _read(
    directory: Path, environment: str | None, overlays: Sequence[Path] | None
) -> tuple[Folder, dict[str, Any]]:
    """The folder, and what it says to the server."""
    from clarion.cli.folder import reading
    from clarion.cli.folder.layout import ENVIRONMENTS

    if not directory.is_dir():
        raise typer.BadParameter(f"{directory} is no folder: make one with `clarion export {directory}`")
    named = [*(overlays or ())]
    if environment is not None:
        there = {file.stem: file for file in (directory / ENVIRONMENTS).glob("*.yaml")}
        if environment not in there:
            known = ", ".join(sorted(there)) or "none"
            raise typer.BadParameter(
                f"there is no {ENVIRONMENTS}/{environment}.yaml in {directory}; environments there: {known}"
            )
        named.insert(0, there[environment])
    folder = reading.read(directory, named)
    return folder, {"documents": folder.documents, "owns": folder.owns, "tenant": folder.tenant}


def _planned(
    client: Client, folder: Folder, body: Mapping[str, Any]
) -> tuple[dict[str, Any], list[FileError]]:
    """The server's plan, and everything that is wrong. What could not be read is not deleted for that."""
    from clarion.cli import plan_output
    from clarion.cli.client import Answered

    asked = {**body, "owns": []} if folder.problems else body
    try:
        found = client.call("POST", "/v1/config/plan", asked)
    except Answered as refused:
        if refused.code != "invalid_request" or not refused.problem.get("errors"):
            raise
        found = {"plan_id": None, "changes": [], "kept": [], "errors": refused.problem["errors"]}
    return found, plan_output.located(folder, found["errors"])


def _print_json(found: Mapping[str, Any], wrong: Sequence[FileError]) -> None:
    from clarion.cli import output

    errors = [{"detail": one.detail, **one.spot._asdict(), "pointer": one.pointer} for one in wrong]
    plan_id = None if errors else found["plan_id"]
    output.as_json({**found, "plan_id": plan_id, "errors": errors})


def _show(client: Client, found: Mapping[str, Any]) -> None:
    from clarion.cli import plan_output

    if found["changes"]:
        _say(f"Changes at {client.url} (server -> folder):\n")
        plan_output.changes(found)


def _carry_out(
    client: Client,
    body: Mapping[str, Any],
    found: Mapping[str, Any],
    *,
    plan_id: str | None,
    yes: bool,
    json: bool,
) -> None:
    """Show a plan, ask, and apply it."""
    from clarion.cli import output, plan_output

    if plan_id is not None and plan_id != found["plan_id"]:
        output.complain(
            f"The plan is now {found['plan_id']}, not {plan_id}: something was changed since. Plan again, and look."
        )
        raise typer.Exit(Exit.REFUSED)
    if not found["changes"]:
        output.as_json({"plan_id": found["plan_id"], "applied": []}) if json else _say(
            "No changes: nothing to apply."
        )
        return
    if not json:
        _show(client, found)
    if not yes:
        _ask(found)
    done = client.call("POST", "/v1/config/apply", {**body, "plan_id": found["plan_id"]})
    if json:
        output.as_json(done)
        return
    for one in done["applied"]:
        _say(f"  {plan_output.name_of(one)} is {plan_output.PAST[one['action']]}.")
    _say(f"Applied: {plan_output.summary(found, plan_output.PAST)}")


def _ask(found: Mapping[str, Any]) -> None:
    """A person agrees; to several deletions by their number."""
    from clarion.cli.plan_output import summary

    if not _is_somebody_there():
        raise typer.BadParameter("nobody can be asked here: give --yes after you have seen the plan")
    deletes = sum(one["action"] == "delete" for one in found["changes"])
    if deletes > 1:
        typed = typer.prompt(
            f"{summary(found)} {deletes} documents are deleted: type {deletes} to apply", err=True
        )
        if typed.strip() != str(deletes):
            raise typer.Abort
    else:
        typer.confirm(f"{summary(found)} Apply?", abort=True, err=True)


def _is_somebody_there() -> bool:
    import sys

    return sys.stdin.isatty()


def _schemas(client: Client, config: Mapping[str, Any]) -> dict[str, Any]:
    names = ["clarion", *config["settings"], *config["kinds"]]
    return {name: client.get(f"/v1/schemas/{name}") for name in names}


def _say(text: str) -> None:
    from clarion.cli.output import out

    out().print(text, markup=False)

"""`clarion translations`: templates out to translators and back."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from clarion.cli.exit_codes import Exit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Export templates for translators, and import translations.")


class FileFormat(StrEnum):
    """How a file of translations is written."""

    PO = "po"
    XLIFF = "xliff"


MEDIA_TYPES = {FileFormat.PO: "text/x-gettext-translation", FileFormat.XLIFF: "application/xliff+xml"}
SUFFIXES = {".po": FileFormat.PO, ".pot": FileFormat.PO, ".xlf": FileFormat.XLIFF, ".xliff": FileFormat.XLIFF}

Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Language to translate from; required if the templates have different default languages.",
    ),
]
Template = Annotated[str | None, typer.Option("--template", "-t", help="Only this template.")]


@program.command("export")
@connected
def export_(
    locale: Annotated[str, typer.Argument(help="Language to translate to, like de or pt-BR.")],
    format: Annotated[
        FileFormat, typer.Option("--format", "-f", help="gettext PO, or XLIFF 2.0.")
    ] = FileFormat.PO,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not to the terminal.")
    ] = None,
    template: Template = None,
    source: Source = None,
    *,
    connect: Connect,
) -> None:
    """Write a file with every text of the templates and what is translated already.

    \b
    Examples:
      clarion translations export de -o de.po
      clarion translations export pt-BR --format xliff --template welcome > welcome.xlf
    """
    import sys
    from urllib.parse import urlencode

    from clarion.cli.client import segment

    given = {"format": format.value, "template": template, "source": source}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    content = connect().fetch("GET", f"/v1/translations/{segment(locale)}?{query}")
    if output is None:
        sys.stdout.buffer.write(content)
    else:
        output.write_bytes(content)


@program.command("import")
@connected
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A .po, .xlf or .xliff file.")
    ],
    locale: Annotated[
        str | None, typer.Option("--locale", help="Its language, if the file does not say.")
    ] = None,
    source: Source = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Import translations into the drafts of their templates.

    If the placeholders of a translation differ from its source, the error names its line and nothing is stored.
    The import changes drafts only: review them, then publish them.

    \b
    Examples:
      clarion translations import de.po
      clarion translations import welcome.xlf --locale pt-BR
    """
    from clarion.cli import output
    from clarion.cli.client import segment
    from clarion.errors import ConfigError

    form = SUFFIXES.get(file.suffix.lower())
    if form is None:
        raise ConfigError(f"{file} is not a translation file: its name must end in {', '.join(SUFFIXES)}.")
    content = file.read_bytes()
    language = locale or _language(form, content, file)
    query = f"?source={segment(source)}" if source else ""
    told = connect().call(
        "PUT",
        f"/v1/translations/{segment(language)}{query}",
        content,
        {"content-type": MEDIA_TYPES[form]},
    )
    if json:
        output.as_json(told)
    else:
        _report(told)
    if told["unknown"] or told["outdated"] or told["incomplete"]:
        raise typer.Exit(Exit.FAILED)


@program.command()
@connected
def missing(
    locale: Annotated[str | None, typer.Argument(help="Language to show. Default: all languages.")] = None,
    template: Template = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show what is not translated yet.

    \b
    Examples:
      clarion translations missing
      clarion translations missing de --template welcome
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    if locale is None:
        found = client.get("/v1/translations")["items"]
        columns = ["language", "fields", "missing", "translated"]
        rows = [[one["locale"], one["fields"], one["missing"], f"{one['percent']} %"] for one in found]
    else:
        found = client.get(f"/v1/translations/{segment(locale)}/missing", template=template)
        columns = ["template", "channel", "missing", "served today"]
        rows = [
            [one["template"], channel["channel"], ", ".join(channel["missing"]), channel["served"] or ""]
            for one in found["templates"]
            for channel in one["channels"]
            if channel["missing"]
        ]
    if json:
        output.as_json(found)
    elif rows:
        output.table(columns, rows)
    else:
        output.out().print("Nothing is missing.")


def _language(form: FileFormat, content: bytes, file: Path) -> str:
    """The language the file says it is in."""
    from clarion.content.catalogues import Unreadable, po, xliff
    from clarion.errors import ConfigError

    read = po.read if form is FileFormat.PO else xliff.read
    try:
        found = read(content).target
    except Unreadable as wrong:
        raise ConfigError(f"{file}, line {wrong.line}: {wrong.detail}.") from None
    if not found:
        raise ConfigError(f"{file} does not say its language: name it with --locale.")
    return found


def _report(told: Any) -> None:
    from rich.text import Text

    from clarion.cli import output

    console = output.out()
    console.print(
        f"{told['changed']} changed, {told['unchanged']} unchanged, {told['untranslated']} not translated."
    )
    if told["drafts"]:
        console.print(f"Drafts to review and publish: {', '.join(told['drafts'])}.")
    for name in ("incomplete", "review", "outdated", "unknown"):
        for note in told[name]:
            where = f"line {note['line']}, {note['template']} {note['entry']}"
            console.print(Text(f"{name}: {where}: {note['detail']}"), style=output.SILENT)

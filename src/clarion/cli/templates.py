"""`clarion templates`: write them in files, check them, publish them, take them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clarion.cli import document_file
from clarion.cli.assignments import EventData, event_data
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Check, preview, publish and roll back templates.")

Key = Annotated[str, typer.Argument(help="Key of the template.")]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="Template as JSON or TOML (.toml); - reads JSON from standard input."
    ),
]
Draft = Annotated[bool, typer.Option("--draft", help="The draft.")]
Version = Annotated[int | None, typer.Option("--version", help="An old version.")]
Given = Annotated[
    list[str] | None,
    typer.Option("--set", help="A value of the data, NAME=VALUE. VALUE may be JSON."),
]
NamedKey = Annotated[str | None, typer.Option("--key", help="Key of the template, if the file has none.")]


@program.command("list")
@connected
def list_(*, connect: Connect, json: Json = False) -> None:
    """List the live templates with their channels and languages.

    \b
    Example:
      clarion templates list
    """
    from clarion.cli import output

    found = connect().get("/v1/templates")["items"]
    if json:
        output.as_json(found)
        return
    output.table(
        ["key", "version", "published", "channels", "languages"],
        (
            (
                one["key"],
                one["version"],
                output.clock(one["published_at"]),
                ", ".join(one["channels"]),
                ", ".join(
                    dict.fromkeys(locale for locales in one["channels"].values() for locale in locales)
                ),
            )
            for one in found
        ),
    )


@program.command("show")
@connected
def show_(
    key: Key,
    version: Version = None,
    draft: Draft = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show a template and its versions; with --json the document, ready to be changed and published.

    \b
    Examples:
      clarion templates show welcome
      clarion templates show welcome --json > welcome.json
      clarion templates show welcome --version 3 --json
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    path = f"/v1/templates/{segment(key)}"
    template = client.get(f"{path}/draft")["template"] if draft else client.get(path, version=version)
    if json:
        output.as_json(template)
        return
    _sources(template)
    if not draft:
        output.table(
            ["version", "published", "made from", ""],
            (
                (
                    one["version"],
                    output.clock(one["published_at"]),
                    one["origin"],
                    "live" if one["live"] else "",
                )
                for one in client.pages(f"{path}/versions", 10)
            ),
        )


@program.command()
@connected
def publish(
    file: File,
    key: NamedKey = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Save it as a draft instead. A draft may have errors.")
    ] = False,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Check a template and make it live as the next version; exit code 6 and every error when it cannot be.

    \b
    Examples:
      clarion templates publish welcome.json
      clarion templates publish welcome.toml --draft
      clarion templates publish welcome.json --if-match v3
      clarion templates show welcome --json | jq '.name = "Hello"' | clarion templates publish -
    """
    from clarion.cli import output
    from clarion.cli.client import matching, segment

    document = _read(file, key)
    client = connect()
    path = f"/v1/templates/{segment(document['key'])}"
    if not draft:
        live = client.call("PUT", path, document, matching(if_match))
        output.as_json(live) if json else output.out().print(
            f"{live['key']} is live in version {live['version']}.", markup=False
        )
        return
    saved = client.call("PUT", f"{path}/draft", {"template": document}, matching(if_match))
    if json:
        output.as_json(saved)
        return
    _findings(saved["findings"])
    output.out().print(f"The draft of {document['key']} is saved.", markup=False)


@program.command()
@connected
def rollback(
    key: Key,
    version: Annotated[int, typer.Argument(help="The version to go back to, from `clarion templates show`.")],
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Publish an old version again, exactly as it was.

    \b
    Example:
      clarion templates rollback welcome 3
    """
    from clarion.cli import output
    from clarion.cli.client import matching, segment

    client = connect()
    path = f"/v1/templates/{segment(key)}/rollback"
    done = client.call("POST", path, {"version": version}, matching(if_match))
    if json:
        output.as_json(done)
        return
    live = done["template"]
    output.out().print(f"{key} is live in version {live['version']}, which is {version} again.", markup=False)


@program.command()
@connected
def preview(
    key: Annotated[str, typer.Argument(help="Key of the template, or a file that holds one.")],
    channel: Annotated[str | None, typer.Option("--channel", help="Only this channel.")] = None,
    locale: Annotated[
        str | None, typer.Option("--locale", help="Preview for a reader of this language.")
    ] = None,
    user_id: Annotated[str | None, typer.Option("--user-id", help="As this user.")] = None,
    draft: Draft = False,
    version: Version = None,
    data: EventData = None,
    given: Given = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show what one user would get, and the issues of the template. Nothing is sent or stored.

    \b
    Examples:
      clarion templates preview welcome --locale de --channel sms
      clarion templates preview ./welcome.toml --user-id ada
      clarion templates preview welcome --draft --set plan=Gold
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    asked: dict[str, Any] = {"channel": channel, "locale": locale, "user_id": user_id, "version": version}
    asked = {name: value for name, value in asked.items() if value is not None}
    if draft:
        asked["draft"] = True
    if data is not None or given:
        asked["data"] = event_data(data, given or ())
    if Path(key).is_file():
        asked["template"] = _read(key, None)
        key = asked["template"]["key"]
    client = connect()
    shown = client.call("POST", f"/v1/templates/{segment(key)}/preview", asked)
    if json:
        output.as_json(shown)
        return
    for one in shown["previews"]:
        _preview(one)
    _findings(shown["findings"])


@program.command("test")
@connected
def try_out(
    key: Key,
    to: Annotated[str, typer.Option("--to", help="Id of the user who gets it: you.")],
    channel: Annotated[str, typer.Option("--channel", help="The channel to send it on.")],
    draft: Draft = False,
    version: Version = None,
    data: EventData = None,
    given: Given = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Send a template to yourself, now, as a real message. It does not have to be live.

    It ignores preferences, quiet hours and caps. It is not sent to a suppressed address.

    \b
    Examples:
      clarion templates test welcome --to ada --channel email
      clarion templates test welcome --to ada --channel sms --draft --set plan=Gold
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    asked: dict[str, Any] = {"user_id": to, "channel": channel, "draft": draft}
    if version is not None:
        asked["version"] = version
    if data is not None or given:
        asked["data"] = event_data(data, given or ())
    sent = connect().call("POST", f"/v1/templates/{segment(key)}/test", asked)
    if json:
        output.as_json(sent)
        return
    output.out().print(f"Sent to {to} by {channel}. To see what happened to it:", markup=False)
    output.out().print(f"  clarion messages show {sent['message_id']}", markup=False)


def _read(file: str, key: str | None) -> dict[str, Any]:
    """The template of a file, with its key."""
    document = document_file.read(file)
    stem = "" if file == "-" else Path(file).stem
    document["key"] = key or document.get("key") or stem
    if not document["key"]:
        raise typer.BadParameter("the file does not name its template: give its key with --key.")
    return document


def _sources(template: dict[str, Any]) -> None:
    """Every field, under its channel and language."""
    from rich.text import Text

    from clarion.cli import output

    console = output.out()
    for channel, locales in template["channels"].items():
        for locale, fields in locales.items():
            console.print(Text(f"{channel} · {locale}", style="bold"))
            for name, source in fields.items():
                output.field(name, source)


def _preview(one: dict[str, Any]) -> None:
    from rich.text import Text

    from clarion.cli import output

    console = output.out()
    console.print(Text(f"{one['channel']} · {one['locale'] or 'no language'}", style="bold"))
    if one["error"] is not None:
        console.print(Text(f"  {one['error']['detail']}", style="red"))
        return
    for name, value in one["content"].items():
        if name != "channel" and value:
            output.field(name, str(value))
    size = f"  {one['bytes']['total']} bytes"
    if (sms := one["sms"]) is not None:
        size += f", {sms['encoding']}, segments: {sms['segments']}"
        # For one reader the price of their number, for nobody in particular all there are.
        here = {sms["priced_as"]: sms["expected"]} if sms["priced_as"] else sms["cost"]
        size += "".join(f", {row} {cost['amount']} {cost['currency']}" for row, cost in here.items())
    console.print(Text(size, style=output.SILENT))


def _findings(findings: list[dict[str, Any]]) -> None:
    """On standard error, the worst first."""
    from rich.text import Text

    from clarion.cli.output import SILENT, err

    tones = {"error": "red", "warning": "yellow", "note": SILENT}
    for one in sorted(findings, key=lambda one: list(tones).index(one["severity"])):
        place = one["pointer"] + (f" line {one['line']}" if one.get("line") else "")
        err().print(
            Text(f"{one['severity']}: ", style=tones[one["severity"]]),
            Text(f"{place}: {one['detail']}"),
            sep="",
        )

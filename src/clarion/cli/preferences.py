"""`clarion preferences`: what users chose to receive, and what holds for those who have not chosen."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.assignments import assigned
from clarion.cli.document_file import read
from clarion.cli.documents import Changes, File, report
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show and change what users receive.")
defaults = typer.Typer(no_args_is_help=True, help="Show and change what holds for users who have not chosen.")
program.add_typer(defaults, name="defaults")

DEFAULTS = "/v1/preferences"

User = Annotated[str, typer.Argument(metavar="USER", help="The user.")]


@program.command()
@connected
def show(user: User, *, connect: Connect, json: Json = False) -> None:
    """Show per category and channel whether the user receives it, and which setting decides that.

    With --json also what the user chose.

    \b
    Example:
      clarion preferences show ada
    """
    from clarion.cli import output as printed

    found = connect().get(_at(user))
    if json:
        printed.as_json(found)
        return
    printed.table(
        ["category", "channel", "receives", "decided by"],
        (
            (category, channel, "yes" if one["enabled"] else "no", one["decided_by"])
            for category, its in found["effective"]["categories"].items()
            for channel, one in its["channels"].items()
        ),
    )


@program.command()
@connected
def update(
    user: User,
    changes: Changes = None,
    if_match: IfMatch = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Change single choices of a user. What is not named stays.

    \b
    Examples:
      clarion preferences update ada --set 'categories={"marketing": {"enabled": false}}'
      clarion preferences update ada --set quiet_hours=null
    """
    from clarion.cli.client import matching

    if not changes:
        raise typer.BadParameter("name at least one change with --set NAME=VALUE")
    answer = connect().call("PATCH", _at(user), assigned(changes), matching(if_match))
    report(answer, f"The preferences of {user} are changed.", json=json)


@defaults.command("show")
@connected
def show_defaults(*, connect: Connect) -> None:
    """Show what holds for users who have not chosen, as JSON.

    \b
    Example:
      clarion preferences defaults show
    """
    from clarion.cli import output as printed

    printed.as_json(connect().get(DEFAULTS))


@defaults.command("set")
@connected
def set_defaults(file: File, if_match: IfMatch = None, *, connect: Connect, json: Json = False) -> None:
    """Replace all defaults.

    \b
    Example:
      clarion preferences defaults set defaults.json
    """
    from clarion.cli.client import matching

    report(
        connect().call("PUT", DEFAULTS, read(file), matching(if_match)), "The defaults are stored.", json=json
    )


@defaults.command("update")
@connected
def update_defaults(
    changes: Changes = None, if_match: IfMatch = None, *, connect: Connect, json: Json = False
) -> None:
    """Change single defaults. What is not named stays.

    \b
    Examples:
      clarion preferences defaults update --set 'topics={"orders": {"channels": {"sms": false}}}'
      clarion preferences defaults update --set digest=null
    """
    from clarion.cli.client import matching

    if not changes:
        raise typer.BadParameter("name at least one change with --set NAME=VALUE")
    answer = connect().call("PATCH", DEFAULTS, assigned(changes), matching(if_match))
    report(answer, "The defaults are changed.", json=json)


def _at(user: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/users/{segment(user)}/preferences"

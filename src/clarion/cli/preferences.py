"""`clarion preferences`: what one user chose to receive."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.assignments import assigned
from clarion.cli.documents import Changes, report
from clarion.cli.options import Connect, IfMatch, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show and change what a user receives.")

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


def _at(user: str) -> str:
    from clarion.cli.client import segment

    return f"/v1/users/{segment(user)}/preferences"

"""`clarion pages`: links to pages of a user that need no login."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Create links to pages of users.")

User = Annotated[str, typer.Argument(metavar="USER", help="The user.")]
Page = Annotated[str, typer.Option("--page", metavar="PAGE", help="preferences.")]


@program.command()
@connected
def create(user: User, page: Page = "preferences", *, connect: Connect, json: Json = False) -> None:
    """Create a link to the preference page of a user. Whoever has it can change the choices: give it to the user only.

    \b
    Example:
      clarion pages create ada
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    made = connect().call("POST", f"/v1/users/{segment(user)}/pages", {"page": page})
    if json:
        output.as_json(made)
    else:
        typer.echo(made["url"])
        typer.echo(f"Something can be changed there until {made['expires_at']}.", err=True)

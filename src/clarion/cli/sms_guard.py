"""`clarion sms-guard`: the pumping guard."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.assignments import assigned
from clarion.cli.documents import Changes, report
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show and change what stops abuse of text messages.")

GUARD = "/v1/sms-guard"


@program.command()
@connected
def show(*, connect: Connect) -> None:
    """Show the settings as JSON.

    \b
    Example:
      clarion sms-guard show
    """
    from clarion.cli import output

    output.as_json(connect().get(GUARD))


@program.command()
@connected
def update(changes: Changes = None, *, connect: Connect, json: Json = False) -> None:
    """Change single settings. What is not named stays.

    \b
    Examples:
      clarion sms-guard update --set country_mode=on --set 'countries=["DE", "AT"]'
      clarion sms-guard update --set mode=observe
    """
    if not changes:
        raise typer.BadParameter("name at least one change with --set NAME=VALUE")
    report(connect().call("PATCH", GUARD, assigned(changes)), "The guard is changed.", json=json)


@program.command()
@connected
def blocks(*, connect: Connect, json: Json = False) -> None:
    """List the ranges of numbers that are blocked.

    \b
    Example:
      clarion sms-guard blocks
    """
    from clarion.cli import output

    found = [*connect().pages(f"{GUARD}/blocks", 1_000)]
    if json:
        output.as_json(found)
        return
    output.table(
        ["range", "sent", "confirmed", "blocked until"],
        ((f"+{one['id']}", one["sent"], one["confirmed"], one["blocked_until"]) for one in found),
    )


@program.command()
@connected
def lift(
    block: Annotated[str, typer.Argument(metavar="RANGE", help="The range, as `blocks` lists it.")],
    *,
    connect: Connect,
) -> None:
    """Lift the block of a range.

    \b
    Example:
      clarion sms-guard lift +37127000
    """
    from clarion.cli.client import segment

    connect().call("DELETE", f"{GUARD}/blocks/{segment(block.removeprefix('+'))}")
    typer.echo(f"{block} is not blocked any more.")

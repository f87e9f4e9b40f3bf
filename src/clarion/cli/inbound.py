"""`clarion inbound`: what people wrote to us."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(
    no_args_is_help=True,
    help="Read what people wrote: text messages and chats. STOP, START and HELP are obeyed by themselves.",
)

PATH = "/v1/inbound"

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the inbound message, from `clarion inbound list`.")
]


@program.command("list")
@connected
def list_(
    user: Annotated[str | None, typer.Option("--user", help="Only from this user.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only on these channels: sms,chat.")
    ] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", help="opt_out, opt_in, help, unclear or other.")
    ] = None,
    needs_review: Annotated[
        bool | None,
        typer.Option("--needs-review/--reviewed", help="Only what a person has still to read, or the rest."),
    ] = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List inbound messages, newest first.

    \b
    Examples:
      clarion inbound list --needs-review
      clarion inbound list --verdict opt_out --channel sms
    """
    from clarion.cli import output

    open_only = None if needs_review is None else str(needs_review).lower()
    found = list(
        connect().pages(PATH, limit, user_id=user, channel=channel, verdict=verdict, needs_review=open_only)
    )
    if json:
        output.as_json(found)
        return
    output.table(
        ["id", "created", "channel", "user", "verdict", "review", "reply"],
        (
            (
                one["id"],
                output.clock(one["created_at"]),
                one["channel"],
                one["user_id"] or "",
                one["verdict"],
                "needed" if one["needs_review"] else "",
                one["reply"] or "",
            )
            for one in found
        ),
    )


@program.command("show")
@connected
def show_(id: Id, *, connect: Connect, json: Json = False) -> None:
    """Show one inbound message with its text.

    \b
    Example:
      clarion inbound show 7
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    found = connect().get(f"{PATH}/{segment(id)}")
    if json:
        output.as_json(found)
        return
    for name, value in found.items():
        output.field(name, str(value))


@program.command()
@connected
def resolve(
    id: Id,
    verdict: Annotated[str, typer.Option("--verdict", help="opt_out, opt_in, help or other.")],
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Say what an inbound message asks for. `opt_out` suppresses the address it came from.

    \b
    Example:
      clarion inbound resolve 7 --verdict opt_out
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    done = connect().call("POST", f"{PATH}/{segment(id)}/resolve", {"verdict": verdict})
    if json:
        output.as_json(done)
        return
    output.out().print(f"Inbound message {id}: {done['verdict']}.", markup=False)

"""`clarion quarantine`: mail that could not be matched or verified, and callbacks that made no sense."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.messages import Limit
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(
    no_args_is_help=True,
    help="Review mail that could not be matched or verified, and callbacks that made no sense.",
)

PATH = "/v1/quarantine"

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the mail or callback, from `clarion quarantine list`.")
]


@program.command("list")
@connected
def list_(
    why: Annotated[str | None, typer.Option("--why", help="not_understood, no_message or no_proof.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="email or callback.")] = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List what is kept, newest first.

    \b
    Examples:
      clarion quarantine list --why no_message
      clarion quarantine list --kind callback
    """
    from clarion.cli import output

    found = list(connect().pages(PATH, limit, why=why, kind=kind))
    if json:
        output.as_json(found)
        return
    output.table(
        ["id", "created", "kind", "why", "from", "about", "bytes"],
        (
            (
                o["id"],
                output.clock(o["created_at"]),
                o["kind"],
                o["why"],
                o["sender"] or o["integration"] or "",
                o["subject"] or o["error"] or "",
                o["size_bytes"],
            )
            for o in found
        ),
    )


@program.command("show")
@connected
def show_(
    id: Id,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the original mail, or the body of the callback.")
    ] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show one mail or callback.

    \b
    Examples:
      clarion quarantine show 7
      clarion quarantine show 7 --raw > 7.eml
    """
    import sys

    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    path = f"{PATH}/{segment(id)}"
    if raw:
        sys.stdout.buffer.write(client.fetch("GET", f"{path}/raw"))
        return
    found = client.get(path)
    if json:
        output.as_json(found)
        return
    for name, value in found.items():
        output.field(name, str(value))


@program.command()
@connected
def resolve(
    id: Id,
    verdict: Annotated[
        str,
        typer.Option("--verdict", help="hard, soft, block, complaint, unsubscribe, delivered or auto_reply."),
    ],
    message_id: Annotated[
        str | None,
        typer.Option("--message-id", help="The message it is about. Default: the one the mail names."),
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Resolve a mail: its verdict is applied to its message and address, and the mail is deleted.

    \b
    Example:
      clarion quarantine resolve 7 --verdict hard --message-id 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    body = {"verdict": verdict, "message_id": message_id}
    done = connect().call("POST", f"{PATH}/{segment(id)}/resolve", body)
    if json:
        output.as_json(done)
        return
    changed = "" if done["changed"] else " Nothing changed: Clarion already knew this."
    output.out().print(f"Message {done['message_id']}: {done['verdict']}.{changed}", markup=False)


@program.command()
@connected
def retry(ids: Annotated[list[str], typer.Argument(help="Ids of callbacks.")], *, connect: Connect) -> None:
    """Read callbacks again, as their providers' plug-ins understand them now.

    \b
    Example:
      clarion quarantine retry 9 10
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    for one in ids:
        client.call("POST", f"{PATH}/{segment(one)}/retry")
        output.out().print(f"Read {one}: what it reports is stored.", markup=False)


@program.command()
@connected
def delete(
    ids: Annotated[list[str], typer.Argument(help="Ids of mails or callbacks.")], *, connect: Connect
) -> None:
    """Delete mails or callbacks from quarantine. Nothing else changes.

    \b
    Example:
      clarion quarantine delete 7 8
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    client = connect()
    for one in ids:
        client.call("DELETE", f"{PATH}/{segment(one)}")
        output.out().print(f"Deleted {one}.", markup=False)

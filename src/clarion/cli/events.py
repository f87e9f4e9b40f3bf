"""`clarion events`: what happened, what came of it, and stopping it."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli import explain
from clarion.cli.messages import Limit, Since, Until
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="List, inspect and cancel events.")

Id = Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event, as `clarion trigger` printed it.")]


@program.command("list")
@connected
def list_(
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List events, newest first.

    \b
    Example:
      clarion events list --since 2030-06-01T18:00:00Z
    """
    from clarion.cli import output

    found = connect().pages("/v1/events", limit, since=since, until=until)
    if json:
        output.as_json(list(found))
        return
    output.table(
        ["created", "workflows", "type", "status", "messages", "id"],
        (
            (
                output.clock(one["created_at"]),
                ", ".join(one["workflows"]),
                one["type"] or "",
                one["status"],
                sum(one["counts"].values()),
                one["id"],
            )
            for one in found
        ),
    )


@program.command("show")
@connected
def show_(event_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Show the messages of an event.

    \b
    Example:
      clarion events show 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import messages, output
    from clarion.cli.client import segment

    event = connect().get(f"/v1/events/{segment(event_id)}")
    if json:
        output.as_json(event)
    else:
        output.field(
            "status", event["status"] if not event["reason"] else f"{event['status']} ({event['reason']})"
        )
        messages.table(event["messages"])


@program.command()
@connected
def cancel(event_id: Id, *, connect: Connect, json: Json = False) -> None:
    """Cancel all messages of an event that have not started to be sent.

    \b
    Example:
      clarion events cancel 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    done = connect().call("POST", f"/v1/events/{segment(event_id)}/cancel")
    if json:
        output.as_json(done)
    else:
        output.out().print(f"{done['canceled']} messages canceled.")


program.command("explain", help=explain.explain.__doc__)(explain.explain)

"""`clarion dead-letters`: messages whose every attempt failed."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.messages import Channel, Limit, Reason, User, Workflow
from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="See and repeat what failed for good.")

PER_CALL = 1_000


@program.command("list")
@connected
def list_(
    user: User = None,
    workflow: Workflow = None,
    channel: Channel = None,
    reason: Reason = None,
    limit: Limit = 20,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """List dead letters, newest first.

    \b
    Example:
      clarion dead-letters list --channel email
    """
    from clarion.cli import show
    from clarion.cli.messages import table

    found = connect().pages(
        "/v1/dead-letters", limit, user=user, workflow=workflow, channel=channel, reason=reason
    )
    if json:
        show.as_json(list(found))
    else:
        table(found)


@program.command()
@connected
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of messages.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that matches the filters; without a filter everything.")
    ] = False,
    user: User = None,
    workflow: Workflow = None,
    channel: Channel = None,
    reason: Reason = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Put dead letters back into the queue with fresh attempts.

    \b
    Examples:
      clarion dead-letters redrive 0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e
      clarion dead-letters redrive --all --channel email --reason provider_timeout
    """
    from clarion.cli import show

    if bool(ids) == everything:
        raise typer.BadParameter("name messages, or say --all (with filters if you like)")
    client = connect()
    if ids:
        done = client.call("POST", "/v1/dead-letters/redrive", {"ids": ids})["redriven"]
    else:
        chosen = {"user_id": user, "workflow": workflow, "channel": channel, "reason": reason}
        body = {"filter": {k: v for k, v in chosen.items() if v is not None}, "limit": PER_CALL}

        def more() -> tuple[int, bool]:
            done = int(client.call("POST", "/v1/dead-letters/redrive", body)["redriven"])
            return done, done >= PER_CALL

        done = show.rounds("Redriving", more, quiet=json)
    if json:
        show.as_json({"redriven": done})
    else:
        show.out().print(f"{done} put back into the queue.")
    if ids and done < len(ids):
        show.complain(f"{len(ids) - done} of {len(ids)} are no dead letters (any more): left as they are.")
        raise typer.Exit(1)

"""`clarion trigger`: something happened."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.assignments import EventData, event_data
from clarion.cli.objects import named as object_named
from clarion.cli.options import Connect, Json, connected


@connected
def trigger(
    workflow: Annotated[str, typer.Argument(help="Key of the workflow.")],
    to: Annotated[list[str] | None, typer.Option("--to", help="A user; may be repeated.")] = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", help="A topic; may be repeated.")] = None,
    segments: Annotated[
        list[str] | None, typer.Option("--segment", help="A segment; may be repeated.")
    ] = None,
    objects: Annotated[
        list[str] | None,
        typer.Option(
            "--object", metavar="TYPE/ID", help="A team, a room, whoever is on duty; may be repeated."
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create users of --to that do not exist yet.")
    ] = False,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value of the data, NAME=VALUE. VALUE may be JSON."),
    ] = None,
    data: EventData = None,
    lane: Annotated[
        str | None, typer.Option(help="critical, high, normal or bulk, instead of the workflow's own.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="Send nothing after this time (RFC 3339, e.g. 2030-06-01T18:00:00Z).")
    ] = None,
    send_at: Annotated[
        str | None, typer.Option(help="Send nothing before this time (RFC 3339, e.g. 2030-06-01T18:00:00Z).")
    ] = None,
    send_at_local: Annotated[
        str | None, typer.Option(help="Like --send-at, in each recipient's time zone, e.g. 2030-06-01T09:00.")
    ] = None,
    delay: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="Seconds to wait before sending.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Idempotency key: a repeat with the same key within 24 hours sends nothing."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent and why; send nothing.")
    ] = False,
    skip_waits: Annotated[
        bool, typer.Option("--skip-waits", help="With --dry-run: show also what happens behind waits.")
    ] = False,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Send an event, or show with --dry-run what it would send.

    \b
    Examples:
      clarion trigger order-shipped --to ada --data '{"order": "A-1042", "carrier": "DHL"}'
      clarion trigger flash-sale --topic readers --set percent=0.2 --set ends=2030-06-01T18:00:00Z
      clarion trigger flash-sale --segment pros --set percent=0.2 --dry-run
      clarion trigger alert --object rota/payments --set text='Disk full' --dry-run
      clarion trigger otp --to ada --set code=493021 --dry-run
      clarion trigger welcome --to zoe --create
      clarion trigger flash-sale --topic readers --send-at-local 2030-06-01T09:00
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    body: dict[str, Any] = {
        "recipients": [
            *({"user_id": name, "create": True} if create else name for name in to or ()),
            *({"topic": key} for key in topic or ()),
            *({"segment": key} for key in segments or ()),
            *({"object": object_named(key)} for key in objects or ()),
        ],
        "data": event_data(data, given or ()),
    }
    if not body["recipients"]:
        raise typer.BadParameter("give at least one recipient with --to, --topic, --segment or --object")
    more = {
        "lane": lane,
        "expires_at": expires_at,
        "send_at": send_at,
        "send_at_local": send_at_local,
        "delay_s": delay,
    }
    body |= {name: value for name, value in more.items() if value is not None}
    path = f"/v1/workflows/{segment(workflow)}/trigger"
    if skip_waits and not dry_run:
        raise typer.BadParameter("--skip-waits goes with --dry-run")
    query = f"?dry_run=true{'&skip_waits=true' if skip_waits else ''}" if dry_run else ""
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    answer = connect().call("POST", path + query, body, headers)
    if json:
        output.as_json(answer)
    elif dry_run:
        for run in answer["runs"]:
            output.explained(run)
    else:
        output.out().print(f"Accepted for {answer['accepted']}: event {answer['event_id']}")
        for name in answer["created_users"]:
            output.out().print(f"Created the user {name}.")
        for warning in answer["warnings"]:
            output.err().print(f"Warning: {warning['detail']}", markup=False)
        output.out().print(f"To see the result: clarion explain {answer['event_id']}", style=output.SILENT)

"""`clarion explain`: why somebody was, or was not, notified."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.options import Connect, Json, connected


@connected
def explain(
    event_id: Annotated[str, typer.Argument(help="Id of the event, as `clarion trigger` printed it.")],
    user_id: Annotated[str | None, typer.Option("--user-id", help="Only this user.")] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show what was decided for each recipient of an event, by which rules, and why.

    \b
    Examples:
      clarion explain 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
      clarion events explain 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e
      clarion explain 0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e --user-id ada --json
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    runs = connect().get(f"/v1/events/{segment(event_id)}/explanation", user_id=user_id)["runs"]
    if json:
        output.as_json(runs)
    else:
        for run in runs:
            output.explained(run)

"""`clarion stats`: how many messages ended how."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.options import Connect, Json, connected


@connected
def stats(
    by: Annotated[
        str,
        typer.Option("--by", help="What to tell apart, with commas: day, workflow, channel, status, reason."),
    ] = "day,status",
    since: Annotated[
        str | None,
        typer.Option("--since", help="From the UTC day of this time on (RFC 3339). Default: 30 days."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Up to this time (RFC 3339). Default: now.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show how many messages there are by day and status, also of those that are not kept any more.

    \b
    Examples:
      clarion stats
      clarion stats --by workflow,channel,status --since 2030-06-01T00:00:00Z
    """
    from clarion.cli import output

    found = connect().get("/v1/stats", by=by, since=since, until=until)
    if json:
        output.as_json(found)
        return
    rows = found["rows"]
    columns = [*rows[0]["keys"]] if rows else []
    output.table(
        [*columns, "messages"],
        [
            [
                *[output.status(one) if key == "status" else one or "" for key, one in row["keys"].items()],
                f"{row['values']['messages']:,}",
            ]
            for row in rows
        ],
    )

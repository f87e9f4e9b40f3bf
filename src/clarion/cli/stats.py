"""`clarion stats`: how many messages ended how, and what they have cost."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected


@connected
def stats(
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="What to tell apart, with commas: day, workflow, channel, status, reason; for costs day, channel, "
            "country, integration.",
        ),
    ] = None,
    metrics: Annotated[str, typer.Option("--metrics", help="What to count: messages or cost.")] = "messages",
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
    """Show how many messages there are by day and status, also of those that are not kept any more, or what they cost.

    \b
    Examples:
      clarion stats
      clarion stats --by workflow,channel,status --since 2030-06-01T00:00:00Z
      clarion stats --metrics cost --by day,country
    """
    from clarion.cli import output

    found = connect().get("/v1/stats", metrics=metrics, by=by, since=since, until=until)
    if json:
        output.as_json(found)
        return
    rows = found["rows"]
    columns = [*rows[0]["keys"]] if rows else []
    output.table(
        [*columns, "messages"] if metrics == "messages" else [*columns, "calls", "cost"],
        [
            [
                *[output.status(one) if key == "status" else one or "" for key, one in row["keys"].items()],
                *_values(row["values"]),
            ]
            for row in rows
        ],
    )


def _values(values: dict[str, Any]) -> list[str]:
    if (cost := values.get("cost")) is not None:
        return [f"{values['calls']:,}", f"{cost['amount']} {cost['currency']}"]
    return [f"{values['messages']:,}"]

"""`clarion budgets`: what may be spent on messages in a day."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show and set what may be spent on messages in a day.")

BUDGETS = "/v1/budgets"

Key = Annotated[str, typer.Argument(metavar="KEY", help="Names the budget.")]


@program.command("list")
@connected
def list_(*, connect: Connect, json: Json = False) -> None:
    """List the budgets, each with what is spent of it today.

    \b
    Example:
      clarion budgets list
    """
    _show(connect().get(BUDGETS), json=json)


@program.command("set")
@connected
def set_(
    key: Key,
    limit: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="The most that may be spent in a day, like 25.00.")
    ],
    currency: Annotated[str, typer.Option("--currency", help="Currency of the amount (ISO 4217), like EUR.")],
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only this channel: sms, voice, whatsapp or email.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", help="Only this country (ISO 3166), like LV.")
    ] = None,
    warn_share: Annotated[
        float, typer.Option("--warn-share", help="Share of the limit that gives a warning.")
    ] = 0.8,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Create or replace a budget. Days begin at midnight in the time zone of the tenant.

    \b
    Examples:
      clarion budgets set texts 25.00 --currency EUR --channel sms
      clarion budgets set latvia 2.00 --currency EUR --country LV
    """
    budget = {
        "limit": {"amount": limit, "currency": currency},
        "channel": channel,
        "country": country,
        "warn_share": warn_share,
    }
    _show(connect().call("PATCH", BUDGETS, {"budgets": {key: budget}}), json=json)


@program.command()
@connected
def delete(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Delete a budget.

    \b
    Example:
      clarion budgets delete latvia
    """
    _show(connect().call("PATCH", BUDGETS, {"budgets": {key: None}}), json=json)


def _show(budgets: dict[str, Any], *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(budgets)
        return
    output.table(
        ["budget", "channel", "country", "spent today", "limit"],
        (
            (
                key,
                one["channel"] or "all",
                one["country"] or "all",
                f"{one['spent']['amount']} {one['spent']['currency']}",
                f"{one['limit']['amount']} {one['limit']['currency']}",
            )
            for key, one in sorted(budgets["budgets"].items())
        ),
    )

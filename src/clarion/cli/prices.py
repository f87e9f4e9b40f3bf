"""`clarion prices`: what messages cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Show and replace what messages cost.")

PRICES = "/v1/prices"


@program.command("list")
@connected
def list_(*, connect: Connect, json: Json = False) -> None:
    """List what messages cost, by channel, provider and place.

    \b
    Example:
      clarion prices list
    """
    _show(connect().get(PRICES), json=json)


@program.command("import")
@connected
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV file: country or number prefix, price of one segment.",
        ),
    ],
    currency: Annotated[str, typer.Option("--currency", help="Currency of the prices (ISO 4217), like EUR.")],
    channel: Annotated[
        str, typer.Option("--channel", help="Channel: sms, voice, whatsapp or email.")
    ] = "sms",
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider", help="Only for messages through this provider, like twilio. Default: any."
        ),
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Replace the price list of a channel, or of one provider, with the list in a file.

    A line is `DE,0.075` for a country, `+1787,0.02` for all numbers with this prefix, or `*,0.1` for everywhere else.

    \b
    Example:
      clarion prices import sms-prices.csv --currency EUR
      clarion prices import twilio.csv --currency USD --provider twilio
    """
    client = connect()
    table = {row: {"amount": amount, "currency": currency} for row, amount in _table(file).items()}
    # A merge patch: what the list no longer names is taken out by null.
    stored = client.get(PRICES)
    of = stored if provider is None else stored["providers"].get(provider, {})
    wanted: dict[str, Any] = {channel: {**dict.fromkeys(of.get(channel, {})), **table}}
    if provider is not None:
        wanted = {"providers": {provider: wanted}}
    _show(client.call("PATCH", PRICES, wanted), json=json)


def _show(prices: dict[str, Any], *, json: bool) -> None:
    from clarion.cli import output

    if json:
        output.as_json(prices)
        return
    output.table(
        ["channel", "provider", "place", "price"],
        (
            (channel, provider, place, f"{money['amount']} {money['currency']}")
            for provider, lists in (("", prices), *sorted(prices["providers"].items()))
            for channel, rows in sorted(lists.items())
            if channel != "providers"
            for place, money in sorted(rows.items())
        ),
    )


def _table(file: Path) -> dict[str, str]:
    """The prices of a file by place; a first line without a number is its heading."""
    import csv

    from clarion.rules.text_lines import encoding_of, lines_of, open_text

    table: dict[str, str] = {}
    with file.open("rb") as source, open_text(source, encoding_of(source, None)) as text:
        for line in lines_of(text):
            if line.problem:
                raise typer.BadParameter(f"{file}, line {line.number} {line.problem}")
            try:
                cells = next(csv.reader([line.text], strict=True), [])
            except csv.Error as wrong:
                raise typer.BadParameter(f"{file}, line {line.number}: {wrong}") from None
            if (priced := _priced(cells)) is None:
                if not any(cells) or (line.number == 1 and len(cells) == 2):
                    continue
                raise typer.BadParameter(
                    f"{file}, line {line.number}: write a country or prefix and a price, like DE,0.075"
                )
            row, price = priced
            if row in table:
                raise typer.BadParameter(f"{file}, line {line.number}: {row} has a price already")
            table[row] = price
    if not table:
        raise typer.BadParameter(f"{file} has no price: the price list was not changed")
    return table


def _priced(line: list[str]) -> tuple[str, str] | None:
    """A row and its price; None when the line has no such two."""
    from decimal import Decimal, InvalidOperation

    try:
        row, price = (part.strip() for part in line)
        value = Decimal(price)
    except (ValueError, InvalidOperation):
        return None
    return (row, f"{value:f}") if value.is_finite() else None

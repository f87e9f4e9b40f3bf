"""`clarion tenant`: what text messages cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected

program = typer.Typer(no_args_is_help=True, help="Settings of the tenant.")

TENANT = "/v1/tenant"


@program.callback()
def _tenant() -> None:
    """Without a callback Typer would make the only command the program itself."""


@program.command()
@connected
def prices(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV: country or beginning of numbers, price of one segment.",
        ),
    ] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", help="What the prices are in (ISO 4217), like EUR.")
    ] = None,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Show what a segment of a text message costs; with a file, keep that price list instead of the one before.

    A line is `DE,0.075` for a country, or `+1787,0.02` for all numbers that begin so. Previews then tell the cost.

    \b
    Examples:
      clarion tenant prices
      clarion tenant prices sms-prices.csv --currency EUR
    """
    from clarion.cli import show

    client = connect()
    tenant = client.get(TENANT)
    change: dict[str, Any] = {}
    if file is not None:
        # A merge patch: what the list no longer names is taken out by null.
        change["sms_prices"] = {**dict.fromkeys(tenant["sms_prices"]), **_table(file)}
    if currency is not None:
        change["sms_currency"] = currency
    if change:
        tenant = client.call("PATCH", TENANT, change)
    kept = {"sms_prices": tenant["sms_prices"], "sms_currency": tenant["sms_currency"]}
    if json:
        show.as_json(kept)
        return
    show.table(
        ["country or prefix", f"a segment costs ({kept['sms_currency'] or 'no currency'})"],
        ((row, f"{price:g}") for row, price in sorted(kept["sms_prices"].items())),
    )


def _table(file: Path) -> dict[str, float]:
    """The price list of a file; a first line without a number is its heading."""
    import csv

    from clarion.cli.textfile import encoding_of, lines_of, open_text

    table: dict[str, float] = {}
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
                raise typer.BadParameter(f"{file}, line {line.number}: expected like DE,0.075")
            row, price = priced
            if row in table:
                raise typer.BadParameter(f"{file}, line {line.number}: {row} has a price already")
            table[row] = price
    if not table:
        raise typer.BadParameter(f"{file} names no price; the list stays as it is")
    return table


def _priced(line: list[str]) -> tuple[str, float] | None:
    """A row and its price; None when the line has no such two."""
    from math import isfinite

    try:
        row, price = (part.strip() for part in line)
        value = float(price)
    except ValueError:
        return None
    return (row, value) if isfinite(value) else None

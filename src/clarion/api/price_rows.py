"""A price list as CSV: one price a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from clarion.api.problems import Fault, RejectedRequest
from clarion.model.channel import Channel
from clarion.model.setup import Money, Prices
from clarion.rules.match import closest

COLUMNS = ("channel", "provider", "place", "amount", "currency")
MEDIA_TYPE = "text/csv"


class PriceRow(NamedTuple):
    """One line. Without an amount it takes the price out."""

    channel: Channel
    provider: str
    """Empty: any that has no price of its own."""
    place: str
    price: Money | None


def written(prices: Prices, providers: dict[str, Prices]) -> str:
    """The list as a file."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for provider, its in (("", prices), *sorted(providers.items())):
        for channel, table in sorted(its.items()):
            for place, price in sorted(table.items()):
                rows.writerow((channel.value, provider, place, price.amount, price.currency))
    return out.getvalue()


def read(body: bytes) -> list[PriceRow]:
    """The lines of a file, in any order of its columns. Refuses all of it, with every line that is wrong."""
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip().lower() for name in next(lines, [])]
        if missing := [name for name in COLUMNS if name not in header and name != "provider"]:
            raise _refused([f"the first line names the columns; it lacks {', '.join(missing)}"])
        places = {name: header.index(name) for name in COLUMNS if name in header}
        rows: list[PriceRow] = []
        wrong: list[str] = []
        for cells in lines:
            if any(cells):
                values = {name: cells[at].strip() for name, at in places.items() if at < len(cells)}
                row = _row(values)
                if isinstance(row, PriceRow):
                    rows.append(row)
                else:
                    wrong.append(f"line {lines.line_num}: {row}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused([f"the body is not CSV in UTF-8: {error}"]) from None
    if wrong:
        raise _refused(wrong)
    return rows


def _row(values: dict[str, str]) -> PriceRow | str:
    channel = values.get("channel", "")
    if channel not in tuple(Channel):
        near = closest(channel, [one.value for one in Channel])
        return f"there is no channel {channel[:40]!r}{f'; did you mean {near}?' if near else ''}"
    price = (
        Money(amount=values["amount"], currency=values.get("currency", "")) if values.get("amount") else None
    )
    return PriceRow(Channel(channel), values.get("provider", ""), values.get("place", ""), price)


def _refused(wrong: list[str]) -> RejectedRequest:
    return RejectedRequest(f"{wrong[0]}.", list(_faults(wrong)))


def _faults(wrong: list[str]) -> Iterator[Fault]:
    for detail in wrong[:100]:
        yield Fault(detail=f"{detail}.", pointer="#")

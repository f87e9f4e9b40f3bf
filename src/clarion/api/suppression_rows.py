"""A list of suppressions as CSV: one address a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import msgspec

from clarion.api.problems import Fault, RejectedRequest
from clarion.rules.match import closest

COLUMNS = ("channel", "address", "id", "reason", "source", "expires_at")
MEDIA_TYPE = "text/csv"


def is_csv(headers: Mapping[str, str]) -> bool:
    """The body is a list like this."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def read(body: bytes) -> list[bytes]:
    """Each line as JSON; what is empty is left out. Refuses a list that is no CSV, or has columns that nobody knows."""
    try:
        lines = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = [name.strip().lower() for name in lines.fieldnames or ()]
        lines.fieldnames = names
        if unknown := [name for name in names if name not in COLUMNS]:
            near = closest(unknown[0], COLUMNS)
            hint = f"; did you mean {near}?" if near else f": the columns are {', '.join(COLUMNS)}."
            raise _refused(f"the column {unknown[0][:40]!r} is not known{hint}")
        return [msgspec.json.encode(_filled(row)) for row in lines if any(row.values())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused(f"the body is not CSV in UTF-8: {error}") from None


def _filled(row: Mapping[str | None, str | list[str] | None]) -> dict[str, object]:
    """What stands in a line; values behind the last column are under a name that is refused."""
    return {name or "more": value for name, value in row.items() if value}


def _refused(detail: str) -> RejectedRequest:
    return RejectedRequest(f"{detail}.", [Fault(pointer="", detail=detail)])

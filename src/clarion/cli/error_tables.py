"""Writes what the errors of text-message services mean into their how-tos: `python -m clarion.cli.error_tables docs/how-to`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors
from clarion.plugins import providers

PLACE = re.compile(r"(<!-- (answers|reports|errors) of (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
"""Where a table of a provider stands in a page."""


class ErrorMeaning(NamedTuple):
    """What follows from an error, in the words of the tables."""

    outcome: str
    """When a message is sent."""
    status: str
    """When it is reported later."""
    reason: str
    advice: str


MEANS: Mapping[PhoneErrorEffect, ErrorMeaning] = {
    PhoneErrorEffect.GONE: ErrorMeaning("Gone", "bounced", "address_gone", "The number is suppressed."),
    PhoneErrorEffect.OPTED_OUT: ErrorMeaning("Gone", "bounced", "opted_out", "The number is suppressed."),
    PhoneErrorEffect.UNREACHABLE: ErrorMeaning(
        "Retry", "undelivered", "soft_bounce", "Nothing; after 5 within 14 days the number is suppressed."
    ),
    PhoneErrorEffect.BLOCKED: ErrorMeaning(
        "Rejected", "undelivered", "blocked", "Look at the content and at the sender's reputation."
    ),
    PhoneErrorEffect.REFUSED: ErrorMeaning(
        "Rejected", "undelivered", "provider_rejected", "Correct the message."
    ),
    PhoneErrorEffect.LATER: ErrorMeaning(
        "Retry", "undelivered", "rate_limited", "Lower `limits.per_second`."
    ),
    PhoneErrorEffect.WINDOW_CLOSED: ErrorMeaning(
        "Rejected", "undelivered", "window_closed", "Give the content a `template`."
    ),
    PhoneErrorEffect.TEMPLATE: ErrorMeaning(
        "Rejected",
        "undelivered",
        "template_not_approved",
        "Look at the template in the business settings of WhatsApp.",
    ),
    PhoneErrorEffect.EXPIRED: ErrorMeaning(
        "Rejected", "undelivered", "expired", "Nothing: it was no longer of use."
    ),
    PhoneErrorEffect.SET_UP: ErrorMeaning(
        "Misconfigured",
        "undelivered",
        "misconfigured",
        "Correct the settings; messages wait, or go through another integration.",
    ),
    PhoneErrorEffect.UNCLEAR: ErrorMeaning(
        "Retry", "undelivered", "provider_error", "Nothing; retry the message by hand if it matters."
    ),
}


class ErrorTable(NamedTuple):
    """One kind of table."""

    attribute: str
    """The name of its errors in the module of a provider."""
    sending: bool
    reported: bool


TABLES = {
    "answers": ErrorTable("ANSWERS", sending=True, reported=False),
    "reports": ErrorTable("ERRORS", sending=False, reported=True),
    "errors": ErrorTable("ERRORS", sending=True, reported=True),
}
"""By the word that stands in the page: what is answered to a message, what is reported later, and codes that come in both."""


def errors_of(provider: str, attribute: str) -> PhoneErrors | None:
    """The errors that a provider knows; None when it has no such table."""
    module = import_module(providers()[provider].open.__module__)
    found = getattr(module, attribute, None)
    return found if isinstance(found, PhoneErrors) else None


def written(codes: Mapping[str, PhoneError], kind: ErrorTable) -> str:
    """A row for each code."""
    heads = ["code", "what happened", *_cells(kind, "when sending", "when reported"), "what to do"]
    lines = [_row(heads), f"|{'---|' * len(heads)}\n"]
    for code, known in codes.items():
        outcome, status, reason, advice = MEANS[known.effect]
        meaning = _cells(kind, f"`{outcome}`", f"`{status}`, `{reason}`")
        lines.append(_row([code, known.words, *meaning, advice]))
    return "".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cells(kind: ErrorTable, sending: str, reported: str) -> list[str]:
    return [*([sending] if kind.sending else []), *([reported] if kind.reported else [])]


def filled(page: str) -> str:
    """A page with its tables as they are now."""

    def of(place: re.Match[str]) -> str:
        kind = TABLES[place[2]]
        errors = errors_of(place[3], kind.attribute)
        assert errors is not None, f"{place[3]} has no {kind.attribute}"
        return f"{place[1]}{written(errors.codes, kind)}{place[4]}"

    return PLACE.sub(of, page)


def main() -> None:
    """Fill in all pages of a folder."""
    for path in sorted(Path(sys.argv[1]).glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (new := filled(page)) != page:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What happened to one person, newest first: messages, runs, consents, and addresses that may not be used any more."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from clarion.dashboard.context import Site
from clarion.dashboard.message_feed import Board, when
from clarion.dashboard.page_address import chosen, strange
from clarion.dashboard.request import PageRequest
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.workflow_pages import run_rows
from clarion.model.consent import ConsentFilter
from clarion.model.ids import Instant, RunId, first_id_at
from clarion.model.message import MessageFilter
from clarion.model.run import RunFilter
from clarion.model.user import User

SHOWN = 30
"""Entries of each kind that are read for one page."""
LATEST_DIGITS = 15


class HappeningKind(StrEnum):
    """What an entry is."""

    MESSAGE = "message"
    RUN = "run"
    CONSENT = "consent"
    SUPPRESSION = "suppression"


NAMES = {
    HappeningKind.MESSAGE: "Messages",
    HappeningKind.RUN: "Runs that wait or have waited",
    HappeningKind.CONSENT: "Consents",
    HappeningKind.SUPPRESSION: "Suppressed addresses",
}


class Happening(NamedTuple):
    """One thing that happened."""

    at: Instant
    kind: HappeningKind
    values: dict[str, Any]


class HappeningPage(NamedTuple):
    """Entries of one kind, newest first, and down to when they are complete (None: to the beginning)."""

    entries: Sequence[Happening]
    complete_to: Instant | None = None


async def timeline(site: Site, request: PageRequest, user: User) -> dict[str, Any]:
    """A page of it, as the address asks: of one kind (`show`), and from a time on (`before`)."""
    show, before = chosen(request, "show", HappeningKind, "a timeline"), _before(request)
    reads = {
        HappeningKind.MESSAGE: _messages,
        HappeningKind.RUN: _runs,
        HappeningKind.CONSENT: _consents,
        HappeningKind.SUPPRESSION: _suppressions,
    }
    pages = [await read(site, user, before) for kind, read in reads.items() if show in (None, kind)]
    entries = sorted((one for page in pages for one in page.entries), key=lambda one: one.at, reverse=True)
    older = max((page.complete_to for page in pages if page.complete_to is not None), default=None)
    if older is not None:
        if not any(one.at >= older for one in entries):
            older = Instant(older - 1)  # everything read is of one millisecond, which no page can split
        entries = [one for one in entries if one.at >= older]
    return {
        "entries": [{"kind": one.kind.value, **when(one.at), "is": one.values} for one in entries],
        "older": "" if older is None else str(older),
        "show": "" if show is None else show.value,
        "kinds": [{"id": kind.value, "name": name} for kind, name in NAMES.items()],
        "continued": before is not None,
    }


def _before(request: PageRequest) -> Instant | None:
    text = request.query.get("before", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= LATEST_DIGITS):
        raise strange("a timeline")
    return Instant(int(text)) if text else None


async def _messages(site: Site, user: User, before: Instant | None) -> HappeningPage:
    tenant = site.tenant()
    where = MessageFilter(user=user.no, before=before)
    found, following = await site.parts.ledger.records.page(tenant, where, None, SHOWN)
    rows = await Board(site.parts, tenant).rows(found)
    entries = [
        Happening(_time_of(one.id), HappeningKind.MESSAGE, row) for one, row in zip(found, rows, strict=True)
    ]
    return HappeningPage(entries, None if following is None else _behind(following))


async def _runs(site: Site, user: User, before: Instant | None) -> HappeningPage:
    start = None if before is None else RunId(first_id_at(before))
    found, following = await site.parts.ledger.runs.page(site.tenant(), RunFilter(user=user.no), start, SHOWN)
    rows = await run_rows(site, found)
    entries = [
        Happening(_time_of(one.id), HappeningKind.RUN, row) for one, row in zip(found, rows, strict=True)
    ]
    return HappeningPage(entries, None if following is None else _behind(following))


async def _consents(site: Site, user: User, before: Instant | None) -> HappeningPage:
    where = ConsentFilter(user=user.no, before=before)
    found = await site.parts.ledger.consents.page(site.tenant(), where, None, SHOWN)
    entries = [
        Happening(
            one.recorded_at,
            HappeningKind.CONSENT,
            {
                "purpose": one.purpose,
                "channel": "every channel" if one.channel is None else CHANNEL_NAMES[one.channel],
                "action": one.action.value.capitalize(),
                "source": one.source,
            },
        )
        for one in found
    ]
    return HappeningPage(entries, Instant(found[-1].recorded_at + 1) if len(found) == SHOWN else None)


async def _suppressions(site: Site, user: User, before: Instant | None) -> HappeningPage:
    """Those of the addresses that they have now: of others nothing says whose they were."""
    entries = []
    for contact in user.profile.contacts:
        if contact.hash not in user.suppressed:
            continue
        found = await site.parts.ledger.suppressions.find(site.tenant(), contact.hash)
        if found is not None and (before is None or found.at < before):
            values = {
                "address": contact.address,
                "channel": CHANNEL_NAMES[contact.channel],
                "reason": found.reason.replace("_", " "),
                "source": found.source,
            }
            entries.append(Happening(found.at, HappeningKind.SUPPRESSION, values))
    return HappeningPage(entries)


def _time_of(any_id: bytes) -> Instant:
    """When its event was accepted: lists are in this order."""
    return Instant(int.from_bytes(any_id[:6], "big"))


def _behind(following: bytes) -> Instant:
    """From this time on a list is complete that goes on behind `following`: of its millisecond there may be more."""
    return Instant(_time_of(following) + 1)

"""Invitations as iCalendar (RFC 5545), the way calendars expect them by mail (RFC 5546, RFC 6047)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from clarion.content.mail.headers import cleaned
from clarion.model.content import Invitation

LINE = 75
"""Octets, RFC 5545 section 3.1."""
STATUS = {"REQUEST": "CONFIRMED", "CANCEL": "CANCELLED"}
_IN_MAILTO = "@!$&'*+/=?^_`{|}~.-"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def moment(text: str) -> date | datetime:
    """A day (`2026-05-01`), or a time with its offset, in UTC. ValueError for anything else."""
    is_day = len(text) == len("2026-05-01")
    found = datetime.fromisoformat(text)
    if not 1900 <= found.year <= 9000 or (found.tzinfo is None and not is_day):
        raise ValueError("not a time of a meeting")
    return found.date() if is_day else found.astimezone(UTC)


def method(invitation: Invitation) -> str:
    """`REQUEST`, or `CANCEL`."""
    return invitation.method.upper()


def calendar(
    invitation: Invitation, *, subject: str, organizer: tuple[str, str], attendee: tuple[str, str], at: int
) -> str:
    """The object for one attendee; people are given as name and address, `at` in milliseconds."""
    return "".join(map(_folded, _lines(invitation, subject, organizer, attendee, at)))


def _lines(
    invitation: Invitation, subject: str, organizer: tuple[str, str], attendee: tuple[str, str], at: int
) -> Iterator[str]:
    start = moment(invitation.start)
    end = moment(invitation.end) if invitation.end else _default_end(start)
    yield from ("BEGIN:VCALENDAR", "PRODID:-//Clarion//Clarion//EN", "VERSION:2.0", "CALSCALE:GREGORIAN")
    yield from (f"METHOD:{method(invitation)}", "BEGIN:VEVENT", f"UID:{_text(invitation.uid)}")
    yield f"DTSTAMP:{_written(datetime.fromtimestamp(at // 1000, UTC))}"
    yield f"SEQUENCE:{invitation.sequence}"
    for name, when in (("DTSTART", start), ("DTEND", end)):
        yield (
            f"{name}:{_written(when)}"
            if isinstance(when, datetime)
            else f"{name};VALUE=DATE:{_written(when)}"
        )
    yield f"SUMMARY:{_text(invitation.summary or subject)}"
    for name, text in (("DESCRIPTION", invitation.description), ("LOCATION", invitation.location)):
        if text:
            yield f"{name}:{_text(text)}"
    if invitation.url:
        yield f"URL:{invitation.url}"
    yield _person("ORGANIZER", organizer)
    yield _person("ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE", attendee)
    yield from (f"STATUS:{STATUS[method(invitation)]}", "END:VEVENT", "END:VCALENDAR")


def _default_end(start: date | datetime) -> date | datetime:
    """An hour, or the whole day."""
    return start + (timedelta(hours=1) if isinstance(start, datetime) else timedelta(days=1))


def _written(when: date | datetime) -> str:
    return when.strftime("%Y%m%dT%H%M%SZ" if isinstance(when, datetime) else "%Y%m%d")


def _text(text: str) -> str:
    text = _CONTROL.sub("", text.replace("\r\n", "\n")).replace("\\", "\\\\")
    return text.replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _person(property: str, person: tuple[str, str]) -> str:
    name, address = cleaned(person[0]).replace("^", "^^").replace('"', "^'"), person[1]  # RFC 6868
    named = f'{property};CN="{name}"' if name else property
    return f"{named}:mailto:{quote(address, safe=_IN_MAILTO)}"


def _folded(line: str) -> str:
    """In lines of at most LINE octets, split between characters."""
    data = line.encode("utf-8", "replace")
    parts: list[bytes] = []
    room = LINE
    while len(data) > room:
        end = room
        while data[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(data[:end])
        data, room = data[end:], LINE - 1
    parts.append(data)
    return b"\r\n ".join(parts).decode() + "\r\n"

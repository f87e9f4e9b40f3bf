"""Decides whether a message may be sent to a user on a channel now, at planning and again before every attempt.

The rules in their order: expiry, whether the profile can be read, contact and suppressions, preferences, consent, legal hours,
snooze, quiet hours, send windows. Of what is not sent every rule that stands in its way is named; the first is the reason. Frequency
caps are not decided here: they are exact, so the ledger counts them inside its transaction (see `caps`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.live_update import LiveUpdate
from clarion.model.message import Verdict
from clarion.model.setup import Category, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import WEEK, Contact, User, Window
from clarion.rules import consents, legal, places
from clarion.rules.legal import LegalHours
from clarion.rules.live import devices_for
from clarion.rules.preferences import SETTINGS, Topics, allowed, blocking, quiet_hours
from clarion.rules.quiet_hours import local_clock, state
from clarion.rules.time_format import FOREVER, rfc3339

HORIZON_MS = 15 * 24 * 3_600_000
"""Windows repeat weekly: where quiet hours and send windows leave no gap for this long, they never do."""
LOOK_AGAIN_MS = 30_000
"""How long a message waits for an integration before the next look."""
DEVICES = 20
"""Most devices one push goes to: those that were added last."""

Verdicts = tuple[Verdict, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The decision, with everything that led to it."""

    verdict: Literal["send", "defer", "stop"]
    status: Status
    """`queued` to send, `deferred` to defer, otherwise the terminal status."""
    reason: Reason | None = None
    due_at: Instant | None = None
    """Deferred: when to look again."""
    valid_until: Instant = FOREVER
    """Until when this holds if nothing but time changes."""
    verdicts: Verdicts = ()
    contact: Contact | None = None
    """Where to send; None for the inbox, and where no contact can be used."""
    others: tuple[Contact, ...] = ()
    """Where else: the person's other devices."""


def evaluate(
    *,
    tenant: Tenant,
    category: Category,
    workflow: Workflow,
    user: User,
    channel: Channel,
    now: Instant,
    expires_at: Instant | None,
    addresses: Sequence[Contact] | None = None,
    live: LiveUpdate | None = None,
    topics: Topics = (),
) -> Decision:
    """Decide about one channel of one user at `now`. `addresses`: where it may go, if not to any of their contacts;
    `live`: which state of a live resource it shows; `topics`: by which topics it comes to them."""
    late = expires_at is not None and now >= expires_at
    if user.unreadable:
        return expired(expires_at) if late and expires_at is not None else _UNREADABLE
    contacts, verdicts, reason = reach(tenant, category, workflow, user, channel, addresses, live, topics)
    contact = contacts[0] if contacts else None
    others = contacts[1:] if len(contacts) > 1 else ()
    hours = opening(tenant, category, workflow, user, channel, now, contact)
    if reason is not None or late:
        return _stopped(reason, verdicts, hours, expires_at, late)
    if hours.verdicts:
        verdicts = verdicts + hours.verdicts
    if hours.blocking is None:
        return Decision(
            verdict="send",
            status=Status.QUEUED,
            valid_until=hours.holds_until if expires_at is None else min(hours.holds_until, expires_at),
            verdicts=verdicts,
            contact=contact,
            others=others,
        )
    if expires_at is not None and hours.at >= expires_at:
        return expired(expires_at, verdicts)
    if hours.at == FOREVER:
        return Decision(verdict="stop", status=Status.SUPPRESSED, reason=hours.blocking, verdicts=verdicts)
    return Decision(
        verdict="defer",
        status=Status.DEFERRED,
        reason=hours.blocking,
        due_at=hours.at,
        valid_until=hours.holds_until,
        verdicts=verdicts,
        contact=contact,
        others=others,
    )


def _stopped(
    reason: Reason | None, verdicts: Verdicts, hours: TimeWindow, expires_at: Instant | None, late: bool
) -> Decision:
    """It must not go, whatever the hour; with all that stands in its way."""
    also = tuple(one for one in hours.verdicts if one.result != "allow")
    if late and expires_at is not None:
        against = tuple(one for one in verdicts if one.result != "allow") if reason is not None else ()
        return expired(expires_at, after=against + also)
    return Decision(
        verdict="stop",
        status=Status.SUPPRESSED,
        reason=reason,
        valid_until=FOREVER if expires_at is None else expires_at,
        verdicts=verdicts + also,
    )


_UNREADABLE = Decision(
    verdict="stop",
    status=Status.DEAD_LETTERED,
    reason=Reason.UNREADABLE,
    verdicts=(Verdict(rule="profile", result="stop", reason=Reason.UNREADABLE.value),),
)


def unserved(decided: Decision, channel: Channel, now: Instant, expires_at: Instant | None) -> Decision:
    """The decision for a channel that no integration serves: it waits, and is looked at again."""
    if decided.verdict == "stop":
        return decided
    verdicts = (*decided.verdicts, _unserved(channel))
    if decided.verdict == "defer":
        return msgspec.structs.replace(decided, verdicts=verdicts)
    again = Instant(now + LOOK_AGAIN_MS)
    return Decision(
        verdict="defer",
        status=Status.DEFERRED,
        reason=Reason.NO_INTEGRATION,
        due_at=again if expires_at is None else min(again, expires_at),
        valid_until=decided.valid_until,
        verdicts=verdicts,
        contact=decided.contact,
        others=decided.others,
    )


@lru_cache(maxsize=16)
def _unserved(channel: Channel) -> Verdict:
    inputs = {"channel": channel.value}
    return Verdict(rule="integration", result="defer", reason=Reason.NO_INTEGRATION.value, inputs=inputs)


def expired(expires_at: Instant, verdicts: Verdicts = (), after: Verdicts = ()) -> Decision:
    """Too late: now, with what else is against it (`after`), or by the time the `verdicts` let the message go."""
    return Decision(
        verdict="stop",
        status=Status.EXPIRED,
        reason=Reason.EXPIRED,
        verdicts=(
            *verdicts,
            Verdict(
                rule="expiry", result="stop", reason="expired", inputs={"expires_at": rfc3339(expires_at)}
            ),
            *after,
        ),
    )


# -- whom, and may we --------------------------------------------------------------------------------------

_INBOX = Verdict(rule="contact", result="allow", reason="inbox")
_FOUND = Verdict(rule="contact", result="allow", reason="found")
_NO_CONTACT: Verdicts = (Verdict(rule="contact", result="stop", reason=Reason.NO_CONTACT.value),)
_ON = {name: Verdict(rule="preferences", result="allow", reason=name) for name in SETTINGS}
_OFF = {name: Verdict(rule="preferences", result="stop", reason=name) for name in SETTINGS}
_INBOX_ON = {name: (_INBOX, verdict) for name, verdict in _ON.items()}
_FOUND_ON = {name: (_FOUND, verdict) for name, verdict in _ON.items()}


def reach(
    tenant: Tenant,
    category: Category,
    workflow: Workflow,
    user: User,
    channel: Channel,
    addresses: Sequence[Contact] | None = None,
    live: LiveUpdate | None = None,
    topics: Topics = (),
) -> tuple[tuple[Contact, ...], Verdicts, Reason | None]:
    """The contacts to use and why they may be used, or the reason why there are none. Time plays no part.

    One, but every device for a push; none for the inbox, which needs none.
    """
    contacts, skipped, blocked = _contacts(user, channel, addresses, live)
    preferences = user.profile.preferences
    enabled, setting = allowed(tenant, category, preferences, channel, workflow.key, topics)
    consent = consents.verdict(category, user.profile, channel, contacts[0] if contacts else None)
    said: Verdicts = () if consent is None else (consent,)
    refused = consent is not None and consent.result == "stop"
    off: Verdicts = ()
    if not enabled:
        settings = blocking(tenant, category, preferences, channel, workflow.key, topics)
        off = tuple([_OFF[one] for one in settings])
    if not contacts and channel is not Channel.IN_APP:
        against = off + said if refused else off
        if skipped:
            return (), (_suppressed("stop", skipped, blocked), *against), blocked
        return (), _NO_CONTACT + against, Reason.NO_CONTACT
    seen: Verdicts
    if enabled and not skipped and len(contacts) < 2:
        seen = (_FOUND_ON if contacts else _INBOX_ON)[setting]
    else:
        seen = (_found(len(contacts)), *((_ON[setting],) if enabled else off))
        if skipped:
            seen = (_suppressed("skip", skipped, blocked), *seen)
    if not enabled:
        return (), seen + said if refused else seen, Reason.OPTED_OUT
    if refused:
        return (), seen + said, Reason.NO_CONSENT
    return contacts, seen + said if said else seen, None


def _contacts(
    user: User, channel: Channel, addresses: Sequence[Contact] | None, live: LiveUpdate | None
) -> tuple[tuple[Contact, ...], int, Reason]:
    """Which may be used, how many are suppressed before these, and how that is called."""
    skipped, blocked = 0, Reason.SUPPRESSED_ADDRESS
    if channel is Channel.PUSH:
        return (*_devices(user, live), blocked)
    if channel is not Channel.IN_APP:
        for candidate in user.profile.contacts if addresses is None else addresses:
            if candidate.channel is channel:
                if candidate.hash not in user.suppressed:
                    return (candidate,), skipped, blocked
                skipped += 1
                if user.profile.endpoint(candidate.hash) is not None:
                    blocked = Reason.ENDPOINT_DISABLED
    return (), skipped, blocked


def _devices(user: User, live: LiveUpdate | None) -> tuple[tuple[Contact, ...], int]:
    """The devices a push goes to, those that were added last before the others, and how many are suppressed."""
    suppressed = user.suppressed
    devices = devices_for(user.profile.contacts_on(Channel.PUSH)[::-1], live)
    usable = [one for one in devices if one.hash not in suppressed] if suppressed else devices
    return tuple(usable[:DEVICES]), len(devices) - len(usable)


@lru_cache(maxsize=64)
def _found(contacts: int) -> Verdict:
    if contacts < 2:
        return _FOUND if contacts else _INBOX
    return Verdict(rule="contact", result="allow", reason="devices", inputs={"devices": contacts})


@lru_cache(maxsize=64)
def _suppressed(result: str, contacts: int, reason: Reason) -> Verdict:
    return Verdict(
        rule="suppression",
        result=result,
        reason=reason.value,
        inputs={"suppressed_contacts": contacts},
    )


# -- when --------------------------------------------------------------------------------------------------


class TimeWindow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What quiet hours and send windows say at one instant."""

    at: Instant
    """The first instant at which nothing is closed; `FOREVER` when that never comes."""
    holds_until: Instant
    """Until when this stays so, asked at any instant from now on."""
    blocking: Reason | None = None
    """What is closed now; None when nothing is."""
    verdicts: Verdicts = ()


_ALWAYS_OPEN = TimeWindow(at=Instant(0), holds_until=FOREVER)
_SILENT = {
    rule: Verdict(rule=rule, result="allow", reason="in_app_is_silent") for rule in ("snooze", "quiet_hours")
}


def opening(
    tenant: Tenant,
    category: Category,
    workflow: Workflow,
    user: User,
    channel: Channel,
    now: Instant,
    contact: Contact | None = None,
) -> TimeWindow:
    """When the hour allows this message, in the person's zone (else the tenant's)."""
    profile = user.profile
    preferences = profile.preferences
    quiet = quiet_hours(tenant, preferences)
    snoozed = preferences.snoozed_until
    lawful = legal.hours(tenant, category, profile, channel, contact)
    agreed, wanted = category.send_window, workflow.send_window
    if not (quiet or snoozed or lawful or agreed or wanted):
        return _ALWAYS_OPEN
    if category.critical:
        return _critical(bool(snoozed and now < snoozed), bool(quiet), bool(agreed or wanted))
    windows = tuple(window for window in (agreed, wanted) if window)
    if channel is Channel.IN_APP and (quiet or snoozed):
        silent = (
            *((_SILENT["snooze"],) if snoozed and now < snoozed else ()),
            *((_SILENT["quiet_hours"],) if quiet else ()),
        )
        found = _opening(None, lawful, (), windows, places.zone_of(user, tenant), now)
        return msgspec.structs.replace(found, verdicts=silent + found.verdicts)
    return _opening(snoozed, lawful, quiet, windows, places.zone_of(user, tenant), now)


def quiet_until(tenant: Tenant, category: Category, workflow: Workflow, user: User, at: Instant) -> Instant:
    """When the quiet hours of a user and the send windows that hold `at` are over; `at` itself when none does, or they never
    are."""
    quiet = quiet_hours(tenant, user.profile.preferences)
    windows = tuple(one for one in (category.send_window, workflow.send_window) if one)
    if not (quiet or windows):
        return at
    over = _opening(None, (), quiet, windows, places.zone_of(user, tenant), at).at
    return at if over == FOREVER else over


@lru_cache(maxsize=8)
def _critical(snoozed: bool, quiet: bool, windows: bool) -> TimeWindow:
    passed = (("snooze", snoozed), ("quiet_hours", quiet), ("send_window", windows))
    verdicts = tuple(
        Verdict(rule=rule, result="allow", reason="critical") for rule, passes in passed if passes
    )
    return TimeWindow(at=Instant(0), holds_until=FOREVER, verdicts=verdicts)


class _Hours(NamedTuple):
    """Windows that have to be entered, or left."""

    rule: str
    windows: tuple[Window, ...]
    zone: str
    inside: bool
    """Whether it may go inside of them, or outside."""
    closed: Reason
    said: tuple[tuple[str, str], ...] = ()
    """What else the explanation says."""

    def state(self, at: Instant) -> tuple[bool, Instant]:
        """Whether it is open, and until when that stays so."""
        inside, until = state(self.windows, self.zone, at, careful_inside=self.inside)
        return inside is self.inside, until


@lru_cache(maxsize=4_096)
def _opening(
    snoozed_until: Instant | None,
    lawful: tuple[LegalHours, ...],
    quiet: tuple[Window, ...],
    windows: tuple[tuple[Window, ...], ...],
    zone: str,
    now: Instant,
) -> TimeWindow:
    """Kept, because a batch asks this for many people at the same `now`."""
    hours = [
        _Hours(
            "legal_window",
            one.windows,
            there,
            True,
            Reason.LEGAL_WINDOW,
            (("id", one.rule), ("law", one.law), *((("state", one.state),) if one.state else ())),
        )
        for one in lawful
        for there in one.zones
    ]
    if quiet:
        hours.append(_Hours("quiet_hours", quiet, zone, False, Reason.QUIET_HOURS))
    hours += [_Hours("send_window", one, zone, True, Reason.SEND_WINDOW) for one in windows]
    snoozed = snoozed_until is not None and now < snoozed_until
    closed = {one for one in hours if not one.state(now)[0]}
    at, holds_until = _first_open(hours, snoozed_until if snoozed and snoozed_until else now)
    reasons = [
        *(one.closed for one in hours if one in closed and one.rule == "legal_window"),
        *((Reason.SNOOZED,) if snoozed else ()),
        *(one.closed for one in hours if one in closed),
    ]
    return TimeWindow(
        at=at,
        holds_until=at if reasons else holds_until,
        blocking=reasons[0] if reasons else None,
        verdicts=_said(hours, closed, snoozed_until if snoozed else None, zone, now, at),
    )


def _first_open(hours: Sequence[_Hours], start: Instant) -> tuple[Instant, Instant]:
    """The first instant from `start` on at which all are open, and until when they are.

    Whatever is closed moves the instant on to where it opens, until nothing moves it any more.
    """
    at = start
    while at < FOREVER and at - start <= HORIZON_MS:
        until = FOREVER
        for one in hours:
            is_open, change = one.state(at)
            if not is_open:
                at = change
                break
            until = min(until, change)
        else:
            return at, until
    return FOREVER, FOREVER


_OPEN = {"legal_window": "open", "quiet_hours": "outside", "send_window": "open"}
_CLOSED = {"legal_window": "closed", "quiet_hours": "inside", "send_window": "closed"}
_NEVER = {"legal_window": "never_open", "quiet_hours": "never_over", "send_window": "never_open"}


def _said(
    hours: Sequence[_Hours],
    closed: Collection[_Hours],
    snoozed_until: Instant | None,
    zone: str,
    now: Instant,
    at: Instant,
) -> Verdicts:
    """What each rule says now, and when the message goes instead."""
    ever = at != FOREVER
    result = "defer" if ever else "stop"
    found: list[Verdict] = []
    for one in hours:
        if one.rule != "legal_window" and snoozed_until is not None:
            found.append(_snoozed(snoozed_until, zone))
            snoozed_until = None
        if one not in closed:
            found.append(_open_verdict(one))
            continue
        more: dict[str, Any] = {"local_time": local_clock(one.zone, now)}
        if ever:
            more["until"] = rfc3339(at)
        found.append(_verdict(one, result, (_CLOSED if ever else _NEVER)[one.rule], more))
    if snoozed_until is not None:
        found.append(_snoozed(snoozed_until, zone))
    return tuple(found)


def _snoozed(until: Instant, zone: str) -> Verdict:
    inputs = {"until": rfc3339(until), "timezone": zone}
    return Verdict(rule="snooze", result="defer", reason=Reason.SNOOZED.value, inputs=inputs)


@lru_cache(maxsize=4_096)
def _open_verdict(hours: _Hours) -> Verdict:
    return _verdict(hours, "allow", _OPEN[hours.rule], {})


def _verdict(hours: _Hours, result: str, reason: str, more: Mapping[str, Any]) -> Verdict:
    inputs = {
        "windows": [_shown(window) for window in hours.windows],
        "timezone": hours.zone,
        **dict(hours.said),
        **more,
    }
    return Verdict(rule=hours.rule, result=result, reason=reason, inputs=inputs)


def _shown(window: Window) -> str:
    """`22:00-08:00`, and the weekdays unless it is every day."""
    days = [day for day in WEEK if day in window.days]
    times = f"{window.start}-{window.end}"
    return times if len(days) == 7 else f"{times} {','.join(day.title() for day in days)}"

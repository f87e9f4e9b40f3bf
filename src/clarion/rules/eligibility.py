"""Decides whether a message may be sent to a user on a channel now, at planning and again before every attempt.

The rules in their order: expiry, whether the profile can be read, contact and suppressions, preferences, consent, quiet
hours, send windows. Frequency caps are not decided here: they are exact, so the ledger counts them inside its transaction (see `caps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.live_update import LiveUpdate
from clarion.model.message import Verdict
from clarion.model.setup import Category, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import WEEK, Contact, User, Window
from clarion.rules import consents
from clarion.rules.live import devices_for
from clarion.rules.preferences import SETTINGS, allowed
from clarion.rules.quiet_hours import check_zone, local_clock, state
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
) -> Decision:
    """Decide about one channel of one user at `now`. `addresses`: where it may go, if not to any of their contacts;
    `live`: which state of a live resource it shows."""
    if expires_at is not None and now >= expires_at:
        return expired(expires_at)
    if user.unreadable:
        return _UNREADABLE
    contacts, verdicts, reason = reach(tenant, category, user, channel, addresses, live)
    contact = contacts[0] if contacts else None
    others = contacts[1:] if len(contacts) > 1 else ()
    if reason is not None:
        return Decision(
            verdict="stop",
            status=Status.SUPPRESSED,
            reason=reason,
            valid_until=FOREVER if expires_at is None else expires_at,
            verdicts=verdicts,
        )
    hours = opening(tenant, category, workflow, user, channel, now)
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


def expired(expires_at: Instant, verdicts: Verdicts = ()) -> Decision:
    """Too late, now or by the time the message could go."""
    return Decision(
        verdict="stop",
        status=Status.EXPIRED,
        reason=Reason.EXPIRED,
        verdicts=(
            *verdicts,
            Verdict(
                rule="expiry", result="stop", reason="expired", inputs={"expires_at": rfc3339(expires_at)}
            ),
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
    user: User,
    channel: Channel,
    addresses: Sequence[Contact] | None = None,
    live: LiveUpdate | None = None,
) -> tuple[tuple[Contact, ...], Verdicts, Reason | None]:
    """The contacts to use and why they may be used, or the reason why there are none. Time plays no part.

    One, but every device for a push; none for the inbox, which needs none.
    """
    contacts, skipped, blocked = _contacts(user, channel, addresses, live)
    if not contacts and channel is not Channel.IN_APP:
        if skipped:
            return (), (_suppressed("stop", skipped, blocked),), blocked
        return (), _NO_CONTACT, Reason.NO_CONTACT
    enabled, setting = allowed(tenant, category, user.profile.preferences, channel)
    seen: Verdicts
    if enabled and not skipped and len(contacts) < 2:
        seen = (_FOUND_ON if contacts else _INBOX_ON)[setting]
    else:
        seen = (_found(len(contacts)), (_ON if enabled else _OFF)[setting])
        if skipped:
            seen = (_suppressed("skip", skipped, blocked), *seen)
    if not enabled:
        return (), seen, Reason.OPTED_OUT
    consent = consents.verdict(category, user.profile, channel, contacts[0] if contacts else None)
    if consent is None:
        return contacts, seen, None
    if consent.result == "stop":
        return (), (*seen, consent), Reason.NO_CONSENT
    return contacts, (*seen, consent), None


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
_ALWAYS_OPEN_SILENT = TimeWindow(
    at=Instant(0),
    holds_until=FOREVER,
    verdicts=(Verdict(rule="quiet_hours", result="allow", reason="in_app_is_silent"),),
)


def opening(
    tenant: Tenant, category: Category, workflow: Workflow, user: User, channel: Channel, now: Instant
) -> TimeWindow:
    """When the hour allows this message, in the person's zone (else the tenant's)."""
    profile = user.profile
    quiet = profile.preferences.quiet_hours
    legal, wanted = category.send_window, workflow.send_window
    if not (quiet or legal or wanted):
        return _ALWAYS_OPEN
    if category.critical:
        return _critical(bool(quiet), bool(legal or wanted))
    if channel is Channel.IN_APP and quiet:
        if not (legal or wanted):
            return _ALWAYS_OPEN_SILENT
        found = _opening((), legal, wanted, profile.timezone, tenant.timezone, now)
        return msgspec.structs.replace(found, verdicts=_ALWAYS_OPEN_SILENT.verdicts + found.verdicts)
    return _opening(quiet, legal, wanted, profile.timezone, tenant.timezone, now)


@lru_cache(maxsize=4)
def _critical(quiet: bool, windows: bool) -> TimeWindow:
    rules = [name for name, passed in (("quiet_hours", quiet), ("send_window", windows)) if passed]
    verdicts = tuple(Verdict(rule=rule, result="allow", reason="critical") for rule in rules)
    return TimeWindow(at=Instant(0), holds_until=FOREVER, verdicts=verdicts)


@lru_cache(maxsize=4_096)
def _opening(
    quiet: tuple[Window, ...],
    legal: tuple[Window, ...],
    wanted: tuple[Window, ...],
    user_zone: str,
    tenant_zone: str,
    now: Instant,
) -> TimeWindow:
    """Kept, because a batch asks this for many people at the same `now`."""
    zone = user_zone if user_zone and check_zone(user_zone) else tenant_zone
    windows = tuple(window for window in (legal, wanted) if window)
    at, holds_until, blocking = _first_open(quiet, windows, zone, now)
    if blocking is None:
        return TimeWindow(at=at, holds_until=holds_until, verdicts=_open_verdicts(quiet, windows, zone))
    return TimeWindow(
        at=at,
        holds_until=at,
        blocking=blocking,
        verdicts=_closed_verdicts(quiet, windows, zone, now, at),
    )


def _first_open(
    quiet: tuple[Window, ...], windows: tuple[tuple[Window, ...], ...], zone: str, now: Instant
) -> tuple[Instant, Instant, Reason | None]:
    """The first instant from `now` on at which all agree, until when they do, and what is closed `now`.

    Whatever is closed moves the instant on to where it opens, until nothing moves it any more.
    """
    send_windows = [(window, True, Reason.SEND_WINDOW) for window in windows]
    rules = [(quiet, False, Reason.QUIET_HOURS), *send_windows] if quiet else send_windows
    at, blocking = now, None
    while at < FOREVER and at - now <= HORIZON_MS:
        until = FOREVER
        for hours, wanted_inside, reason in rules:
            inside, change = state(hours, zone, at, careful_inside=wanted_inside)
            if inside is not wanted_inside:
                at, blocking = change, blocking or reason
                break
            until = min(until, change)
        else:
            return at, until, blocking
    return FOREVER, FOREVER, blocking


@lru_cache(maxsize=4_096)
def _open_verdicts(quiet: tuple[Window, ...], windows: tuple[tuple[Window, ...], ...], zone: str) -> Verdicts:
    found = [_hours_verdict("send_window", "allow", "open", window, zone) for window in windows]
    if quiet:
        found.insert(0, _hours_verdict("quiet_hours", "allow", "outside", quiet, zone))
    return tuple(found)


def _closed_verdicts(
    quiet: tuple[Window, ...],
    windows: tuple[tuple[Window, ...], ...],
    zone: str,
    now: Instant,
    at: Instant,
) -> Verdicts:
    """What each rule says now, and when the message goes instead."""
    ever = at != FOREVER
    result = "defer" if ever else "stop"
    more: dict[str, Any] = {"local_time": local_clock(zone, now)}
    if ever:
        more["until"] = rfc3339(at)
    found = []
    if quiet:
        if state(quiet, zone, now)[0]:
            reason = "inside" if ever else "never_over"
            found.append(_hours_verdict("quiet_hours", result, reason, quiet, zone, more))
        else:
            found.append(_hours_verdict("quiet_hours", "allow", "outside", quiet, zone))
    for window in windows:
        if state(window, zone, now, careful_inside=True)[0]:
            found.append(_hours_verdict("send_window", "allow", "open", window, zone))
        else:
            reason = "closed" if ever else "never_open"
            found.append(_hours_verdict("send_window", result, reason, window, zone, more))
    return tuple(found)


def _hours_verdict(
    rule: str,
    result: str,
    reason: str,
    windows: tuple[Window, ...],
    zone: str,
    more: dict[str, Any] | None = None,
) -> Verdict:
    inputs = {"windows": [_shown(window) for window in windows], "timezone": zone, **(more or {})}
    return Verdict(rule=rule, result=result, reason=reason, inputs=inputs)


def _shown(window: Window) -> str:
    """`22:00-08:00`, and the weekdays unless it is every day."""
    days = [day for day in WEEK if day in window.days]
    times = f"{window.start}-{window.end}"
    return times if len(days) == 7 else f"{times} {','.join(day.title() for day in days)}"

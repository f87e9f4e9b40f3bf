"""May this message go to this person on this channel now? Asked at planning and again before every attempt.

The rules in their order: expiry, contact and suppressions, preferences, quiet hours, send windows. Frequency
caps are not decided here: they are exact, so the ledger counts them inside its transaction (see `caps`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.message import Verdict
from clarion.model.setup import Category, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, User, Window
from clarion.rules.instants import FOREVER, rfc3339
from clarion.rules.preferences import SETTINGS, allowed
from clarion.rules.quiet_hours import check_zone, local_clock, state

HORIZON_MS = 15 * 24 * 3_600_000
"""Windows repeat weekly: where quiet hours and send windows leave no gap for this long, they never do."""

Verdicts = tuple[Verdict, ...]


class Gate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


def gate(
    *,
    tenant: Tenant,
    category: Category,
    workflow: Workflow,
    user: User,
    channel: Channel,
    now: Instant,
    expires_at: Instant | None,
) -> Gate:
    """Decide about one channel of one user at `now`."""
    if expires_at is not None and now >= expires_at:
        return expired(expires_at)
    contact, verdicts, reason = reach(tenant, category, user, channel)
    if reason is not None:
        return Gate(
            verdict="stop",
            status=Status.SUPPRESSED,
            reason=reason,
            valid_until=FOREVER if expires_at is None else expires_at,
            verdicts=verdicts,
        )
    hours = Hours.of(tenant, category, workflow, user, channel)
    if hours is not None:
        return hours.gate(contact, verdicts, now, expires_at)
    return Gate(
        verdict="send",
        status=Status.QUEUED,
        valid_until=FOREVER if expires_at is None else expires_at,
        verdicts=verdicts if not category.critical else _bypassing(category, workflow, user, verdicts),
        contact=contact,
    )


def expired(expires_at: Instant, verdicts: Verdicts = ()) -> Gate:
    """Too late, now or by the time the message could go."""
    return Gate(
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
    tenant: Tenant, category: Category, user: User, channel: Channel
) -> tuple[Contact | None, Verdicts, Reason | None]:
    """The contact to use and why it may be used, or the reason why there is none. Time plays no part."""
    contact: Contact | None = None
    skipped = 0
    if channel is not Channel.IN_APP:
        for candidate in user.profile.contacts:
            if candidate.channel is channel:
                if candidate.hash not in user.suppressed:
                    contact = candidate
                    break
                skipped += 1
        else:
            if skipped:
                return None, (_suppressed("stop", skipped),), Reason.SUPPRESSED_ADDRESS
            return None, _NO_CONTACT, Reason.NO_CONTACT
    enabled, setting = allowed(tenant, category, user.profile.preferences, channel)
    if enabled and not skipped:
        return contact, (_INBOX_ON if contact is None else _FOUND_ON)[setting], None
    seen: Verdicts = (_INBOX if contact is None else _FOUND,)
    if skipped:
        seen = (_suppressed("skip", skipped), *seen)
    if enabled:
        return contact, (*seen, _ON[setting]), None
    return None, (*seen, _OFF[setting]), Reason.OPTED_OUT


@lru_cache(maxsize=64)
def _suppressed(result: str, contacts: int) -> Verdict:
    return Verdict(
        rule="suppression",
        result=result,
        reason=Reason.SUPPRESSED_ADDRESS.value,
        inputs={"suppressed_contacts": contacts},
    )


# -- when --------------------------------------------------------------------------------------------------

_CRITICAL_QUIET = Verdict(rule="quiet_hours", result="allow", reason="critical")
_CRITICAL_WINDOW = Verdict(rule="send_window", result="allow", reason="critical")
_SILENT = Verdict(rule="quiet_hours", result="allow", reason="in_app_is_silent")


class Hours(msgspec.Struct, frozen=True, gc=False):
    """The quiet hours and send windows that bind one message, in the person's zone."""

    quiet: tuple[Window, ...]
    windows: tuple[tuple[Window, ...], ...]
    """Each must be open: the category's and the workflow's."""
    zone: str
    silent: bool
    """The user has quiet hours, which do not concern this channel."""

    @staticmethod
    def of(
        tenant: Tenant, category: Category, workflow: Workflow, user: User, channel: Channel
    ) -> Hours | None:
        """None when the hour does not matter."""
        quiet = user.profile.preferences.quiet_hours
        if category.critical or not (quiet or category.send_window or workflow.send_window):
            return None
        silent = channel is Channel.IN_APP and bool(quiet)
        zone = user.profile.timezone
        if not zone or not check_zone(zone):
            zone = tenant.timezone
        return Hours(
            () if silent else quiet,
            tuple(window for window in (category.send_window, workflow.send_window) if window),
            zone,
            silent,
        )

    def gate(
        self, contact: Contact | None, verdicts: Verdicts, now: Instant, expires_at: Instant | None
    ) -> Gate:
        """The verdict of the hours for a message that may otherwise go."""
        due_at, holds_until, blocking = self.first_allowed(now)
        if blocking is None:
            return Gate(
                verdict="send",
                status=Status.QUEUED,
                valid_until=holds_until if expires_at is None else min(holds_until, expires_at),
                verdicts=verdicts + _open_verdicts(self.quiet, self.windows, self.zone, self.silent),
                contact=contact,
            )
        verdicts = verdicts + _closed_verdicts(self.quiet, self.windows, self.zone, self.silent, now, due_at)
        if expires_at is not None and due_at >= expires_at:
            return expired(expires_at, verdicts)
        if due_at == FOREVER:
            return Gate(verdict="stop", status=Status.SUPPRESSED, reason=blocking, verdicts=verdicts)
        return Gate(
            verdict="defer",
            status=Status.DEFERRED,
            reason=blocking,
            due_at=due_at,
            valid_until=due_at,
            verdicts=verdicts,
            contact=contact,
        )

    def first_allowed(self, now: Instant) -> tuple[Instant, Instant, Reason | None]:
        """The first instant from `now` on at which everything is open, until when it is, and what blocks `now`.

        Whatever closes moves the instant on until all agree; (FOREVER, FOREVER, reason) when they never do.
        """
        at, blocking = now, None
        while at - now <= HORIZON_MS:
            began, until = at, FOREVER
            if self.quiet:
                on, change = state(self.quiet, self.zone, at)
                if on:
                    at, blocking = change, blocking or Reason.QUIET_HOURS
                else:
                    until = change
            for windows in self.windows:
                is_open, change = state(windows, self.zone, at, careful_inside=True)
                if is_open:
                    until = min(until, change)
                else:
                    at, blocking = change, blocking or Reason.SEND_WINDOW
            if at == began:
                return at, until, blocking
        return FOREVER, FOREVER, blocking


@lru_cache(maxsize=4_096)
def _open_verdicts(
    quiet: tuple[Window, ...], windows: tuple[tuple[Window, ...], ...], zone: str, silent: bool
) -> Verdicts:
    found = []
    if silent:
        found.append(_SILENT)
    if quiet:
        found.append(_hours_verdict("quiet_hours", "allow", "outside", quiet, zone))
    found.extend(_hours_verdict("send_window", "allow", "open", window, zone) for window in windows)
    return tuple(found)


@lru_cache(maxsize=4_096)
def _closed_verdicts(
    quiet: tuple[Window, ...],
    windows: tuple[tuple[Window, ...], ...],
    zone: str,
    silent: bool,
    now: Instant,
    due_at: Instant,
) -> Verdicts:
    """What each rule says at `now`, and when the message goes instead."""
    more: dict[str, Any] = {"local_time": local_clock(zone, now)}
    ever = due_at != FOREVER
    if ever:
        more["until"] = rfc3339(due_at)
    result = "defer" if ever else "stop"
    found = [_SILENT] if silent else []
    if quiet:
        on, _ = state(quiet, zone, now)
        found.append(
            _hours_verdict("quiet_hours", result, "inside" if ever else "never_over", quiet, zone, more)
            if on
            else _hours_verdict("quiet_hours", "allow", "outside", quiet, zone)
        )
    for window in windows:
        is_open, _ = state(window, zone, now, careful_inside=True)
        found.append(
            _hours_verdict("send_window", "allow", "open", window, zone)
            if is_open
            else _hours_verdict("send_window", result, "closed" if ever else "never_open", window, zone, more)
        )
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


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _shown(window: Window) -> str:
    """`22:00-08:00`, and the weekdays unless it is every day."""
    days = sorted(set(window.days))
    times = f"{window.start}-{window.end}"
    return times if len(days) == 7 else f"{times} {','.join(_DAYS[day] for day in days)}"


def _bypassing(category: Category, workflow: Workflow, user: User, verdicts: Verdicts) -> Verdicts:
    """Say which hours a critical message passes over."""
    if user.profile.preferences.quiet_hours:
        verdicts = (*verdicts, _CRITICAL_QUIET)
    if category.send_window or workflow.send_window:
        verdicts = (*verdicts, _CRITICAL_WINDOW)
    return verdicts

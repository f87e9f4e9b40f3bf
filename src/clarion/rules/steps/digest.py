"""`digest`: what comes in a while goes on as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from clarion.model.digest import MOST_ITEMS, DigestClose, DigestRow, DigestRule
from clarion.model.ids import Instant, id_text
from clarion.model.run import RunState, RunStatus
from clarion.model.setup import Category, FlushWhat, Step, Tenant, Workflow
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.rules.eligibility import quiet_until
from clarion.rules.expressions import ExpressionError
from clarion.rules.match import check_pointer
from clarion.rules.moments import MomentError, OnDate, instant_of, parsed
from clarion.rules.preferences import digest_frequency, moment_of
from clarion.rules.steps.clock import RECIPIENT, zone_faults, zone_for
from clarion.rules.steps.keyed import key_by
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk

PREFERENCE = "preference"
"""What `at` says instead of a time: that the user has chosen."""
LONGEST_MS = 35 * 86_400_000
"""How long quiet hours keep a digest open, from its beginning."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


class DigestStep(StepKind):
    """Ends the run, and another goes on with everything that came: the digest's own."""

    repeatable = False
    fields = (
        "by",
        "window_s",
        "max_s",
        "at",
        "timezone",
        "keep",
        "max_items",
        "flush",
        "look_back_s",
        "empty_goes_on",
        "through_quiet_hours",
        "order",
    )
    output = {"total": 0}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """What is collected together, and what is too urgent to wait."""
        if step.by is not None and not step.by.startswith("/"):
            yield Asked("/by", step.by, condition=False)
        if step.flush is not None:
            yield Asked("/flush/when", step.flush.when)
        if step.order is not None:
            yield Asked("/order", step.order, condition=False)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """A key that leads nowhere, a window that ends before it begins, or two ends to keep."""
        if step.by is not None and step.by.startswith("/") and (wrong := check_pointer(step.by)):
            yield StepFault(f"{at}/by", f"{wrong}.")
        if (step.window_s is None) == (step.at is None):
            detail = "say how long it collects as `window_s`, or until which time as `at`, one of the two."
            yield StepFault(at, detail, "missing" if step.at is None else "")
        yield from zone_faults(step, at)
        if step.timezone != RECIPIENT and step.at == PREFERENCE:
            yield StepFault(
                f"{at}/timezone", "the user's choice goes by the user's clock: leave `timezone` out."
            )
        if step.timezone != RECIPIENT and step.at is None:
            yield StepFault(f"{at}/timezone", "`timezone` goes with `at`, not with `window_s`.")
        if step.max_s is not None and step.window_s is None:
            yield StepFault(f"{at}/max_s", "only items move an end that `window_s` says.")
        if step.at is not None and (wrong := _no_time(step.at)):
            yield StepFault(f"{at}/at", f"{wrong}.")
        if step.max_s is not None and step.window_s is not None and step.max_s < step.window_s:
            detail = f"the whole digest cannot last shorter than its window: write at least {step.window_s}."
            yield StepFault(f"{at}/max_s", detail)
        if step.keep is not None and (step.keep.first is None) == (step.keep.last is None):
            yield StepFault(f"{at}/keep", "say how many are kept as `first` or as `last`, one of the two.")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """The store decides which digest it joins."""
        if walk.facts.start > walk.now:
            return walk.wait(step, walk.facts.start)  # Nothing of it goes before.
        critical = walk.facts.category.critical
        try:
            value = b"" if step.by is None or critical else key_by(walk, step.by)
        except ExpressionError as wrong:
            return walk.fail(step, Reason.KEY_MISSING, by=step.by, error=str(wrong))
        rule, closes = _rule(walk, step), None
        if critical:
            closes = DigestClose.CRITICAL
        elif step.flush is not None and walk.is_true(step, step.flush.when):
            closes = DigestClose.ALONE if step.flush.what is FlushWhat.ALONE else DigestClose.FLUSH
        elif rule.closes_at == walk.now and (rule.quiet is None or rule.quiet[1] == walk.now):
            closes = DigestClose.TIME
        order = None if step.order is None else _order(walk, step, step.order)
        walk.say(step, "collected", by=step.by or "")
        return walk.collect(step, value, rule, closes, order)

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """The digest is closed, and its run goes on with what it holds."""
        told = walk.facts.digest
        if told is None:
            return self.enter(walk, step, ())
        walk.outputs[step.key] = {"total": told.total}
        walk.say(
            step,
            "closed",
            closed_by=told.row.cause,
            items=told.row.items,
            withdrawn=told.row.withdrawn,
            expired=told.expired,
            total=told.total,
            late_ms=max(0, walk.now - (told.row.closed_at or walk.now)),
            events=[id_text(one) for one in told.events],
        )
        if not told.total and not step.empty_goes_on:
            return walk.end(step.key, RunStatus.FINISHED, Reason.EMPTY_DIGEST)
        return None


class Timing(NamedTuple):
    """What the end of a digest goes by, beside its step."""

    workflow: Workflow
    category: Category
    tenant: Tenant
    user: User


def chosen_time(step: Step, timing: Timing) -> str | None:
    """The time in words at which a digest closes: that of the step, or the user's choice; None: it closes at once, or after
    a while."""
    if step.at != PREFERENCE:
        return step.at
    preferences = timing.user.profile.preferences
    return moment_of(digest_frequency(timing.tenant, timing.category, preferences, timing.workflow.key)[0])


def closing_time(step: Step, timing: Timing, opened_at: Instant) -> Instant | None:
    """When a digest closes that collects until a time in words; None: it does not."""
    if step.at is None:
        return None
    at = chosen_time(step, timing)
    if at is None:
        return opened_at
    return instant_of(parsed(at), zone_for(step, timing.user, timing.tenant), opened_at) or opened_at


def moves(step: Step) -> bool:
    """Whether the end of a digest moves when its user chooses otherwise, or goes elsewhere."""
    return step.through_quiet_hours or (step.at is not None and step.timezone == RECIPIENT)


def moved_end(step: Step, timing: Timing, row: DigestRow) -> Instant:
    """When an open digest closes by what holds now."""
    closes_at = closing_time(step, timing, row.opened_at)
    if closes_at is None:
        closes_at = Instant((row.opened_at if row.latest_at is None else row.touched_at) + row.window_ms)
    if step.through_quiet_hours:
        _, closes_at = _quiet(timing, closes_at, row.opened_at)
    return closes_at if row.latest_at is None else min(closes_at, row.latest_at)


def _quiet(timing: Timing, closes_at: Instant, opened_at: Instant) -> tuple[Instant, Instant]:
    """The quiet hours that an end lies in, as far as a digest may last."""
    over = quiet_until(timing.tenant, timing.category, timing.workflow, timing.user, closes_at)
    return closes_at, max(closes_at, min(over, Instant(opened_at + LONGEST_MS)))


def _timing(walk: Walk) -> Timing:
    facts = walk.facts
    return Timing(walk.program.workflow, facts.category, facts.tenant, facts.user)


def _order(walk: Walk, step: Step, source: str) -> float | str | None:
    """What an item is sorted by. Without a value it comes last, and the explanation says why."""
    try:
        value = walk.value(source)
        if value is not None and not isinstance(value, str | int | float):
            raise ExpressionError("its value is neither a text nor a number nor a time")
    except ExpressionError as wrong:
        walk.say(step, "error", order=source, error=str(wrong))
        return None
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return datetime.fromisoformat(value).timestamp()
    return value


def _no_time(at: str) -> str | None:
    if at == PREFERENCE:
        return None
    try:
        found = parsed(at)
    except MomentError as wrong:
        return str(wrong)
    return (
        "a date comes once: write a time that comes again, as `weekdays 08:30`"
        if isinstance(found, OnDate)
        else None
    )


def _rule(walk: Walk, step: Step) -> DigestRule:
    now, closes_at = walk.now, closing_time(step, _timing(walk), walk.now)
    window_ms = (step.window_s or 0) * 1_000
    ends = Instant(now + window_ms) if closes_at is None else closes_at
    return DigestRule(
        closes_at=closes_at,
        window_ms=window_ms,
        most_ms=None if step.max_s is None else step.max_s * 1_000,
        most_items=step.max_items or MOST_ITEMS,
        look_back_ms=None if step.look_back_s is None else step.look_back_s * 1_000,
        quiet=_quiet(_timing(walk), ends, now) if step.through_quiet_hours else None,
    )

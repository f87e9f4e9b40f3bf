"""`digest`: what comes in a while goes on as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clarion.model.digest import MOST_ITEMS, DigestClose, DigestRule
from clarion.model.ids import Instant, id_text
from clarion.model.run import RunState, RunStatus
from clarion.model.setup import FlushWhat, Step, Tenant
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.rules.expressions import ExpressionError
from clarion.rules.match import check_pointer
from clarion.rules.moments import MomentError, OnDate, instant_of, parsed
from clarion.rules.steps.clock import RECIPIENT, zone_faults, zone_for
from clarion.rules.steps.keyed import key_by
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk


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
    )
    output = {"total": 0}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """What is collected together, and what is too urgent to wait."""
        if step.by is not None and not step.by.startswith("/"):
            yield Asked("/by", step.by, condition=False)
        if step.flush is not None:
            yield Asked("/flush/when", step.flush.when)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """A key that leads nowhere, a window that ends before it begins, or two ends to keep."""
        if step.by is not None and step.by.startswith("/") and (wrong := check_pointer(step.by)):
            yield StepFault(f"{at}/by", f"{wrong}.")
        if (step.window_s is None) == (step.at is None):
            detail = "say how long it collects as `window_s`, or until which time as `at`, one of the two."
            yield StepFault(at, detail, "missing" if step.at is None else "")
        yield from zone_faults(step, at)
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
        closes = None
        if critical:
            closes = DigestClose.CRITICAL
        elif step.flush is not None and walk.is_true(step, step.flush.when):
            closes = DigestClose.ALONE if step.flush.what is FlushWhat.ALONE else DigestClose.FLUSH
        walk.say(step, "collected", by=step.by or "")
        return walk.collect(step, value, _rule(walk, step), closes)

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


def closing_time(step: Step, user: User, tenant: Tenant, opened_at: Instant) -> Instant | None:
    """When a digest closes that collects until a time in words; None: it does not."""
    if step.at is None:
        return None
    return instant_of(parsed(step.at), zone_for(step, user, tenant), opened_at) or opened_at


def _no_time(at: str) -> str | None:
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
    user, tenant = walk.facts.user, walk.facts.tenant
    return DigestRule(
        closes_at=closing_time(step, user, tenant, walk.now),
        window_ms=(step.window_s or 0) * 1_000,
        most_ms=None if step.max_s is None else step.max_s * 1_000,
        most_items=step.max_items or MOST_ITEMS,
        look_back_ms=None if step.look_back_s is None else step.look_back_s * 1_000,
    )

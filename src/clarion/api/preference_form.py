"""The fields of the preference page: what they show of a user, and what a user's answers make of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import available_timezones

from msgspec.structs import replace

from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category, Tenant, Workflow, channels_of
from clarion.model.topic import Topic
from clarion.model.user import (
    WEEK,
    Day,
    DigestEvery,
    DigestFrequency,
    Preferences,
    PreferenceSet,
    Profile,
    User,
    Window,
)
from clarion.rules import places, preferences
from clarion.rules.match import closest
from clarion.rules.quiet_hours import check_zone, is_clock

MOST_SPANS = 6
"""Spans of quiet hours that the page shows; the API takes more."""
PAUSES = {"1d": 1, "3d": 3, "7d": 7, "30d": 30}
"""Days for which messages can be paused."""
KEEP = "keep"
NONE = "none"

Answers = Mapping[str, Sequence[str]]
"""What was sent: each field with all its values."""


EVERYTHING = Category(key="")
"""Stands for what is chosen for all categories."""


class Box(NamedTuple):
    """Whether something comes over a channel."""

    name: str
    channel: Channel
    on: bool


class Row(NamedTuple):
    """A category or a topic."""

    key: str
    title: str
    description: str
    boxes: tuple[Box, ...]
    digest: DigestFrequency | None
    """When its digests come, where that is not what is chosen for all."""


class TypedHours(NamedTuple):
    """Quiet hours, as they were typed."""

    start: str
    end: str
    days: tuple[str, ...]


class PreferenceForm(NamedTuple):
    """Everything on the page."""

    rows: tuple[Row, ...]
    topics: tuple[Row, ...]
    always: tuple[str, ...]
    """The names of categories that cannot be left."""
    digest: DigestFrequency
    spans: tuple[TypedHours, ...]
    snoozed_until: Instant | None
    pause: str
    locale: str
    timezone: str
    zone_by: str
    """What says so: `user`, `device`, `phone` or `tenant`."""
    errors: Mapping[str, str] = {}
    """By field: which of the page's texts says what is wrong."""
    near: str = ""
    """The time zone that was probably meant."""

    def boxes(self) -> Iterator[tuple[Row, Box]]:
        """Every box with its row."""
        return ((row, box) for row in (*self.rows, *self.topics) for box in row.boxes)


class PageSetup(NamedTuple):
    """What of a tenant stands on the page."""

    tenant: Tenant
    categories: Mapping[str, Category]
    workflows: Mapping[str, Workflow]
    served: Collection[Channel]
    """Channels that have an integration."""
    topics: Sequence[Topic]


def form_of(setup: PageSetup, user: User, now: Instant) -> PreferenceForm:
    """What the page shows of a user."""
    tenant, profile = setup.tenant, user.profile
    chosen = profile.preferences
    reached = _reached(setup, user)
    used = _used(setup.workflows.values())
    zone, by = places.zone(profile, tenant)
    shown = [(key, one) for key, one in setup.categories.items() if key in used]
    until = chosen.snoozed_until
    return PreferenceForm(
        rows=tuple(
            row
            for key, one in shown
            if not one.critical
            for row in [_row("c", key, one.name, one.description, reached & used[key], tenant, one, chosen)]
            if row.boxes
        ),
        topics=tuple(
            _row("t", one.key, one.name, "", reached, tenant, EVERYTHING, chosen, (one.key,))
            for one in setup.topics
        ),
        always=tuple(one.name or key for key, one in shown if one.critical),
        digest=preferences.digest_frequency(tenant, EVERYTHING, chosen)[0],
        spans=tuple(
            TypedHours(one.start, one.end, tuple(day.value for day in one.days))
            for one in preferences.quiet_hours(tenant, chosen)[:MOST_SPANS]
        ),
        snoozed_until=until if until is not None and until > now else None,
        pause=KEEP if until is not None and until > now else NONE,
        locale=places.locale(profile, tenant)[0],
        timezone=zone,
        zone_by=by,
    )


def _row(
    kind: str,
    key: str,
    title: str,
    description: str,
    channels: Collection[Channel],
    tenant: Tenant,
    category: Category,
    chosen: Preferences,
    topics: tuple[str, ...] = (),
) -> Row:
    digest = preferences.digest_frequency(tenant, category, chosen)[0]
    return Row(
        key,
        title or key,
        description,
        tuple(
            Box(
                f"{kind}/{key}/{channel}",
                channel,
                preferences.allowed(tenant, category, chosen, channel, "", topics)[0],
            )
            for channel in CHANNELS
            if channel in channels
        ),
        None if digest == preferences.digest_frequency(tenant, EVERYTHING, chosen)[0] else digest,
    )


def _reached(setup: PageSetup, user: User) -> frozenset[Channel]:
    """The channels over which something can come to a user."""
    return frozenset(
        channel for channel in setup.served if channel is Channel.IN_APP or user.profile.contacts_on(channel)
    ) - {Channel.WEBHOOK}


def _used(workflows: Iterable[Workflow]) -> dict[str, frozenset[Channel]]:
    """The channels of each category that sends anything."""
    used: dict[str, frozenset[Channel]] = {}
    for workflow in workflows:
        channels = frozenset(channel for step in workflow.sends() for channel in channels_of(step))
        used[workflow.category] = used.get(workflow.category, frozenset()) | channels
    return used


# -- answers --------------------------------------------------------------------------------------------------


def answered(form: PreferenceForm, answers: Answers) -> PreferenceForm:
    """The form as it was sent, with what is wrong in it."""
    errors: dict[str, str] = {}
    spans = tuple(_spans(answers, errors))
    zone = _one(answers, "timezone").strip() or form.timezone
    near = ""
    if not check_zone(zone):
        errors["timezone"] = "error_zone"
        near = closest(zone, available_timezones()) or ""
    digest = form.digest
    if (every := _one(answers, "digest")) in list(DigestEvery):
        digest = DigestFrequency(
            every=DigestEvery(every),
            at=_one(answers, "digest_at") or digest.at,
            day=Day(day) if (day := _one(answers, "digest_day")) in list(Day) else digest.day,
        )
        if not is_clock(digest.at):
            errors["digest_at"] = "error_time"
    on, shown = set(answers.get("on", ())), _shown(answers)

    def sent(rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(
            row._replace(
                boxes=tuple(
                    # What changed elsewhere since the page was shown stays, unless this answer changes it too.
                    box._replace(on=box.name in on)
                    if box.name in shown and (box.name in on) is not shown[box.name]
                    else box
                    for box in row.boxes
                )
            )
            for row in rows
        )

    return form._replace(
        rows=sent(form.rows),
        topics=sent(form.topics),
        digest=digest,
        spans=spans,
        pause=pause if (pause := _one(answers, "pause")) in (*PAUSES, NONE) else form.pause,
        locale=_one(answers, "locale") or form.locale,
        timezone=zone,
        errors=errors,
        near=near,
    )


def shown_boxes(form: PreferenceForm) -> str:
    """How the boxes are on the page, for `answered`."""
    return " ".join(f"{box.name}={int(box.on)}" for _, box in form.boxes())


def _shown(answers: Answers) -> dict[str, bool]:
    pairs = (one.rpartition("=") for one in _one(answers, "shown").split())
    return {name: value == "1" for name, _, value in pairs}


def _spans(answers: Answers, errors: dict[str, str]) -> Iterator[TypedHours]:
    for index in range(MOST_SPANS + 1):
        start, end = _one(answers, f"start{index}").strip(), _one(answers, f"end{index}").strip()
        days = tuple(day.value for day in Day if day.value in answers.get(f"days{index}", ()))
        if not start and not end:
            continue
        if not (is_clock(start) and is_clock(end)):
            errors[f"span{index}"] = "error_time"
        elif not days:
            errors[f"span{index}"] = "error_days"
        yield TypedHours(start, end, days)


def _one(answers: Answers, name: str) -> str:
    return next(iter(answers.get(name, ())), "")


def applied(
    setup: PageSetup, profile: Profile, before: PreferenceForm, after: PreferenceForm, now: Instant
) -> Profile:
    """The profile with what a user changed on the page, and with nothing else."""
    chosen = profile.preferences
    was = {box.name: box.on for _, box in before.boxes()}
    for row, box in after.boxes():
        if box.on is was[box.name]:
            continue
        if box.name.startswith("c/"):
            category = setup.categories[row.key]
            chosen = preferences.with_category(setup.tenant, category, chosen, box.channel, box.on)
        else:
            chosen = _with_topic(chosen, row.key, box)
    if after.digest != before.digest:
        chosen = replace(chosen, digest=after.digest)
    if after.spans != before.spans:
        hidden = preferences.quiet_hours(setup.tenant, chosen)[MOST_SPANS:]
        chosen = replace(chosen, quiet_hours=(*map(_window, after.spans), *hidden))
    if after.pause not in (KEEP, before.pause):
        days = PAUSES.get(after.pause)
        chosen = replace(chosen, snoozed_until=None if days is None else Instant(now + days * 86_400_000))
    # Whoever saves the page confirms what was detected; the zone of the tenant is nobody's own.
    confirmed = after.timezone != before.timezone or before.zone_by != "tenant"
    return replace(
        profile,
        preferences=chosen,
        timezone=after.timezone if confirmed else profile.timezone,
        locale=after.locale if after.locale != before.locale else profile.locale,
    )


def _with_topic(chosen: Preferences, key: str, box: Box) -> Preferences:
    known = chosen.topics.get(key, PreferenceSet())
    changed = replace(known, channels={**known.channels, box.channel: box.on})
    return replace(chosen, topics={**chosen.topics, key: changed})


def _window(span: TypedHours) -> Window:
    return Window(start=span.start, end=span.end, days=tuple(day for day in WEEK if day.value in span.days))

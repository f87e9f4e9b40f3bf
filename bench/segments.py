"""Segments at a million users: what a new condition costs, what changes cost, and how fast searches answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from bench.ledgers import opened
from bench.report import Figure
from bench.rig import Rig
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.flow.groups import UPDATED_AT_ONCE, Groups
from clarion.model.audience import Attribute, AttributeType, SearchableField, Segment
from clarion.model.setup import Tenant
from clarion.model.user import Profile, UserPut
from clarion.rules.audience import condition
from clarion.services.segments import SLICE
from clarion.testing.ledger_contract import LedgerSubject

USERS, CHANGED, AT_ONCE = 1_000_000, 100_000, 1_000
MOST_INCREMENTAL_S = 10.0
"""Until segments know of all changed users."""
SEGMENTS = {
    "pros": "user.attributes.plan == 'pro'",
    "adults": "user.attributes.age >= 18 && user.locale.startsWith('de')",
    "new": "now - user.created_at < duration('720h')",
    "rare": "user.attributes.city == 'city-7'",
}
_TYPES = {"plan": AttributeType.STRING, "age": AttributeType.NUMBER, "city": AttributeType.STRING}


async def segments(rig: Rig) -> list[Figure]:
    """Users are written with three attributes each; then four segments are made, and a tenth of the users is changed."""
    users, changed = rig.much(USERS, 2_000), rig.much(CHANGED, 500)
    async with opened(rig) as (ledger, _):
        subject: Any = LedgerSubject(ledger, SystemClock(), SystemRandom())  # type: ignore[arg-type]
        await subject.create_setup()
        setup = subject.ledger.setup
        await setup.tenants.change(subject.tenant, _searchable)
        groups = Groups(subject.ledger, subject.clock)
        before = await timed(lambda: write(subject, users, 0))
        for key, where in SEGMENTS.items():
            await setup.segments.put(subject.tenant, Segment(key=key, where=where))
        refreshed = await timed(lambda: refresh(subject, groups))
        with_segments = await timed(lambda: write(subject, changed, 1))
        updated = await timed(lambda: update(subject, groups))
        rare = condition(SEGMENTS["rare"], setup.tenants.all()[subject.tenant])
        page = await timed(lambda: search(subject, rare))
        count = await timed(lambda: subject.ledger.audiences.count(subject.tenant, rare, subject.now))
        members = await timed(lambda: subject.ledger.segments.members(subject.tenant, "pros", 0, 200))
    of = f"{users:,} users"
    return [
        Figure(name="users written, no segments", value=users / before, unit="users/s", note=of),
        Figure(
            name="users written, four segments", value=changed / with_segments, unit="users/s", note="changed"
        ),
        Figure(name="segment: a new condition", value=refreshed / len(SEGMENTS), unit="s", note=of),
        Figure(
            name="segments: changed users",
            value=updated,
            unit="s",
            target=MOST_INCREMENTAL_S,
            at_most=True,
            note=f"{changed:,} of {of}, {len(SEGMENTS)} segments",
        ),
        Figure(name="search: first page of a rare value", value=page * 1e3, unit="ms", note=of),
        Figure(name="search: count of a rare value", value=count * 1e3, unit="ms", note=of),
        Figure(name="segment: page of members", value=members * 1e3, unit="ms", note=of),
    ]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def write(subject: Any, users: int, turn: int) -> None:
    """So many users, with other values at each turn."""
    for start in range(0, users, AT_ONCE):
        puts = [_user(number, turn) for number in range(start, min(start + AT_ONCE, users))]
        await subject.ledger.users.put(subject.tenant, puts)


async def refresh(subject: Any, groups: Groups) -> None:
    """All segments, as the service does."""
    for segment in groups.segments(subject.tenant).values():
        while (
            await subject.ledger.segments.refresh(subject.tenant, segment, subject.clock.now(), SLICE)
        ).running:
            pass


async def update(subject: Any, groups: Groups) -> None:
    """Until nobody who changed is left."""
    while await groups.update(subject.tenant) >= UPDATED_AT_ONCE:
        pass


async def search(subject: Any, where: Any) -> None:
    """The first page, with the users opened."""
    found = await subject.ledger.audiences.search(subject.tenant, where, subject.clock.now(), None, 50)
    await subject.ledger.users.get(found)


def _searchable(tenant: Tenant) -> Tenant:
    types = {name: Attribute(type=type_, searchable=True) for name, type_ in _TYPES.items()}
    return replace(tenant, attributes=types, searchable=(SearchableField.LOCALE,))


def _user(number: int, turn: int) -> UserPut:
    attributes = {
        "plan": "pro" if (number + turn) % 10 == 0 else "free",
        "age": (number + turn) % 90,
        "city": f"city-{number % 20_000}",
        "first_name": "Ada",
    }
    locale = "de-DE" if number % 3 == 0 else "en"
    return UserPut(id=f"user-{number}", profile=Profile(attributes=attributes, locale=locale))

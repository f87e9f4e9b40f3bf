"""Example values for tests of rules: a tenant, users, workflows and events."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

import msgspec

from clarion.model.channel import Channel, Lane
from clarion.model.event import Event
from clarion.model.ids import Instant, TenantId, UserNo, new_event_id
from clarion.model.setup import Category, SendAll, Step, Tenant, Workflow
from clarion.model.user import Contact, Preferences, Profile, User, Window
from clarion.rules.eligibility import Decision, evaluate
from clarion.rules.plan import Planned, plan_run

TENANT = Tenant(id=TenantId(1), key="shop")
CATEGORY = Category(key="orders")
CRITICAL = Category(key="security", critical=True)
NIGHT = Window(start="22:00", end="08:00")
BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC", fold: int = 0) -> Instant:
    """The instant of a local time such as `2026-03-28 22:30` in `zone`."""
    return Instant(
        round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)
    )


NOON = at("2026-03-25 12:00", BERLIN)
MIDNIGHT = at("2026-03-25 00:00", BERLIN)


def contact(channel: Channel, name: str = "one") -> Contact:
    """An address of the user."""
    return Contact(channel=channel, address=f"{channel}:{name}", hash=f"{channel}:{name}".encode())


ALL_CHANNELS = tuple(contact(channel) for channel in Channel if channel is not Channel.IN_APP)


def person(
    *,
    contacts: tuple[Contact, ...] = ALL_CHANNELS,
    suppressed: tuple[Contact, ...] = (),
    zone: str = BERLIN,
    preferences: Preferences | None = None,
    quiet: tuple[Window, ...] = (),
    no: int = 7,
) -> User:
    """A user in Berlin who can be reached on every channel, unless told otherwise."""
    return User(
        no=UserNo(no),
        tenant=TENANT.id,
        id="user-7",
        key=b"k" * 32,
        profile=Profile(
            contacts=contacts, timezone=zone, preferences=preferences or Preferences(quiet_hours=quiet)
        ),
        suppressed=frozenset(one.hash for one in suppressed),
    )


def workflow(*steps, **more) -> Workflow:
    """A workflow of the shop; every argument is what one step sends to."""
    named = tuple(Step(key=f"step-{i}", template="order", to=to) for i, to in enumerate(steps, start=1))
    return Workflow(key="order-shipped", category="orders", steps=named, **more)


EMAIL = workflow(SendAll(channels=(Channel.EMAIL,)))


def event(
    data: object = None,
    *,
    happened: Instant = NOON,
    expires_at: Instant | None = None,
    send_at: Instant | None = None,
    send_at_local: str | None = None,
) -> Event:
    """An event of the workflow."""
    return Event(
        id=new_event_id(happened, b"0123456789"),
        tenant=TENANT.id,
        lane=Lane.NORMAL,
        workflow="order-shipped",
        at=happened,
        users=(UserNo(7),),
        data=msgspec.Raw(msgspec.json.encode({} if data is None else data)),
        expires_at=expires_at,
        send_at=send_at,
        send_at_local=send_at_local,
    )


def keyed_hash(purpose: str, value: bytes) -> bytes:
    """Stands in for the vault's keyed hash."""
    return blake2b(purpose.encode() + b"\0" + value, digest_size=16).digest()


def plan(
    flow: Workflow = EMAIL,
    *,
    what: Event | None = None,
    user: User | None = None,
    category: Category = CATEGORY,
    tenant: Tenant = TENANT,
    now: Instant = NOON,
    held: bool = False,
    served: frozenset[Channel] | None = None,
) -> Planned:
    """Plan one run."""
    return plan_run(
        event=what or event(happened=now),
        workflow=flow,
        category=category,
        tenant=tenant,
        user=user or person(),
        now=now,
        hash=keyed_hash,
        held=held,
        served=served,
    )


def decide(
    channel: Channel = Channel.EMAIL,
    *,
    user: User | None = None,
    category: Category = CATEGORY,
    tenant: Tenant = TENANT,
    flow: Workflow = EMAIL,
    now: Instant = NOON,
    expires_at: Instant | None = None,
) -> Decision:
    """Decide about one channel."""
    return evaluate(
        tenant=tenant,
        category=category,
        workflow=flow,
        user=user or person(),
        channel=channel,
        now=now,
        expires_at=expires_at,
    )


def said(verdicts, rule: str) -> list[tuple[str, str]]:
    """The result and reason of each verdict of one rule."""
    return [(verdict.result, verdict.reason) for verdict in verdicts if verdict.rule == rule]

"""What a dry run says of a user and an event is what then happens, and names everything that stands in the way."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import Tables
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.message import ChannelDecision, Run
from clarion.model.setup import Category, Dedupe, Law, Workflow
from clarion.model.submission import Submission
from clarion.model.suppression import Suppression
from clarion.model.user import Contact, FrequencyCap, Preferences, PreferenceSet, Profile, UserPut, Window
from clarion.rules.explain import explanation
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.needs import DEEP

PAIRS = 8
"""Of one example: each of another user, workflow and category."""
NOON = Instant(1_774_436_400_000)
"""2026-03-25T11:00Z."""
NOW = (Window(start="10:00", end="12:00"),)
NOT_NOW = (Window(start="14:00", end="15:00"),)
REASONS = {
    "contact": "no_contact",
    "suppression": "suppressed_address",
    "preferences": "opted_out",
    "consent": "no_consent",
    "expiry": "expired",
    "snooze": "snoozed",
    "thread": "waiting_for_turn",
    "dedupe": "duplicate",
}
"""How the reason of a message is called, where it is not called like its rule."""


class Pair(NamedTuple):
    """A user and an event, and what stands between them."""

    reachable: bool
    suppressed: bool
    opted_out: bool
    marketing: bool
    quiet: bool
    snoozed: bool
    window: bool
    expired: bool
    capped: bool
    dedupes: bool
    thread: bool
    earlier: str
    """What the same workflow did for the user before: `nothing`, `sent`, or `waits`."""

    def rules(self) -> set[str]:
        """Which rules have to be named."""
        named = {
            "contact": not self.reachable,
            "suppression": self.reachable and self.suppressed,
            "preferences": self.opted_out,
            "consent": self.marketing,
            "quiet_hours": self.quiet,
            "snooze": self.snoozed,
            "send_window": self.window,
            "expiry": self.expired,
            "frequency_cap": self.capped and self.earlier == "sent",
            "dedupe": self.dedupes and self.earlier != "nothing",
            "thread": self.thread and self.earlier == "waits",
        }
        return {rule for rule, is_named in named.items() if is_named}


pairs = st.builds(
    Pair,
    reachable=st.sampled_from([True, True, True, False]),
    suppressed=st.booleans(),
    opted_out=st.booleans(),
    marketing=st.booleans(),
    quiet=st.booleans(),
    snoozed=st.booleans(),
    window=st.booleans(),
    expired=st.sampled_from([True, False, False, False]),
    capped=st.booleans(),
    dedupes=st.booleans(),
    thread=st.booleans(),
    earlier=st.sampled_from(["nothing", "sent", "waits"]),
)


async def put(clarion: Engine, user: str, pair: Pair | None, preferences: Preferences) -> None:
    """The user as they are with this pair; None: before it."""
    there = pair is None or pair.reachable
    sms = Contact(channel=Channel.SMS, address=f"+49151{int(user[1:]):08d}")
    profile = Profile(contacts=(sms,) if there else (), timezone="UTC", preferences=preferences)
    (stored,) = await clarion.ledger.users.put(clarion.tenant, [UserPut(id=user, profile=profile)])
    if pair is not None and pair.suppressed and there:
        blocked = Suppression(
            tenant=clarion.tenant,
            channel=Channel.SMS,
            hash=stored.profile.contacts[0].hash,
            reason="manual",
            at=NOON,
        )
        await clarion.ledger.suppressions.add([blocked])


async def make(clarion: Engine, number: int, pair: Pair) -> None:
    """The setup of a pair, and what happened before it."""
    user, flow = f"u{number}", workflow(f"w{number}", f"c{number}")
    caps = (FrequencyCap(limit=1, window_s=3_600),) if pair.capped else ()
    own: dict[str, Any] = {
        "dedupe": Dedupe(key="") if pair.dedupes else None,
        "thread": "" if pair.thread else None,
    }
    flow = msgspec.structs.replace(flow, **own)
    category = Category(key=f"c{number}", caps=caps)
    await clarion.create_setup(flow, categories=(category,))
    if pair.earlier != "nothing":
        busy = Preferences(quiet_hours=NOW) if pair.earlier == "waits" else Preferences()
        await put(clarion, user, None, busy)
        await clarion.trigger(flow.key, user)
        await clarion.until_idle()
    await put(clarion, user, pair, preferences_of(pair, category.key))
    law = Law.MARKETING if pair.marketing else Law.TRANSACTIONAL
    await clarion.ledger.setup.categories.put(clarion.tenant, msgspec.structs.replace(category, law=law))
    await clarion.ledger.setup.workflows.put(clarion.tenant, with_times(flow, pair))


def preferences_of(pair: Pair, category: str) -> Preferences:
    """What the user chose."""
    off = {category: PreferenceSet(enabled=False)} if pair.opted_out else {}
    return Preferences(
        categories=off,
        quiet_hours=NOW if pair.quiet else None,
        snoozed_until=Instant(NOON + 3_600_000) if pair.snoozed else None,
    )


def with_times(flow: Workflow, pair: Pair) -> Workflow:
    """The workflow, with when it may send."""
    window = NOT_NOW if pair.window else ()
    return msgspec.structs.replace(
        flow, send_window=window, expires_after_s=0 if pair.expired else None, version=2
    )


def told(run: Run) -> list[Any]:
    """What an explanation says, but for the ids of its own event."""
    said = explanation(run, "ada")
    channels = [msgspec.structs.replace(one, message_id=None) for one in said.channels]
    return [said.text, channels]


def named(channel: ChannelDecision) -> list[str]:
    """The rules that stand in the way."""
    return [one.rule for one in channel.verdicts if one.result in ("stop", "defer")]


@settings(deadline=None, max_examples=125 if DEEP else 4)
@given(st.lists(pairs, min_size=PAIRS, max_size=PAIRS))
async def test_a_dry_run_says_what_then_happens_and_names_everything_in_the_way(drawn):
    """The reason of the message is one of those that are named, and without any it is sent."""
    async with engine(Tables(), clock=ManualClock(NOON)) as clarion:
        for number, pair in enumerate(drawn):
            await make(clarion, number, pair)
        for number, pair in enumerate(drawn):
            key, user, data = f"w{number}", f"u{number}", msgspec.Raw(b'{"text":"a"}')
            asked = Submission(workflow=key, recipients=(user,), data=data)
            ((_, dry),) = await clarion.services.dry_runs.runs(clarion.tenant, asked)
            accepted = await clarion.trigger(key, user, data=data)
            await clarion.until_idle()
            (real,) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
            assert told(dry) == told(real)
            (channel,) = real.channels
            assert set(named(channel)) == pair.rules()
            assert len(named(channel)) == len(pair.rules())
            reasons = {REASONS.get(rule, rule) for rule in named(channel)}
            assert (channel.reason is None) == (not reasons)
            assert channel.reason is None or channel.reason.value in reasons

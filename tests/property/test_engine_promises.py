"""The promises of the engine (I1-I9), under random histories of traffic, choices, failures, time and crashes."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import Tables
from clarion.flow.intake.intake import CLAIM_MS
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, id_text
from clarion.model.inbox import InboxItem
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.model.setup import Category, Dedupe
from clarion.model.status import Status
from clarion.model.suppression import Suppression
from clarion.model.user import FrequencyCap, Preferences, PreferenceSet, Window
from clarion.testing.ports import ManualClock
from clarion.testing.providers import Answer, RecordingProvider
from tests.engine import Engine, Store, sms_text, workflow
from tests.needs import examples
from tests.postgresql_ledgers import new_database

pytestmark = pytest.mark.timeout(600)
"""Hundreds of histories are one test; the machine may have much else to do."""

USERS = ("ada", "juergen", "misaki")
DEVICES = {name: (f"{name}'s phone", f"{name}'s tablet") for name in USERS}
ZONES = {"ada": "Europe/London", "juergen": "Europe/Berlin", "misaki": "Asia/Tokyo"}
CAP = FrequencyCap(limit=2, window_s=3_600)
CATEGORIES = (
    Category(key="news", caps=(CAP,)),
    Category(key="updates"),
    Category(key="security", critical=True),
)
WORKFLOWS = (
    workflow("news", "news", lane=Lane.BULK),
    workflow("offer", "news", channel=Channel.EMAIL, lane=Lane.NORMAL),
    workflow("chat", "updates", thread="/room"),
    workflow("order", "updates", dedupe=Dedupe(key="/order", window_s=600)),
    workflow("otp", "security", lane=Lane.CRITICAL),
    workflow("ping", "updates", channel=Channel.PUSH),
    workflow("bell", "news", channel=Channel.IN_APP),
    workflow("talk", "updates", channel=Channel.IN_APP, thread="/room"),
)
CATEGORY_OF = {w.key: w.category for w in WORKFLOWS}
QUIET = Window(start="22:00", end="07:30")
ANSWERS: dict[str, Answer] = {
    "accept": Accepted(provider_id="p"),
    "retry": Retry(),
    "retry later": Retry(after_s=90),
    "reject": Rejected(),
    "gone": Gone(),
    "unknown": Unknown(),
    "misconfigured": Misconfigured(),
    "surprise": RuntimeError("boom"),
}

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("trigger"),
            st.sampled_from([w.key for w in WORKFLOWS]),
            st.lists(st.sampled_from(USERS), min_size=1, max_size=3, unique=True),
            st.sampled_from((None, None, 30, 900)),
        ),
        st.tuples(st.just("choose"), st.sampled_from(USERS), st.booleans(), st.booleans()),
        st.tuples(st.just("suppress"), st.sampled_from(USERS)),
        st.tuples(st.just("answer"), st.sampled_from(sorted(ANSWERS))),
        st.tuples(st.just("answer on tablets"), st.sampled_from(sorted(ANSWERS))),
        st.tuples(st.just("pass"), st.sampled_from((1, 20, 600, 3_601, 8 * 3_600))),
        st.tuples(st.just("crash")),
    ),
    min_size=6,
    max_size=30,
)


class Witness(RecordingProvider):
    """A provider that checks, at the moment of each call, whether the call may happen at all."""

    def __init__(
        self, clock: ManualClock, choices: dict[str, tuple[bool, bool]], suppressed: set[str]
    ) -> None:
        super().__init__(batch=20)
        self.clock = clock
        self.choices = choices
        self.suppressed_users = suppressed
        self.broken: list[str] = []
        self.times: list[tuple[Instant, str, str]] = []

    async def send(self, batch):
        now = self.clock.now()
        for outgoing in batch:
            message, user = outgoing.message, outgoing.user.id
            critical = CATEGORY_OF[message.workflow] == "security"
            opted_out, quiet = self.choices.get(user, (False, False))
            told = f"{message.workflow} to {user} on {message.channel} at {now}"
            if message.expires_at is not None and now >= message.expires_at:
                self.broken.append(f"I5 sent after expiry: {told}")
            if quiet and not critical and inside_quiet_hours(now, ZONES[user]):
                self.broken.append(f"I6 sent in quiet hours: {told}")
            if opted_out and CATEGORY_OF[message.workflow] == "news":
                self.broken.append(f"I8 sent after opt-out: {told}")
            if user in self.suppressed_users and message.channel is Channel.SMS:
                self.broken.append(f"I9 suppressed address contacted: {told}")
        before = len(self.effects)
        try:
            return await super().send(batch)
        finally:
            for effect in self.effects[before:]:
                self.times.append((now, effect.message.workflow, effect.user.id))


def inside_quiet_hours(now: Instant, zone: str) -> bool:
    """An independent reading of `QUIET`: the wall clock, nothing else."""
    local = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
    minutes = local.hour * 60 + local.minute
    return minutes >= 22 * 60 or minutes < 7 * 60 + 30


def check_caps(times: list[tuple[Instant, str, str]]) -> list[str]:
    """I7: never more than the cap in any sliding window, whatever the interleaving."""
    broken = []
    for user in USERS:
        sent = [at for at, key, who in times if who == user and CATEGORY_OF[key] == "news"]
        for at in sent:
            inside = [other for other in sent if at - CAP.window_s * 1000 < other <= at]
            if len(inside) > CAP.limit:
                broken.append(f"I7 {len(inside)} in an hour for {user}")
    return broken


WAITED_FOR_AN_INTEGRATION = [
    ("crash",),
    ("trigger", "offer", ["ada", "misaki"], None),
    ("answer", "misconfigured"),
    ("trigger", "news", ["ada", "juergen"], None),
    ("pass", 28_800),
    ("trigger", "offer", ["misaki"], None),
    ("trigger", "offer", ["ada", "misaki"], None),
    ("pass", 1),
]


@example(steps=WAITED_FOR_AN_INTEGRATION, start_hour=16)
@given(steps=STEPS, start_hour=st.integers(0, 23))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_every_history_keeps_the_promises(steps, start_hour):
    """Whatever happens, every accepted event ends with one reasoned status and no call breaks a promise."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        asyncio.run(_live_through(Path(folder), steps, start_hour))


@example(steps=WAITED_FOR_AN_INTEGRATION, start_hour=16)
@given(steps=STEPS, start_hour=st.integers(0, 23))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_every_history_keeps_the_promises_on_a_ledger_that_outlives_its_engines(steps, start_hour):
    """The same with the ledger as a server behind a network: an engine dies, the ledger stays as it is."""
    asyncio.run(_live_through(Tables(), steps, start_hour))


@given(steps=STEPS, start_hour=st.integers(0, 23))
@settings(
    max_examples=examples(5),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_history_keeps_the_promises_on_postgresql(postgresql, steps, start_hour):
    """The same with a real server."""

    async def live() -> None:
        await _live_through(await new_database(postgresql), steps, start_hour)

    asyncio.run(live())


async def _live_through(store: Store, steps, start_hour: int) -> None:
    clock = ManualClock(
        Instant(1_774_656_000_000 + start_hour * 3_600_000)
    )  # the night Europe changes its clocks
    choices: dict[str, tuple[bool, bool]] = {}
    suppressed: set[str] = set()
    witness = Witness(clock, choices, suppressed)
    clarion = await Engine(store, clock, witness, 1).open()
    await clarion.create_setup(*WORKFLOWS, categories=CATEGORIES)
    people = {name: await clarion.put_user(name, zone=ZONES[name], devices=DEVICES[name]) for name in USERS}
    accepted: dict[str, tuple[bytes, int, int]] = {}
    sent_texts: list[str] = []
    chosen: list[tuple[Instant, str, bool]] = []
    crashes = 0
    for number, step in enumerate(steps):
        match step:
            case ("trigger", key, users, expires_s):
                data = msgspec.json.encode({"text": str(number), "room": 1, "order": number % 2})
                answer = await clarion.trigger(
                    key,
                    *users,
                    data=msgspec.Raw(data),
                    idempotency_key=str(number),
                    fingerprint=b"f",
                    expires_at=None if expires_s is None else Instant(clock.now() + expires_s * 1000),
                )
                accepted[str(number)] = (answer.event_id, answer.accepted, clock.now())
                sent_texts.append(key)
            case ("choose", user, opted_out, quiet):
                await clarion.put_user(
                    user,
                    Preferences(
                        categories={"news": PreferenceSet(enabled=not opted_out)},
                        quiet_hours=(QUIET,) if quiet else (),
                    ),
                    ZONES[user],
                    devices=DEVICES[user],
                )
                choices[user] = (opted_out, quiet)
                chosen.append((clock.now(), user, opted_out))
            case ("suppress", user):
                phone = next(c for c in people[user].profile.contacts if c.channel is Channel.SMS)
                await clarion.ledger.suppressions.add(
                    [
                        Suppression(
                            tenant=clarion.tenant,
                            channel=Channel.SMS,
                            hash=phone.hash,
                            reason="stop",
                            at=clock.now(),
                        )
                    ]
                )
                suppressed.update(USERS)  # they share one phone
            case ("answer", name):
                witness.otherwise = ANSWERS[name]
            case ("answer on tablets", name):
                witness.script.update((tablet, ANSWERS[name]) for _, tablet in DEVICES.values())
            case ("pass", seconds):
                await clarion.pass_time(seconds)
            case ("crash",):
                await clarion.crash()
                crashes += 1
                clarion = await Engine(store, clock, witness, 1 + crashes).open()
    witness.otherwise = ANSWERS["accept"]
    witness.script.clear()
    for _ in range(30):
        await clarion.pass_time(3_600)
        if all(m.status.is_terminal for m in (await clarion.messages()).values()):
            break
    try:
        await _check(clarion, witness, accepted, crashes, await _inboxes(clarion, people))
        _check_opt_outs(chosen, await _inboxes(clarion, people))
    finally:
        await clarion.stop()


async def _inboxes(clarion: Engine, people) -> list[tuple[str, InboxItem, str]]:
    """Whose item, and of which workflow; in the order in which they came in."""
    return [
        (name, item, item.workflow)
        for name, user in people.items()
        for item in await clarion.ledger.inboxes.since(user.no, 0, 1_000)
    ]


def _check_opt_outs(chosen, inboxes) -> None:
    """I8: what came in later than an opt-out was answered came in after it was taken back, be it in the same moment."""
    for name, item, key in inboxes:
        its = [(at, opted_out) for at, user, opted_out in chosen if user == name]
        before = [opted_out for at, opted_out in its if at < item.at]
        back = any(at == item.at and not opted_out for at, opted_out in its)
        assert not (CATEGORY_OF[key] == "news" and before and before[-1] and not back), (
            f"I8 in the inbox of {name}"
        )


async def _check(clarion: Engine, witness: Witness, accepted, crashes: int, inboxes) -> None:
    came_in = [(item.at, key, name) for name, item, key in inboxes]
    assert witness.broken + check_caps(witness.times + came_in) == []
    found = await clarion.messages()
    delivered = Counter(m.id for m in found.values() if m.channel is Channel.IN_APP and m.sent_at is not None)
    assert Counter(item.message_id for _, item, _ in inboxes) == delivered, "I2 not once in the inbox"
    for message in found.values():
        told = f"{message.workflow} {message.channel} {message.status} {message.reason}"
        assert message.status.is_terminal, f"I1 still active: {told}"
        assert (message.reason is not None) or not message.status.needs_reason, f"I1 no reason: {told}"
    per_event = Counter(m.event_id for m in found.values())
    assert per_event == Counter({event_id: count for event_id, count, _ in accepted.values()}), (
        "I1 messages per accepted event"
    )
    effects = Counter((o.message.id, o.contact and o.contact.address) for o in witness.effects)
    worst = max(effects.values(), default=0)
    assert worst <= 2, "I2 more than one extra send to a device"
    for (message_id, _), count in effects.items():
        if count == 2:
            assert found[message_id].unknowns >= 1, (
                f"I2 duplicate without an unknown outcome: {id_text(message_id)}"
            )
    for key, (event_id, _, at) in accepted.items():
        if clarion.clock.now() - at < CLAIM_MS:  # keys are remembered for 24 hours
            again = await clarion.trigger("otp", "ada", idempotency_key=key, fingerprint=b"f")
            assert again.event_id == event_id, "I3 same key, other answer"
    await _check_threads(clarion, witness)
    place = {event_id: int(key) for key, (event_id, _, _) in accepted.items()}
    for user in USERS:
        order = [
            place[found[item.message_id].event_id]
            for name, item, key in inboxes
            if (name, key) == (user, "talk")
        ]
        assert order == sorted(order), f"I4 backwards in the inbox of {user}: {order}"


async def _check_threads(clarion: Engine, witness: Witness) -> None:
    """I4: per user, the messages of the one thread went out in the order they came in."""
    for user in USERS:
        order = [
            int(sms_text(o)) for o in witness.effects if o.message.workflow == "chat" and o.user.id == user
        ]
        firsts = list(dict.fromkeys(order))
        assert firsts == sorted(firsts), f"I4 backwards for {user}: {order}"


def test_statuses_of_the_model_are_those_the_checker_knows():
    """The checker's idea of "finished" is the model's."""
    assert {s for s in Status if not s.is_terminal} == {Status.QUEUED, Status.DEFERRED, Status.SENDING}

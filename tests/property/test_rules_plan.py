"""Plans for any shop, any person and any moment: what must hold whatever is configured."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import Instant, TenantId, children_range
from clarion.model.setup import (
    Category,
    Dedupe,
    LadderChannel,
    SendAll,
    SendFirst,
    SendLadder,
    Step,
    Success,
    Tenant,
    Workflow,
)
from clarion.model.status import NOT_SENT, Reason, Status
from clarion.model.user import WEEK, Day, FrequencyCap, Preferences, PreferenceSet, Profile, Window
from clarion.rules.effective_preferences import EffectiveChannel, effective_preferences
from clarion.rules.explain import explanation
from clarion.rules.ladder import after
from clarion.rules.plan import expiry
from clarion.rules.preferences import SETTINGS, allowed
from tests.unit.rules.examples import BERLIN, NOON, contact, decide, event, person, plan

# -- what can be configured ----------------------------------------------------------------------------------------

channels = st.sampled_from(CHANNELS)
some_channels = st.lists(channels, max_size=4).map(tuple)
switches = st.dictionaries(channels, st.booleans(), max_size=4)
windows = st.lists(
    st.builds(
        Window,
        start=st.sampled_from(["00:00", "08:00", "12:00", "22:00"]),
        end=st.sampled_from(["00:00", "06:30", "12:00", "20:00"]),
        days=st.sampled_from([WEEK, (Day.SAT, Day.SUN), (Day.WED,)]),
    ),
    max_size=2,
).map(tuple)
caps = st.lists(
    st.builds(
        FrequencyCap,
        limit=st.integers(0, 3),
        window_s=st.sampled_from([60, 3_600]),
        channel=st.one_of(st.none(), channels),
    ),
    max_size=3,
).map(tuple)
rungs = st.lists(
    st.builds(LadderChannel, channel=channels, wait_s=st.sampled_from([0, 30, 36_000])), max_size=4
).map(tuple)
targets = st.one_of(
    st.builds(SendAll, channels=some_channels),
    st.builds(SendFirst, channels=some_channels),
    st.builds(SendLadder, channels=rungs, until=st.sampled_from(Success), always=some_channels),
)
pointers = st.sampled_from([None, "", "/order", "/nothing"])


@st.composite
def workflows(draw, to=targets) -> Workflow:
    """Any workflow."""
    steps = tuple(Step(key=f"step-{n}", template="t", to=draw(to)) for n in range(draw(st.integers(1, 2))))
    return Workflow(
        key="flow",
        category="orders",
        steps=steps,
        dedupe=draw(st.one_of(st.none(), st.builds(Dedupe, key=st.sampled_from(["", "/order"])))),
        collapse_key=draw(pointers),
        thread=draw(pointers),
        expires_after_s=draw(st.sampled_from([None, None, 0, 60, 86_400])),
        send_window=draw(windows),
    )


@st.composite
def worlds(draw, to=targets) -> dict:
    """Everything one plan depends on, as arguments of `plan`."""
    reachable = tuple(contact(c) for c in draw(st.sets(channels)) if c is not Channel.IN_APP)
    dead = tuple(one for one in reachable if draw(st.integers(0, 3)) == 0)
    choices = st.builds(PreferenceSet, enabled=st.one_of(st.none(), st.booleans()), channels=switches)
    preferences = Preferences(
        channels=draw(switches),
        categories=draw(st.dictionaries(st.sampled_from(["orders", "news"]), choices, max_size=2)),
        quiet_hours=draw(windows),
    )
    return {
        "flow": draw(workflows(to)),
        "what": event({"order": draw(st.integers(0, 3))}, happened=NOON),
        "user": person(contacts=reachable, suppressed=dead, preferences=preferences),
        "category": Category(
            key="orders",
            critical=draw(st.integers(0, 3)) == 0,
            enabled=draw(st.booleans()),
            channels=draw(switches),
            caps=draw(caps),
            send_window=draw(windows),
        ),
        "tenant": Tenant(
            id=TenantId(1), key="shop", timezone=BERLIN, channels=draw(switches), caps=draw(caps)
        ),
        "now": Instant(NOON + draw(st.integers(0, 7 * 86_400_000))),
        "held": draw(st.booleans()),
    }


def gate_of(world: dict, channel: Channel, at: Instant | None = None):
    """What the gate says about a channel of this world."""
    return decide(
        channel,
        user=world["user"],
        category=world["category"],
        tenant=world["tenant"],
        flow=world["flow"],
        now=world["now"] if at is None else at,
        expires_at=expiry(world["what"], world["flow"]),
    )


# -- what must hold ------------------------------------------------------------------------------------------------


@given(worlds())
def test_the_same_inputs_give_the_same_plan(world):
    """And in a replay, minutes later, every message that comes out again has the id it had."""
    assert plan(**world) == plan(**world)
    later = plan(**{**world, "now": Instant(world["now"] + 60_000)})
    by_channel = {(m.step, m.channel): m.id for m in plan(**world).messages}
    assert all(by_channel.get((m.step, m.channel), m.id) == m.id for m in later.messages)


@given(worlds())
def test_a_plan_is_whole(world):
    """One message per step and channel at most, each explained, each with the gate that decided it."""
    planned = plan(**world)
    ids = [m.id for m in planned.messages]
    assert len(set(ids)) == len(ids) == len(planned.decisions)
    assert sorted(c.message_id for c in planned.run.channels if c.message_id) == sorted(ids)
    lowest, highest = children_range(world["what"].id)
    assert all(lowest <= number <= highest for number in [*ids, planned.run.id])
    explained = {c.message_id: c for c in planned.run.channels if c.message_id}
    for message, decided in zip(planned.messages, planned.decisions, strict=True):
        shown = explained[message.id]
        assert (shown.status, shown.reason) == (message.status, message.reason)
        assert (decided.status, decided.reason) == (message.status, message.reason)
        assert shown.verdicts


@given(worlds())
def test_every_message_is_due_waiting_or_over(world):
    """Queued and due; deferred with a moment and a reason; or terminal with a reason. Nothing in between."""
    planned = plan(**world)
    for message in planned.messages:
        match message.status:
            case Status.QUEUED:
                held = world["held"]
                assert message.due_at == (None if held else world["now"])
                charged = message.id in {c.message_id for c in planned.charges}
                assert (message.fence, message.reason, message.charged) == (int(held), None, charged)
            case Status.DEFERRED:
                assert message.due_at is not None
                assert message.due_at >= world["now"]
                assert message.reason in {
                    Reason.QUIET_HOURS,
                    Reason.SEND_WINDOW,
                    Reason.WAITING_FOR_EARLIER_CHANNEL,
                }
                assert (message.fence, message.charged) == (0, False)
            case status:
                assert status in NOT_SENT
                assert message.reason is not None
                assert (message.due_at, message.fence, message.charged) == (None, 0, False)


@given(worlds())
def test_every_step_with_channels_ends_somewhere(world):
    """A step that names a channel has at least one message, sent or not: no event vanishes."""
    planned = plan(**world)
    for step in world["flow"].steps:
        to = step.to
        named = (
            [r.channel for r in to.channels] + [*to.always] if isinstance(to, SendLadder) else [*to.channels]
        )
        assert {c.channel for c in planned.run.channels if c.step == step.key} == set(named)
        assert bool(named) == any(m.step == step.key for m in planned.messages)


@given(worlds())
def test_nothing_goes_where_the_gate_says_stop(world):
    """Planning decides as the last look before an attempt does."""
    planned = plan(**world)
    for message in planned.messages:
        decided = gate_of(world, message.channel)
        if message.status is Status.QUEUED:
            assert decided.verdict == "send"
        if decided.verdict == "stop":
            assert message.status is decided.status


@given(worlds())
def test_suppressed_addresses_and_opt_outs_are_never_planned(world):
    """Not even for a later rung."""
    user = world["user"]
    for message, decided in zip(plan(**world).messages, plan(**world).decisions, strict=True):
        if message.status.is_terminal:
            continue
        assert allowed(world["tenant"], world["category"], user.profile.preferences, message.channel)[0]
        if message.channel is Channel.IN_APP:
            assert decided.contact is None
        else:
            assert decided.contact is not None
            assert decided.contact.hash not in user.suppressed


@given(worlds())
def test_critical_is_never_opted_out_held_back_or_charged(world):
    """It waits only for the rung before it."""
    world["category"] = msgspec.structs.replace(world["category"], critical=True)
    planned = plan(**world)
    assert planned.charges == ()
    for channel in planned.run.channels:
        assert channel.reason not in {Reason.OPTED_OUT, Reason.QUIET_HOURS, Reason.SEND_WINDOW}


@given(worlds())
def test_caps_are_charged_for_exactly_what_is_due(world):
    """Once per cap; what waits or is not sent asks, and is not charged."""
    planned = plan(**world)
    due = {m.id for m in planned.messages if m.status is Status.QUEUED}
    assert {m.id for m in planned.messages if m.charged} == due & {c.message_id for c in planned.charges}
    keys = [(c.message_id, c.scope) for c in planned.charges]
    assert len(set(keys)) == len(keys)
    if not world["category"].critical:
        for cap in (*world["tenant"].caps, *world["category"].caps):
            for message in planned.messages:
                if message.id in due and cap.channel in {None, message.channel}:
                    assert any(
                        c.message_id == message.id and c.window_s == cap.window_s and c.limit <= cap.limit
                        for c in planned.charges
                    )


@given(worlds())
def test_keys_belong_to_messages_that_may_go(world):
    """Dedupe, collapse and thread never count what was not sent."""
    planned = plan(**world)
    live = {m.id for m in planned.messages if not m.status.is_terminal}
    flow = world["flow"]
    assert (planned.dedupe is not None) == (flow.dedupe is not None and bool(planned.messages))
    assert planned.dedupe is None or planned.dedupe.holds is bool(live)
    assert {c.message_id for c in planned.collapses} == (live if flow.collapse_key is not None else set())
    if flow.thread is not None:
        stopped = {m.id for m in planned.messages} - live
        assert {t.message_id for t in planned.turns} == {
            m.id for m in planned.messages if m.threaded
        } | stopped
    assert all(m.id in live and flow.thread is not None for m in planned.messages if m.threaded)


ladders = st.builds(SendLadder, channels=rungs, until=st.sampled_from(Success), always=some_channels)


@given(worlds(to=ladders))
def test_a_ladder_is_a_chain_that_starts_in_order(world):
    """Each rung knows exactly those behind it, and none is due before the wait of the one before is over."""
    planned = plan(**world)
    for step in world["flow"].steps:
        assert isinstance(step.to, SendLadder)
        waits = {r.channel: r.wait_s * 1_000 for r in reversed(step.to.channels)}
        chain = [
            m
            for m in planned.messages
            if m.step == step.key and m.channel in waits and not m.status.is_terminal
        ]
        starts = world["now"]
        for place, rung in enumerate(chain):
            assert rung.later_rungs == tuple(m.id for m in chain[place + 1 :])
            assert rung.until == step.to.until
            if place:
                assert rung.reason is Reason.WAITING_FOR_EARLIER_CHANNEL
                earliest = starts + waits[chain[place - 1].channel]
                assert rung.due_at is not None
                assert rung.due_at >= min(earliest, rung.expires_at or earliest)
            starts = rung.due_at if rung.due_at and rung.status is Status.DEFERRED else starts


@given(worlds(to=st.builds(SendFirst, channels=some_channels)))
def test_first_sends_at_most_one(world):
    """The first that is not stopped, or none."""
    planned = plan(**world)
    for step in world["flow"].steps:
        assert isinstance(step.to, SendFirst)
        messages = [m for m in planned.messages if m.step == step.key]
        assert len(messages) <= 1
        for message in messages:
            before = step.to.channels[: step.to.channels.index(message.channel)]
            assert all(gate_of(world, channel).verdict == "stop" for channel in before)


@given(worlds())
def test_a_verdict_of_the_plan_holds_until_it_says(world):
    """Just before `valid_until` the gate still says what the plan was built on."""
    planned = plan(**world)
    for message, decided in zip(planned.messages, planned.decisions, strict=True):
        if decided.reason is Reason.WAITING_FOR_EARLIER_CHANNEL:
            continue
        again = gate_of(world, message.channel, Instant(decided.valid_until - 1))
        assert (again.verdict, again.due_at) == (decided.verdict, decided.due_at)


@given(worlds())
def test_every_plan_can_be_explained(world):
    """Ready for JSON, a sentence each, and without a single address or value of the event."""
    planned = plan(**world)
    found = explanation(planned.run, "user-7")
    text = msgspec.json.encode(found).decode()
    assert len(found.channels) == len(planned.run.channels)
    assert all(channel.text.endswith(".") for channel in found.channels)
    assert all(one.address not in text for one in world["user"].profile.contacts)


@given(worlds(to=ladders), st.data())
def test_no_two_rungs_go_for_one_success(world, data):
    """However the rungs end, in whatever order: after a success no other rung is started any more."""
    planned = plan(**world)
    waiting = {m.id: m for m in planned.messages if m.until and not m.status.is_terminal}
    gone: set[bytes] = set()
    for number, message in waiting.items():
        if number in gone:
            continue
        status = data.draw(st.sampled_from(Status))
        cancels, advances = after(message, status)
        assert not (cancels and advances)
        assert advances is None or advances == message.later_rungs[0]
        assert advances not in gone
        gone |= set(cancels)
        if status is Status.DELIVERED and message.until in {"sent", "delivered"}:
            assert gone >= set(message.later_rungs)


@given(worlds())
def test_effective_preferences_say_what_the_gate_does(world):
    """The preference page and the engine cannot disagree."""
    preferences = world["user"].profile.preferences
    profile = Profile(preferences=preferences)
    found = effective_preferences(world["tenant"], {"orders": world["category"]}, {}, profile)
    row = found.categories["orders"].channels
    for channel in CHANNELS:
        enabled, setting = allowed(world["tenant"], world["category"], preferences, channel)
        assert row[channel] == EffectiveChannel(enabled=enabled, decided_by=setting)
        assert setting in SETTINGS
        if not enabled:
            assert gate_of(world, channel).verdict == "stop"

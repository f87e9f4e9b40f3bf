"""One run: which messages, when, and why not the others."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, message_id, run_id
from clarion.model.plan import DedupeClaim
from clarion.model.setup import (
    Category,
    Dedupe,
    LadderChannel,
    SendAll,
    SendFirst,
    SendLadder,
    Success,
)
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap, Preferences, PreferenceSet, Window
from clarion.rules.ladder import after
from clarion.rules.plan import expiry
from tests.unit.rules.examples import (
    BERLIN,
    CATEGORY,
    EMAIL,
    MIDNIGHT,
    NIGHT,
    NOON,
    at,
    contact,
    event,
    person,
    plan,
    said,
    workflow,
)

PUSH, SMS, VOICE, MAIL, INBOX = Channel.PUSH, Channel.SMS, Channel.VOICE, Channel.EMAIL, Channel.IN_APP
LADDER = workflow(
    SendLadder(channels=(LadderChannel(channel=PUSH, wait_s=30), LadderChannel(channel=SMS)), always=(INBOX,))
)
FIRST = workflow(SendFirst(channels=(PUSH, SMS, MAIL)))
MORNING = at("2026-03-25 08:00", BERLIN)


def only(*channels: Channel, **more):
    """Somebody with contacts on these channels."""
    return person(contacts=tuple(contact(channel) for channel in channels), **more)


def outcome(planned) -> list[tuple[Channel, Status, Reason | None]]:
    """The messages in short."""
    return [(message.channel, message.status, message.reason) for message in planned.messages]


def skipped(planned) -> list[tuple[Channel, Status, Reason | None]]:
    """The channels that were explained without a message."""
    return [(c.channel, c.status, c.reason) for c in planned.run.channels if c.message_id is None]


def test_a_message_that_may_go_is_due_now():
    """Queued, unleased, with everything the engine needs."""
    planned = plan()
    (message,), (decided,) = planned.messages, planned.decisions
    assert (message.status, message.due_at, message.fence, message.reason) == (Status.QUEUED, NOON, 0, None)
    assert (message.created_at, message.updated_at, message.charged) == (NOON, NOON, False)
    assert (message.template, message.category) == ("order", "orders")
    assert decided.contact == contact(MAIL)
    assert planned.dedupe is None
    assert (planned.charges, planned.collapses, planned.turns) == ((), (), ())


def test_a_planner_that_keeps_the_message_holds_it():
    """Inserted as held and dispatched from memory; what waits is nobody's."""
    (message,) = plan(held=True).messages
    assert (message.fence, message.due_at) == (1, None)
    (plan_of_channel,) = plan(held=True).run.channels
    assert plan_of_channel.due_at == NOON
    (deferred,) = plan(user=person(quiet=(NIGHT,)), now=MIDNIGHT, held=True).messages
    assert (deferred.fence, deferred.due_at) == (0, MORNING)


def test_ids_are_derived_so_that_a_replay_writes_the_same_rows():
    """Also when the replay comes later and under another sequence number."""
    what = event()
    first, again = plan(LADDER, what=what), plan(LADDER, what=what, now=Instant(NOON + 5_000))
    assert [m.id for m in first.messages] == [m.id for m in again.messages]
    run = run_id(what.id, "order-shipped", first.run.user)
    assert first.run.id == run
    assert first.messages[0].id == message_id(run, "step-1", "push")


def test_all_means_every_channel_and_those_that_cannot_are_listed_too():
    """A channel that is stopped is a message with its terminal status: found, counted, explained."""
    everything = workflow(SendAll(channels=(INBOX, MAIL, SMS, PUSH)))
    preferences = Preferences(categories={"orders": PreferenceSet(channels={SMS: False})})
    planned = plan(everything, user=only(MAIL, SMS, preferences=preferences))
    assert outcome(planned) == [
        (INBOX, Status.QUEUED, None),
        (MAIL, Status.QUEUED, None),
        (SMS, Status.SUPPRESSED, Reason.OPTED_OUT),
        (PUSH, Status.SUPPRESSED, Reason.NO_CONTACT),
    ]
    assert [m.charged for m in planned.messages] == [False] * 4
    assert planned.messages[2].due_at is None
    assert [c.message_id for c in planned.run.channels] == [m.id for m in planned.messages]


def test_a_channel_named_twice_is_sent_once():
    """One message per step and channel."""
    assert len(plan(workflow(SendAll(channels=(MAIL, MAIL)))).messages) == 1


def test_every_step_is_planned():
    """Two steps on the same channel are two messages."""
    planned = plan(workflow(SendAll(channels=(MAIL,)), SendAll(channels=(MAIL,))))
    assert [m.step for m in planned.messages] == ["step-1", "step-2"]
    assert len({m.id for m in planned.messages}) == 2


def test_a_workflow_without_steps_sends_nothing():
    """It still leaves a run that says so."""
    planned = plan(workflow())
    assert (planned.messages, planned.run.channels) == ((), ())


# -- first -----------------------------------------------------------------------------------------------------


def test_first_takes_the_first_channel_the_user_can_be_reached_on():
    """The others are explained: not available, or not needed."""
    planned = plan(FIRST, user=only(SMS, MAIL))
    assert outcome(planned) == [(SMS, Status.QUEUED, None)]
    assert skipped(planned) == [
        (PUSH, Status.SUPPRESSED, Reason.NO_CONTACT),
        (MAIL, Status.CANCELED, Reason.NOT_CHOSEN),
    ]
    assert [c.channel for c in planned.run.channels] == [PUSH, SMS, MAIL]


def test_first_keeps_a_channel_that_only_has_to_wait():
    """Quiet hours hold the chosen channel; they do not change the choice."""
    assert outcome(plan(FIRST, user=person(quiet=(NIGHT,)), now=MIDNIGHT)) == [
        (PUSH, Status.DEFERRED, Reason.QUIET_HOURS)
    ]


def test_first_with_no_channel_left_lists_the_first_one():
    """So that the run ends in a terminal status with a reason."""
    planned = plan(FIRST, user=person(contacts=()))
    assert outcome(planned) == [(PUSH, Status.SUPPRESSED, Reason.NO_CONTACT)]
    assert [channel for channel, _, _ in skipped(planned)] == [SMS, MAIL]


# -- ladder ----------------------------------------------------------------------------------------------------


def test_a_ladder_starts_with_its_first_channel_and_the_next_waits():
    """Push now, SMS in 30 seconds unless push was delivered, in-app at once and outside the ladder."""
    planned = plan(LADDER)
    push, sms, inbox = planned.messages
    assert (push.status, push.due_at) == (Status.QUEUED, NOON)
    assert (sms.status, sms.reason, sms.due_at) == (
        Status.DEFERRED,
        Reason.WAITING_FOR_EARLIER_CHANNEL,
        NOON + 30_000,
    )
    assert (inbox.status, inbox.until, inbox.later_rungs) == (Status.QUEUED, "", ())
    assert (push.until, push.later_rungs) == ("delivered", (sms.id,))
    assert (sms.until, sms.later_rungs, sms.charged) == ("delivered", (), False)
    assert planned.decisions[1].verdict == "defer"
    assert planned.decisions[1].contact == contact(SMS)


@pytest.mark.parametrize("until", [Success.SEEN, Success.READ])
def test_what_goes_always_can_stop_a_ladder_that_waits_for_attention(until):
    """It knows every rung; whether it fails or arrives is no business of the ladder, so it waits for nothing itself."""
    ladder = SendLadder(
        channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)), until=until, always=(INBOX,)
    )
    push, sms, inbox = plan(workflow(ladder)).messages
    assert (inbox.until, inbox.later_rungs) == ("", (push.id, sms.id))
    assert (push.until, push.later_rungs) == (until, (sms.id,))
    for status in Status:
        assert after(inbox, status) == ((), None)


def test_what_goes_always_but_not_to_this_user_stops_nothing():
    """Who turned the inbox off sees nothing in it."""
    ladder = SendLadder(
        channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)),
        until=Success.SEEN,
        always=(INBOX,),
    )
    planned = plan(workflow(ladder), user=person(preferences=Preferences(channels={INBOX: False})))
    inbox = next(m for m in planned.messages if m.channel is INBOX)
    assert (inbox.reason, inbox.later_rungs) == (Reason.OPTED_OUT, ())


def test_waits_add_up_along_the_ladder():
    """The third rung is due when the waits of the first and the second are over."""
    rungs = (
        LadderChannel(channel=PUSH, wait_s=30),
        LadderChannel(channel=SMS, wait_s=60),
        LadderChannel(channel=VOICE),
    )
    planned = plan(workflow(SendLadder(channels=rungs, until=Success.READ)))
    assert [m.due_at for m in planned.messages] == [NOON, NOON + 30_000, NOON + 90_000]
    first, second, third = planned.messages
    assert first.later_rungs == (second.id, third.id)
    assert second.later_rungs == (third.id,)
    assert {m.until for m in planned.messages} == {"read"}


def test_a_rung_the_user_cannot_be_reached_on_is_skipped():
    """The next one takes its place, at once."""
    planned = plan(LADDER, user=only(SMS))
    assert outcome(planned) == [(SMS, Status.QUEUED, None), (INBOX, Status.QUEUED, None)]
    assert skipped(planned) == [(PUSH, Status.SUPPRESSED, Reason.NO_CONTACT)]
    assert said(planned.run.channels[0].verdicts, "ladder") == [("skip", "not_available")]


def test_a_ladder_without_rungs_to_stand_on_still_sends_what_goes_always():
    """The rungs are explained; no message stands for them."""
    planned = plan(LADDER, user=person(contacts=()))
    assert outcome(planned) == [(INBOX, Status.QUEUED, None)]
    assert len(skipped(planned)) == 2


def test_a_ladder_with_nothing_left_lists_its_first_channel():
    """So that the run ends in a terminal status with a reason."""
    ladder = workflow(SendLadder(channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS))))
    planned = plan(ladder, user=person(contacts=()))
    assert outcome(planned) == [(PUSH, Status.SUPPRESSED, Reason.NO_CONTACT)]


def test_the_ladder_waits_for_quiet_hours_as_a_whole():
    """The wait of the first rung counts from the moment it may start."""
    push, sms, inbox = plan(LADDER, user=person(quiet=(NIGHT,)), now=MIDNIGHT).messages
    assert (push.reason, push.due_at) == (Reason.QUIET_HOURS, MORNING)
    assert (sms.reason, sms.due_at) == (Reason.WAITING_FOR_EARLIER_CHANNEL, MORNING + 30_000)
    assert inbox.status is Status.QUEUED


def test_a_rung_whose_turn_falls_into_quiet_hours_waits_for_their_end():
    """Push at 21:59:50; the text message would be due at 22:00:20, so it goes at 08:00."""
    late = at("2026-03-25 21:59:50", BERLIN)
    push, sms, _ = plan(LADDER, user=person(quiet=(NIGHT,)), now=late).messages
    assert push.status is Status.QUEUED
    assert (sms.reason, sms.due_at) == (Reason.WAITING_FOR_EARLIER_CHANNEL, at("2026-03-26 08:00", BERLIN))


def test_a_rung_that_would_start_after_the_expiry_ends_on_time():
    """It may still go sooner, if the rung before it fails; else it expires when everything does."""
    planned = plan(LADDER, what=event(expires_at=Instant(NOON + 10_000)))
    assert planned.messages[1].due_at == planned.messages[1].expires_at == NOON + 10_000


def test_a_channel_is_not_both_rung_and_always():
    """Named twice, it keeps its place in the ladder."""
    ladder = workflow(
        SendLadder(channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)), always=(SMS, INBOX))
    )
    assert [m.channel for m in plan(ladder).messages] == [PUSH, SMS, INBOX]


def test_a_rung_named_twice_counts_once():
    """With the wait it was first given."""
    rungs = (
        LadderChannel(channel=PUSH, wait_s=5),
        LadderChannel(channel=PUSH, wait_s=50),
        LadderChannel(channel=SMS),
    )
    planned = plan(workflow(SendLadder(channels=rungs)))
    assert [(m.channel, m.due_at) for m in planned.messages] == [(PUSH, NOON), (SMS, NOON + 5_000)]


# -- time ------------------------------------------------------------------------------------------------------


def test_the_earlier_expiry_counts():
    """The sender's moment or the workflow's age, whichever comes first."""
    aged = workflow(expires_after_s=60)
    assert expiry(event(), EMAIL) is None
    assert expiry(event(), aged) == NOON + 60_000
    assert expiry(event(expires_at=Instant(NOON + 1)), aged) == NOON + 1
    assert expiry(event(expires_at=Instant(NOON + 90_000)), aged) == NOON + 60_000


@pytest.mark.parametrize("flow", [EMAIL, FIRST, LADDER], ids=["all", "first", "ladder"])
def test_an_event_that_has_expired_is_born_expired(flow):
    """Nothing of it is sent, however it would have chosen its channels."""
    planned = plan(flow, what=event(expires_at=NOON))
    assert planned.messages
    assert {(m.status, m.reason) for m in planned.messages} == {(Status.EXPIRED, Reason.EXPIRED)}
    assert planned.charges == ()


# -- caps, dedupe, collapse, threads -------------------------------------------------------------------------------


KEYED = {"collapse_key": "/order", "thread": "/order"}


def claimed(flow, what, user=None) -> DedupeClaim:
    """The key a run claims."""
    claim = plan(flow, what=what, user=user).dedupe
    assert claim is not None
    return claim


def test_dedupe_claims_one_key_for_the_run():
    """It counts from when the event happened, so a long queue neither hides nor makes duplicates."""
    flow = workflow(SendAll(channels=(MAIL, SMS)), dedupe=Dedupe(key="/order", window_s=60))
    what = event({"order": 5}, happened=Instant(NOON - 1_000))
    claim = claimed(flow, what)
    assert (claim.at, claim.expires_at) == (NOON - 1_000, NOON + 59_000)
    assert claim.key == claimed(flow, event({"order": 5, "else": 1})).key
    assert claim.key != claimed(flow, event({"order": 6})).key
    assert claim.key != claimed(flow, what, person(no=8)).key


def test_a_run_that_sends_nothing_claims_nothing():
    """It must not swallow a later one that could be sent; it only asks what else stands in its way."""
    flow = workflow(SendAll(channels=(MAIL,)), dedupe=Dedupe(key=""), collapse_key="", thread="")
    planned = plan(flow, user=person(contacts=()))
    assert planned.dedupe is not None
    assert not planned.dedupe.holds
    assert planned.collapses == ()
    assert [message.threaded for message in planned.messages] == [False]


def test_collapse_and_thread_keys_are_kept_apart_by_channel():
    """A push replaces an older push, and never waits for an email."""
    planned = plan(workflow(SendAll(channels=(MAIL, PUSH)), **KEYED), what=event({"order": 5}))
    assert len({c.key for c in planned.collapses} | {t.key for t in planned.turns}) == 4
    assert [c.message_id for c in planned.collapses] == [m.id for m in planned.messages]
    assert [t.message_id for t in planned.turns] == [m.id for m in planned.messages]
    assert all(m.threaded for m in planned.messages)


def test_a_thread_goes_through_workflows_and_a_collapse_does_not():
    """`order placed` and `order shipped` keep their order; neither replaces the other."""
    flow = workflow(SendAll(channels=(MAIL,)), **KEYED)
    one, other = (plan(f, what=event({"order": 5})) for f in (flow, replace(flow, key="order-placed")))
    assert one.turns[0].key == other.turns[0].key
    assert one.collapses[0].key != other.collapses[0].key


def test_an_empty_pointer_means_the_whole_workflow():
    """And the data is not even looked at."""
    flow = workflow(SendAll(channels=(MAIL,)), thread="")
    unreadable = replace(event(), data=Raw(b"{"))
    assert plan(flow, what=unreadable).turns[0].key == plan(flow, what=event({"order": 5})).turns[0].key


def test_a_pointer_into_nothing_is_a_key_over_null_and_said():
    """Better one key too few than a crash; the explanation shows it."""
    flow = workflow(SendAll(channels=(MAIL,)), thread="/order")
    missing = plan(flow, what=event({}))
    assert missing.turns[0].key == plan(flow, what=event({"order": None})).turns[0].key
    assert said(missing.run.channels[0].verdicts, "thread") == [("allow", "key_missing")]
    assert said(plan(flow, what=event({"order": 1})).run.channels[0].verdicts, "thread") == [
        ("allow", "keyed")
    ]


def test_explanations_never_hold_the_data_behind_a_key():
    """Keys are hashed; verdicts name the pointer only."""
    planned = plan(workflow(SendAll(channels=(MAIL,)), **KEYED), what=event({"order": "secret-4711"}))
    assert "4711" not in str(planned)


def test_a_rung_that_waits_takes_no_place_in_the_thread():
    """Most waiting rungs never start; the next message of the thread must not wait for them."""
    flow = workflow(
        SendLadder(channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS))), thread="/order"
    )
    planned = plan(flow, what=event({"order": 5}))
    assert [m.threaded for m in planned.messages] == [True, False]
    assert [t.message_id for t in planned.turns] == [planned.messages[0].id]


def test_critical_messages_are_due_at_any_hour_and_charged_to_no_cap():
    """A critical category passes quiet hours, windows and caps."""
    night_shift = Category(
        key="security",
        critical=True,
        caps=(FrequencyCap(limit=0, window_s=60),),
        send_window=(Window(start="09:00", end="17:00"),),
    )
    planned = plan(user=person(quiet=(NIGHT,)), now=MIDNIGHT, category=night_shift)
    assert outcome(planned) == [(MAIL, Status.QUEUED, None)]
    assert planned.charges == ()
    assert not planned.messages[0].charged


def test_category_is_the_workflows():
    """Messages carry the category they were decided under."""
    assert plan(category=CATEGORY).messages[0].category == "orders"


@pytest.mark.parametrize(
    "to",
    [
        SendFirst(channels=(MAIL, PUSH, SMS)),
        SendLadder(channels=tuple(LadderChannel(channel=one, wait_s=5) for one in (MAIL, PUSH, SMS))),
    ],
)
def test_the_channel_that_the_user_wants_first_comes_first(to):
    """Of those that the workflow names, whether the first one is chosen or a ladder climbed."""
    user = person(preferences=Preferences(channel_order=(SMS, Channel.CHAT)))
    planned = plan(workflow(to), user=user)
    assert next(one.channel for one in planned.messages) is SMS
    assert Channel.CHAT not in {one.channel for one in planned.messages}


def test_what_comes_by_a_topic_that_is_off_is_not_sent_unless_the_event_names_the_user():
    """A topic is left by itself; who is told in person is told."""
    user = person(preferences=Preferences(topics={"orders": PreferenceSet(enabled=False)}))
    by_topic = replace(event(), users=(), topics=("orders.eu",))
    assert plan(what=by_topic, user=user).messages[0].reason is Reason.OPTED_OUT
    named = replace(by_topic, users=(user.no,))
    assert plan(what=named, user=user).messages[0].status is Status.QUEUED

"""Sending later: from when on, for whom, and together with everything else that can hold a message back."""

import msgspec
import pytest

from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import LadderChannel, SendAll, SendFirst, SendLadder, Tenant
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.model.user import FrequencyCap, Preferences
from clarion.rules import schedule
from clarion.rules.explain import sentence
from tests.unit.rules.examples import (
    BERLIN,
    EMAIL,
    NIGHT,
    NOON,
    TENANT,
    at,
    event,
    person,
    plan,
    said,
    workflow,
)

HOUR = 3_600_000
DAY = 24 * HOUR
TOMORROW = Instant(NOON + DAY)
INBOX, MAIL, PUSH, SMS = Channel.IN_APP, Channel.EMAIL, Channel.PUSH, Channel.SMS


def wanted(**fields) -> Submission:
    """Something to send later."""
    return Submission(workflow="order-shipped", recipients=("ada",), **fields)


def at_noon_tomorrow(**fields):
    """The same event, to be sent a day later."""
    return event(send_at=TOMORROW, **fields)


def test_each_of_the_three_says_when():
    """An instant as it is, a delay from now; the clock of each recipient gives no one instant."""
    assert schedule.send_at(wanted(send_at=TOMORROW), NOON) == TOMORROW
    assert schedule.send_at(wanted(delay_s=90), NOON) == NOON + 90_000
    assert schedule.send_at(wanted(delay_s=0), NOON) == NOON
    assert schedule.send_at(wanted(send_at_local="2026-03-26T09:00"), NOON) is None
    assert schedule.send_at(wanted(), NOON) is None


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"send_at": TOMORROW, "delay_s": 60}, "#/delay_s", "`send_at` and `delay_s`"),
        ({"send_at": TOMORROW, "send_at_local": "2026-03-26T09:00"}, "#/send_at_local", "send one of"),
        ({"send_at": Instant(NOON - 2 * HOUR)}, "#/send_at", "more than an hour in the past"),
        ({"send_at": Instant(NOON + 367 * DAY)}, "#/send_at", "more than 366 days ahead"),
        ({"delay_s": 367 * 86_400}, "#/delay_s", "more than 366 days ahead"),
        ({"send_at_local": "2026-03-24T09:00"}, "#/send_at_local", "in the past"),
        ({"send_at_local": "2027-05-24T09:00"}, "#/send_at_local", "ahead"),
        ({"send_at_local": "2026-02-30T09:00"}, "#/send_at_local", "2026-05-04T09:00"),
        ({"send_at_local": "2026-03-26T09:00Z"}, "#/send_at_local", "without an offset"),
        ({"send_at_local": "2026-03-26T24:30"}, "#/send_at_local", "without an offset"),
        ({"send_at_local": "tomorrow"}, "#/send_at_local", "without an offset"),
        ({"send_at": TOMORROW, "expires_at": TOMORROW}, "#/send_at", "nothing would be sent"),
        ({"delay_s": 3600, "expires_at": Instant(NOON + 60_000)}, "#/delay_s", "nothing would be sent"),
        (
            {"send_at_local": "2026-03-27T09:00", "expires_at": Instant(NOON + HOUR)},
            "#/send_at_local",
            "nothing would be sent",
        ),
    ],
)
def test_what_could_not_be_meant_is_refused(fields, pointer, said):
    """At most one of the three, between an hour ago and 366 days ahead, and before it expires."""
    with pytest.raises(InvalidInput) as refused:
        schedule.send_at(wanted(**fields), NOON)
    assert refused.value.pointer == pointer
    assert said in refused.value.detail


def test_a_time_that_has_just_passed_means_now():
    """Clocks differ, and requests take time."""
    just = Instant(NOON - 60_000)
    assert schedule.send_at(wanted(send_at=just), NOON) == just
    (message,) = plan(what=event(send_at=just)).messages
    assert (message.status, message.due_at) == (Status.QUEUED, NOON)


def test_a_scheduled_message_waits_and_says_why():
    """It is nobody's until then, counts towards no cap yet, and the explanation names the time."""
    planned = plan(
        what=at_noon_tomorrow(),
        held=True,
        tenant=msgspec.structs.replace(TENANT, caps=(FrequencyCap(limit=1, window_s=3600),)),
    )
    (message,) = planned.messages
    assert (message.status, message.reason, message.due_at) == (Status.DEFERRED, Reason.SCHEDULED, TOMORROW)
    assert (message.fence, message.charged, planned.charges) == (0, False, ())
    (channel,) = planned.run.channels
    assert said(channel.verdicts, "schedule") == [("defer", "scheduled")]
    assert sentence(channel) == "Email: will be sent at 2026-03-26T11:00:00Z as scheduled."


@pytest.mark.parametrize(
    ("zone", "instant"),
    [
        ("Europe/Berlin", "2026-03-26 08:00"),
        ("Asia/Tokyo", "2026-03-26 00:00"),
        ("America/Los_Angeles", "2026-03-26 16:00"),
        ("", "2026-03-26 13:00"),
    ],
)
def test_the_clock_is_that_of_each_recipient(zone, instant):
    """Nine in the morning wherever they are; in the zone of the tenant for who has none."""
    tenant = Tenant(id=TENANT.id, key="shop", timezone="America/New_York")
    planned = plan(what=event(send_at_local="2026-03-26T09:00"), user=person(zone=zone), tenant=tenant)
    (message,) = planned.messages
    assert message.due_at == at(instant)
    (verdict,) = [v for v in planned.run.channels[0].verdicts if v.rule == "schedule"]
    assert verdict.inputs["send_at_local"] == "2026-03-26T09:00"
    assert verdict.inputs["timezone"] == (zone or "America/New_York")


@pytest.mark.parametrize(
    ("wall", "instant"),
    [
        ("2026-03-29T02:30", "2026-03-29 01:00"),
        ("2026-10-25T02:30", "2026-10-25 00:30"),
        ("2026-10-25T02:30:15", "2026-10-25 00:30:15"),
    ],
)
def test_a_clock_that_jumps_still_has_one_answer(wall, instant):
    """A time that is skipped is the end of the gap; of one that comes twice it is the first."""
    what = event(send_at_local=wall)
    assert schedule.start(what, person(zone=BERLIN), TENANT) == at(instant)


def test_who_has_the_time_behind_them_gets_it_at_once():
    """In Tokyo it is evening already."""
    planned = plan(what=event(send_at_local="2026-03-25T13:00"), user=person(zone="Asia/Tokyo"))
    assert planned.messages[0].status is Status.QUEUED
    assert said(planned.run.channels[0].verdicts, "schedule") == []


def test_quiet_hours_count_at_the_scheduled_time():
    """Not those of now: at noon they are over, at night they put it off until the morning, and both are said."""
    night, morning = at("2026-03-25 23:00", BERLIN), at("2026-03-26 08:00", BERLIN)
    now_quiet = plan(what=at_noon_tomorrow(), user=person(quiet=(NIGHT,)), now=at("2026-03-25 23:30", BERLIN))
    assert now_quiet.messages[0].due_at == TOMORROW
    then_quiet = plan(what=event(send_at=night), user=person(quiet=(NIGHT,)))
    assert (then_quiet.messages[0].reason, then_quiet.messages[0].due_at) == (Reason.SCHEDULED, morning)
    told = sentence(then_quiet.run.channels[0])
    assert "quiet hours 22:00-08:00 (Europe/Berlin)" in told
    assert "scheduled for 2026-03-25T22:00:00Z" in told


def test_a_workflows_expiry_counts_from_the_scheduled_time():
    """What expires an hour after its event expires an hour after the time it is scheduled for; a fixed time stays."""
    (message,) = plan(
        workflow(SendAll(channels=(MAIL,)), expires_after_s=3600), what=at_noon_tomorrow()
    ).messages
    assert message.expires_at == TOMORROW + HOUR
    late = event(send_at_local="2026-03-26T09:00", expires_at=at("2026-03-26 01:00"))
    tokyo, berlin = (plan(what=late, user=person(zone=zone)).messages[0] for zone in ("Asia/Tokyo", BERLIN))
    assert (tokyo.status, berlin.status) == (Status.DEFERRED, Status.EXPIRED)


def test_what_cannot_be_sent_is_said_at_once():
    """An opt-out or a missing address needs no day to become known."""
    off = plan(what=at_noon_tomorrow(), user=person(preferences=Preferences(channels={MAIL: False})))
    assert (off.messages[0].status, off.messages[0].reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)


def test_a_scheduled_ladder_climbs_from_the_scheduled_time():
    """The first channel then, the next one after its wait; what goes always goes then too."""
    ladder = SendLadder(
        channels=(LadderChannel(channel=PUSH, wait_s=30), LadderChannel(channel=SMS)), always=(INBOX,)
    )
    push, sms, inbox = plan(workflow(ladder), what=at_noon_tomorrow()).messages
    assert (push.reason, push.due_at, push.later_rungs) == (Reason.SCHEDULED, TOMORROW, (sms.id,))
    assert (sms.reason, sms.due_at) == (Reason.WAITING_FOR_EARLIER_CHANNEL, TOMORROW + 30_000)
    assert (inbox.reason, inbox.due_at) == (Reason.SCHEDULED, TOMORROW)


def test_the_first_available_channel_is_chosen_for_then():
    """Scheduled is not stopped."""
    planned = plan(workflow(SendFirst(channels=(PUSH, SMS))), what=at_noon_tomorrow())
    assert [(m.channel, m.due_at) for m in planned.messages] == [(PUSH, TOMORROW)]


def test_a_scheduled_message_keeps_no_place_in_its_thread():
    """Whoever writes meanwhile does not have to wait for tomorrow."""
    chat = workflow(SendAll(channels=(MAIL,)), thread="/room")
    later = plan(chat, what=event({"room": 1}, send_at=TOMORROW))
    assert (later.turns, later.messages[0].threaded) == ((), False)
    assert plan(chat, what=event({"room": 1})).turns


def test_an_unscheduled_event_is_planned_as_before():
    """No verdict speaks of schedules."""
    assert said(plan(EMAIL).run.channels[0].verdicts, "schedule") == []

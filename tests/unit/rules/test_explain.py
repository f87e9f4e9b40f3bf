"""Explanations that a person reads and a program parses."""

import itertools
import json

import msgspec
import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.message import ChannelDecision, Verdict, packed
from clarion.model.setup import Category, LadderChannel, Money, SendAll, SendFirst, SendLadder, Success
from clarion.model.status import Reason, Status
from clarion.model.user import Day, Preferences, PreferenceSet, Window
from clarion.rules.explain import NAMES, VerdictExplanation, explanation, sentence
from clarion.rules.time_format import rfc3339
from tests.unit.rules.examples import CRITICAL, MIDNIGHT, NIGHT, NOON, contact, event, person, plan, workflow

SMS, PUSH, MAIL, INBOX = Channel.SMS, Channel.PUSH, Channel.EMAIL, Channel.IN_APP
LADDER = workflow(
    SendLadder(channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)), always=(INBOX,))
)


def texts(planned) -> list[str]:
    """One sentence per channel."""
    return [channel.text for channel in explanation(planned.run, "user-7").channels]


def test_the_shape_is_stable_and_ready_for_json():
    """The same for the dry run, the API, the command line and the pages."""
    planned = plan(user=person(quiet=(NIGHT,)), now=MIDNIGHT)
    found = msgspec.to_builtins(explanation(planned.run, "user-7"))
    assert list(found) == [
        "event_id",
        "run_id",
        "user_id",
        "workflow",
        "workflow_version",
        "decided_at",
        "text",
        "channels",
        "steps",
    ]
    (channel,) = found["channels"]
    assert list(channel) == [
        "step",
        "channel",
        "status",
        "reason",
        "due_at",
        "message_id",
        "stopped",
        "cost",
        "text",
        "verdicts",
    ]
    assert all(
        list(verdict) == ["rule", "result", "reason", "inputs", "lifted_by"]
        for verdict in channel["verdicts"]
    )
    assert (found["user_id"], found["decided_at"]) == ("user-7", "2026-03-24T23:00:00Z")
    assert (channel["status"], channel["due_at"]) == ("deferred", "2026-03-25T07:00:00Z")
    assert json.loads(json.dumps(found)) == found


def test_quiet_hours_are_named_with_their_times_and_zone():
    """The reader sees when and why."""
    assert texts(plan(user=person(quiet=(NIGHT,)), now=MIDNIGHT)) == [
        "Email: will be sent at 2026-03-25T07:00:00Z because quiet hours 22:00-08:00 (Europe/Berlin) are on."
    ]


def test_send_windows_are_named_too():
    """With their weekdays when it is not every day."""
    office = Category(
        key="orders", send_window=(Window(start="09:00", end="17:00", days=(Day.MON, Day.TUE, Day.WED)),)
    )
    assert texts(plan(category=office, now=MIDNIGHT)) == [
        (
            "Email: will be sent at 2026-03-25T08:00:00Z because the send window "
            "09:00-17:00 Mon,Tue,Wed (Europe/Berlin) is closed."
        )
    ]


def test_a_ladder_reads_as_a_story():
    """What goes first, what waits for what, and what goes beside it."""
    planned = plan(LADDER)
    assert texts(planned) == [
        "Push: sent at once as the first channel of the ladder.",
        "SMS: will be sent at 2026-03-25T11:00:30Z unless push has been delivered by then, or sooner if push fails.",
        "In-app: sent at once outside the ladder.",
    ]
    summary = explanation(planned.run, "u").text
    assert summary == "Goes out by push and in-app at once, by SMS later."


def test_what_else_can_stop_a_ladder_is_named():
    """Seen anywhere is seen."""
    ladder = SendLadder(
        channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)),
        until=Success.SEEN,
        always=(INBOX, MAIL),
    )
    assert texts(plan(workflow(ladder)))[1] == (
        "SMS: will be sent at 2026-03-25T11:00:30Z unless push or in-app or email has been seen by then, "
        "or sooner if push fails."
    )


def test_a_choice_names_what_was_chosen():
    """And why the others were not."""
    first = workflow(SendFirst(channels=(PUSH, SMS, MAIL)))
    planned = plan(first, user=person(contacts=(contact(SMS), contact(MAIL))))
    assert texts(planned) == [
        "Push: not sent because the user has no push contact.",
        "SMS: sent at once as the first channel that is available.",
        "Email: not sent because SMS was chosen.",
    ]
    assert explanation(planned.run, "u").text == "Goes out by SMS at once, not by push or email."


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"channels": {SMS: False}}, "the user turned off SMS."),
        (
            {"categories": {"orders": PreferenceSet(enabled=False)}},
            "the user opted out of this category.",
        ),
        (
            {"categories": {"orders": PreferenceSet(channels={SMS: False})}},
            "the user turned off SMS for this category.",
        ),
    ],
)
def test_an_opt_out_names_the_choice(choice, says):
    """Support can tell the user which switch to turn."""
    planned = plan(workflow(SendAll(channels=(SMS,))), user=person(preferences=Preferences(**choice)))
    assert texts(planned) == [f"SMS: not sent because {says}"]
    assert explanation(planned.run, "u").text == "Nothing is sent, not by SMS."


def test_expiry_names_the_limit_and_what_held_it_back():
    """Expired already, or before quiet hours would end."""
    assert texts(plan(what=event(expires_at=NOON))) == [
        f"Email: not sent because it expired at {rfc3339(NOON)}."
    ]
    what = event(happened=MIDNIGHT, expires_at=Instant(MIDNIGHT + 1_000))
    assert texts(plan(what=what, user=person(quiet=(NIGHT,)), now=MIDNIGHT)) == [
        (
            "Email: not sent because it expires at 2026-03-24T23:00:01Z, before quiet hours "
            "22:00-08:00 (Europe/Berlin) would let it go at 2026-03-25T07:00:00Z."
        )
    ]


def test_hours_that_never_end_are_said():
    """The user is quiet all the time."""
    always = Window(start="00:00", end="00:00")
    assert texts(plan(user=person(quiet=(always,)))) == [
        "Email: not sent because quiet hours 00:00-00:00 (Europe/Berlin) never leave room for it."
    ]


def test_critical_is_given_as_the_reason_to_go():
    """Nobody wonders why it came at night."""
    assert texts(plan(category=CRITICAL)) == ["Email: sent at once because the category is critical."]


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (
            Status.MERGED,
            Reason.DUPLICATE,
            "SMS: not sent separately because it repeats an earlier one inside the dedupe window.",
        ),
        (Status.THROTTLED, Reason.FREQUENCY_CAP, "SMS: not sent because a frequency cap was reached."),
        (
            Status.DEFERRED,
            Reason.WAITING_FOR_TURN,
            "SMS: will be sent later because an earlier message of its thread is still under way.",
        ),
        (
            Status.DEFERRED,
            Reason.WAITING_FOR_EARLIER_CHANNEL,
            "SMS: will be sent later because of waiting for earlier channel.",
        ),
        (Status.SUPPRESSED, Reason.OPTED_OUT, "SMS: not sent because the user opted out."),
        (Status.FAILED, Reason.TEMPLATE_ERROR, "SMS: failed because of template error."),
    ],
)
def test_what_the_ledger_changed_is_explained_as_well(status, reason, text):
    """Exact checks happen inside its transaction; their outcome reads the same way."""
    assert sentence(ChannelDecision(step="s", channel=SMS, status=status, reason=reason)) == text


@pytest.mark.parametrize("status", list(Status))
def test_every_combination_is_one_plain_sentence(status):
    """Whatever the channel and the reason: no gap, no raw enum."""
    for channel, reason in itertools.product(Channel, [None, *Reason]):
        text = sentence(ChannelDecision(step="s", channel=channel, status=status, reason=reason))
        assert text.startswith(NAMES[channel][0].upper() + NAMES[channel][1:] + ": ")
        assert text.endswith(".")
        assert "_" not in text
        assert "None" not in text


def test_a_workflow_without_channels_is_explained():
    """There is nothing to send."""
    found = explanation(plan(workflow()).run, "u")
    assert found.text == "Nothing is sent: the workflow has no channel."


def test_a_cap_is_named_with_its_count():
    """The ledger counted; its verdict says which cap, how many and in which time."""
    inputs = {"scope": "tenant/sms", "limit": 3, "window_s": 3600, "count": 3}
    verdict = Verdict(rule="frequency_cap", result="stop", reason="frequency_cap", inputs=inputs)
    capped = ChannelDecision(
        step="s", channel=SMS, status=Status.THROTTLED, reason=Reason.FREQUENCY_CAP, said=packed(verdict)
    )
    assert sentence(capped) == "SMS: not sent because the cap tenant/sms of 3 in 3600 seconds was reached."


def test_verdicts_the_rules_do_not_know_are_passed_on():
    """The ledger adds its own, such as the count of a cap."""
    run = plan().run
    verdict = Verdict(rule="frequency_cap", result="stop", reason="frequency_cap", inputs={"limit": 3})
    grown = replace(run, channels=(replace(run.channels[0], said=packed(verdict)),))
    assert explanation(grown, "u").channels[0].verdicts == [
        VerdictExplanation(
            rule="frequency_cap", result="stop", reason="frequency_cap", inputs={"limit": 3}, lifted_by=None
        )
    ]


def test_a_push_to_several_devices_says_how_many():
    """And the verdict beside it has the number."""
    devices = tuple(contact(Channel.PUSH, name) for name in ("phone", "laptop", "tablet"))
    planned = plan(workflow(SendAll(channels=(Channel.PUSH,))), user=person(contacts=devices))
    assert texts(planned) == ["Push: sent at once to 3 devices."]


def test_what_stopped_a_message_right_before_it_was_sent_is_said():
    """Behind the plan, with what the message has cost. What the plan knew already is not said twice."""
    planned = plan(user=person())
    (channel,) = planned.run.channels
    assert channel.message_id is not None
    reasons = {channel.message_id: Reason.BUDGET_EXCEEDED}
    cost = Money(amount="0.07", currency="EUR")
    told = explanation(planned.run, "user-7", reasons, {channel.message_id: cost})
    assert told.text.endswith(
        "stopped before it was sent because a budget that covers it had too little left."
    )
    assert (told.channels[0].stopped, told.channels[0].cost) == (Reason.BUDGET_EXCEEDED, cost)
    plain = explanation(planned.run, "user-7", {channel.message_id: Reason.RETRY})
    assert (plain.channels[0].stopped, plain.channels[0].cost) == (None, None)

"""Channels that no integration serves: what a workflow lacks, and what that means for its messages."""

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Integration, LadderChannel, SendAll, SendFirst, SendLadder
from clarion.model.status import Reason, Status
from clarion.model.user import Preferences, PreferenceSet
from clarion.rules.coverage import missing, served
from clarion.rules.eligibility import LOOK_AGAIN_MS
from clarion.rules.explain import explanation
from tests.unit.rules.examples import MIDNIGHT, NIGHT, NOON, event, person, plan, workflow

SMS, PUSH, MAIL, INBOX = Channel.SMS, Channel.PUSH, Channel.EMAIL, Channel.IN_APP
ALL = workflow(SendAll(channels=(INBOX, MAIL, SMS)))
FIRST = workflow(SendFirst(channels=(PUSH, SMS, MAIL)))
LADDER = workflow(
    SendLadder(channels=(LadderChannel(channel=PUSH), LadderChannel(channel=SMS)), always=(INBOX,))
)


def texts(planned) -> list[str]:
    return [channel.text for channel in explanation(planned.run, "user-7").channels]


def test_only_enabled_integrations_serve():
    """One that is switched off is none."""
    on = Integration(key="a", channel=SMS, provider="x")
    off = Integration(key="b", channel=MAIL, provider="x", enabled=False)
    assert served([on, off]) == {SMS}


@pytest.mark.parametrize(
    ("flow", "has", "lacks"),
    [
        (ALL, {INBOX}, (MAIL, SMS)),
        (ALL, {INBOX, MAIL, SMS}, ()),
        (FIRST, {INBOX}, (PUSH, SMS, MAIL)),
        (FIRST, {MAIL}, ()),
        (LADDER, {PUSH}, (SMS, INBOX)),
        (LADDER, set(), (PUSH, SMS, INBOX)),
    ],
)
def test_a_workflow_lacks_the_channels_on_which_it_would_wait(flow, has, lacks):
    """Of the first available channel one is enough; a ladder and all channels need each."""
    assert missing(flow, frozenset(has)) == lacks


def test_a_message_without_an_integration_waits_and_says_so():
    """It is not said to go out at once; the others do."""
    planned = plan(ALL, served=frozenset({INBOX}), held=True)
    found = {message.channel: message for message in planned.messages}
    assert found[INBOX].status is Status.QUEUED
    for channel in (MAIL, SMS):
        message = found[channel]
        assert (message.status, message.reason) == (Status.DEFERRED, Reason.NO_INTEGRATION)
        assert (message.due_at, message.fence, message.charged) == (NOON + LOOK_AGAIN_MS, 0, False)
    assert texts(planned)[0] == "In-app: sent at once."
    assert "if an integration serves email by then; none does yet" in texts(planned)[1]
    summary = explanation(planned.run, "user-7").text
    assert summary == "Goes out by in-app at once, by email and SMS once an integration serves it."


def test_what_waits_for_something_else_says_both():
    """Quiet hours first; they are no reason to hide what is missing."""
    planned = plan(ALL, user=person(quiet=(NIGHT,)), now=MIDNIGHT, served=frozenset({INBOX}))
    found = {message.channel: message.reason for message in planned.messages}
    assert found[SMS] is Reason.QUIET_HOURS
    assert "once an integration serves SMS" in texts(planned)[-1]


def test_what_is_not_sent_at_all_does_not_wait_for_an_integration():
    """An opt-out is decided, whoever serves the channel."""
    off = Preferences(categories={"orders": PreferenceSet(enabled=False)})
    planned = plan(ALL, user=person(preferences=off), served=frozenset())
    assert {message.reason for message in planned.messages} == {Reason.OPTED_OUT}


def test_the_first_available_channel_has_an_integration():
    """A channel that nobody serves is no obstacle for the next one, and the explanation says why it was passed over."""
    planned = plan(FIRST, served=frozenset({SMS, MAIL}))
    assert [(m.channel, m.status) for m in planned.messages] == [(SMS, Status.QUEUED)]
    assert texts(planned) == [
        "Push: not sent because no integration serves push; SMS was chosen.",
        "SMS: sent at once as the first channel that is available.",
        "Email: not sent because SMS was chosen.",
    ]


def test_where_no_channel_has_an_integration_the_first_possible_one_waits():
    """A person without push is not made to wait for push."""
    someone = person(contacts=tuple(c for c in person().profile.contacts if c.channel is not PUSH))
    planned = plan(FIRST, user=someone, served=frozenset())
    assert [(m.channel, m.reason) for m in planned.messages] == [(SMS, Reason.NO_INTEGRATION)]


def test_waiting_for_an_integration_does_not_outlast_the_message():
    """It is looked at again when it expires, not after."""
    planned = plan(ALL, what=event(expires_at=Instant(NOON + 5_000)), served=frozenset())
    assert {message.due_at for message in planned.messages} == {NOON + 5_000}


def test_a_ladder_goes_on_past_a_channel_without_integration():
    """The next one starts when the wait is over."""
    planned = plan(LADDER, served=frozenset({SMS, INBOX}))
    found = {message.channel: message for message in planned.messages}
    assert found[PUSH].reason is Reason.NO_INTEGRATION
    assert found[SMS].reason is Reason.WAITING_FOR_EARLIER_CHANNEL
    assert found[INBOX].status is Status.QUEUED

"""One rung's end and the others."""

import pytest

from clarion.model.channel import Channel
from clarion.model.setup import LadderChannel, SendLadder, Success
from clarion.model.status import Status
from clarion.rules.ladder import after
from tests.unit.rules.examples import plan, workflow


def first_channel(until: Success = Success.DELIVERED):
    """The first of three rungs."""
    rungs = (
        LadderChannel(channel=Channel.PUSH),
        LadderChannel(channel=Channel.SMS),
        LadderChannel(channel=Channel.VOICE),
    )
    return plan(workflow(SendLadder(channels=rungs, until=until))).messages[0]


@pytest.mark.parametrize(
    ("until", "enough"),
    [
        (Success.SENT, {Status.SENT, Status.DELIVERED}),
        (Success.DELIVERED, {Status.DELIVERED}),
        (Success.SEEN, set()),
        (Success.READ, set()),
    ],
)
def test_success_cancels_every_later_rung(until, enough):
    """Which success is enough, the workflow says; seen and read come from the inbox."""
    message = first_channel(until)
    for status in (Status.SENT, Status.DELIVERED):
        expected = (message.later_rungs, None) if status in enough else ((), None)
        assert after(message, status) == expected


@pytest.mark.parametrize(
    "status",
    [
        Status.BOUNCED,
        Status.REJECTED,
        Status.UNDELIVERED,
        Status.FAILED,
        Status.DEAD_LETTERED,
        Status.SUPPRESSED,
        Status.THROTTLED,
        Status.EXPIRED,
    ],
)
def test_a_failure_starts_the_next_rung_and_only_that(status):
    """The rung after the next waits for its own turn."""
    message = first_channel()
    assert after(message, status) == ((), message.later_rungs[0])


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DEFERRED, Status.SENDING])
def test_while_a_rung_is_under_way_the_others_wait(status):
    """A retry is not a failure."""
    assert after(first_channel(), status) == ((), None)


@pytest.mark.parametrize("status", [Status.CANCELED, Status.MERGED])
def test_a_withdrawn_rung_takes_the_later_ones_with_it(status):
    """Who cancels the push does not want the text message either."""
    message = first_channel()
    assert after(message, status) == (message.later_rungs, None)


def test_the_last_rung_and_messages_outside_a_ladder_touch_nobody():
    """There is nothing behind them."""
    assert after(plan().messages[0], Status.FAILED) == ((), None)
    assert after(plan().messages[0], Status.DELIVERED) == ((), None)

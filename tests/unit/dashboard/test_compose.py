"""The form says what a workflow does, offers its data, and refuses what cannot be an event."""

import pytest

from clarion.dashboard import trigger_form
from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.setup import (
    Category,
    LadderChannel,
    SendAll,
    SendFirst,
    SendLadder,
    Step,
    Success,
    Workflow,
)
from clarion.model.user import FrequencyCap

PLAIN = Category(key="c")


def workflow(to: SendAll | SendFirst | SendLadder, **more) -> Workflow:
    return Workflow(key="w", category="c", steps=(Step(key="s", template="t", to=to),), **more)


ALL = SendAll(channels=(Channel.IN_APP, Channel.EMAIL, Channel.SMS))
FIRST = SendFirst(channels=(Channel.PUSH, Channel.EMAIL))
LADDER = SendLadder(
    channels=(LadderChannel(channel=Channel.PUSH, wait_s=30), LadderChannel(channel=Channel.SMS)),
    until=Success.SEEN,
    always=(Channel.IN_APP,),
)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (ALL, "In-app, email and SMS."),
        (FIRST, "Push, or else email."),
        (LADDER, "Push first. If it is not seen within 30 s, SMS next. In-app always."),
    ],
)
def test_a_workflow_says_its_way_in_a_sentence(to, said):
    """Whoever chooses it knows what to look for."""
    assert trigger_form.route(workflow(to), PLAIN) == said


def test_a_workflow_names_what_binds_it():
    """A third message that does not arrive is no surprise."""
    capped = Category(key="c", caps=(FrequencyCap(limit=2, window_s=86_400),))
    assert trigger_form.route(workflow(FIRST), capped).endswith("At most 2 per person a day.")
    assert "Users cannot opt out" in trigger_form.route(workflow(FIRST), Category(key="c", critical=True))


def test_a_tile_shows_each_channel_once():
    """Also when two steps use it."""
    twice = Workflow(key="w", category="c", steps=workflow(ALL).steps + workflow(FIRST).steps)
    assert trigger_form.choice(twice, PLAIN)["channels"] == ["in_app", "email", "sms", "push"]


def test_a_posted_form_becomes_an_event():
    """Data stay as they were typed."""
    made = trigger_form.submission({"workflow": ["w"], "to": ["ada", "misaki"], "data": ['{"n": 1.0}']})
    assert (made.workflow, made.recipients, bytes(made.data)) == ("w", ("ada", "misaki"), b'{"n": 1.0}')


@pytest.mark.parametrize(
    ("data", "word"), [("{", "not valid JSON"), ("[1]", "must be a JSON object"), ("nul", "not valid JSON")]
)
def test_data_that_is_no_object_is_refused(data, word):
    """With the reason, for the person who typed it."""
    with pytest.raises(InvalidInput, match=word):
        trigger_form.submission({"workflow": ["w"], "to": ["ada"], "data": [data]})


def test_somebody_must_be_told():
    """An event for nobody is a mistake on this page."""
    with pytest.raises(InvalidInput, match="at least one person"):
        trigger_form.submission({"workflow": ["w"], "data": ["{}"]})

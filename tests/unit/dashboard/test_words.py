"""People read words, never the names of constants."""

import pytest

from clarion.dashboard import labels
from clarion.flow.lookups import TEST_SEND, workflow_of_test_send
from clarion.model.channel import Channel
from clarion.model.setup import Workflow
from clarion.model.status import Reason, Status


def test_every_status_has_a_name():
    """A new status cannot reach the page without words."""
    assert set(labels.STATUS_NAMES) == set(Status)


def test_every_reason_can_be_said():
    """A new reason cannot reach the page without words."""
    assert set(labels.BECAUSE) == set(Reason)


def test_a_test_is_called_by_its_template():
    """The key of what an author sends to themselves tells nobody anything; others keep their name, or their key."""
    tried = workflow_of_test_send(f"{TEST_SEND}order-shipped:836f", Channel.EMAIL, "orders")
    assert labels.workflow_name(None, tried.key) == "Test of order-shipped"
    assert labels.workflow_name(tried, tried.key) == "Test of order-shipped"
    assert labels.workflow_name(None, "gone:by:now") == "gone:by:now"
    assert labels.workflow_name(Workflow(key="k", name="Shipped", category="c", steps=()), "k") == "Shipped"


def test_a_verdict_says_what_it_looked_at():
    """The local time decides quiet hours, so it is named."""
    said = labels.verdict("quiet_hours", "inside", {"local_time": "Mon 23:10"})
    assert said == "It is Mon 23:10 for the user, inside their quiet hours"


def test_a_verdict_without_its_inputs_is_still_said():
    """An old explanation may lack what newer words ask for."""
    assert "quiet hours" in labels.verdict("quiet_hours", "inside", {})


def test_an_unknown_rule_speaks_for_itself():
    """A rule that is newer than the page is shown, not hidden."""
    assert labels.verdict("moon_phase", "full_moon", {}) == "moon phase: full moon"


@pytest.mark.parametrize(
    ("status", "tone"),
    [
        (Status.DELIVERED, "good"),
        (Status.DEFERRED, "wait"),
        (Status.BOUNCED, "bad"),
        (Status.SUPPRESSED, ""),
    ],
)
def test_a_tone_tells_success_from_waiting_failure_and_restraint(status, tone):
    """Deciding not to send is no failure."""
    assert labels.tone(status) == tone

"""What the fan-out of one process does beyond the contract."""

from structlog.testing import capture_logs

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.model.ids import TenantId, UserNo
from clarion.model.inbox import InboxChange

CHANGE = InboxChange(tenant=TenantId(1), user=UserNo(1), items=())


def test_receivers_have_been_called_when_publish_returns():
    """In the order in which they subscribed."""
    fanout = MemoryFanout()
    heard: list[str] = []
    fanout.subscribe(lambda changes: heard.append("first"))
    fanout.subscribe(lambda changes: heard.append("second"))
    fanout.publish([CHANGE])
    assert heard == ["first", "second"]


def test_a_receiver_that_fails_is_logged():
    """With the number of changes it did not get, and nothing of their content."""
    fanout = MemoryFanout()

    def failing(changes):
        raise ValueError(len(changes))

    fanout.subscribe(failing)
    with capture_logs() as logs:
        fanout.publish([CHANGE])
    assert [(line["event"], line["changes"]) for line in logs] == [("fanout_receiver_failed", 1)]

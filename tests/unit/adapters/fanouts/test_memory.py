"""Fan-out in one process."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.model.ids import TenantId, UserNo
from clarion.model.inbox import InboxChange

CHANGE = InboxChange(tenant=TenantId(1), user=UserNo(1), items=())


def test_everyone_who_listens_hears_it():
    """Publications reach all receivers, in order, before `publish` returns."""
    fanout = MemoryFanout()
    heard: list[tuple[str, int]] = []
    fanout.subscribe(lambda changes: heard.append(("a", len(changes))))
    fanout.subscribe(lambda changes: heard.append(("b", len(changes))))
    fanout.publish([CHANGE])
    fanout.publish([CHANGE, CHANGE])
    assert heard == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_who_has_unsubscribed_hears_nothing_more():
    """Even when it happens while a publication is on its way."""
    fanout = MemoryFanout()
    heard: list[int] = []

    def hear_one(changes: Sequence[InboxChange]) -> None:
        heard.append(len(changes))
        stop()

    stop = fanout.subscribe(hear_one)
    fanout.publish([CHANGE])
    fanout.publish([CHANGE])
    assert heard == [1]


def test_publishing_never_raises():
    """A receiver that fails is logged, and the others still hear it."""
    fanout = MemoryFanout()
    heard: list[int] = []

    def broken(changes: Sequence[InboxChange]) -> None:
        raise ValueError(len(changes))

    fanout.subscribe(broken)
    fanout.subscribe(lambda changes: heard.append(len(changes)))
    with capture_logs() as logs:
        fanout.publish([CHANGE])
    assert heard == [1]
    assert [line["event"] for line in logs] == ["fanout_receiver_failed"]

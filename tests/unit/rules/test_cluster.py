"""What the processes on one store leave undone together."""

from typing import Any

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, WorkerId
from clarion.model.worker import Process, Role, Worker
from clarion.rules.cluster import uncovered


def worker(**process: Any) -> Worker:
    """One that says this about itself."""
    return Worker(id=WorkerId(1), process=Process(**process), started_at=Instant(0), lease_until=Instant(1))


def test_a_process_with_everything_leaves_nothing():
    """As by default."""
    assert uncovered([worker()]) == {}


def test_without_workers_every_lane_is_named():
    """Each with what to start; other roles are none."""
    found = uncovered([worker(roles=(Role.API, Role.TIMERS))])
    assert list(found) == ["lane critical", "lane high", "lane normal", "lane bulk"]


def test_lanes_and_channels_are_covered_together():
    """A lane needs each channel from some worker that takes the lane, whoever else sends it."""
    texts = worker(lanes=(Lane.CRITICAL,), channels=(Channel.SMS,))
    others = worker(lanes=(Lane.HIGH, Lane.NORMAL, Lane.BULK))
    found = uncovered([texts, others])
    assert list(found) == ["lane critical"]
    assert "in_app, email, push" in found["lane critical"]
    assert "sms" not in found["lane critical"]


def test_somebody_has_to_take_the_timers():
    """Which is no lane."""
    assert list(uncovered([worker(roles=(Role.WORKER,))])) == ["timers"]

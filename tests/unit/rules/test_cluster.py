"""What the processes on one store leave undone together, and how they divide what is for all of them."""

from typing import Any

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, WorkerId
from clarion.model.worker import Process, Role, Worker
from clarion.rules.cluster import share, uncovered


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


def workers(*processes: dict[str, Any]) -> list[Worker]:
    """In the order in which they started."""
    return [replace(worker(**one), id=WorkerId(number)) for number, one in enumerate(processes, 1)]


def parts(whole: int, crowd: list[Worker]) -> list[int]:
    """What each of them may have of texts in the normal lane."""
    return [share(crowd, one.id, Lane.NORMAL, Channel.SMS, whole) for one in crowd]


@pytest.mark.parametrize(
    ("whole", "among", "expected"),
    [(8, 1, [8]), (8, 2, [4, 4]), (8, 3, [3, 3, 2]), (3, 3, [1, 1, 1]), (2, 4, [1, 1, 1, 1])],
)
def test_a_number_is_divided_as_evenly_as_it_can_be(whole, among, expected):
    """All of it is used; where there are more workers than that, each may have one."""
    assert parts(whole, workers(*[{}] * among)) == expected


def test_only_those_who_send_there_share():
    """Not gateways, not workers of other lanes or channels, not one that stops."""
    crowd = workers(
        {}, {"roles": (Role.GATEWAY,)}, {"lanes": (Lane.BULK,)}, {"channels": (Channel.EMAIL,)}, {}
    )
    assert parts(7, crowd)[0] == 4
    assert parts(7, crowd)[-1] == 3
    assert parts(7, [*crowd[:-1], replace(crowd[-1], draining=True)])[0] == 7


def test_a_process_that_nobody_sees_any_more_has_the_smallest_part():
    """Its lease is over: what it still begins is refused, or the last of its kind."""
    assert share(workers({}, {}), WorkerId(9), Lane.NORMAL, Channel.SMS, 5) == 2
    assert share([], WorkerId(9), Lane.NORMAL, Channel.SMS, 5) == 5

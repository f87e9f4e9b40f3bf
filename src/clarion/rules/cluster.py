"""What the processes on one store leave undone together, and how they divide what is for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.ids import WorkerId
from clarion.model.worker import Role, Worker


def uncovered(workers: Sequence[Worker]) -> dict[str, str]:
    """Part to what no live process does, and what to start."""
    found: dict[str, str] = {}
    for lane in LANES:
        if said := _of_lane(lane, workers):
            found[f"lane {lane}"] = said
    if not any(Role.TIMERS in one.process.roles for one in workers):
        found["timers"] = (
            "no process has the role `timers`: operations, retention and mailboxes wait until one is started with it"
        )
    return found


def share(workers: Sequence[Worker], own: WorkerId, lane: Lane, channel: Channel, whole: int) -> int:
    """The part of a number that is for one of the workers that send on this lane and channel and do not stop: at least
    one, and no two parts are more than one apart. Those who have worked for longest have what cannot be divided."""
    sending = [
        one.id
        for one in workers
        if Role.WORKER in one.process.roles
        and lane in one.process.lanes
        and channel in one.process.channels
        and not one.draining
    ]
    each, left = divmod(whole, len(sending) or 1)
    return max(1, each + (own in sending[:left]))


def _of_lane(lane: Lane, workers: Sequence[Worker]) -> str:
    its = [w.process for w in workers if Role.WORKER in w.process.roles and lane in w.process.lanes]
    if not its:
        return "no process works on it: its events wait until one is started with the role `worker` that takes it"
    sent = {channel for process in its for channel in process.channels}
    unsent = [channel for channel in CHANNELS if channel not in sent]
    if not unsent:
        return ""
    return (
        f"no process that takes it sends {', '.join(unsent)}: "
        "such messages wait until a worker is started whose `channels` have them"
    )

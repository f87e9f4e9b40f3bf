"""How the processes that read one source share it.

As the lease coordination of Amazon's Kinesis client does it: whoever has less than the others takes what nobody reads, and else
takes over half of what somebody has more. So shares are even soon, and nobody hands anything out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from clarion.model.ids import WorkerId


def partitions_for(worker: WorkerId, readers: Mapping[str, WorkerId | None]) -> dict[str, WorkerId | None]:
    """The partitions that a process takes now, each with whom it takes it from. `readers`: of all partitions there are."""
    held = Counter(reader for reader in readers.values() if reader is not None)
    mine = held[worker]
    fair = -(-len(readers) // len({*held, worker}))
    free = [partition for partition, reader in readers.items() if reader is None]
    if free:
        return dict.fromkeys(free[: max(0, fair - mine)])
    most, has = max(held.items(), key=lambda one: one[1], default=(worker, 0))
    theirs = [partition for partition, reader in readers.items() if reader == most]
    return dict.fromkeys(theirs[: (has - mine) // 2], most)


def seat_for(worker: WorkerId, readers: Mapping[str, WorkerId | None]) -> str | None:
    """The seat that a process takes at a queue whose server hands each message to one of its readers; None: it has one."""
    if worker in readers.values():
        return None
    free = (seat for seat, reader in readers.items() if reader is None)
    return next(free, str(len(readers) + 1))

"""`clarion` as it was 100 days ago: `python -m bench.past dev ...`. What it stores is old when it is started as usual."""

from __future__ import annotations

from clarion.adapters.system import SystemClock
from clarion.model.ids import Instant

AGO_MS = 100 * 86_400_000


def main() -> None:
    """Run the command line on a clock that is behind by whole days."""
    from clarion.cli.main import program

    now = SystemClock.now
    SystemClock.now = lambda clock: Instant(now(clock) - AGO_MS)  # type: ignore[method-assign]
    program()


if __name__ == "__main__":
    main()

"""The loops of a process."""

from __future__ import annotations

import asyncio

from tests.demos import new_demo, running


async def test_every_loop_goes_on_until_the_process_stops(tmp_path):
    """One that ended by itself would be reported as trouble, and the process as not ready."""
    async with running(await new_demo(tmp_path)) as app:
        await asyncio.sleep(0.2)
        ended = {name: state for name, state in app.pipeline.loops.states().items() if state != "ok"}
    assert ended == {}

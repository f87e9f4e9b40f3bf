"""A process that may die alone."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest
import uvloop

from clarion.adapters.limited.process import LimitedProcess
from clarion.ports.limited import Exceeded

TASKS = "tests.unit.adapters.limited.tasks:answer"


@contextlib.asynccontextmanager
async def limited(cpu_s: int = 2) -> AsyncIterator[LimitedProcess]:
    process = LimitedProcess(TASKS, memory_bytes=256 << 20, cpu_s=cpu_s)
    try:
        yield process
    finally:
        await process.close()


async def pid(process: LimitedProcess) -> int:
    (answer,) = await process.run([b"pid"])
    assert isinstance(answer, bytes)
    return int(answer)


async def test_tasks_are_done_in_order_by_one_process_that_stays():
    """Also large answers. It starts with the first task, and never with nothing to do."""
    async with limited() as process:
        assert await process.run([]) == []
        assert process._process is None
        assert await process.run([b"a", b"b"]) == [b"A", b"B"]
        assert await process.run([b"big"]) == [b"x" * 5_000_000]
        assert await pid(process) == await pid(process) != os.getpid()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (b"memory", "256 MB of memory"),
        (b"panic", "memory"),
        (b"crash", "memory"),
        (b"deep", "more than"),
        (b"raise", "memory"),
        (b"cpu", "1 s of CPU time"),
        (b"sleep", "1 s of CPU time"),
    ],
)
async def test_a_task_that_ends_the_process_takes_no_other_with_it(task, said, monkeypatch):
    """It is told from the others, which are done by the next process."""
    monkeypatch.setattr("clarion.adapters.limited.process.WAIT", 3)
    async with limited(cpu_s=1) as process:
        before = await pid(process)
        first, ended, last = await process.run([b"a", task, b"b"])
        assert (first, last) == (b"A", b"B")
        assert isinstance(ended, Exceeded)
        assert said in ended.detail
        assert await pid(process) != before


async def test_a_process_that_went_because_it_was_idle_is_no_fault_of_the_next_task():
    """It is done by another one."""
    async with limited() as process:
        await process.run([b"a"])
        assert process._process is not None
        process._process.stdin.close()  # type: ignore[union-attr]
        await process._process.wait()
        assert await process.run([b"b"]) == [b"B"]


async def test_it_sees_no_secret_and_writes_no_file(tmp_path, monkeypatch):
    """Its environment is empty."""
    monkeypatch.setenv("CLARION_KEY", "secret")
    async with limited() as process:
        (environment,) = await process.run([b"environment"])
        assert b"secret" not in environment  # type: ignore[operator]
        await process.run([b"file " + str(tmp_path / "x").encode()])
        assert not (tmp_path / "x").exists() or (tmp_path / "x").read_text() == ""


async def test_it_ends_with_its_owner():
    """Nothing runs on."""
    async with limited() as process:
        running = await pid(process)
    with pytest.raises(ProcessLookupError):
        os.kill(running, 0)


def test_a_process_that_went_is_replaced_on_the_loop_of_production_too():
    """uvloop says in another way that nobody reads any more."""

    async def idle_between() -> None:
        async with limited() as process:
            await process.run([b"a"])
            assert process._process is not None
            process._process.stdin.close()  # type: ignore[union-attr]
            await process._process.wait()
            assert await process.run([b"b"]) == [b"B"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(idle_between())

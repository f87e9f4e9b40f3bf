"""Two workers on one store, all of them real processes: whatever becomes of the workers, nothing is lost and nothing is stolen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clarion.flow.dispatch.recheck import CHECK_FRESH_S
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, UserNo
from clarion.model.inbound import InboundMessage
from clarion.model.message import Message
from clarion.model.status import ACTIVE, Reason, Status
from clarion.model.user import Contact, Profile, UserPut
from tests.acceptance import shared_store
from tests.acceptance.device import Device, user_token
from tests.acceptance.setup_data import USERS
from tests.acceptance.shared_store import CALLED, DATABASE, EFFECTS, LEASE_S, engine_of, store_in
from tests.acceptance.topology import Topology
from tests.engine import Engine, workflow
from tests.needs import DEEP
from tests.postgresql_ledgers import new_database

PEOPLE = [f"person-{number}" for number in range(20)]
ROUNDS = 3
EVENTS = 5
"""In each step of a round, each of them for everybody."""
SLOW_S = 3.0
"""How long a busy machine may keep a process from going on between its check and its call."""

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a process and waits until it works. Whatever the test does, all are gone afterwards."""
    begun: list[Process] = []

    async def run(role: str, word: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            shared_store.__name__,
            role,
            word,
            str(tmp_path),
            stdout=PIPE,
            stderr=DEVNULL,
        )
        begun.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while (said := await process.stdout.readline()) != b"ready\n":
                assert said, "it ended"
        return process

    yield run
    for process in begun:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(params=["sqlite", "postgresql", *(["memory"] if DEEP else [])])
async def edge(request: Any, start: Start, tmp_path: Path) -> AsyncIterator[Engine]:
    """What accepts events: a third process on the store, which plans and sends nothing."""
    if request.param == "postgresql":
        (tmp_path / DATABASE).write_text(await new_database(request.getfixturevalue("postgresql")))
    else:
        await start("store", request.param)
    store = await store_in(tmp_path)
    one = await engine_of(tmp_path, "edge").work_on(store)
    await one.pipeline.loops.stop()
    await one.pipeline.lease.end()
    await one.create_setup(workflow("hello", channel=Channel.SMS))
    for name in PEOPLE:
        await one.put_user(name)
    yield one
    await store.close()


async def test_a_device_sees_at_once_what_another_process_delivers(tmp_path):
    """Two servers on one store: whoever plans and delivers, devices of both are told, and of nothing twice; also behind a
    crash of the store."""
    async with Topology(tmp_path) as installation:
        serving = [await installation.start(name) for name in ("first", "second")]
        api = serving[0].api
        token = await user_token(api, USERS[0])
        devices = [Device(process.port, USERS[0], token) for process in serving]
        async with asyncio.TaskGroup() as group:
            for device in devices:
                group.create_task(device.run())
                await device.has(0)
            for number in range(1, 11):
                name = "acc-order" if number % 2 else "acc-alarm"
                asked = {"recipients": [USERS[0]], "data": {"n": number}}
                await serving[number % 2].api.post(f"/v1/workflows/{name}/trigger", asked)
                for device in devices:
                    await device.has(number)
            assert [device.stream.connections for device in devices] == [1, 1]
            assert installation.store is not None
            installation.store.kill()
            await installation.store.start()
            for process in serving:
                await process.ready()
            asked = {"recipients": [USERS[0]], "data": {"n": 11}}
            await api.post("/v1/workflows/acc-order/trigger", asked)
            for device in devices:
                await device.has(11)
                device.stop()
        assert [device.stream.problems for device in devices] == [[], []]
        assert devices[0].stream.items == devices[1].stream.items
        assert len(devices[0].stream.items) == 11


async def trigger(edge: Engine) -> None:
    """Events for everybody, a few at a time."""
    for _ in range(EVENTS):
        await edge.trigger("hello", *PEOPLE)
        await asyncio.sleep(0.02)


async def finished(edge: Engine, number: int) -> Mapping[MessageId, Message]:
    """So many messages, once all of them are done with."""
    async with asyncio.timeout(300):
        while True:
            found = await edge.messages()
            if len(found) >= number and all(m.status not in ACTIVE for m in found.values()):
                return found
            await asyncio.sleep(0.2)


async def sends(directory: Path, worker: str) -> None:
    """Wait until this worker sends something."""
    async with asyncio.timeout(300):
        while f"{worker} " not in (directory / EFFECTS).read_text():  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.05)


async def test_workers_that_are_killed_and_stopped_lose_and_repeat_nothing(edge, start, tmp_path):
    """Each event is planned once and each message goes out at most once; what is in doubt was under way at a kill."""
    first, second = await start("work", "first-0"), await start("work", "second")
    for number in range(1, ROUNDS):
        await trigger(edge)
        os.kill(first.pid, signal.SIGKILL)
        if number == 1:
            await finished(edge, EVENTS * len(PEOPLE))  # The other one takes over the lanes.
        await trigger(edge)
        os.kill(second.pid, signal.SIGSTOP)  # Nobody works now.
        await trigger(edge)
        first = await start("work", f"first-{number}")
        await trigger(edge)
        if number == 1:
            await sends(
                tmp_path, f"first-{number}"
            )  # Longer than a lease: it takes over what the stopped one had.
        else:
            await asyncio.sleep(LEASE_S / 3)  # Shorter.
        os.kill(second.pid, signal.SIGCONT)
        await trigger(edge)
    accepted = (ROUNDS - 1) * 5 * EVENTS * len(PEOPLE)
    found = await finished(edge, accepted)
    await asyncio.sleep(LEASE_S)  # Whoever was stopped has had its say.
    assert await edge.messages() == found
    assert len(found) == accepted
    lines = [line.split() for line in (tmp_path / EFFECTS).read_text().splitlines()]
    effects = Counter(bytes.fromhex(message) for _, message in lines)
    sent = {m.id for m in found.values() if m.status is Status.SENT}
    doubtful = [m for m in found.values() if m.id not in sent]
    assert {(m.status, m.reason) for m in doubtful} <= {(Status.FAILED, Reason.OUTCOME_UNKNOWN)}
    assert set(effects.values()) == {1}
    assert sent <= effects.keys() <= found.keys()
    assert len(sent) > accepted / 2
    assert {"second", "first-1"} <= {name for name, _ in lines}


async def test_an_opt_out_through_one_process_holds_for_the_next_calls_of_others(edge, start, tmp_path):
    """A STOP that a third process took, on the store of two workers: once it is answered, whichever of them sends makes no
    call about that person, whatever was queued. A check of less than 50 ms before may still count (ADR 0037)."""
    for name in ("first", "second"):
        await start("work", name)
    numbers = {name: f"+4915100000{place:02}" for place, name in enumerate(PEOPLE)}
    for name, number in numbers.items():
        profile = Profile(contacts=(Contact(channel=Channel.SMS, address=number),))
        await edge.ledger.users.put(edge.tenant, [UserPut(id=name, profile=profile)])
    texts = edge.ledger.setup.integrations.all(edge.tenant)[f"main-{Channel.SMS}"]
    await trigger(edge)
    answered: dict[UserNo, int] = {}
    for name, number in numbers.items():
        await edge.trigger("hello", *PEOPLE)
        stop = InboundMessage(
            provider_id=name, sender=number, recipient="+1", text="Please stop!", answered=True
        )
        await edge.services.inbound_messages.take(edge.tenant, texts, [stop])
        (user,) = (await edge.ledger.users.find(edge.tenant, [name])).values()
        answered[user.no] = edge.clock.now()
    await asyncio.sleep(SLOW_S)
    await trigger(edge)
    found = await finished(edge, (2 * EVENTS + len(PEOPLE)) * len(PEOPLE))
    late: list[float] = []
    for line in (tmp_path / CALLED).read_text().splitlines():
        _, message_id, began = line.split()
        message = found[MessageId(bytes.fromhex(message_id))]
        late.append((int(began) - answered[message.user]) / 1_000)
    assert max(late) <= CHECK_FRESH_S + SLOW_S
    stopped = [m for m in found.values() if m.status is Status.SUPPRESSED]
    assert {m.reason for m in stopped} == {Reason.SUPPRESSED_ADDRESS}
    assert len(stopped) >= EVENTS * len(PEOPLE), "all of what came after the last STOP, at least"

"""Killed in the middle of its work, the ledger has everything it acknowledged."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import MessageId
from clarion.model.message import Message
from clarion.model.status import Status
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom

LIVES = 3
AT_LEAST = 150


def ledger_of(path: Path, clock: ManualClock) -> SqliteLedger:
    """With the same vault in every life."""
    random = SeededRandom()
    return SqliteLedger.open(path, vault=LocalVault(b"k" * 32, random), clock=clock, random=random)


async def live(path: Path, life: int) -> None:
    """Work until killed; every message is told on standard output once its settling was acknowledged."""
    clock = ManualClock()
    clock.advance(life * 1000)
    subject = LedgerSubject(ledger_of(path, clock), clock, SeededRandom(life))
    await subject.ledger.setup.catch_up()
    subject.tenant = next(iter(subject.ledger.setup.tenants.all()))
    subject.ada = (await subject.ledger.users.find(subject.tenant, ["ada"]))["ada"]
    subject.worker = await subject.open_worker()

    async def work() -> None:
        while True:
            message: Message = subject.planned(channel=Channel.IN_APP)
            await subject.ledger.log.append([subject.entry()], [None])
            await subject.plan(message)
            await subject.settle(message, Status.DELIVERED, record=subject.item(message))
            os.write(1, message.id.hex().encode() + b"\n")

    await asyncio.gather(*(work() for _ in range(20)))


async def killed(path: Path, life: int) -> list[MessageId]:
    """What a process had acknowledged when it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(path), str(life), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    told = b"".join([await child.stdout.readline() for _ in range(AT_LEAST)])
    child.kill()
    told += await child.stdout.read()
    await child.wait()
    return [MessageId(bytes.fromhex(line)) for line in told.decode().split("\n")[:-1]]


async def test_what_was_acknowledged_survives_a_kill(path, clock, random):
    """Again and again: nothing that was awaited is missing or doubled, and the file is whole."""
    subject = await LedgerSubject(ledger_of(path, clock), clock, random).create_setup()
    await subject.ledger.close()
    told = [message_id for life in range(1, LIVES + 1) for message_id in await killed(path, life)]
    assert len(told) == len(set(told)) >= AT_LEAST * LIVES
    subject.ledger = Ledger(ledger_of(path, clock))
    items = await subject.ledger.inboxes.since(subject.ada.no, 0, 1_000_000)
    assert [item.offset for item in items] == list(range(1, len(items) + 1))
    assert set(told) <= {item.message_id for item in items}
    for message_id in told[:: len(told) // 50]:
        queued, delivered = await subject.ledger.records.changes(subject.tenant, message_id)
        assert (queued.status, delivered.status) == (Status.QUEUED, Status.DELIVERED)
    await subject.ledger.close()
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2])))

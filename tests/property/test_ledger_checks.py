"""The exact checks decide the same however the messages are cut into plans and however the plans are committed."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.message import Message
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger

KEYS = [bytes([n]) * 16 for n in range(3)]


class Wish(NamedTuple):
    """One message and the checks it asks for; a key of None asks for none."""

    bob: bool
    limit: int | None
    dedupe: bytes | None
    collapse: bytes | None
    thread: bytes | None
    stopped: bool


WISHES = st.lists(
    st.builds(
        Wish,
        bob=st.booleans(),
        limit=st.none() | st.integers(1, 3),
        dedupe=st.none() | st.sampled_from(KEYS),
        collapse=st.none() | st.sampled_from(KEYS),
        thread=st.none() | st.sampled_from(KEYS),
        stopped=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def messages_of(subject: LedgerSubject, wishes: list[Wish]) -> list[Message]:
    """The messages wished for, as a planner makes them."""
    stopped: dict[str, Any] = {"status": Status.SUPPRESSED, "reason": Reason.OPTED_OUT}
    return [
        subject.planned(subject.bob if w.bob else subject.ada, **(stopped if w.stopped else {}))
        for w in wishes
    ]


def plan_of(subject: LedgerSubject, wished: list[tuple[Wish, Message]]):
    """One plan of some of them."""
    return subject.plan_of(
        *(m for _, m in wished),
        charges=tuple(subject.charge(m, w.limit) for w, m in wished if w.limit),
        dedupes=tuple(subject.dedupe(m, w.dedupe) for w, m in wished if w.dedupe),
        collapses=tuple(subject.collapse(m, w.collapse) for w, m in wished if w.collapse),
        turns=tuple(subject.turn(m, w.thread) for w, m in wished if w.thread),
    )


async def outcome(
    wishes: list[Wish], size: int, *, together: bool = False, twice: bool = False, memory: bool = False
) -> list[object]:
    """Where every message ends when plans hold `size` of them."""
    with tempfile.TemporaryDirectory() as directory:
        clock, random = ManualClock(), SeededRandom()
        vault = LocalVault(b"k" * 32, random)
        ledger: Store
        if memory:
            ledger = MemoryLedger(vault=vault, clock=clock, random=random)
        else:
            path = new_ledger(Path(directory, "clarion.db"))
            ledger = SqliteLedger.open(path, vault=vault, clock=clock, random=random)
        subject = await LedgerSubject(ledger, clock, random).create_setup()
        messages = messages_of(subject, wishes)
        wished = list(zip(wishes, messages, strict=True))
        plans = [plan_of(subject, wished[at : at + size]) for at in range(0, len(wished), size)]
        for _ in range(1 + twice):
            if together:
                await asyncio.gather(*map(ledger.plans.commit, plans))
            else:
                for plan in plans:
                    await ledger.plans.commit(plan)
        places = {m.id: n for n, m in enumerate(messages)}
        found: list[object] = []
        for message in messages:
            now = await subject.stored(message)
            changes = await subject.timeline(message)
            assert changes[-1] == (now.status, now.reason)
            assert now.due_at is None or (now.status in ACTIVE and now.waits_for is None)
            waits_for = places[now.waits_for] if now.waits_for else None
            found.append((now.status, now.reason, now.charged, waits_for))
        await ledger.close()
        return found


@settings(max_examples=30)  # Each opens four files; `test_rules_exact` looks harder, without any.
@given(WISHES, st.integers(1, 12))
async def test_how_plans_are_cut_does_not_matter(wishes, size):
    """One message at a time, several, or all in one plan; one commit each, one for all, or everything again; on any ledger."""
    expected = await outcome(wishes, 1, memory=True)
    assert await outcome(wishes, size, memory=True) == expected
    assert await outcome(wishes, size) == expected
    assert await outcome(wishes, size, together=True) == expected
    assert await outcome(wishes, size, twice=True) == expected

"""A plan in the making."""

from __future__ import annotations

from clarion.flow.queues import Held
from clarion.model.event import Entry
from clarion.model.message import Message, Run
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, ThreadTurn
from clarion.ports.ledger import PlanCommit
from clarion.rules.plan import Planned


class Draft:
    """A plan in the making: everything one commit will write, and who is to send it."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.messages: list[Message] = []
        self.charges: list[CapCharge] = []
        self.dedupes: list[DedupeClaim] = []
        self.collapses: list[Collapse] = []
        self.turns: list[ThreadTurn] = []
        self.continuations: list[Entry] = []
        self.held: list[Held] = []

    def add(self, planned: Planned) -> None:
        """Take over what was decided, except the messages."""
        self.runs.append(planned.run)
        if planned.charges:
            self.charges += planned.charges
        if planned.dedupe is not None:
            self.dedupes.append(planned.dedupe)
        if planned.collapses:
            self.collapses += planned.collapses
        if planned.turns:
            self.turns += planned.turns

    def commit(self) -> PlanCommit:
        """What to write."""
        return PlanCommit(
            runs=tuple(self.runs),
            messages=tuple(self.messages),
            charges=tuple(self.charges),
            dedupes=tuple(self.dedupes),
            collapses=tuple(self.collapses),
            turns=tuple(self.turns),
            continuations=tuple(self.continuations),
        )

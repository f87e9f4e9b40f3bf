"""Events that runs listen for: told by their types alone, so that all others cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clarion.model.event import Event
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.lru import Lru
from clarion.model.run import Signal
from clarion.model.setup import AwaitedEvent, Workflow
from clarion.ports.vault import Vault
from clarion.rules import match
from clarion.rules.expressions import ExpressionError
from clarion.rules.keys import signal_key
from clarion.rules.steps.listening import value_of

KEPT_MS = 24 * 3_600_000
"""How long before a run begins to listen an event may have been accepted."""
TYPES_KEPT = 1_000
"""Types of events whose listeners are remembered."""


class AwaitedIndex:
    """What the workflows of a tenant listen for."""

    __slots__ = ("_by_type", "all", "workflows")

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self.workflows = workflows
        every = (event for one in workflows.values() for event in (*one.awaited(), *one.earlier_events))
        self.all = tuple({(event.type, event.by): event for event in every}.values())
        self._by_type: Lru[str, tuple[AwaitedEvent, ...]] = Lru(TYPES_KEPT)

    def of(self, type: str) -> tuple[AwaitedEvent, ...]:
        """What events of this type may be for; remembered, because the same few types come again and again."""
        found = self._by_type.get(type)
        if found is None:
            fits = (event for event in self.all if match.matches(event.type, type))
            found = self._by_type.put(type, tuple(fits))
        return found


class SignalFinder:
    """Tells which events are signals."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._awaited: dict[TenantId, AwaitedIndex] = {}

    def index(self, tenant: TenantId, workflows: Mapping[str, Workflow]) -> AwaitedIndex:
        """What these workflows, all of a tenant, listen for."""
        known = self._awaited.get(tenant)
        if known is None or known.workflows is not workflows:
            known = self._awaited[tenant] = AwaitedIndex(workflows)
        return known

    def signals(self, index: AwaitedIndex, event: Event, about: UserNo) -> Iterable[Signal]:
        """What is stored of an event for those who listen. `about`: the user who is its subject."""
        users = {no: None for no in (*event.users, about) if no != NO_USER}
        for awaited in index.of(event.type):
            try:
                value = value_of(awaited, event)
            except ExpressionError:
                continue  # It has nothing in common with anybody.
            for user in users if awaited.by is None else (NO_USER,):
                yield Signal(
                    key=signal_key(event.tenant, awaited, user, value, self._vault.hash),
                    at=event.at,
                    event_id=event.id,
                    workflow=event.workflow,
                    expires_at=Instant(event.at + KEPT_MS),
                )

"""A gateway over a ledger, and a way to deliver messages to its users."""

from __future__ import annotations

import json
from typing import Any

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.gateway import GatewayLimits, GatewayParts, create
from clarion.model.channel import Channel
from clarion.model.status import Status
from clarion.model.user import User
from clarion.ports.vault import Vault
from clarion.services.inbox_actions import InboxActions
from clarion.services.user_tokens import UserTokens
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.gateway import Screen, screen


class LedgerGateway:
    """A gateway and a ledger on one event loop, as in `clarion serve`."""

    def __init__(self, ledger: Any, vault: Vault, clock: ManualClock, limits: GatewayLimits) -> None:
        """`vault` and `clock`: what the ledger was opened with."""
        self.clock = SystemClock()
        self.vault = vault
        self.ledger = ledger
        self.subject = LedgerSubject(self.ledger, clock, SeededRandom(1))
        self.fanout = MemoryFanout()
        self.tokens = UserTokens(self.vault, self.clock)
        self.inbox_actions = InboxActions(
            self.ledger.inboxes, self.fanout, self.clock, lambda tenant, action: False
        )
        self.gateway = create(
            GatewayParts(
                users=self.ledger.users,
                inboxes=self.ledger.inboxes,
                vault=self.vault,
                clock=self.clock,
                random=SystemRandom(),
                fanout=self.fanout,
                tokens=self.tokens,
                inbox_actions=self.inbox_actions,
                limits=limits,
            )
        )

    async def start(self) -> LedgerGateway:
        """Create two users, ada and bob, and start the gateway."""
        await self.subject.create_setup()
        self.gateway.start()
        return self

    async def stop(self) -> None:
        """Stop the gateway, then close the ledger."""
        await self.gateway.close(2.0)
        await self.ledger.close()

    async def deliver(self, user: User, *titles: str) -> None:
        """Settle in-app messages in one batch and publish the inbox changes, as the engine does."""
        messages = [self.subject.planned(user, channel=Channel.IN_APP) for _ in titles]
        await self.subject.plan(*messages)
        sealed = [
            self.vault.seal(user.key, json.dumps({"channel": "in_app", "title": t}).encode()) for t in titles
        ]
        settlements = [
            self.subject.settlement(message, Status.DELIVERED, record=self.subject.item(message, content))
            for message, content in zip(messages, sealed, strict=True)
        ]
        result = await self.ledger.messages.settle(self.subject.worker, settlements)
        self.fanout.publish(result.inbox)

    async def truth(self, user: User) -> Screen:
        """What a complete client shows."""
        return screen(await self.ledger.inboxes.since(user.no, 0, 1_000_000))

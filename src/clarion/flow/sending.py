"""One attempt for a group of messages: compose, note that it starts, call, decide what the outcomes mean."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.flow.calling import Calls
from clarion.flow.composing import Composer, Ready
from clarion.flow.integrations import Integrations, LiveIntegration
from clarion.flow.last_look import LastLook
from clarion.flow.patience import until_stored
from clarion.flow.queues import Held
from clarion.flow.settlement import Attempt, settlement_of
from clarion.model.message import Message
from clarion.model.setup import UnknownPolicy
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger, Settlement


class Sender:
    """Makes attempts. Stores nothing but the note that they start."""

    def __init__(
        self,
        ledger: Ledger,
        integrations: Integrations,
        look: LastLook,
        composer: Composer,
        calls: Calls,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._messages = ledger.messages
        self._categories = ledger.setup.categories
        self._integrations = integrations
        self._look = look
        self._composer = composer
        self._calls = calls
        self._clock = clock
        self._entropy = entropy

    async def attempt(self, live: LiveIntegration, group: Sequence[Held]) -> list[Settlement]:
        """What became of each; none for messages that somebody else holds by now."""
        ready, settlements = await self._composer.compose(group)
        if ready and not live.plugin.idempotent:
            ready = await self._marked(ready, settlements)
        if ready:
            settlements += await self._sent(live, ready)
        return settlements

    async def _marked(self, ready: list[Ready], stopped: list[Settlement]) -> list[Ready]:
        """Durably note that the calls are about to start, then look once more: the note took time."""
        messages = [held.message for held, _ in ready]
        refused = await until_stored(
            "mark_sending", lambda: self._messages.mark_sending(messages, self._clock.now()), self._clock
        )
        going: list[Ready] = []
        for one in ready:
            held = one[0]
            if held.message.id in refused:
                continue
            stop = self._look.again(held)
            if stop is None:
                going.append(one)
            else:
                stopped.append(stop)
        return going

    async def _sent(self, live: LiveIntegration, ready: Sequence[Ready]) -> list[Settlement]:
        started = self._clock.monotonic()
        outcomes = await self._calls.make(live, [outgoing for _, outgoing in ready])
        attempt = self._circumstances(live, started, ready[0][0].message)
        now = self._clock.now()
        return [
            settlement_of(
                outgoing,
                outcome,
                attempt,
                on_unknown=self._unknown_policy(held.message),
                now=now,
                uniform=self._entropy.uniform(),
            )
            for (held, outgoing), outcome in zip(ready, outcomes, strict=True)
        ]

    def _circumstances(self, live: LiveIntegration, started: float, one: Message) -> Attempt:
        ended = self._clock.monotonic()
        return Attempt(
            integration=live.key,
            idempotent=live.plugin.idempotent,
            alternatives=self._integrations.alternatives(one.tenant, live),
            took_ms=round((ended - started) * 1000),
            wait_s=live.closed_for_s(ended),
        )

    def _unknown_policy(self, message: Message) -> UnknownPolicy:
        category = self._categories.all(message.tenant).get(message.category)
        return category.unknown_policy if category is not None else UnknownPolicy.DO_NOT_SEND

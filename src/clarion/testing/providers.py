"""A scripted provider for tests. What providers must do is in `clarion.testing.provider_contract`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import MessageId
from clarion.model.outcome import Accepted, Outcome, Unknown
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.ports.provider import ProviderPlugin, TakesBack

HANG: Final = "hang"
"""In a script: never answer. The call ends when it is cancelled."""

Answer = Outcome | Exception | Literal["hang"]


class RecordingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recording provider needs no settings."""


class RecordingProvider:
    """Implements `ports.provider.Provider`: remembers every call and answers as scripted.

    `script` maps a message id, a pair of message id and number of the call for it (from 1), or the address of a
    contact to what to answer: an outcome, an exception that the whole call raises, or `HANG`. Everything else gets
    `otherwise`.

        provider = RecordingProvider({(first, 1): Retry(), second: Gone()}, batch=10)
        plugins = {"recording": provider.plugin()}

    Not idempotent unless told so: every accepted or unknown message is one more effect, also a repeated one.
    """

    def __init__(
        self,
        script: Mapping[MessageId | tuple[MessageId, int] | str, Answer] | None = None,
        *,
        otherwise: Answer | None = None,
        idempotent: bool = False,
        batch: int = 1,
        takes_back: TakesBack | None = None,
    ) -> None:
        self.takes_back = takes_back
        self.withdrawn: list[SentMessage] = []
        """What was asked to be taken back, in order; `script` says what to answer to each by `"withdraw"`."""
        self.script = dict(script or {})
        self.otherwise: Answer = Accepted() if otherwise is None else otherwise
        self.idempotent = idempotent
        self.batch = batch
        self.calls: list[tuple[Outgoing, ...]] = []
        """Every batch, in the order the calls began."""
        self.effects: list[Outgoing] = []
        """What reached somebody, in order."""
        self.proceed = asyncio.Event()
        """Calls wait while this is cleared; it starts open."""
        self.proceed.set()
        self.under_way = 0
        self.most_under_way = 0
        self.closed = False
        self._calls_of: Counter[MessageId] = Counter()
        self._reached: set[tuple[MessageId, str]] = set()

    def plugin(self, name: str = "recording", channels: Iterable[Channel] = CHANNELS) -> ProviderPlugin:
        """A plug-in whose every integration is this very provider."""
        return ProviderPlugin(
            name=name,
            title="Recording (tests)",
            channels=frozenset(channels),
            config=RecordingConfig,
            open=lambda integration, config, tools: self,
            idempotent=self.idempotent,
            batch=self.batch,
            takes_back=self.takes_back,
        )

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Answers as scripted, message by message."""
        if self.closed:
            raise RuntimeError("send after close")
        self.calls.append(tuple(batch))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.proceed.wait()
            answers = [self._answer(outgoing) for outgoing in batch]
            if HANG in answers:
                await asyncio.get_running_loop().create_future()
            outcomes = [_outcome(answer) for answer in answers]
            for outgoing, outcome in zip(batch, outcomes, strict=True):
                self._effect(outgoing, outcome)
            return outcomes
        finally:
            self.under_way -= 1

    async def withdraw(self, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """Answers as scripted for `"withdraw"`; else everything is gone."""
        self.withdrawn += batch
        return [_outcome(self.script.get("withdraw", Accepted())) for _ in batch]

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Any later call is an error of the caller."""
        self.closed = True

    def _answer(self, outgoing: Outgoing) -> Answer:
        message_id = outgoing.message.id
        self._calls_of[message_id] += 1
        keys = (message_id, self._calls_of[message_id]), message_id, _address(outgoing)
        return next((self.script[key] for key in keys if key in self.script), self.otherwise)

    def _effect(self, outgoing: Outgoing, outcome: Outcome) -> None:
        reached = outgoing.message.id, _address(outgoing)
        known = self.idempotent and reached in self._reached
        if isinstance(outcome, Accepted | Unknown) and not known:
            self._reached.add(reached)
            self.effects.append(outgoing)


def _outcome(answer: Answer) -> Outcome:
    """Raises what is to be raised, before anybody was reached."""
    if isinstance(answer, Exception):
        raise answer
    assert not isinstance(answer, str)
    return answer


def _address(outgoing: Outgoing) -> str:
    return "" if outgoing.contact is None else outgoing.contact.address

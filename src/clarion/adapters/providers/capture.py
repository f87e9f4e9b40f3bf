"""Captures messages instead of sending them, and simulates every way a provider can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec

from clarion.adapters.isolation import each
from clarion.model.channel import CHANNELS
from clarion.model.inbox import Captured
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, TakesBack

Simulated = Literal["accept", "retry", "reject", "gone", "hang", "unknown", "misconfigured"]

_encode = msgspec.json.Encoder().encode


class CaptureConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to answer. Only accepted messages are kept: the other outcomes carry nothing to store."""

    outcome: Simulated = "accept"
    """`hang` never answers, so the whole call runs into the integration's time limit."""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """The part of all attempts that gets `outcome`; the rest is accepted. The same attempt always falls the same way."""
    retry_after_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Sent along with `retry`."""
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    """Time one call takes."""
    delivered: bool = False
    """Whether acceptance is arrival."""


class Capture:
    """Implements `ports.provider.Provider`. A repeated message is kept once, by the transaction that settles it."""

    def __init__(self, integration: Integration, config: CaptureConfig, tools: ProviderTools) -> None:
        self._integration = integration.key
        self._config = config
        self._tools = tools
        self._failure = _FAILURES.get(config.outcome)
        self._always = config.share >= 1

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Answers as configured, after the configured delay."""
        if self._config.delay_ms and batch:
            await self._tools.clock.sleep(self._config.delay_ms / 1000)
        if self._config.outcome == "hang" and any(map(self._is_hit, batch)):
            await asyncio.get_running_loop().create_future()
        return each(batch, self._answer)

    async def withdraw(self, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """Nobody has them."""
        return [Accepted()] * len(batch)

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Holds nothing."""

    def _answer(self, outgoing: Outgoing) -> Outcome:
        if self._failure is not None and self._is_hit(outgoing):
            return self._failure(self._config)
        message = outgoing.message
        to = outgoing.contact.address if outgoing.contact is not None else None
        kept = Captured(
            tenant=message.tenant,
            user=message.user,
            message_id=message.id,
            channel=message.channel,
            integration=self._integration,
            sealed=self._tools.vault.seal(
                outgoing.user.key, _encode({"to": to, "content": outgoing.content})
            ),
            at=self._tools.clock.now(),
        )
        return Accepted(
            provider_id="capture-" + message.id.hex(), delivered=self._config.delivered, record=kept
        )

    def _is_hit(self, outgoing: Outgoing) -> bool:
        """Whether this attempt is in the share that fails: a stable hash, so a rehearsal can be repeated."""
        if self._always:
            return True
        message = outgoing.message
        digest = blake2b(b"%d:%s" % (message.attempt, message.id), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._config.share * 2**64


_FAILURES: Mapping[Simulated, Callable[[CaptureConfig], Outcome]] = {
    "retry": lambda config: Retry(after_s=config.retry_after_s, detail="rehearsed: try again later"),
    "reject": lambda config: Rejected(detail="rehearsed: this message is refused"),
    "gone": lambda config: Gone(detail="rehearsed: this address no longer exists"),
    "unknown": lambda config: Unknown(detail="rehearsed: the request went out and no answer came"),
    "misconfigured": lambda config: Misconfigured(detail="rehearsed: the credentials are refused"),
}


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return Capture(integration, config, tools)


def _stores(config: CaptureConfig) -> bool:
    """A failure or a delay is rehearsed the way of what is sent out."""
    return config.outcome == "accept" and not config.delay_ms


plugin = ProviderPlugin(
    name="capture",
    title="Capture (keeps what would have been sent)",
    channels=frozenset(CHANNELS),
    config=CaptureConfig,
    open=_open,
    idempotent=True,
    stores=_stores,
    takes_back=TakesBack(withdraws=True, limits="What was captured stays among the captures."),
    batch=500,
    example={"outcome": "retry", "share": 0.1, "retry_after_s": 5, "delay_ms": 20},
)

"""Calls of providers: whatever one does, every message gets an outcome, and its integration learns from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from clarion.flow.integrations import LiveIntegration
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.provider import Outgoing

log = structlog.get_logger(__name__)


_NOT_REPORTED = Unknown(detail="the provider did not report on this message")


class Calls:
    """Makes calls within the time limit of their integration."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.attempts = 0
        self.unknown_outcomes = 0
        """Attempts that may or may not have gone through."""

    async def make(self, live: LiveIntegration, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """One outcome per message; feeds the circuit breaker."""
        outcomes = await self._answers(live, batch)
        kinds = Counter(map(type, outcomes))
        self.attempts += len(batch)
        if not live.plugin.idempotent:
            self.unknown_outcomes += kinds[Unknown]
        self._judge(live, outcomes, kinds)
        return outcomes

    async def _answers(self, live: LiveIntegration, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        try:
            async with self._clock.timeout(live.integration.limits.timeout_s):
                answers: Sequence[object] = await live.provider.send(batch)
            outcomes = [one if isinstance(one, Outcome) else _NOT_REPORTED for one in answers]
        except TimeoutError:
            late = Retry if live.plugin.idempotent else Unknown
            return [late(reason=Reason.PROVIDER_TIMEOUT, detail="no answer in time")] * len(batch)
        except Exception as surprise:
            # Nobody knows how far it came: what may have been taken is not sent again.
            log.exception("provider_raised", integration=live.key, error=type(surprise).__name__)
            detail = f"the provider failed ({type(surprise).__name__})"
            if live.plugin.idempotent:
                return [Retry(reason=Reason.INTERNAL_ERROR, detail=detail)] * len(batch)
            return [Unknown(detail=detail)] * len(batch)
        missing = len(batch) - len(outcomes) + outcomes.count(_NOT_REPORTED)
        if missing:
            log.error("provider_outcomes_missing", integration=live.key, messages=len(batch), missing=missing)
        return outcomes if len(outcomes) == len(batch) else [_NOT_REPORTED] * len(batch)

    def _judge(
        self, live: LiveIntegration, outcomes: Sequence[Outcome], kinds: Counter[type[Outcome]]
    ) -> None:
        """Rejections are the message's fault, trouble of one address is not the provider's."""
        now_s = self._clock.monotonic()
        ok = kinds[Accepted] + kinds[Rejected]
        failed = kinds[Retry] + kinds[Unknown]
        if failed:
            failed = sum(1 for o in outcomes if isinstance(o, Retry | Unknown) and not o.of_address)
        if kinds[Misconfigured]:
            live.trip(now_s)
        elif ok or failed:
            live.record(now_s, ok=ok, failed=failed)

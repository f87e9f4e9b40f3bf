"""Calls providers. Every message gets an outcome whatever a provider does, and its integration records it."""

from __future__ import annotations

from asyncio import Future
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.provider_scores import ProviderScores
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.provider import Report, Reporting, Withdrawing

log = structlog.get_logger(__name__)


_NOT_REPORTED = Unknown(detail="the provider did not report on this message")


class _Heard:
    """What a provider tells on the way. An outcome counts as soon as it was told, whatever happens afterwards."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._begun: set[int] = set()
        self.outcomes: dict[int, Outcome] = {}

    def begins(self, index: int) -> Future[bool]:
        """Noted here, too: what was never asked for may be tried again."""
        self._begun.add(index)
        return self._report.begins(index)

    def ended(self, index: int, outcome: Outcome) -> None:
        """The first outcome counts."""
        if index not in self.outcomes and isinstance(outcome, Outcome):
            self.outcomes[index] = outcome
            self._report.ended(index, outcome)

    def meaning(self, live: LiveIntegration, size: int) -> list[type[Retry] | type[Unknown]]:
        """For each message of a call that broke off: whether it may have been taken."""
        plugin = live.plugin
        return [
            Retry if plugin.idempotent or (plugin.marks_late and index not in self._begun) else Unknown
            for index in range(size)
        ]


class ProviderCalls:
    """Makes calls within the time limit of their integration."""

    def __init__(self, scores: ProviderScores, clock: Clock) -> None:
        self._scores = scores
        self._clock = clock
        self.attempts = 0
        self.unknown_outcomes = 0
        """Attempts that may or may not have gone through."""

    async def invoke(
        self, live: LiveIntegration, batch: Sequence[Outgoing], report: Report
    ) -> Sequence[Outcome]:
        """One outcome per message; feeds the circuit breaker and the score."""
        heard = _Heard(report)
        began_s = self._clock.monotonic()
        reporting: Reporting | None = live.provider if hasattr(live.provider, "send_reporting") else None  # type: ignore[assignment]

        def send() -> Awaitable[Sequence[Outcome]]:
            return live.provider.send(batch) if reporting is None else reporting.send_reporting(batch, heard)

        outcomes = await self._answers(live, len(batch), send, lambda: heard.meaning(live, len(batch)))
        outcomes = [heard.outcomes.get(index, one) for index, one in enumerate(outcomes)]
        kinds = Counter(map(type, outcomes))
        self.attempts += len(batch)
        if not live.plugin.idempotent:
            self.unknown_outcomes += kinds[Unknown]
        self._judge(live, outcomes, kinds, began_s)
        return outcomes

    async def withdraw(self, live: LiveIntegration, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """The same for messages that are out: repeating such a call has no second effect. Of one whose provider cannot
        do it, nobody is called."""
        if not _withdraws(live):
            return [Rejected(detail=f"{live.plugin.title} cannot withdraw what it has sent")] * len(batch)
        provider: Withdrawing = live.provider  # type: ignore[assignment]
        began_s = self._clock.monotonic()
        outcomes = await self._answers(
            live, len(batch), lambda: provider.withdraw(batch), lambda: [Retry] * len(batch)
        )
        self._judge(live, outcomes, Counter(map(type, outcomes)), began_s)
        return outcomes

    async def _answers(
        self,
        live: LiveIntegration,
        size: int,
        call: Callable[[], Awaitable[Sequence[Outcome]]],
        meaning: Callable[[], Sequence[type[Retry] | type[Unknown]]],
    ) -> Sequence[Outcome]:
        """`meaning`: what it means for each message when the call breaks off."""
        try:
            async with self._clock.timeout(live.integration.limits.timeout_s):
                answers: Sequence[object] = await call()
            outcomes = [one if isinstance(one, Outcome) else _NOT_REPORTED for one in answers]
        except TimeoutError:
            return [late(reason=Reason.PROVIDER_TIMEOUT, detail="no answer in time") for late in meaning()]
        except Exception as surprise:
            # Nobody knows how far it came: what may have been taken is not sent again.
            log.exception("provider_raised", integration=live.key, error=type(surprise).__name__)
            detail = f"the provider failed ({type(surprise).__name__})"
            return [
                Retry(reason=Reason.INTERNAL_ERROR, detail=detail)
                if kind is Retry
                else Unknown(detail=detail)
                for kind in meaning()
            ]
        missing = size - len(outcomes) + outcomes.count(_NOT_REPORTED)
        if missing:
            log.error("provider_outcomes_missing", integration=live.key, messages=size, missing=missing)
        return outcomes if len(outcomes) == size else [_NOT_REPORTED] * size

    def _judge(
        self,
        live: LiveIntegration,
        outcomes: Sequence[Outcome],
        kinds: Counter[type[Outcome]],
        began_s: float,
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
        asked_s = [
            o.after_s
            for o in outcomes
            if isinstance(o, Retry) and o.reason is Reason.RATE_LIMITED and o.after_s and not o.of_address
        ]
        if asked_s:
            live.pause(now_s, max(asked_s))
        failed += kinds[Misconfigured]
        if ok or failed:
            took_ms = round((now_s - began_s) * 1_000) * (ok + failed)
            self._scores.called(live.place, ok=ok, failed=failed, took_ms=took_ms, accepted=kinds[Accepted])


def _withdraws(live: LiveIntegration) -> bool:
    return live.plugin.takes_back is not None and live.plugin.takes_back.withdraws

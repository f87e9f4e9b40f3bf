"""Disables endpoints that have failed for days, and says so: to operators in the log and the metrics, to everybody
else as an event of the tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.endpoint import EndpointState
from clarion.model.ids import TenantId, id_text
from clarion.model.submission import Acceptance, Submission
from clarion.ports.clock import Clock
from clarion.rules.time_format import rfc3339

log = structlog.get_logger(__name__)

DISABLED = "clarion.endpoint.disabled"
SOURCE = "clarion"
EVERY_S = 60.0
AT_ONCE = 100
FAILING = "failing"

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]

_encode = msgspec.json.Encoder().encode


class EndpointMonitor:
    """Checks endpoints once a minute, apart from sending."""

    def __init__(self, ledger: Ledger, submit: Submit, clock: Clock, disable_after_s: float) -> None:
        self._ledger = ledger
        self._submit = submit
        self._clock = clock
        self._disable_after_ms = round(disable_after_s * 1000)
        self.disabled = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.sweep()
            except (Busy, Unavailable):
                log.warning("endpoint_watch_waits")
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Disable endpoints that have failed for too long or were ended by their receiver."""
        disabled = True
        while disabled and (failing := await self._ledger.endpoints.failing(self._disable_after_ms, AT_ONCE)):
            disabled = any([await self._disabled(state) for state in failing])

    async def _disabled(self, state: EndpointState) -> bool:
        """Whether it is disabled now. One that cannot be must not keep the others alive."""
        try:
            await self._disable(state)
        except (Busy, Unavailable):
            raise
        except Exception as fault:
            log.exception("endpoint_not_disabled", endpoint=id_text(state.id), error=type(fault).__name__)
            return False
        return True

    async def _disable(self, state: EndpointState) -> None:
        """Told before it is done, under a key that makes a repetition harmless: a crash in between loses nothing."""
        reason = state.disabled_reason or FAILING
        user = (await self._ledger.users.get([state.user])).get(state.user)
        if user is not None:
            await self._announce(state, user.id, reason)
        await self._ledger.endpoints.switch(state.tenant, state.id, reason, self._clock.now())
        self.disabled += 1
        log.warning("endpoint_disabled", tenant=state.tenant, endpoint=id_text(state.id), reason=reason)

    async def _announce(self, state: EndpointState, user_id: str, reason: str) -> None:
        since = rfc3339(state.failing_since) if state.failing_since is not None else None
        data = {
            "endpoint_id": id_text(state.id),
            "user_id": user_id,
            "reason": reason,
            "failing_since": since,
        }
        event = Submission(
            source=SOURCE,
            type=DISABLED,
            subject=user_id,
            event_key=f"{id_text(state.id)}/{state.failing_since}",
            data=msgspec.Raw(_encode(data)),
        )
        (answer,) = await self._submit(state.tenant, [event])
        if isinstance(answer, ClarionError):
            log.warning("endpoint_event_refused", tenant=state.tenant, error=answer.code)

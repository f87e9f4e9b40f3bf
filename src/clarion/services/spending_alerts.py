"""Tells tenants what they spend too much on: as events of their own, which endpoints and workflows can listen to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from clarion.errors import Busy, ClarionError, Unavailable
from clarion.flow.dispatch.payments import Alert, Payments
from clarion.model.ids import TenantId
from clarion.model.submission import Acceptance, Submission
from clarion.ports.clock import Clock
from clarion.rules.endpoints import TENANT_USER

log = structlog.get_logger(__name__)

SOURCE = "clarion"
EVERY_S = 1.0

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]


class SpendingAlerts:
    """Submits what the payments noticed, apart from sending."""

    def __init__(self, payments: Payments, submit: Submit, clock: Clock) -> None:
        self._payments = payments
        self._submit = submit
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            while self._payments.alerts:
                try:
                    await self._send(self._payments.alerts[0])
                except (Busy, Unavailable):
                    log.warning("spending_alerts_wait")
                    break
                self._payments.alerts.popleft()

    async def _send(self, alert: Alert) -> None:
        """Its key makes a repetition harmless, whichever process notices it."""
        event = Submission(
            source=SOURCE,
            type=alert.type,
            subject=TENANT_USER,
            event_key=alert.key,
            data=msgspec.Raw(msgspec.json.encode(alert.data)),
        )
        (answer,) = await self._submit(alert.tenant, [event])
        if isinstance(answer, Busy | Unavailable):
            raise answer
        if isinstance(answer, ClarionError):
            log.warning("spending_event_refused", tenant=alert.tenant, error=answer.code)

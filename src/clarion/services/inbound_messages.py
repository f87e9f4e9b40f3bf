"""What people write to us, as their providers pass it on."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from clarion.model.ids import TenantId
from clarion.model.inbound import InboundMessage
from clarion.model.setup import Integration

log = structlog.get_logger(__name__)


class InboundMessages:
    """Takes the messages of all integrations. A message may be passed on again: `provider_id` tells."""

    def __init__(self) -> None:
        self.taken = 0
        """Read by metrics."""

    async def take(
        self, tenant: TenantId, integration: Integration, messages: Sequence[InboundMessage]
    ) -> None:
        """Everything that follows from them is durable when this returns; only then the provider is answered."""
        self.taken += len(messages)
        log.info("messages_received", tenant=tenant, integration=integration.key, count=len(messages))

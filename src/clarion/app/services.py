"""What people and programs do, the same through whichever edge they come."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from clarion.adapters.limited.process import LimitedProcess
from clarion.app.ground import Ground
from clarion.flow.authoring import Authoring
from clarion.flow.endpoints import Endpoints
from clarion.flow.engagement import Engagement
from clarion.flow.keys import ApiKeys
from clarion.flow.limited import AUTHORS_CPU_S, MEMORY_BYTES, TARGET
from clarion.flow.preview import Previews
from clarion.flow.retries import Retries
from clarion.flow.tokens import UserTokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Shared by the edges."""

    keys: ApiKeys
    tokens: UserTokens
    engagement: Engagement
    endpoints: Endpoints
    retries: Retries
    authoring: Authoring
    previews: Previews


def services_of(ground: Ground, ends: contextlib.AsyncExitStack) -> Services:
    """All of them. What they noted about the use of keys is stored at the end."""
    ledger, clock, entropy = ground.ledger, ground.clock, ground.entropy
    limited = LimitedProcess(TARGET, memory_bytes=MEMORY_BYTES, cpu_s=AUTHORS_CPU_S)
    ends.push_async_callback(limited.close)
    retries = Retries(ledger, clock)
    keys = ApiKeys(ledger.setup.keys, ground.vault, clock, entropy)
    ends.push_async_callback(keys.flush)
    return Services(
        keys=keys,
        tokens=UserTokens(ground.vault, clock),
        engagement=Engagement(ledger.inboxes, ground.fanout, clock),
        endpoints=Endpoints(ledger, retries, ground.tools.refusal, clock, entropy),
        retries=retries,
        authoring=Authoring(ledger.setup, limited, clock),
        previews=Previews(limited, clock),
    )

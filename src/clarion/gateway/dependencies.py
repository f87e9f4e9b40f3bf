"""What the gateway is built from. The composition root passes it once."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from clarion.gateway.session import Rules
from clarion.ports.clock import Clock, Random
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Inboxes, Users
from clarion.ports.vault import Vault
from clarion.rules.origins import Origins
from clarion.services.inbox_actions import InboxActions
from clarion.services.user_tokens import UserTokens


class GatewayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many may be connected, and the rules every session keeps."""

    connections: int = 19_000
    """Of this process."""
    connections_per_tenant: int = 19_000
    connections_per_user: int = 10
    reconnects_per_s: int = 500
    """How many are told to come back in each second, when this process stops."""
    session: Rules = Rules()


@dataclass(frozen=True, kw_only=True)
class GatewayParts:
    """Collaborators of the gateway."""

    users: Users
    inboxes: Inboxes
    vault: Vault
    clock: Clock
    random: Random
    fanout: Fanout
    tokens: UserTokens
    inbox_actions: InboxActions
    limits: GatewayLimits = field(default_factory=GatewayLimits)
    origins: Origins = field(default_factory=Origins)
    """Web pages that may open an inbox."""

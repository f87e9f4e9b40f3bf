"""What messages cost, and what may be spent: a call is paid for before it is made, and given back when it sent nothing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.setup import Money
from clarion.model.status import Reason


class BudgetLimit(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A budget that covers a message, as it was when its call was to start."""

    key: str
    channel: Channel | None
    country: str | None
    limit: Money

    def counts(self, one: Spent | Charge) -> bool:
        """Whether it counts what this message or day cost."""
        return (
            one.cost is not None
            and one.cost.currency == self.limit.currency
            and self.channel in (None, one.channel)
            and self.country in (None, one.country)
        )


class RangeLimit(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A range of numbers that a message goes to, and how many unconfirmed codes may go there."""

    digits: str
    """What its numbers begin with: `+371270`."""
    limit: int
    window_s: int
    block_s: int
    """How long the range is blocked when the limit is exceeded."""


class NumberRange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is known about a range of numbers. `level` counts thousandths of codes that nobody entered: it sinks with
    time and with every code that is entered."""

    tenant: TenantId
    digits: str
    level: int = 0
    at: Instant = Instant(0)
    """When the level was that."""
    sent: int = 0
    confirmed: int = 0
    blocked_at: Instant | None = None
    blocked_until: Instant | None = None


class Charge(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the next call for a message costs. Refused when a budget has too little left; repeating it changes nothing."""

    message_id: MessageId
    attempt: int
    """Calls before this one: a message is paid for once for each call."""
    tenant: TenantId
    day: str
    """The day in the tenant's time zone, `2026-05-04`: budgets begin anew with it."""
    channel: Channel
    country: str
    """Where it goes, ISO 3166; empty: unknown, or the channel has no countries."""
    integration: str
    cost: Money | None
    """None: nothing that is counted."""
    budgets: tuple[BudgetLimit, ...] = ()
    at: Instant = Instant(0)
    ranges: tuple[RangeLimit, ...] = ()
    """The ranges of its number, when the pumping guard watches it."""
    blocks: bool = True
    """The guard blocks; otherwise it only says what it would block."""


class ChargeRefusal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Why a message is not sent."""

    reason: Reason
    detail: str


class BudgetState(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is spent of a budget on a day."""

    tenant: TenantId
    key: str
    day: str
    spent: Money
    limit: Money
    exhausted: bool = False
    """A message was refused."""


class Charged(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What came of some charges."""

    refused: Mapping[MessageId, ChargeRefusal] = {}
    budgets: tuple[BudgetState, ...] = ()
    """Those that covered them, afterwards."""
    blocked: tuple[NumberRange, ...] = ()
    """Ranges that were blocked just now."""
    observed: int = 0
    """Messages that the guard would have refused."""


class Spent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What was spent on a day, by where it went and through what."""

    day: str
    channel: Channel
    country: str
    integration: str
    cost: Money
    calls: int


class MessageCost(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one message has cost, all its calls together."""

    message_id: MessageId
    country: str
    cost: Money

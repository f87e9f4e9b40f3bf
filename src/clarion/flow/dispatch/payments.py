"""Pays for calls before they are made: what they cost is counted, and budgets stop what would exceed them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import structlog

from clarion.content import segments
from clarion.flow.dispatch.targets import ReadyCall
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.outgoing import Outgoing
from clarion.model.settlement import Settlement
from clarion.model.setup import Tenant
from clarion.model.spending import BudgetState, Charge, ChargeRefusal
from clarion.model.status import Reason, Status
from clarion.ports.clock import Clock
from clarion.rules import budgets, phone_numbers, prices
from clarion.rules.outcomes import settle_unsent

log = structlog.get_logger(__name__)

ALERTS = 1_000
"""Kept until they are sent."""


class Paid(NamedTuple):
    """A batch whose calls are paid for."""

    ready: list[ReadyCall]
    stopped: list[Settlement]
    """What must not be spent."""
    messages: Set[MessageId]
    """Those that cost something."""


class Alert(NamedTuple):
    """An event of our own that is still to be sent. The same key is told once."""

    tenant: TenantId
    type: str
    key: str
    data: Mapping[str, Any]


class Payments:
    """One transaction for each batch that costs something; nothing is asked about any other."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._tenants = ledger.setup.tenants
        self._spending = ledger.spending
        self._clock = clock
        self._told: dict[tuple[TenantId, str, str], str] = {}
        """The day on which something was said of a budget last."""
        self.alerts: deque[Alert] = deque(maxlen=ALERTS)
        """What operators and the tenants' own systems have to hear."""
        self.budgets: dict[tuple[TenantId, str], BudgetState] = {}
        """As they were seen last; read by metrics."""

    def is_free(self, tenant: TenantId, channel: Channel) -> bool:
        """Whether nothing on the channel costs anything, or is counted in a budget."""
        settings = self._tenants.all()[tenant]
        return not (
            prices.has_prices(settings, channel)
            or any(budget.channel is channel for budget in settings.budgets.values())
        )

    async def pay(self, ready: list[ReadyCall]) -> Paid:
        """The messages whose calls may be made."""
        now = self._clock.now()
        charges: list[Charge] = []
        refused: dict[MessageId, ChargeRefusal] = {}
        for _, live, outgoing in ready:
            message = outgoing.message
            if not self.is_free(message.tenant, message.channel):
                tenant = self._tenants.all()[message.tenant]
                one = charge_of(tenant, live.integration.provider, live.key, outgoing, now)
                if isinstance(one, Charge):
                    charges.append(one)
                elif one is not None:
                    refused[message.id] = one
        if charges:
            charged = await retry_until_stored("charge", lambda: self._spending.charge(charges), self._clock)
            refused |= charged.refused
            self._watch(charged.budgets)
        if not refused:
            return Paid(ready, [], {one.message_id for one in charges})
        stops = {
            held.message.id: settle_unsent(
                held.message, Status.THROTTLED, refusal.reason, now, detail=refusal.detail
            )
            for held, _, _ in ready
            if (refusal := refused.get(held.message.id)) is not None
        }
        return Paid(
            [one for one in ready if one[0].message.id not in refused],
            list(stops.values()),
            {one.message_id for one in charges if one.message_id not in refused},
        )

    def _watch(self, states: Sequence[BudgetState]) -> None:
        """Say once a day that a budget is nearly used up, and that it is used up."""
        for state in states:
            self.budgets[state.tenant, state.key] = state
            budget = self._tenants.all()[state.tenant].budgets.get(state.key)
            if state.exhausted:
                self._tell(state, "budget_exhausted")
            elif budget is not None and budgets.is_warning(state, budget.warn_share):
                self._tell(state, "budget_warned")

    def _tell(self, state: BudgetState, what: str) -> None:
        told = (state.tenant, state.key, what)
        if self._told.get(told) == state.day:
            return
        self._told[told] = state.day
        data = {
            "budget": state.key,
            "day": state.day,
            "spent": {"amount": state.spent.amount, "currency": state.spent.currency},
            "limit": {"amount": state.limit.amount, "currency": state.limit.currency},
        }
        kind = f"clarion.{what.replace('_', '.')}"
        self.alerts.append(Alert(state.tenant, kind, f"{what}/{state.key}/{state.day}", data))
        log.warning(what, tenant=state.tenant, budget=state.key, day=state.day)


def charge_of(
    tenant: Tenant, provider: str, integration: str, outgoing: Outgoing, now: Instant
) -> Charge | ChargeRefusal | None:
    """What the call costs; None: nothing that is counted. Refused when a budget covers it and cannot count it."""
    message, contact = outgoing.message, outgoing.contact
    address = contact.address if contact is not None else ""
    country = phone_numbers.country(address) if message.channel in prices.WITH_NUMBERS else ""
    price = prices.price(tenant, message.channel, provider, address)
    covering = budgets.covering(tenant, message.channel, country)
    if obstacle := budgets.obstacle(covering, price, country):
        return ChargeRefusal(reason=Reason.NO_PRICE, detail=obstacle)
    if price is None:
        return None
    content = outgoing.content
    units = segments(content.text).count if isinstance(content, SmsContent) else 1
    return Charge(
        message_id=message.id,
        attempt=message.attempt,
        tenant=tenant.id,
        day=budgets.day_of(tenant, now),
        channel=message.channel,
        country=country,
        integration=integration,
        cost=prices.cost(units, price),
        budgets=covering,
    )

"""Pays for calls before they are made: what they cost is counted, and budgets and the pumping guard stop what must not be
sent."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import structlog

from clarion.content import segments
from clarion.flow import verification_workflow
from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.dispatch.targets import ReadyCall
from clarion.flow.lanes import InFlight
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import PHONES, Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import Message
from clarion.model.outgoing import Outgoing
from clarion.model.settlement import Settlement
from clarion.model.setup import GuardMode, Tenant
from clarion.model.spending import BudgetState, Charge, ChargeRefusal, NumberRange
from clarion.model.status import Reason, Status
from clarion.ports.clock import Clock
from clarion.rules import budgets, phone_numbers, prices, sms_guard
from clarion.rules.outcomes import settle_unsent
from clarion.rules.time_format import rfc3339

log = structlog.get_logger(__name__)

GUARD = frozenset({Reason.RANGE_BLOCKED, Reason.COUNTRY_NOT_ALLOWED})
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
        self.guarded: Counter[str] = Counter()
        """Messages `stopped` by the pumping guard, those it only `observed`, and `ranges` it blocked."""
        self.budgets: dict[tuple[TenantId, str], BudgetState] = {}
        """As they were seen last; read by metrics."""

    def is_free(self, in_flight: InFlight) -> bool:
        """Whether sending it is neither paid for nor guarded."""
        message = in_flight.message
        if message.channel not in prices.PRICED:
            return True
        tenant = self._tenants.all()[message.tenant]
        return not (
            _costs(tenant, message.channel)
            or sms_guard.watches(tenant, message.channel, is_code=_is_code(in_flight))
            or (message.channel in PHONES and tenant.sms_guard.country_mode is GuardMode.ON)
        )

    async def pay(self, ready: list[ReadyCall]) -> Paid:
        """The messages whose calls may be made."""
        now = self._clock.now()
        charges: list[Charge] = []
        refused: dict[MessageId, ChargeRefusal] = {}
        for in_flight, live, outgoing in ready:
            message = outgoing.message
            if message.channel in prices.PRICED:
                tenant = self._tenants.all()[message.tenant]
                one = self._charge(tenant, live, outgoing, now, is_code=_is_code(in_flight))
                if isinstance(one, Charge):
                    charges.append(one)
                elif one is not None:
                    refused[message.id] = one
        if charges:
            charged = await retry_until_stored("charge", lambda: self._spending.charge(charges), self._clock)
            refused |= charged.refused
            self.guarded["observed"] += charged.observed
            self._watch(charged.budgets)
            self._warn(charged.blocked)
        if not refused:
            return Paid(ready, [], {one.message_id for one in charges})
        self.guarded["stopped"] += sum(one.reason in GUARD for one in refused.values())
        stops = {
            held.message.id: _stopped(held.message, refusal, now)
            for held, _, _ in ready
            if (refusal := refused.get(held.message.id)) is not None
        }
        return Paid(
            [one for one in ready if one[0].message.id not in refused],
            list(stops.values()),
            {one.message_id for one in charges if one.message_id not in refused},
        )

    def _charge(
        self, tenant: Tenant, live: LiveIntegration, outgoing: Outgoing, now: Instant, *, is_code: bool
    ) -> Charge | ChargeRefusal | None:
        """What has to be counted about a call; None: nothing."""
        message, guard = outgoing.message, tenant.sms_guard
        address = outgoing.contact.address if outgoing.contact is not None else ""
        number = address if message.channel in PHONES else ""
        country = phone_numbers.country(number) if number else ""
        if number and sms_guard.forbids_country(tenant, country):
            if guard.country_mode is GuardMode.ON:
                return ChargeRefusal(reason=Reason.COUNTRY_NOT_ALLOWED, detail=_not_allowed(country))
            self.guarded["observed"] += 1
        watched = bool(number) and sms_guard.watches(tenant, message.channel, is_code=is_code)
        if not (watched or _costs(tenant, message.channel)):
            return None
        price = prices.price(tenant, message.channel, live.integration.provider, address)
        covering = budgets.covering(tenant, message.channel, country)
        if obstacle := budgets.obstacle(covering, price, country):
            return ChargeRefusal(reason=Reason.NO_PRICE, detail=obstacle)
        if price is None and not watched:
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
            integration=live.key,
            cost=None if price is None else prices.cost(units, price),
            budgets=covering,
            at=now,
            ranges=sms_guard.ranges(guard, number) if watched else (),
            blocks=guard.mode is GuardMode.ON,
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

    def _warn(self, blocked: Sequence[NumberRange]) -> None:
        """Say that a range was blocked, or would have been."""
        for one in blocked:
            mode = self._tenants.all()[one.tenant].sms_guard.mode
            data = {
                "range": one.digits,
                "mode": mode.value,
                "sent": one.sent,
                "confirmed": one.confirmed,
                "blocked_until": None if one.blocked_until is None else rfc3339(one.blocked_until),
            }
            key = f"range_blocked/{one.digits}/{one.blocked_at}"
            self.alerts.append(Alert(one.tenant, "clarion.sms_guard.blocked", key, data))
            self.guarded["ranges"] += 1
            log.warning("range_blocked", tenant=one.tenant, range=one.digits, mode=mode.value, sent=one.sent)

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


def _costs(tenant: Tenant, channel: Channel) -> bool:
    """Whether anything on the channel costs something, or is counted in a budget."""
    return prices.has_prices(tenant, channel) or any(
        budget.channel is channel for budget in tenant.budgets.values()
    )


def _is_code(in_flight: InFlight) -> bool:
    return in_flight.event.source == verification_workflow.SOURCE


def _stopped(message: Message, refusal: ChargeRefusal, now: Instant) -> Settlement:
    status = Status.SUPPRESSED if refusal.reason in GUARD else Status.THROTTLED
    return settle_unsent(message, status, refusal.reason, now, detail=refusal.detail)


def _not_allowed(country: str) -> str:
    where = f"{country} is not among the allowed countries" if country else "the number belongs to no country"
    return f"{where}: add it to `countries` of /v1/sms-guard if it should be"

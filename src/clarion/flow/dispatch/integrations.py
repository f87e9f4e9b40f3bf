"""Open integrations, each with its own provider, circuit breaker, rate limit and slots per lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import structlog

from clarion.errors import ConfigError
from clarion.flow.dispatch.destinations import destinations
from clarion.flow.provider_scores import Place, ProviderScores
from clarion.flow.setup_view import SetupView
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import LANES, PHONES, Channel, Lane
from clarion.model.ids import TenantId
from clarion.model.message import Message
from clarion.model.quota import QuotaAsk, QuotaGrant
from clarion.model.setup import Integration, Money
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.clock import Clock
from clarion.ports.ledger import Quotas
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools
from clarion.rules import breaker, phone_numbers, prices
from clarion.rules.provider_limits import day_limit
from clarion.rules.provider_score import PATIENCE_S, Score, Standing, explained, scores
from clarion.rules.weighted_choice import choose

log = structlog.get_logger(__name__)

_NONE: frozenset[str] = frozenset()
URGENT_SHARE = 0.2
"""Part of a rate limit that only the critical lane may use up."""
NO_INTEGRATION_WAIT_S = 30.0
LONGEST_PAUSE_S = 3_600.0
"""However long a provider asks to wait, it is tried again after that."""
CONVERSATIONS = PHONES | {Channel.CHAT}
"""Channels on which people know who writes to them: a person stays with one integration, as long as the scores allow it."""


class Closed(NamedTuple):
    """Why nothing goes through an integration now."""

    reason: Reason
    wait_s: float
    said: str
    """In a sentence behind its name."""


class LiveIntegration:
    """An integration in use. One per tenant and key; replaced when its configuration changes."""

    def __init__(
        self,
        tenant: TenantId,
        integration: Integration,
        plugin: ProviderPlugin,
        provider: Provider,
        *,
        stores: bool = False,
    ) -> None:
        """`stores`: all its provider does is make what is stored (`ProviderPlugin.stores`)."""
        self.place: Place = tenant, integration.key
        limits = integration.limits
        self.integration = integration
        self.stores = stores
        self.plugin = plugin
        self.provider = provider
        self.health = breaker.Breaker()
        self.limited = bool(limits.per_second) or limits.per_day is not None or limits.warm_up is not None
        """Whether calls take from a budget that all processes share."""
        self.used: tuple[str, int] = "", 0
        """A day, and how many calls of it were made by then, as of the last time somebody asked."""
        self._asked_until_s = float("-inf")
        self._used_up_until_s = float("-inf")
        self._busy = dict.fromkeys(LANES, 0)
        self._retired = False

    @property
    def key(self) -> str:
        """The integration's key."""
        return self.integration.key

    @property
    def seconds_each(self) -> float:
        """Seconds per message at the rate limit; 0 without one."""
        per_second = self.integration.limits.per_second
        return 1.0 / per_second if per_second else 0.0

    def closed_for_s(self, now_s: float) -> float:
        """How long its circuit will not let anything through."""
        return breaker.open_for_s(self.health, now_s)

    def closed(self, now_s: float) -> Closed | None:
        """Why nothing goes through it now; None: it can be used."""
        if breaker.state(self.health, now_s) == "open":
            return Closed(Reason.CIRCUIT_OPEN, self.closed_for_s(now_s), "its circuit is open")
        if now_s < self._used_up_until_s:
            wait_s = self._used_up_until_s - now_s
            return Closed(Reason.DAILY_QUOTA, wait_s, "its quota of the day is used up")
        if now_s < self._asked_until_s:
            return Closed(Reason.RATE_LIMITED, self._asked_until_s - now_s, "its provider asked to wait")
        return None

    def pause(self, now_s: float, asked_s: float) -> None:
        """Call nobody for as long as its provider asked for (`Retry-After`)."""
        self._asked_until_s = max(self._asked_until_s, now_s + min(asked_s, LONGEST_PAUSE_S))

    def has_slot(self, lane: Lane, now_s: float) -> bool:
        """Whether another batch of `lane` may start."""
        if self._busy[lane] >= self.integration.limits.concurrency:
            return False
        return breaker.probes_left(self.health, now_s, sum(self._busy.values())) != 0

    def begin(self, lane: Lane) -> None:
        """Take a slot for a batch."""
        self._busy[lane] += 1

    async def end(self, lane: Lane) -> None:
        """Return the slot of a batch. A replaced integration closes after its last batch."""
        self._busy[lane] -= 1
        if self._retired and not any(self._busy.values()):
            await self.provider.close()

    async def retire(self) -> None:
        """Accept no new batches, and close when nothing runs."""
        self._retired = True
        if not any(self._busy.values()):
            await self.provider.close()

    async def grant(self, lane: Lane, calls: Sequence[int], quotas: Quotas, clock: Clock) -> QuotaGrant:
        """How many of the messages that need so many calls its limits let through now."""
        limits, now = self.integration.limits, clock.now()
        of_day = day_limit(limits, now)
        ask = QuotaAsk(
            costs=tuple(calls),
            per_second=limits.per_second or None,
            reserve=0.0 if lane is Lane.CRITICAL else URGENT_SHARE * max(1.0, limits.per_second or 0.0),
            per_day=of_day.per_day,
            day=of_day.day,
            resets_at=of_day.resets_at,
        )
        grant = await retry_until_stored("quota", lambda: quotas.take(*self.place, ask, now), clock)
        self.used = of_day.day, grant.used
        if grant.by_day:
            self._used_up_until_s = clock.monotonic() + grant.wait_ms / 1_000
        return grant

    def record(self, now_s: float, *, ok: int, failed: int) -> None:
        """Record the results of a batch in the circuit breaker."""
        before = breaker.state(self.health, now_s)
        self.health = breaker.record(self.health, now_s, ok, failed)
        self._tell(before, now_s)

    def trip(self, now_s: float) -> None:
        """Open the circuit at once: the provider says it is set up wrongly."""
        before = breaker.state(self.health, now_s)
        self.health = breaker.trip(self.health, now_s)
        self._tell(before, now_s)

    def _tell(self, before: str, now_s: float) -> None:
        after = breaker.state(self.health, now_s)
        if after != before:
            log.warning("circuit_changed", integration=self.key, before=before, after=after)


class NoCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """No integration can take the message now."""

    reason: Reason
    wait_s: float


DeviceTargets = tuple[tuple[Contact, LiveIntegration], ...]
"""Devices, each with the integration that takes it."""


PriceOf = Callable[[LiveIntegration, str], Money | None]
"""What a message to an address costs through an integration; None: it has no price."""


class Candidates:
    """Integrations that can take messages of one channel now."""

    __slots__ = (
        "_closed",
        "_free",
        "_healthy",
        "_particular",
        "_price",
        "_priced",
        "_scores",
        "_standings",
        "_weights",
        "_why",
    )

    def __init__(
        self,
        healthy: Sequence[LiveIntegration],
        free: Sequence[LiveIntegration],
        closed: Mapping[LiveIntegration, Closed],
        standings: Mapping[str, tuple[int, Standing]],
        price: PriceOf | None,
    ) -> None:
        """`free`: the healthy ones with a slot. `closed`: those that cannot be used now. `standings`: of the healthy ones,
        with their weights. `price`: None when nothing on the channel has one."""
        self._healthy = {one.key: one for one in healthy}
        self._free = free or healthy
        self._closed = closed
        self._standings = standings
        self._price = price
        self._scores = scores(standings)
        self._priced: dict[tuple[float, ...], Mapping[str, Score]] = {}
        self._weights = [(one.key, self._scores[one.key].total) for one in self._free]
        self._particular = any(_is_particular(one) for one in (*healthy, *closed))
        self._why: dict[tuple[str, str, tuple[tuple[str, str], ...], int], str] = {}

    def choose(self, message: Message, contact: Contact | None) -> LiveIntegration | NoCandidate:
        """The one this message prefers by score, stable for the same message or conversation; not the one that just
        failed."""
        weights = self._weights
        if message.sent_at is not None or (
            contact is not None and (self._particular or self._price is not None)
        ):
            usable = self._usable(message, contact)
            if not usable:
                return self._nobody(contact)
            found = self._scores_to(contact)
            weights = [(one.key, found[one.key].total) for one in usable]
        if len(weights) == 1:
            return self._healthy[weights[0][0]]
        seed, failed = _seed(message), _failed(message)
        key = choose(weights, seed, failed) or choose(weights, seed, _NONE)
        return self._healthy[key or weights[0][0]]

    def choose_each(self, message: Message, contacts: Sequence[Contact]) -> DeviceTargets | NoCandidate:
        """Who takes each of a person's devices, of those that somebody can reach now.

        Devices that nobody knows are left out, unless there are no others: then one integration says what is wrong.
        """
        if self._particular:
            contacts = [one for one in contacts if self._takers(one)] or contacts[:1]
        chosen = [(contact, self.choose(message, contact)) for contact in contacts]
        reached = tuple([(contact, live) for contact, live in chosen if not isinstance(live, NoCandidate)])
        return reached or _none(self._closed)

    def why(self, chosen: LiveIntegration, message: Message, contact: Contact | None) -> str:
        """Why it was chosen, in one line; empty when there was no choice."""
        claiming = self._claiming(contact)
        if len(claiming) < 2:
            return ""
        obstacles = tuple([(one.key, self._obstacle(one, contact)) for one in claiming])
        found = self._scores_to(contact)
        key = chosen.key, (message.integration or "") if message.attempt else "", obstacles, id(found)
        said = self._why.get(key)
        if said is None:
            said = self._why[key] = self._explained(chosen.key, _failed(message), dict(obstacles), found)
        return said

    def _explained(
        self,
        chosen: str,
        failed: frozenset[str],
        obstacles: Mapping[str, str],
        found: Mapping[str, Score],
    ) -> str:
        free = {one.key for one in self._free}
        closed = {one.key: why.said for one, why in self._closed.items()}
        ruled_out: dict[str, str] = {}
        for key, obstacle in obstacles.items():
            if key == chosen:
                continue
            if obstacle or key in closed:
                ruled_out[key] = obstacle or closed[key]
            elif key not in free:
                ruled_out[key] = "all its slots are taken"
            elif key in failed:
                ruled_out[key] = "the attempt before went through it"
        compared = {key: found[key] for key in obstacles if key not in ruled_out}
        return explained(chosen, compared, ruled_out)

    def _usable(self, message: Message, contact: Contact | None) -> Sequence[LiveIntegration]:
        """Those that may take the message: with a slot, unless none of them has one. Whoever took it and has not reported
        it is not given it again."""
        again = message.integration if message.sent_at is not None else None
        usable = [
            one
            for one in self._claiming(contact)
            if one.key in self._healthy and one.key != again and not self._obstacle(one, contact)
        ]
        return [one for one in usable if one in self._free] or usable

    def _claiming(self, contact: Contact | None) -> Sequence[LiveIntegration]:
        """Those that take the contact, else all: one of them says what is wrong. They may be closed."""
        known = (*self._healthy.values(), *self._closed)
        if not self._particular or contact is None:
            return known
        return self._takers(contact) or known

    def _takers(self, contact: Contact) -> Sequence[LiveIntegration]:
        """Those whose provider claims the contact, else those that take any."""
        known = (*self._healthy.values(), *self._closed)
        return [one for one in known if one.plugin.accepts is not None and one.plugin.accepts(contact)] or [
            one for one in known if one.plugin.accepts is None
        ]

    def _nobody(self, contact: Contact | None) -> NoCandidate:
        """Those that could take it may open again; if there are none, it waits for one."""
        claiming = [one for one in self._claiming(contact) if not self._obstacle(one, contact)]
        return _none({one: why for one, why in self._closed.items() if one in claiming})

    def _obstacle(self, live: LiveIntegration, contact: Contact | None) -> str:
        """Which of its conditions forbids that a message goes there; empty: none."""
        integration = live.integration
        if contact is None or not (integration.countries or integration.max_price):
            return ""
        if integration.countries:
            country = phone_numbers.country(contact.address)
            if country not in integration.countries:
                return f"it is not for {country or 'numbers of no country'}"
        price, most = self._price(live, contact.address) if self._price else None, integration.max_price
        if (
            price is not None
            and most is not None
            and price.currency == most.currency
            and Decimal(price.amount) > Decimal(most.amount)
        ):
            return f"it costs {price.amount} {price.currency}"
        return ""

    def _scores_to(self, contact: Contact | None) -> Mapping[str, Score]:
        """With what the message costs through each."""
        if self._price is None or contact is None or len(self._healthy) == 1:
            return self._scores
        found = {key: self._price(one, contact.address) for key, one in self._healthy.items()}
        if len({price.currency if price else None for price in found.values()}) > 1:
            return self._scores
        amounts = {key: float(price.amount) for key, price in found.items() if price is not None}
        if not amounts:
            return self._scores
        key = tuple(amounts.values())
        known = self._priced.get(key)
        if known is None:
            known = self._priced[key] = scores(self._standings, amounts)
        return known


def _is_particular(live: LiveIntegration) -> bool:
    """Whether it takes only some contacts."""
    return bool(live.plugin.accepts or live.integration.countries or live.integration.max_price)


def _none(closed: Mapping[LiveIntegration, Closed]) -> NoCandidate:
    """None of these can be used: whichever opens first decides."""
    first = min(closed.values(), key=lambda one: one.wait_s, default=None)
    if first is None:
        return NoCandidate(reason=Reason.NO_INTEGRATION, wait_s=NO_INTEGRATION_WAIT_S)
    at_most = first.wait_s if first.reason is Reason.DAILY_QUOTA else NO_INTEGRATION_WAIT_S
    return NoCandidate(reason=first.reason, wait_s=max(0.05, min(first.wait_s, at_most)))


def _seed(message: Message) -> bytes:
    """What the choice depends on beside the scores."""
    return message.user.to_bytes(8) if message.channel in CONVERSATIONS else message.id


def _failed(message: Message) -> frozenset[str]:
    """Where the call before went."""
    return frozenset((message.integration,)) if message.integration and message.attempt else _NONE


class IntegrationHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How an integration does, as of now."""

    integration: Integration
    circuit: breaker.State
    trouble: str
    """Why it cannot be used now; empty: it can."""
    score: Score
    share: float
    """Part of the channel's messages that goes through it, by the scores of those that can be used."""
    standing: Standing
    per_day: int | None
    """Most messages of today, by its limit and its plan."""
    used_today: int


class _Broken(NamedTuple):
    """An integration that could not be opened, and when to try again."""

    integration: Integration
    detail: str
    again_s: float


class Integrations:
    """Finds the integration for a message; opens, replaces and closes them as the configuration changes."""

    def __init__(
        self,
        setup: SetupView,
        plugins: Mapping[str, ProviderPlugin],
        tools: ProviderTools,
        scores: ProviderScores,
    ) -> None:
        self._tenants = setup.tenants
        self._shelf = setup.integrations
        self._clock = tools.clock
        self._refusal = tools.refusal
        self._broken: dict[tuple[TenantId, str], _Broken] = {}
        self._plugins = plugins
        self._tools = tools
        self._scores = scores
        self._live: dict[tuple[TenantId, str], LiveIntegration] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def plugin(self, provider: str) -> ProviderPlugin | None:
        """The provider of this name, if it is installed."""
        return self._plugins.get(provider)

    def usable(
        self, tenant: TenantId, channel: Channel, lane: Lane, now_s: float, only: str = ""
    ) -> Candidates | NoCandidate:
        """The healthy integrations of a channel; those with a free slot, unless none has one. `only`: no other than
        this one."""
        healthy: list[LiveIntegration] = []
        closed: dict[LiveIntegration, Closed] = {}
        found = False
        for integration in self._shelf.all(tenant).values():
            if integration.channel is not channel or not integration.enabled:
                continue
            if only and integration.key != only:
                continue
            found = True
            live = self._current(tenant, integration)
            if live is None:
                continue
            if (why := live.closed(now_s)) is not None:
                closed[live] = why
            else:
                healthy.append(live)
        if not healthy and found and not closed:  # Its settings are refused.
            return NoCandidate(reason=Reason.CIRCUIT_OPEN, wait_s=NO_INTEGRATION_WAIT_S)
        if not healthy:
            return _none(closed)
        free = [live for live in healthy if live.has_slot(lane, now_s)]
        standings = self._standings(healthy, len(healthy) + len(closed))
        return Candidates(healthy, free, closed, standings, self._price_of(tenant, channel))

    def _standings(self, healthy: Sequence[LiveIntegration], of: int) -> Mapping[str, tuple[int, Standing]]:
        """`of`: how many there are with those that are not healthy now."""
        if of == 1:
            return {live.key: (live.integration.weight, Standing()) for live in healthy}
        standings: dict[str, tuple[int, Standing]] = {}
        for live in healthy:
            self._scores.compare(live.place)
            standings[live.key] = live.integration.weight, self._standing(live.place[0], live.integration)
        return standings

    def _price_of(self, tenant: TenantId, channel: Channel) -> PriceOf | None:
        settings = self._tenants.all().get(tenant)
        if settings is None or not prices.has_prices(settings, channel):
            return None
        return lambda live, address: prices.price(settings, channel, live.integration.provider, address)

    def enabled(self, tenant: TenantId, key: str) -> LiveIntegration | None:
        """The integration with this key; None when it is switched off, gone, or cannot be opened."""
        integration = self._shelf.all(tenant).get(key)
        return self._current(tenant, integration) if integration is not None and integration.enabled else None

    def storing(self, tenant: TenantId, channel: Channel, now_s: float) -> LiveIntegration | None:
        """The integration that all messages of a channel take, if delivering them means to store them: the only one, in
        order, and without a rate limit."""
        enabled = [one for one in self._shelf.all(tenant).values() if one.channel is channel and one.enabled]
        live = self._current(tenant, enabled[0]) if len(enabled) == 1 else None
        if (
            live is None
            or not live.stores
            or live.limited
            or _is_particular(live)
            or live.closed(now_s) is not None
        ):
            return None
        return live if breaker.state(live.health, now_s) == "closed" else None

    def alternatives(self, tenant: TenantId, live: LiveIntegration) -> int:
        """Other enabled integrations of the channel that take the same kind of contacts."""
        channel, accepts = live.integration.channel, live.plugin.accepts
        return sum(
            1
            for other in self._shelf.all(tenant).values()
            if other.channel is channel
            and other.enabled
            and other.key != live.key
            and (plugin := self._plugins.get(other.provider)) is not None
            and plugin.accepts is accepts
        )

    def health(self, tenant: TenantId) -> Sequence[IntegrationHealth]:
        """All integrations of a tenant, by channel and key, those that are off too."""
        now_s = self._clock.monotonic()
        found: list[IntegrationHealth] = []
        by_channel: dict[Channel, list[Integration]] = {}
        for integration in self._shelf.all(tenant).values():
            by_channel.setdefault(integration.channel, []).append(integration)
        for channel in sorted(by_channel):
            found += self._healths(tenant, sorted(by_channel[channel], key=lambda one: one.key), now_s)
        return found

    def _healths(
        self, tenant: TenantId, integrations: Sequence[Integration], now_s: float
    ) -> list[IntegrationHealth]:
        """Those of one channel."""
        now = self._clock.now()
        standings = {one.key: self._standing(tenant, one) for one in integrations}
        troubles = {one.key: self._trouble(tenant, one, now_s) for one in integrations}
        compared = scores({one.key: (one.weight, standings[one.key]) for one in integrations})
        usable = {
            one.key: compared[one.key].total for one in integrations if one.enabled and not troubles[one.key]
        }
        if not any(usable.values()):  # standbys take turns
            usable = dict.fromkeys(usable, 1.0)
        whole = sum(usable.values())
        return [
            IntegrationHealth(
                integration=one,
                circuit=self._circuit(tenant, one.key, now_s),
                trouble=troubles[one.key] if one.enabled else "it is turned off",
                score=compared[one.key],
                share=usable.get(one.key, 0.0) / whole if whole else 0.0,
                standing=standings[one.key],
                per_day=(of_day := day_limit(one.limits, now)).per_day,
                used_today=self._used(tenant, one.key, of_day.day),
            )
            for one in integrations
        ]

    def _used(self, tenant: TenantId, key: str, day: str) -> int:
        live = self._live.get((tenant, key))
        return live.used[1] if live is not None and live.used[0] == day else 0

    def _standing(self, tenant: TenantId, integration: Integration) -> Standing:
        patience_s = integration.receipt_within_s or PATIENCE_S
        return self._scores.standing((tenant, integration.key), patience_s)

    def _circuit(self, tenant: TenantId, key: str, now_s: float) -> breaker.State:
        live = self._live.get((tenant, key))
        return "closed" if live is None else breaker.state(live.health, now_s)

    def troubles(self) -> Mapping[str, str]:
        """Every enabled integration by `tenant/key`: empty, or why it cannot be used now."""
        now_s = self._clock.monotonic()
        return {
            f"{tenant}/{key}": self._trouble(tenant, integration, now_s)
            for tenant in self._tenants.all()
            for key, integration in self._shelf.all(tenant).items()
            if integration.enabled
        }

    def _trouble(self, tenant: TenantId, integration: Integration, now_s: float) -> str:
        broken = self._broken.get((tenant, integration.key))
        if broken is not None and broken.integration is integration:
            return broken.detail
        live = self._live.get((tenant, integration.key))
        if live is None:
            return ""
        if breaker.state(live.health, now_s) != "closed":
            return "its circuit is open: its provider fails, refuses our settings or does not answer"
        why = live.closed(now_s)
        return "" if why is None else why.said

    async def check(self, integration: Integration) -> None:
        """Raises ConfigError, saying what to do, when its provider cannot work with these settings, or they lead to an
        address that is not called. Reaches nobody but name servers."""
        plugin = self._plugins[integration.provider]
        config = msgspec.convert(integration.config, plugin.config)
        try:
            provider = plugin.open(integration, config, self._tools)
        except ConfigError:
            raise
        except Exception as surprise:  # noqa: BLE001 - foreign code, whose words may hold what it was given
            log.error("integration_unusable", integration=integration.key, error=type(surprise).__name__)
            raise ConfigError(
                f"the provider cannot use them ({type(surprise).__name__}): compare them with its documentation"
            ) from None
        await provider.close()
        for pointer, url in destinations(msgspec.to_builtins(config), plugin):
            if refused := await self._refusal(url):
                raise ConfigError(refused, pointer=pointer)

    async def close(self) -> None:
        """Close every provider."""
        for live in self._live.values():
            await live.retire()
        self._live.clear()

    def _current(self, tenant: TenantId, integration: Integration) -> LiveIntegration | None:
        live = self._live.get((tenant, integration.key))
        if live is not None and live.integration is integration:
            return live
        broken = self._broken.get((tenant, integration.key))
        now_s = self._clock.monotonic()
        if broken is not None and broken.integration is integration and now_s < broken.again_s:
            return None
        opened = self._open(tenant, integration)
        if live is not None:
            task = asyncio.ensure_future(live.retire())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if opened is None:
            self._live.pop((tenant, integration.key), None)
        else:
            self._live[tenant, integration.key] = opened
        return opened

    def _open(self, tenant: TenantId, integration: Integration) -> LiveIntegration | None:
        self._broken.pop((tenant, integration.key), None)
        plugin = self._plugins.get(integration.provider)
        if plugin is None:
            log.error("provider_missing", integration=integration.key, provider=integration.provider)
            self._give_up(
                tenant, integration, f"there is no provider {integration.provider!r}: install its plug-in"
            )
            return None
        try:
            config = msgspec.convert(integration.config, plugin.config)
            provider = plugin.open(integration, config, self._tools)
            stores = plugin.stores is not None and plugin.stores(config)
        except (msgspec.ValidationError, ConfigError) as wrong:
            log.error("integration_unusable", integration=integration.key, error=str(wrong))
            self._give_up(tenant, integration, "its settings are refused: `clarion check` says why")
            return None
        except Exception as surprise:  # noqa: BLE001 - foreign code, whose words may hold what it was given
            log.error("integration_unusable", integration=integration.key, error=type(surprise).__name__)
            self._give_up(tenant, integration, f"its provider failed to start ({type(surprise).__name__})")
            return None
        return LiveIntegration(tenant, integration, plugin, provider, stores=stores)

    def _give_up(self, tenant: TenantId, integration: Integration, detail: str) -> None:
        again_s = self._clock.monotonic() + NO_INTEGRATION_WAIT_S
        self._broken[tenant, integration.key] = _Broken(integration, detail, again_s)

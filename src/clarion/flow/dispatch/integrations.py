"""Opens, replaces and closes integrations as the set-up changes, and finds those for a message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from clarion.errors import ConfigError
from clarion.flow.dispatch.candidates import (
    NO_INTEGRATION_WAIT_S,
    Candidates,
    NoCandidate,
    PriceOf,
    is_particular,
    no_candidate,
)
from clarion.flow.dispatch.destinations import destinations
from clarion.flow.dispatch.live_integration import Closed, LiveIntegration, Share
from clarion.flow.provider_scores import ProviderScores
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel, Lane
from clarion.model.ids import TenantId
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.rules import breaker, prices
from clarion.rules.provider_limits import day_limit
from clarion.rules.provider_score import PATIENCE_S, Score, Standing, scores

log = structlog.get_logger(__name__)


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
        share: Share,
    ) -> None:
        self._tenants = setup.tenants
        self._shelf = setup.integrations
        self._clock = tools.clock
        self._refusal = tools.refusal
        self._broken: dict[tuple[TenantId, str], _Broken] = {}
        self._plugins = plugins
        self._tools = tools
        self._scores = scores
        self._share = share
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
            return no_candidate(closed)
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
            or is_particular(live)
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
        return LiveIntegration(tenant, integration, plugin, provider, self._share, stores=stores)

    def _give_up(self, tenant: TenantId, integration: Integration, detail: str) -> None:
        again_s = self._clock.monotonic() + NO_INTEGRATION_WAIT_S
        self._broken[tenant, integration.key] = _Broken(integration, detail, again_s)

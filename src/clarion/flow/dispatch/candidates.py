"""Chooses among the integrations that can take a message, and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from clarion.flow.dispatch.live_integration import Closed, LiveIntegration
from clarion.model.channel import PHONES, Channel
from clarion.model.message import Message
from clarion.model.setup import Money
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.rules import phone_numbers
from clarion.rules.provider_score import Score, Standing, explained, scores
from clarion.rules.weighted_choice import choose

_NONE: frozenset[str] = frozenset()
NO_INTEGRATION_WAIT_S = 30.0
CONVERSATIONS = PHONES | {Channel.CHAT}
"""Channels on which people know who writes to them: a person stays with one integration, as long as the scores allow it."""


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
        self._particular = any(is_particular(one) for one in (*healthy, *closed))
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
        return reached or no_candidate(self._closed)

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
        return no_candidate({one: why for one, why in self._closed.items() if one in claiming})

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


def is_particular(live: LiveIntegration) -> bool:
    """Whether it takes only some contacts."""
    return bool(live.plugin.accepts or live.integration.countries or live.integration.max_price)


def no_candidate(closed: Mapping[LiveIntegration, Closed]) -> NoCandidate:
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

"""Which integrations each message of a batch takes, and what becomes of those that none can take now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from clarion.flow.integrations import Closed, Integrations, LiveIntegration, Usable
from clarion.flow.queues import Held, LaneQueue
from clarion.flow.settlement import decided_settlement
from clarion.model.channel import Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.message import Message
from clarion.model.status import Reason, Status
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Settlement

LEAST_WAIT_MS = 50
JITTER = 0.2
"""Of a wait, at most: what is put off together does not come back together."""

Lives = tuple[LiveIntegration, ...]


class Route:
    """The integrations that an attempt needs: one, or several where a person's devices are of several kinds.

    It takes a slot and tokens of each of them, or does not begin: no device is left out because another one's
    integration is busy for a moment.
    """

    __slots__ = ("_lives", "first", "idempotent", "seconds_each")

    def __init__(self, lives: Lives) -> None:
        self._lives = lives
        self.first = lives[0]
        self.idempotent = all(live.plugin.idempotent for live in lives)
        """Whether a repeated attempt has no second effect."""
        self.seconds_each = max(live.seconds_each for live in lives)
        """Seconds per message at the rate limit; 0 without one."""

    def parts(self, group: Sequence[Held]) -> Iterator[Sequence[Held]]:
        """As many messages at a time as fit into one call; one with more devices than that goes alone."""
        size = min(live.plugin.batch for live in self._lives)
        begin = calls = 0
        for at, held in enumerate(group):
            more = len(held.devices) or 1
            if calls and calls + more > size:
                yield group[begin:at]
                begin, calls = at, 0
            calls += more
        yield group[begin:]

    def has_slot(self, lane: Lane, now_s: float) -> bool:
        """Whether another batch of `lane` may start."""
        return all(live.has_slot(lane, now_s) for live in self._lives)

    def grant(self, lane: Lane, part: Sequence[Held], now_s: float) -> tuple[int, float]:
        """How many of the messages the rate limits let through now, in order, and how long the rest should wait."""
        granted, wait_s = len(part), 0.0
        for live in self._lives:
            if live.bucket is not None:
                calls = [_calls(held, live) for held in part[:granted]]
                granted, its_wait_s = live.grant(lane, calls, now_s)
                wait_s = max(wait_s, its_wait_s)
        return granted, wait_s

    def begin(self, lane: Lane) -> None:
        """A batch starts."""
        for live in self._lives:
            live.begin(lane)

    async def end(self, lane: Lane) -> None:
        """A batch is over."""
        for live in self._lives:
            await live.end(lane)


def _calls(held: Held, live: LiveIntegration) -> int:
    return sum(1 for _, its in held.devices if its is live) if held.devices else 1


class Routed(NamedTuple):
    """A batch, divided by route."""

    groups: Iterable[tuple[Route, list[Held]]]
    put_off: list[Settlement]


class Routing:
    """Finds integrations; puts messages off, and lets their queue rest, while there is none."""

    def __init__(self, integrations: Integrations, clock: Clock, entropy: Entropy) -> None:
        self._integrations = integrations
        self._clock = clock
        self._entropy = entropy

    def divide(self, queue: LaneQueue, batch: Sequence[Held]) -> Routed:
        """What can be sent, by route, and what cannot, put off."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        groups: dict[Lives, list[Held]] = {}
        put_off: list[Settlement] = []
        choices: dict[TenantId, Usable | Closed] = {}
        closed_s = 0.0
        for held in batch:
            tenant = held.message.tenant
            usable = choices.get(tenant)
            if usable is None:
                usable = self._integrations.usable(tenant, queue.channel, queue.lane, now_s)
                choices[tenant] = usable
            chosen = _chosen(held, usable)
            if isinstance(chosen, Closed):
                put_off.append(self._put_off(held.message, chosen.reason, chosen.wait_s, now))
                closed_s = max(closed_s, chosen.wait_s)
            else:
                groups.setdefault(chosen, []).append(held)
        if closed_s and not groups:
            queue.rest(now_s, closed_s)
        return Routed([(Route(lives), group) for lives, group in groups.items()], put_off)

    def put_off(
        self, queue: LaneQueue, group: Sequence[Held], reason: Reason, wait_s: float, *, apart_s: float = 0.0
    ) -> list[Settlement]:
        """Each in its turn, `apart_s` after the one before, so that they do not all come back for the same place."""
        queue.rest(self._clock.monotonic(), wait_s + len(group) * apart_s)
        now = self._clock.now()
        return [
            self._put_off(held.message, reason, wait_s + n * apart_s, now) for n, held in enumerate(group)
        ]

    def _put_off(self, message: Message, reason: Reason, wait_s: float, now: Instant) -> Settlement:
        wait_ms = wait_s * 1000 * (1.0 + JITTER * self._entropy.uniform())
        due = Instant(now + max(LEAST_WAIT_MS, round(wait_ms)))
        if message.expires_at is not None and due >= message.expires_at:
            return decided_settlement(message, Status.EXPIRED, Reason.EXPIRED, now)
        return decided_settlement(message, Status.DEFERRED, reason, now, due_at=due)


def _chosen(held: Held, usable: Usable | Closed) -> Lives | Closed:
    """Whom the message takes; notes on it which device takes whom."""
    verdict = held.gate
    if verdict is None or not verdict.others or verdict.contact is None:
        one = usable.choose(held.message, None if verdict is None else verdict.contact)
        return one if isinstance(one, Closed) else (one,)
    each = usable.choose_each(held.message, (verdict.contact, *verdict.others))
    if isinstance(each, Closed):
        return each
    held.devices = each
    return tuple(sorted({live for _, live in each}, key=lambda live: live.key))

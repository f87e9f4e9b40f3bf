"""Limits on concurrent emails per destination domain. A domain that asks for less gets less."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from clarion.adapters.providers.smtp.config import DomainLimits, SmtpConfig
from clarion.model.mail_address import normal_domain

J = TypeVar("J")
"""A mail that waits."""

KEPT = 10_000
"""Domains remembered; those with nothing under way are forgotten first."""
FIRST_GAP_S = 1.0
LONGEST_GAP_S = 60.0
SMALLEST_GAP_S = 0.05
"""A gap that has shrunk below this is gone."""


class Domain(Generic[J]):
    """One domain. Mails beyond its concurrency wait here; mails beyond its rate are put off."""

    __slots__ = (
        "_apart_s",
        "_burst_s",
        "_gap_s",
        "_next_at",
        "_put_off",
        "_slowed_at",
        "most",
        "under_way",
        "waiting",
    )

    def __init__(self, limits: DomainLimits) -> None:
        self.most = limits.concurrency
        self.under_way = 0
        self.waiting: deque[J] = deque()
        self._apart_s = 0.0 if limits.per_second is None else 1.0 / limits.per_second
        self._burst_s = 0.0 if limits.per_second is None else max(0.0, 1.0 - self._apart_s)
        self._gap_s = 0.0
        self._next_at = 0.0
        self._slowed_at = 0.0
        self._put_off = 0

    def admit(self, now_s: float) -> float:
        """0 when a mail may go now; otherwise how long to put it off, each further mail a little longer."""
        gap = max(self._apart_s, self._gap_s)
        if not gap:
            return 0.0
        ahead = self._next_at - now_s - (0.0 if self._gap_s else self._burst_s)
        if ahead > 0.0:
            self._put_off += 1
            return ahead + (self._put_off - 1) * gap
        self._put_off = max(0, self._put_off - 1)
        self._next_at = max(self._next_at, now_s) + gap
        return 0.0

    def slow_down(self, now_s: float) -> None:
        """It asked for less: mails go one by one, twice as far apart each time it asks again."""
        if self._gap_s and now_s - self._slowed_at < self._gap_s:
            return  # Said of mails that were under way already.
        self._gap_s = min(LONGEST_GAP_S, 2 * self._gap_s or FIRST_GAP_S)
        self._slowed_at = now_s
        self._put_off = 0
        self._next_at = now_s + self._gap_s

    def speed_up(self) -> None:
        """It took a mail: half the gap."""
        if self._gap_s:
            self._gap_s = self._gap_s / 2 if self._gap_s > 2 * SMALLEST_GAP_S else 0.0


class Domains(Generic[J]):
    """All domains of an integration."""

    def __init__(self, config: SmtpConfig) -> None:
        self._limits = config.per_domain
        self._special = {normal_domain(name): limits for name, limits in config.domains.items()}
        self._known: OrderedDict[str, Domain[J]] = OrderedDict()

    def of(self, address: str) -> Domain[J]:
        """The destination of an address."""
        domain = address.rpartition("@")[2].lower()
        found = self._known.get(domain)
        if found is None:
            found = self._known[domain] = Domain(self._special.get(domain, self._limits))
            if len(self._known) > KEPT:
                self._forget()
        return found

    def _forget(self) -> None:
        """The oldest that has nothing under way; looked for among a few, so that this stays cheap."""
        for domain in list(self._known)[:16]:
            if not self._known[domain].under_way and not self._known[domain].waiting:
                del self._known[domain]
                return
            self._known.move_to_end(domain)

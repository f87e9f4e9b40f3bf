"""What a ledger does about the limits of providers: one budget, whoever asks."""

from __future__ import annotations

from typing import Any

from clarion.model.ids import Instant
from clarion.model.quota import QuotaAsk
from clarion.testing.ledger_contract.subject import LedgerSubject, together

HOUR_MS = 3_600_000


def ask(subject: LedgerSubject, count: int = 1, **fields: Any) -> QuotaAsk:
    """So many messages of one call each, on a day that lasts another hour."""
    wanted: dict[str, Any] = {"day": "2030-05-04", "resets_at": Instant(subject.now + HOUR_MS)} | fields
    return QuotaAsk(costs=(1,) * count, **wanted)


async def everybody_takes_from_one_budget(subject: LedgerSubject) -> None:
    """However many ask at once, no more go than a day has; the others are told how long it lasts."""
    take, wanted = subject.ledger.quotas.take, ask(subject, 2, per_day=7)
    grants = await together(*(take(subject.tenant, "main", wanted, subject.now) for _ in range(6)))
    assert sum(grant.granted for grant in grants) == 7
    refused = {(grant.by_day, grant.wait_ms, grant.used) for grant in grants if not grant.granted}
    assert refused == {(True, HOUR_MS, 7)}
    assert (await take(subject.tenant, "other", wanted, subject.now)).granted == 2
    assert (
        await take(subject.tenant, "main", ask(subject, 2, per_day=7, day="2030-05-05"), subject.now)
    ).used == 2


async def a_limit_of_a_second_is_shared_too(subject: LedgerSubject) -> None:
    """It fills up again as time passes."""
    take, wanted = subject.ledger.quotas.take, ask(subject, 4, per_second=10)
    grants = await together(*(take(subject.tenant, "main", wanted, subject.now) for _ in range(4)))
    assert sum(grant.granted for grant in grants) == 10
    (refused,) = (grant for grant in grants if not grant.granted)
    assert refused.wait_ms > 0
    assert not refused.by_day
    subject.clock.advance(0.5)
    assert (await take(subject.tenant, "main", ask(subject, 9, per_second=10), subject.now)).granted == 5


QUOTAS_CONTRACT = (everybody_takes_from_one_budget, a_limit_of_a_second_is_shared_too)

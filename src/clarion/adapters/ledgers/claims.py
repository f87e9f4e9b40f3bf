"""Who is first under an idempotency key, and what everybody else is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import TenantId

Claimed = dict[tuple[TenantId, bytes], IdempotencyResult]
"""Claims that somebody was first on, as anybody later is told."""


def first_claims(claims: Iterable[IdempotencyRecord | None]) -> list[IdempotencyRecord]:
    """The first of each key, in order."""
    firsts: dict[tuple[TenantId, bytes], IdempotencyRecord] = {}
    for claim in claims:
        if claim is not None:
            firsts.setdefault((claim.tenant, claim.key), claim)
    return list(firsts.values())


def judged(claims: Sequence[IdempotencyRecord | None], held: Claimed) -> list[IdempotencyResult | None]:
    """Who is first; entries of one submission repeat its claim and share the answer. What was free is in `held` afterwards."""
    ours: dict[IdempotencyRecord, IdempotencyResult] = {}
    results: list[IdempotencyResult | None] = []
    for claim in claims:
        if claim is None:
            results.append(None)
            continue
        result = ours.get(claim) or held.get((claim.tenant, claim.key))
        if result is None:
            result = IdempotencyResult(fresh=True, fingerprint=claim.fingerprint, answer=claim.answer)
            ours[claim] = result
            held[claim.tenant, claim.key] = msgspec.structs.replace(result, fresh=False)
        results.append(result)
    return results


class ClaimsMade(NamedTuple):
    """What becomes of the claims of one call of `IdempotencyStore.reserve`."""

    results: tuple[IdempotencyResult, ...]
    new: Sequence[IdempotencyRecord]
    """Nobody holds their keys."""
    again: Sequence[IdempotencyRecord]
    """Somebody does whose events perhaps were never published: they belong to the new reservation now."""


def reserve(
    claims: Sequence[IdempotencyRecord], held: Mapping[tuple[TenantId, bytes], IdempotencyResult]
) -> ClaimsMade:
    """The first under a key counts, the others repeat it."""
    told: dict[tuple[TenantId, bytes], IdempotencyResult] = {}
    results = []
    new, again = [], []
    for claim in claims:
        key = claim.tenant, claim.key
        if key in told:
            results.append(msgspec.structs.replace(told[key], fresh=False, confirmed=True))
            continue
        before = held.get(key)
        if before is None:
            new.append(claim)
        elif not before.confirmed and before.fingerprint == claim.fingerprint:
            again.append(claim)
        told[key] = before or IdempotencyResult(
            fresh=True, fingerprint=claim.fingerprint, answer=claim.answer
        )
        results.append(told[key])
    return ClaimsMade(tuple(results), new, again)


def fresh(entries: Sequence[Entry], results: Sequence[IdempotencyResult | None]) -> list[Entry]:
    """The entries that are published: nobody was before them."""
    return [e for e, result in zip(entries, results, strict=True) if result is None or result.fresh]

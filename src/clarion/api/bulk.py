"""What a bulk call answers, whatever it is about: how many were taken, and what is wrong with each of the others."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.api.problems import AllRejected, Refusal, problem
from clarion.errors import ClarionError


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bulk call: one bad item stops no other."""

    accepted: int
    rejected: int
    items: list[Refusal]
    """The items that were refused."""


def answered(count: int, errors: Mapping[int, ClarionError]) -> BulkView:
    """The answer for `count` items, of which some were refused. Raises AllRejected when none was accepted."""
    refusals = [Refusal(index=index, error=problem(wrong)) for index, wrong in sorted(errors.items())]
    if refusals and len(refusals) == count:
        raise AllRejected(refusals)
    return BulkView(accepted=count - len(refusals), rejected=len(refusals), items=refusals)

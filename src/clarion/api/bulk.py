"""The answer of a bulk call: how many items were accepted, and what is wrong with each of the others."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.api.problems import AllRejected, Problem, Refusal, problem
from clarion.errors import ClarionError


class BulkItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of a bulk call: the `id` it got, or the `error` it was refused with."""

    index: int
    """Its place in the call, counted from 0."""
    id: str | None = None
    error: Problem | None = None


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a bulk call. A wrong item does not stop the others."""

    accepted: int
    rejected: int
    items: list[BulkItem]
    """The items that were refused, and those that got an id."""


def answered(
    count: int, errors: Mapping[int, ClarionError], ids: Mapping[int, str] | None = None
) -> BulkView:
    """The answer for `count` items, of which some were refused. Raises AllRejected when none was accepted."""
    refusals = [Refusal(index=index, error=problem(wrong)) for index, wrong in sorted(errors.items())]
    if refusals and len(refusals) == count:
        raise AllRejected(refusals)
    items = [BulkItem(index=one.index, error=one.error) for one in refusals]
    items += [BulkItem(index=index, id=one) for index, one in (ids or {}).items()]
    items.sort(key=lambda item: item.index)
    return BulkView(accepted=count - len(refusals), rejected=len(refusals), items=items)

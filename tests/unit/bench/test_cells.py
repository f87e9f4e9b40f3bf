"""Cells: what follows from the rule by which users belong to one."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.cells import activity, capacity, layout, names
from clarion.rules.regions import home_of

USERS = [f"user-{n}" for n in range(4_000)]


def test_a_cell_more_takes_its_share_and_moves_nobody_else():
    """One user in eleven goes to the eleventh; the others stay where they are. The order in which cells are named is nothing."""
    before = {user: home_of("acme", user, names(10)) for user in USERS}
    after = {user: home_of("acme", user, names(11)[::-1]) for user in USERS}
    moved = {user for user in USERS if before[user] != after[user]}
    assert {after[user] for user in moved} == {"cell-10"}
    assert len(moved) / len(USERS) == pytest.approx(1 / 11, abs=0.02)


def test_users_are_spread_evenly_and_tenants_apart():
    """Each cell has about as many, and the same name of another tenant may live elsewhere."""
    held = Counter(home_of("acme", user, names(8)) for user in USERS)
    assert max(held.values()) < 1.2 * len(USERS) / 8
    assert any(home_of("acme", user, names(8)) != home_of("other", user, names(8)) for user in USERS)


def test_the_busiest_cell_decides():
    """Even users make even cells; one user who gets everything makes all others idle."""
    even = layout(4, [1.0] * 4_000)
    assert even.rate == pytest.approx(4 * capacity(), rel=0.12)
    assert layout(4, [1.0, *[0.0] * 50]).rate == pytest.approx(capacity())
    assert layout(4, activity(2_000)).even < even.even

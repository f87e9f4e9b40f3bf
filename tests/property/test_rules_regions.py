"""Two regions: everybody has one home, only one region may work, and caps hold whatever each knows of the other."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.plan import CapCharge
from clarion.model.region import ServerState, Share
from clarion.rules.exact import Counted, Counts
from clarion.rules.regions import home_of, obstacle, share_of, spendable, succeeded
from tests.architecture.source_tree import ROOT

MESSAGE = Counted(UserNo(1), "news", Channel.EMAIL)
PRIMARY = ServerState(standby=False, timeline=2, position=100)
STANDBY = replace(PRIMARY, standby=True, timeline=1)
names = st.lists(st.text("abcdefgh-", min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


@given(st.text(max_size=8), st.text(max_size=12), names, st.randoms(use_true_random=False))
def test_a_user_has_one_home(tenant, user, names, shuffler):
    """In whatever order the regions are named."""
    home = home_of(tenant, user, names)
    assert home in names
    shuffler.shuffle(names)
    assert home_of(tenant, user, names) == home


@given(st.text(max_size=8), st.text(max_size=12), names)
def test_applications_compute_the_same_home(tenant, user, names):
    """By the lines of Python that the documentation gives them."""
    page = (ROOT / "docs/explanation/scaling.md").read_text(encoding="utf-8")
    lines = page.partition("```python\n")[2].partition("```")[0]
    told: dict = {}
    exec(lines, told)
    assert told["home_of"](tenant, user, names) == home_of(tenant, user, names)


def test_homes_are_shared_out_evenly():
    """Half of the users each."""
    homes = Counter(home_of("shop", f"user-{n}", ["paris", "oslo"]) for n in range(4_000))
    assert abs(homes["paris"] - homes["oslo"]) < 300


def counts(share: Share, known: int) -> Counts:
    """What a region counts that knows of so many messages."""
    found = Counts(share)
    missing = found.missing([charge(1)])
    assert missing is not None
    found.learn(missing, [(MESSAGE, Instant(1)) for _ in range(known)])
    return found


def charge(limit: int) -> CapCharge:
    """Of one message, by a cap over a window that has everything in it."""
    return CapCharge(
        message_id=MessageId(b"m" * 16),
        user=MESSAGE.user,
        category="",
        channel=None,
        scope="tenant/*",
        limit=limit,
        window_s=3_600,
        at=Instant(2),
    )


@given(st.integers(1, 20), st.integers(0, 25), st.lists(st.booleans(), max_size=60))
def test_two_regions_that_know_nothing_of_one_another_keep_to_a_cap(limit, known, order):
    """One at home and alone, one on a copy that stopped when it was left alone: together they send what the cap allows, also
    when both work at once."""
    known = min(known, limit)
    home, other = counts(Share.LARGER_HALF, known), counts(Share.SMALLER_HALF, known)
    sent = sum((home if at_home else other).judge(MESSAGE, [charge(limit)])[0] for at_home in order)
    assert known + sent <= limit


@given(st.integers(0, 10_000))
def test_both_halves_are_the_whole(limit):
    """Nothing of a cap is lost either, and the larger half is at home, where a cap of 1 still lets one go."""
    halves = [spendable(limit, share) for share in (Share.LARGER_HALF, Share.SMALLER_HALF)]
    assert sum(halves) == spendable(limit, Share.WHOLE) == limit
    assert halves[0] >= halves[1]


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (PRIMARY, STANDBY, ""),
        (PRIMARY, replace(PRIMARY, timeline=1), ""),
        (replace(PRIMARY, timeline=1), PRIMARY, "has taken over"),
        (STANDBY, PRIMARY, "is a standby"),
        (STANDBY, None, "is a standby"),
        (PRIMARY, None, "may have taken over"),
        (replace(PRIMARY, taken_over=1), None, "may have taken over"),
        (replace(PRIMARY, taken_over=2), None, ""),
        (replace(PRIMARY, handed_over=2, taken_over=2), STANDBY, "hands its users over"),
        (replace(PRIMARY, handed_over=1), STANDBY, ""),
    ],
)
def test_a_process_begins_only_where_nobody_else_may_work(here, there, said):
    """On the primary, when the other server is its standby, is older, or somebody said that it is lost."""
    found = obstacle(here, there, "oslo")
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("there", "stops"),
    [(None, False), (STANDBY, False), (replace(PRIMARY, timeline=3), True), (PRIMARY, False)],
)
def test_a_process_that_works_stops_for_a_later_promotion_only(there, stops):
    """Not because the other server cannot be asked: the network may be cut."""
    assert bool(succeeded(PRIMARY, there, "oslo")) == stops


@pytest.mark.parametrize(
    ("here", "alone", "share"),
    [
        (PRIMARY, False, Share.WHOLE),
        (PRIMARY, True, Share.LARGER_HALF),
        (replace(PRIMARY, taken_over=2), True, Share.WHOLE),
        (replace(PRIMARY, incomplete=2, taken_over=2), True, Share.SMALLER_HALF),
        (replace(PRIMARY, incomplete=2), False, Share.SMALLER_HALF),
        (replace(PRIMARY, incomplete=1), False, Share.WHOLE),
    ],
)
def test_half_of_a_cap_is_kept_for_what_the_other_region_may_have_sent(here, alone, share):
    """Unless somebody said that it does not work, and that this copy is complete."""
    assert share_of(here, alone=alone) is share

"""Choosing an integration: stable for a message, fair over all, and moving no more than it must."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from clarion.rules.weighted_choice import choose

candidates = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=4), st.integers(0, 1_000)),
    min_size=1,
    max_size=6,
    unique_by=lambda candidate: candidate[0],
)
seeds = st.binary(min_size=1, max_size=16)
NOBODY: frozenset[str] = frozenset()


@given(candidates, seeds, st.randoms(use_true_random=False))
def test_the_same_message_takes_the_same_integration(candidates, seed, shuffler):
    """In whatever order they are listed."""
    chosen = choose(candidates, seed, NOBODY)
    assert chosen in {key for key, _ in candidates}
    other_order = list(candidates)
    shuffler.shuffle(other_order)
    assert choose(other_order, seed, NOBODY) == chosen


@given(candidates, seeds)
def test_when_one_fails_only_its_own_messages_move(candidates, seed):
    """Excluding another changes nothing; excluding the chosen one leads to the next; in the end to none."""
    chosen = choose(candidates, seed, NOBODY)
    for key, _ in candidates:
        if key != chosen:
            assert choose(candidates, seed, frozenset({key})) == chosen
    tried: set[str] = set()
    while (key := choose(candidates, seed, frozenset(tried))) is not None:
        assert key not in tried
        tried.add(key)
    assert tried == {key for key, _ in candidates}


@given(candidates, seeds, st.integers(1, 1_000))
def test_more_weight_never_loses_a_message(candidates, seed, more):
    """Raising a weight moves messages only towards it."""
    chosen = choose(candidates, seed, NOBODY)
    raised = [(key, weight + more if key == chosen else weight) for key, weight in candidates]
    assert choose(raised, seed, NOBODY) == chosen


@given(candidates, seeds)
def test_a_standby_is_chosen_only_when_nothing_has_weight(candidates, seed):
    """Weight 0 has no share."""
    weights = dict(candidates)
    chosen = choose(candidates, seed, NOBODY)
    assert chosen is not None
    assert weights[chosen] > 0 or not any(weights.values())


def test_shares_follow_the_weights():
    """Over 20,000 messages within five standard deviations of the exact share."""
    weights = {"a": 1, "b": 2, "c": 5, "d": 92}
    n = 20_000
    seeds = (blake2b(b"%d" % i, digest_size=16).digest() for i in range(n))
    found = Counter(choose(list(weights.items()), seed, NOBODY) for seed in seeds)
    for key, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(found[key] - n * share) <= 5 * (n * share * (1 - share)) ** 0.5

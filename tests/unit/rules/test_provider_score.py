"""Scores of integrations: what they do lately decides how many messages they get."""

import pytest

from clarion.rules.provider_score import (
    HALF_LIFE_SLOTS,
    LEAST,
    PATIENCE_S,
    SLOT_MS,
    SLOTS,
    Record,
    Standing,
    Tally,
    explained,
    scores,
    standing,
    together,
)

NOW = 1_000
OLD = PATIENCE_S * 1_000 // SLOT_MS + 1
"""Slots after which receipts are missed."""


def record(slots: dict[int, Tally]) -> Record:
    """What was counted, by how many slots ago."""
    return Record(slots={NOW - ago: tally for ago, tally in slots.items()})


def receipts(*slots: tuple[int, int]) -> float:
    """The share left by (accepted, reported) of one slot after the other, the last of which is just old enough."""
    tallies = [Tally(accepted=accepted, reported=reported) for accepted, reported in slots]
    return standing(record({OLD + n: one for n, one in enumerate(reversed(tallies))}), NOW).receipts


def test_who_was_never_called_is_trusted():
    """Its score is its weight."""
    known = standing(Record(), NOW)
    assert (known.success, known.latency_ms, known.receipts) == (1.0, None, 1.0)
    assert scores({"a": (70, known), "b": (30, known)})["a"].total == 70


def test_failures_cost_share_and_are_forgotten_within_minutes():
    """One failure hardly counts, many do, and old ones less and less."""
    one = standing(record({0: Tally(failed=1)}), NOW).success
    many = standing(record({0: Tally(failed=1_000)}), NOW).success
    older = standing(record({2 * HALF_LIFE_SLOTS: Tally(failed=40)}), NOW).success
    assert 0.9 < one < 1
    assert many == LEAST
    assert older == pytest.approx(10 / 20)


def test_slow_providers_get_less_than_fast_ones():
    """A few milliseconds make no difference, seconds do."""
    found = scores(
        {
            "fast": (100, Standing(latency_ms=20.0)),
            "near": (100, Standing(latency_ms=40.0)),
            "slow": (100, Standing(latency_ms=10_000.0)),
            "new": (100, Standing()),
        }
    )
    assert found["fast"].speed == found["new"].speed == 1
    assert found["near"].speed > 0.95
    assert found["slow"].speed < 0.06


def test_the_cheaper_one_gets_more_when_all_prices_are_known():
    """Without the price of one of them nobody can be compared."""
    both = {"cheap": (100, Standing()), "dear": (100, Standing())}
    assert scores(both, {"cheap": 0.05, "dear": 0.1})["dear"].price == pytest.approx(0.5)
    assert scores(both, {"cheap": 0.05, "dear": None})["dear"].price == 1
    assert scores(both, {"cheap": 0.0, "dear": 0.1})["dear"].price == LEAST


def test_missing_receipts_cost_ten_points_at_a_time_and_come_back_the_same_way():
    """A provider that accepts and never delivers loses its share; one that delivers again wins it back."""
    good, bad = (100, 95), (100, 0)
    assert receipts(good, good) == 1
    assert receipts(good, bad) == pytest.approx(0.9)
    assert receipts(good, bad, bad, bad) == pytest.approx(0.7)
    assert receipts(good, *[bad] * 20) == LEAST
    assert receipts(good, bad, bad, good) == pytest.approx(0.9)
    assert receipts(good, *[bad] * 20, good, good) == pytest.approx(0.2)


def test_receipts_that_may_still_come_are_not_missed():
    """Only messages that are older than the patience count."""
    recent = {n: Tally(accepted=100) for n in range(OLD)}
    assert standing(record({OLD: Tally(accepted=100, reported=95), **recent}), NOW).receipts == 1


def test_an_integration_is_measured_by_what_is_usual_for_it():
    """Some providers never report, others report half: neither is a failure."""
    assert receipts(*[(100, 0)] * 10) == 1
    assert receipts(*[(100, 55)] * 10) == 1
    assert receipts(*[(100, 2)] * 10, *[(100, 0)] * 5) == 1, "who reports bounces only is not judged"


def test_few_messages_prove_nothing():
    """They are judged together once there are enough of them."""
    assert receipts((100, 95), *[(5, 0)] * 3) == 1
    assert receipts((100, 95), *[(5, 0)] * 4) == pytest.approx(0.9)


def test_what_is_long_ago_is_forgotten_but_for_what_is_usual():
    """A score drifts back to its weight; which part was reported stays known."""
    known = record({SLOTS: Tally(ok=5, failed=500, accepted=100, reported=95)})
    known.forget(NOW)
    assert known.slots == {}
    now = standing(known, NOW)
    assert now.success == 1
    assert now.reported == pytest.approx(0.95)


def test_processes_that_add_up_their_counts_agree():
    """Whoever sent and whoever took the receipts may be others."""
    sent = record({OLD: Tally(ok=100, accepted=100), 0: Tally(ok=3, failed=1, took_ms=40)})
    told = record({OLD: Tally(reported=90)})
    whole = record({OLD: Tally(ok=100, accepted=100, reported=90), 0: Tally(ok=3, failed=1, took_ms=40)})
    assert (
        standing(together([sent, told]), NOW) == standing(together([told, sent]), NOW) == standing(whole, NOW)
    )


def test_the_explanation_names_every_candidate():
    """The chosen one first, with the factors that cost something, and what ruled others out."""
    found = scores({"a": (100, Standing()), "b": (100, Standing(success=0.5, receipts=0.9))})
    assert explained("b", found, {"c": "its circuit is open"}) == (
        "b 45 (weight 100, success 0.50, receipts 0.90); a 100; not c: its circuit is open"
    )

"""What shares a commit, and what a commit waits for."""

import threading

import pytest

from clarion.adapters.ledgers.sqlite import commit_scheduler as turns_module
from clarion.adapters.ledgers.sqlite.commit_scheduler import CommitScheduler, Job
from clarion.adapters.system import SystemClock


@pytest.fixture
def scheduler():
    return CommitScheduler(SystemClock())


def job(name: str, rows: int = 1, *, urgent: bool = False) -> Job:
    return Job(lambda *_: (), name, rows, urgent, None, None)  # type: ignore[arg-type]


def put(scheduler: CommitScheduler, *jobs: Job) -> None:
    for one in jobs:
        scheduler.put(one, flush=one.urgent)


def names(jobs: list[Job]) -> list[str]:
    return [one.item for one in jobs]


def test_what_waits_goes_together_in_its_order(scheduler):
    """Up to what a commit takes; the rest is next."""
    put(scheduler, *(job(f"n{n}", 500) for n in range(4)))
    assert names(scheduler.next()) == ["n0", "n1", "n2"]
    assert names(scheduler.next()) == ["n3"]
    assert scheduler.idle


def test_a_job_that_is_too_large_for_a_commit_goes_alone(scheduler):
    """Nothing waits for ever."""
    put(scheduler, job("large", 10_000), job("small"))
    assert names(scheduler.next()) == ["large"]


def test_what_is_urgent_goes_first_and_takes_little_along(scheduler):
    """Its commit is short, but nobody starves."""
    put(scheduler, job("a", 50), job("b", 50), job("now", urgent=True))
    assert names(scheduler.next()) == ["now", "a"]


def test_commits_stay_small_while_something_urgent_may_come(scheduler, monkeypatch):
    """And are large again afterwards."""
    monkeypatch.setattr(turns_module, "FOLLOWED_S", 0.0)
    monkeypatch.setattr(turns_module, "URGENT_S", 0.05)
    put(scheduler, job("now", urgent=True))
    scheduler.committed(scheduler.next(), 0.0)
    put(scheduler, *(job(f"n{n}", 200) for n in range(5)))
    assert names(scheduler.next()) == ["n0"]
    threading.Event().wait(0.06)
    assert names(scheduler.next()) == ["n1", "n2", "n3", "n4"]


def test_nothing_long_is_begun_before_the_next_step_of_what_was_urgent(scheduler, monkeypatch):
    """Its append, plan and settlement come one behind the other: none waits for a commit of bulk."""
    monkeypatch.setattr(turns_module, "FOLLOWED_S", 5.0)
    put(scheduler, job("append", urgent=True))
    scheduler.committed(scheduler.next(), 0.0)
    put(scheduler, job("bulk", 1_000))
    later = threading.Timer(0.05, put, (scheduler, job("plan", urgent=True)))
    later.start()
    assert names(scheduler.next()) == ["plan"]


def test_when_nothing_follows_the_others_go_on(scheduler):
    """The moment kept free is short."""
    put(scheduler, job("append", urgent=True))
    scheduler.committed(scheduler.next(), 0.0)
    put(scheduler, job("bulk"))
    assert names(scheduler.next()) == ["bulk"]


def test_a_rest_ends_when_somebody_hurries(scheduler, monkeypatch):
    """What comes during it shares the commit; an urgent job does not wait for its end."""
    monkeypatch.setattr(turns_module, "LONGEST_REST_S", 60.0)
    put(scheduler, job("first"))
    scheduler.committed(scheduler.next(), 60.0)
    put(scheduler, job("second"))
    later = threading.Timer(0.05, put, (scheduler, job("now", urgent=True)))
    later.start()
    assert names(scheduler.next()) == ["now", "second"]


def test_a_call_to_look_around_wakes_without_a_job(scheduler):
    """How the writer learns that it is to close."""
    scheduler.put(None, flush=True)
    assert scheduler.next() == []
    assert scheduler.idle

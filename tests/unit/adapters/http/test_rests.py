"""Servers that hang are left alone for a while."""

from clarion.adapters.http.host_backoff import HUNG, REMEMBERED, HostBackoff

ID = "receiver.example"


def hang(rests: HostBackoff, server: str, began_s: float, now_s: float) -> None:
    rests.ended(server, answered=False, began_s=began_s, now_s=now_s, call_s=10.0)


def test_a_rest_grows_while_nobody_answers_and_ends_with_an_answer():
    """15 s, 30 s, ... up to 5 minutes; one call finds out for all."""
    rests = HostBackoff()
    for _ in range(2):
        hang(rests, ID, 0.0, 10.0)
        assert rests.wait_s(ID, 10.0, 10.0) == 0.0
    waits = []
    now = 10.0
    for _ in range(7):
        hang(rests, ID, now, now + 10.0)
        now += 10.0
        waits.append(rests.wait_s(ID, now, 10.0))
        now += waits[-1]
        assert rests.wait_s(ID, now, 10.0) == 0.0
        assert rests.wait_s(ID, now, 10.0) == 10.0
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
    rests.ended(ID, answered=True, began_s=now, now_s=now, call_s=10.0)
    assert rests.wait_s(ID, now, 10.0) == 0.0


def test_calls_that_hung_side_by_side_are_one_experience():
    """A batch that meets a short outage does not earn its server five minutes."""
    rests = HostBackoff()
    for _ in range(64):
        hang(rests, ID, 0.0, 10.0)
    assert rests.wait_s(ID, 10.0, 10.0) == 15.0


def test_who_refuses_at_once_gets_no_rest():
    """It costs nobody any time."""
    rests = HostBackoff()
    for _ in range(10):
        hang(rests, ID, 0.0, 0.1)
    assert rests.wait_s(ID, 0.1, 10.0) == 0.0


def test_a_rest_can_be_kept_short():
    """Where somebody else may have the same server."""
    rests = HostBackoff(longest_s=20.0)
    now = 0.0
    for _ in range(6):
        hang(rests, ID, now, now + 10.0)
        now += 10.0
        now += rests.wait_s(ID, now, 10.0)
        rests.wait_s(ID, now, 10.0)
    hang(rests, ID, now, now + 10.0)
    assert rests.wait_s(ID, now + 10.0, 10.0) == 20.0


def test_servers_in_trouble_are_remembered_in_a_bounded_number():
    """The one whose trouble is oldest is forgotten first."""
    rests = HostBackoff()
    for n in range(REMEMBERED + 10):
        for _ in range(HUNG):
            hang(rests, str(n), 0.0, 10.0)
    assert rests.wait_s("0", 10.0, 1.0) == 0.0
    assert rests.wait_s(str(REMEMBERED), 10.0, 1.0) > 0.0

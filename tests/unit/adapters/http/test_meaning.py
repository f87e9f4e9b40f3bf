"""What a status means where a provider says nothing more exact, and what a request shows of itself."""

import pytest

from clarion.adapters.http import HttpReply, HttpRequest, outcome_of
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.model.status import Reason


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (200, Accepted),
        (202, Accepted),
        (204, Accepted),
        (400, Rejected),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (408, Retry),
        (410, Gone),
        (413, Rejected),
        (422, Rejected),
        (425, Retry),
        (429, Retry),
        (500, Retry),
        (503, Retry),
    ],
)
def test_a_status_means_one_thing(status, means):
    """A wrong URL is not a missing person, and only a rate limit is called one."""
    outcome = outcome_of(HttpReply(status=status, headers={"retry-after": "7"}, body=b""))
    assert isinstance(outcome, means)
    if isinstance(outcome, Retry):
        assert outcome.after_s == 7
        assert (outcome.reason is Reason.RATE_LIMITED) is (status == 429)


def test_a_request_does_not_show_its_secrets():
    """A path, a header and a body can each hold one."""
    call = HttpRequest(
        url="https://api.example/bot1:secret/send?sig=secret",
        headers={"authorization": "secret"},
        body=b"secret",
    )
    assert repr(call) == "Call(POST https://api.example, 6 bytes)"
    assert (
        repr(HttpRequest(url="https://ada:secret@api.example?secret"))
        == "Call(POST https://api.example, 0 bytes)"
    )

"""What one region takes from the other: by their secret, and as if it had been sent here."""

import msgspec
import pytest

from clarion.api import ApiLimits
from clarion.model.forwarded import PATH, ForwardedEvents, ForwardedResult
from clarion.model.submission import Recipient, Submission

SECRET = "s" * 32


@pytest.fixture
def region(clarion):
    """The other region, which knows the secret."""
    return clarion.bearer(SECRET, clarion.with_limits(ApiLimits(), region_secret=SECRET))


def events(tenant, *submissions):
    """As the other region sends them."""
    return msgspec.json.encode(ForwardedEvents(tenant=tenant, submissions=submissions))


async def test_events_of_the_other_region_are_accepted(region):
    """One result for each, with what a caller has to know."""
    good = Submission(workflow="order-paid", recipients=(Recipient(user_id="zoe", create=True),))
    bad = Submission(workflow="order-paid", recipients=("nobody",))
    answer = await region("POST", PATH, content=events("acme", good, bad))
    accepted, refused = msgspec.json.decode(answer.content, type=list[ForwardedResult])
    assert accepted.acceptance is not None
    assert accepted.acceptance.created_users == ("zoe",)
    assert (refused.status, refused.code, refused.pointer) == (422, "unknown_reference", "#/recipients/0")


async def test_the_secret_opens_nothing_else(region, clarion):
    """And without it, or where none is set, nothing is opened by it."""
    assert (await region("GET", "/v1/users")).status_code == 401
    guess = clarion.bearer("s" * 31, clarion.with_limits(ApiLimits(), region_secret=SECRET))
    assert (await guess("POST", PATH, content=events("acme"))).status_code == 401
    for credential in ("", SECRET):
        assert (await clarion.bearer(credential)("POST", PATH, content=events("acme"))).status_code in (
            401,
            404,
        )


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{}", 400, "does not understand"),
        (b"{", 400, "does not understand"),
        (events("shop"), 404, "'shop'"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_reason(region, body, status, said):
    """A tenant has to be in both regions."""
    problem = await region.problem("POST", PATH, content=body)
    assert problem["status"] == status
    assert said in problem["detail"]

"""The other region over HTTP: the first address that answers for its users takes their events."""

import msgspec
import pytest

from clarion.adapters.other_region import HttpRegion
from clarion.adapters.system import SystemClock
from clarion.errors import Busy, InvalidInput, Unavailable
from clarion.model.forwarded import PATH, ForwardedEvents, ForwardedResult
from clarion.model.ids import EventId
from clarion.model.submission import Acceptance, Submission
from clarion.testing.scripted_server import Answer, scripted_server

EVENT = Submission(workflow="hello", recipients=("ada",), idempotency_key="k")
ACCEPTED = Acceptance(event_id=EventId(b"e" * 16), accepted=1)
GIVEN = (
    ForwardedResult(acceptance=ACCEPTED),
    ForwardedResult(status=422, code="invalid_data", detail="wrong", pointer="#/data"),
    ForwardedResult(status=503, code="unavailable", detail="the disk is full"),
    ForwardedResult(status=429, code="too_busy", detail="full"),
)


async def asked(*answers, urls=()):
    """What came of one call to a server that answers like this, and what it was sent."""
    async with scripted_server(*answers) as server:
        region = HttpRegion("oslo", (*urls, server.url), "s" * 32, SystemClock())
        try:
            return await region.submit("acme", (EVENT,)), server.requests
        finally:
            await region.close()


async def test_results_come_back_as_they_were(unused_tcp_port):
    """Errors keep their code and place; an address where nobody answers is passed over."""
    body = msgspec.json.encode(GIVEN)
    results, (request,) = await asked(
        Answer(status=200, body=body), urls=(f"http://127.0.0.1:{unused_tcp_port}",)
    )
    accepted, wrong, full, busy = results
    assert accepted == ACCEPTED
    assert isinstance(wrong, InvalidInput)
    assert (wrong.code, wrong.status, wrong.pointer) == ("invalid_data", 422, "#/data")
    assert isinstance(full, Unavailable)
    assert isinstance(busy, Busy)
    assert request.path == PATH
    assert request.headers["authorization"] == f"Bearer {'s' * 32}"
    assert msgspec.json.decode(request.body, type=ForwardedEvents).submissions == (EVENT,)


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(status=401), Answer(manner="drop")])
async def test_a_region_that_does_not_take_them_is_unavailable(answer):
    """The caller is told whose region it is, and nothing of the secret."""
    with pytest.raises(Unavailable, match="at home in region oslo") as told:
        await asked(answer, answer)
    assert "ssss" not in told.value.detail

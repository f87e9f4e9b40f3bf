"""Steps that ask a service over real sockets, while the server is killed between the call and its commit."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bench.outlets import REACHED
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.acceptance.reader import pages
from tests.acceptance.setup_data import USERS, create_setup

PEOPLE = USERS[:4]
TO = {"mode": "all", "channels": ["in_app"]}
PRICED = {
    "category": "acc-normal",
    "steps": [
        {
            "key": "price",
            "type": "fetch",
            "connection": "shop",
            "path": "'/prices/' + user.id",
            "select": "{'total': body.total}",
        },
        {"key": "right", "when": "steps.price.body.total == 13", "template": "acc", "to": TO},
        {"key": "wrong", "when": "steps.price.body.total != 13", "template": "acc", "to": TO},
    ],
}


def answer(request: Received) -> Answer:
    """The price, behind a redirect; whoever has no secret gets none."""
    if request.path.startswith("/api/v2/"):
        known = request.headers.get("authorization") == "Bearer s3cret"
        return Answer.json(200, {"total": 13} if known else {"total": 0})
    return Answer(status=307, headers={"location": request.path.replace("/api/", "/api/v2/", 1)})


@pytest.mark.timeout(200)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_call_that_was_not_recorded_is_made_again_under_the_same_key(server, backend):
    """The server is killed while the service thinks: every run gets its answer in the end, and sends once."""
    server.env.update(REACHED)
    await server.start()
    await create_setup(server.api)
    thinking = [Answer(manner="hang")] * len(PEOPLE)
    async with scripted_server(*thinking, otherwise=answer) as shop:
        await server.api.put("/v1/secrets/shop", {"value": "Bearer s3cret"})
        headers = {"Authorization": {"secret": "shop"}}
        await server.api.put("/v1/connections/shop", {"url": f"{shop.url}/api", "headers": headers})
        await server.api.put("/v1/workflows/priced", PRICED)
        asked = {"recipients": [*PEOPLE], "data": {"n": 1}}
        await server.api.post("/v1/workflows/priced/trigger", asked)
        await shop.until(lambda: len(shop.requests) == len(PEOPLE), 60)
        server.kill()
        first = {one.path: one.headers["idempotency-key"] for one in shop.requests}
        await server.start()
        statuses: Counter[str] = Counter()
        while statuses != {"finished": len(PEOPLE)}:
            await asyncio.sleep(0.2)
            statuses = Counter(
                [one["status"] async for one in pages(server.api, "/v1/runs", workflow="priced")]
            )
        messages = [one async for one in pages(server.api, "/v1/messages", workflow="priced")]
        assert Counter((one["step"], one["status"]) for one in messages) == {
            ("right", "delivered"): len(PEOPLE)
        }
        again = {
            one.path: one.headers["idempotency-key"]
            for one in shop.requests[len(PEOPLE) :]
            if one.path in first
        }
        assert again == first
        assert len({*first.values()}) == len(PEOPLE)

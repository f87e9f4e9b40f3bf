"""Reports by the thousand: few transactions, whatever their order, and nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import NamedTuple

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import MessageId
from clarion.model.message import MessageFilter
from clarion.model.setup import Integration, Scope, SendAll, Step, Workflow
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, UserPut
from clarion.plugins import providers
from clarion.ports.callback import CallbackRequest
from clarion.services.message_references import MessageReferences
from clarion.services.receipt_groups import TOGETHER
from clarion.testing.provider_contract import REFERENCE
from tests.unit.api.conftest import ACME, PUBLIC_URL
from tests.vendors import postmark, sendgrid, ses

MESSAGES = 1_000
VENDORS = {
    "sendgrid": sendgrid.VENDORS["v3"],
    "ses": ses.VENDORS["key"],
    "postmark": postmark.VENDORS["server"],
}
CALLBACKS = {"sendgrid": sendgrid.CALLBACKS, "ses": ses.CALLBACKS, "postmark": postmark.CALLBACKS}
SINGLES = {
    "ses": (ses.event("DeliveryDelay", {"delayType": "General"}), ses.event("Delivery"), ses.event("Open")),
    "postmark": (
        postmark.bounce("Transient", details="smtp;421 try again later"),
        postmark.event("Delivery"),
        postmark.event("Open", FirstOpen=True),
    ),
}
"""What these services report one by one about a message: delayed, delivered, opened."""


class Reported(NamedTuple):
    """What became of a message. A report that says less than an earlier one is not recorded."""

    status: Status
    outcomes: tuple[str, ...]


@pytest.fixture
def service(request):
    """Who reports."""
    return request.param


@pytest.fixture
async def clarion(clarion, service, monkeypatch):
    """Clarion, whose emails are captured by an integration that becomes the service's when they are sent."""
    clarion.providers[service] = providers()[service]
    setup = clarion.ledger.setup
    await setup.integrations.delete(ACME, "main-email")
    await setup.integrations.put(ACME, Integration(key="mail", channel=Channel.EMAIL, provider="capture"))
    step = Step(key="note", template="paid", to=SendAll(channels=(Channel.EMAIL,)))
    await setup.workflows.put(ACME, Workflow(key="mail", category="orders", steps=(step,)))

    async def fetch(url):
        return CALLBACKS[service].documents[url]

    monkeypatch.setattr(clarion.services.callbacks, "_fetch", fetch)
    return clarion


@pytest.fixture
async def transactions(clarion, monkeypatch):
    """How many receipts each transaction stored."""
    stored: list[int] = []
    receive = clarion.ledger.receipts.receive

    async def counted(effects):
        stored.append(len(effects))
        return await receive(effects)

    monkeypatch.setattr(clarion.ledger.receipts, "receive", counted)
    return stored


async def sent(clarion, service, count):
    """References of so many emails that went out, and their ids."""
    users = [
        UserPut(
            id=f"u{n}",
            profile=Profile(contacts=(Contact(channel=Channel.EMAIL, address=f"u{n}@contact.example"),)),
        )
        for n in range(count)
    ]
    await clarion.ledger.users.put(ACME, users)
    sender = await clarion.client(Scope.SEND)
    body = {"recipients": [one.id for one in users], "data": {"id": "C-1"}}
    await sender.ok("POST", "/v1/workflows/mail/trigger", body)
    ids: list[MessageId] = []
    for _ in range(3_000):
        ids = await of_status(clarion, Status.SENT)
        if len(ids) == count:
            break
        await clarion.clock.sleep(0.01)
    assert len(ids) == count
    config = dict(VENDORS[service].config("https://api.example"))
    await clarion.ledger.setup.integrations.put(
        ACME, Integration(key="mail", channel=Channel.EMAIL, provider=service, config=config)
    )
    references = MessageReferences(clarion.vault)
    return {one: references.about(ACME, one) for one in ids}


async def of_status(clarion, status):
    """The ids of all messages in it."""
    found, start = [], None
    where = MessageFilter(statuses=frozenset({status}))
    while True:
        page, start = await clarion.ledger.records.page(ACME, where, start, 200)
        found += [message.id for message in page]
        if start is None:
            return found


async def reported(clarion, service, raw, content_type="application/json"):
    """The status of the answer to a callback with this body, signed as the service signs."""
    url = clarion.services.callbacks.urls.of(ACME, "mail")
    plain = CallbackRequest(url=url, headers={"content-type": content_type}, body=raw)
    request = CALLBACKS[service].sign(plain, clarion.clock.now())
    answer = await clarion.bearer("")(
        "POST", url.removeprefix(PUBLIC_URL), content=request.body, headers=dict(request.headers)
    )
    return answer.status_code


async def histories(clarion, ids):
    """Status, and every report that was recorded, by message."""
    found = {}
    for one in ids:
        message = await clarion.ledger.records.get(ACME, one)
        changes = await clarion.ledger.records.changes(ACME, one)
        reports = [change.outcome for change in changes if change.outcome and change.took_ms is None]
        found[one] = Reported(message.status, tuple(sorted(reports)))
    return found


@pytest.mark.parametrize("service", ["sendgrid"], indirect=True)
async def test_thousands_of_reports_in_one_request_are_stored_in_a_few_transactions(
    clarion, service, transactions
):
    """In a shuffled order; then again in others, and in parts at the same time: nothing changes any more."""
    references = await sent(clarion, service, MESSAGES)
    kinds = ("deferred", "delivered", "open")
    events = [
        {**sendgrid.EVENT, "clarion": one, "event": kind} for one in references.values() for kind in kinds
    ]
    chance = random.Random(9)
    chance.shuffle(events)
    assert await reported(clarion, service, json.dumps(events).encode()) == 200
    assert sum(transactions) == 3 * MESSAGES
    assert len(transactions) <= 3 * MESSAGES / TOGETHER + 1
    before = await histories(clarion, references)
    assert {one.status for one in before.values()} == {Status.DELIVERED}
    assert {one.outcomes.count("opened") for one in before.values()} == {1}
    assert max(max(Counter(one.outcomes).values()) for one in before.values()) == 1

    chance.shuffle(events)
    parts = [json.dumps(events[at : at + 700]).encode() for at in range(0, len(events), 700)]
    assert set(await asyncio.gather(*(reported(clarion, service, part) for part in parts))) == {200}
    assert await histories(clarion, references) == before


@pytest.mark.parametrize("service", [*SINGLES], indirect=True)
async def test_reports_that_come_one_by_one_at_once_share_transactions(clarion, service, transactions):
    """Hundreds of requests at the same time, shuffled and each of them twice."""
    references = await sent(clarion, service, 100)
    requests = [
        (one.body.replace(REFERENCE.encode(), reference.encode()), one.content_type)
        for reference in references.values()
        for one in SINGLES[service]
    ] * 2
    random.Random(9).shuffle(requests)
    answers = await asyncio.gather(*(reported(clarion, service, *one) for one in requests))
    assert set(answers) == {200}
    assert sum(transactions) == len(requests)
    assert len(transactions) < len(requests) / 5
    found = await histories(clarion, references)
    assert {one.status for one in found.values()} == {Status.DELIVERED}
    assert {one.outcomes.count("opened") for one in found.values()} == {1}
    assert max(max(Counter(one.outcomes).values()) for one in found.values()) == 1

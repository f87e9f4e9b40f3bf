"""SQS as the broker: its URL, its limits, answers that are about some messages only, and queues that do not suit."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.adapters.aws import AwsSigner
from clarion.adapters.brokers import sqs
from clarion.adapters.brokers.sqs import SqsQueues, SqsUrl, parse
from clarion.adapters.sqs import SqsClient
from clarion.adapters.system import SystemClock
from clarion.errors import Busy, ConfigError, InvalidInput, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, EventId, TenantId, UserNo
from clarion.testing.ports import SeededRandom
from clarion.testing.scripted_server import Answer, scripted_server
from tests.servers.elasticmq import ACCOUNT, REGION

EVENT = Entry(
    event_id=EventId(bytes(16)),
    tenant=TenantId(1),
    lane=Lane.NORMAL,
    workflow="news",
    sealed=b"x",
    sealed_for=NO_USER,
)
BODY = "eA=="
"""`x` in base64."""


def queues_at(where: str, name: str = "clarion") -> SqsQueues:
    """At `host:port`, not opened."""
    url = parse(f"sqs://key:secret@{where}/{ACCOUNT}/{name}?tls=false&region={REGION}")
    clock = SystemClock()
    signer = AwsSigner("sqs", url.region, url.key_id, url.secret, clock)
    return SqsQueues(url, SqsClient(url.endpoint, signer, sqs._Tools(clock)), SeededRandom())


@contextlib.asynccontextmanager
async def answering(*answers: Answer) -> AsyncIterator[tuple[SqsQueues, Any]]:
    """LaneQueues of a server that answers so, and that server."""
    async with scripted_server(*answers) as server:
        queues = queues_at(server.url.removeprefix("http://"))
        try:
            yield queues, server
        finally:
            await queues.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The next try comes at once."""
    monkeypatch.setattr(sqs, "PAUSE_S", 0.0)


def sent(*ids: str, body: str = BODY, failed: str = "") -> Answer:
    """SQS has these messages of a batch, and failed to take one."""
    checksum = md5(body.encode(), usedforsecurity=False).hexdigest()
    return Answer.json(
        200,
        {
            "Successful": [{"Id": id_, "MessageId": "m", "MD5OfMessageBody": checksum} for id_ in ids],
            "Failed": [{"Id": failed, "Code": "InternalError", "SenderFault": False}] if failed else [],
        },
    )


def test_a_url_says_where_the_queues_are():
    """The region is in the name of the host; `.fifo` makes them FIFO queues."""
    assert parse("sqs://sqs.eu-central-1.amazonaws.com/123456789012/clarion.fifo") == SqsUrl(
        endpoint="https://sqs.eu-central-1.amazonaws.com",
        account="123456789012",
        name="clarion",
        fifo=True,
        region="eu-central-1",
    )
    own = parse("sqs://id:s%2Fcret@localhost:9324/000000000000/shop?region=us-east-1&tls=false&hold_s=60")
    assert (own.endpoint, own.key_id, own.secret, own.hold_s) == ("http://localhost:9324", "id", "s/cret", 60)
    assert own.url(own.queue("bulk", "3")) == "http://localhost:9324/000000000000/shop-bulk-3"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqs:", "must be like sqs://"),
        ("sqs://sqs.eu-central-1.amazonaws.com/clarion", "must be like sqs://"),
        ("sqs://id:secret@queues.example/123456789012/clarion", "add `region=`"),
        ("sqs://sqs.eu-central-1.amazonaws.com/123456789012/clarion?tls=no", "tls must be true or false"),
        (
            "sqs://sqs.eu-central-1.amazonaws.com/123456789012/clarion?hold_s=0",
            "hold_s must be a whole number",
        ),
        ("sqs://sqs.eu-central-1.amazonaws.com/123456789012/clarion?wait=1", "no option `wait`"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_shows_no_secret(url, says):
    """With an example, or what is allowed."""
    with pytest.raises(ConfigError, match=says) as caught:
        parse(url)
    assert "secret" not in str(caught.value)


async def test_what_sqs_did_not_take_of_a_batch_is_sent_again():
    """An answer of 200 may be about some messages only."""
    async with answering(sent("0", "2", failed="1"), sent("1")) as (queues, server):
        await queues.send(Lane.NORMAL, [(EVENT, b"x")] * 3)
    first, second = (json.loads(call.body)["Entries"] for call in server.requests)
    assert [one["Id"] for one in first] == ["0", "1", "2"]
    assert [one["Id"] for one in second] == ["1"]


async def test_a_message_that_arrived_damaged_is_sent_again():
    """SQS says the checksum of what it has."""
    async with answering(sent("0", body="something else"), sent("0")) as (queues, server):
        await queues.send(Lane.NORMAL, [(EVENT, b"x")])
    assert len(server.requests) == 2


async def test_what_sqs_never_takes_is_unavailable():
    """With what it said last."""
    async with answering(*[sent(failed="0")] * sqs.TRIES) as (queues, _):
        with pytest.raises(Unavailable, match=r"1 messages of 1 .*InternalError"):
            await queues.send(Lane.NORMAL, [(EVENT, b"x")])


async def test_throttling_is_waited_for_and_then_busy():
    """A few tries, then the caller is told to come back later."""
    throttled = Answer.json(400, {"__type": "com.amazonaws.sqs#ThrottlingException"})
    async with answering(throttled, sent("0")) as (queues, _):
        await queues.send(Lane.NORMAL, [(EVENT, b"x")])
    async with answering(*[throttled] * sqs.TRIES) as (queues, _):
        with pytest.raises(Busy, match="ThrottlingException"):
            await queues.send(Lane.NORMAL, [(EVENT, b"x")])


async def test_what_is_refused_while_it_runs_may_be_mended():
    """Callers try again: a queue that somebody deleted can be made again without a restart."""
    missing = Answer.json(400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist"})
    async with answering(missing) as (queues, _):
        with pytest.raises(Unavailable, match="does not exist"):
            await queues.send(Lane.NORMAL, [(EVENT, b"x")])


async def test_a_damaged_delivery_is_left_to_come_again():
    """What was received is compared with its checksum."""
    good = md5(BODY.encode(), usedforsecurity=False).hexdigest()
    received = [
        {
            "ReceiptHandle": "good",
            "Body": BODY,
            "MD5OfBody": good,
            "Attributes": {"ApproximateReceiveCount": "3"},
        },
        {"ReceiptHandle": "bad", "Body": "eB==", "MD5OfBody": good},
    ]
    async with answering(Answer.json(200, {"Messages": received})) as (queues, _):
        (found,) = await queues._take("clarion-normal-0", 0)
    assert (found.handle, found.data, found.number) == (("clarion-normal-0", "good"), b"x", 3)


async def test_an_event_that_no_message_can_hold_is_refused():
    """It is the sender's to make it smaller: trying again would not help."""
    async with answering() as (queues, _):
        with pytest.raises(InvalidInput, match="too large") as caught:
            await queues.send(Lane.NORMAL, [(EVENT, b"x" * sqs.MOST_BYTES)])
    assert caught.value.status == 413


def test_a_call_has_at_most_ten_messages_and_a_mebibyte():
    """Whichever comes first."""
    small, large = {"MessageBody": "x"}, {"MessageBody": "x" * 400_000}
    assert [len(batch) for batch in sqs._batches([small] * 25)] == [10, 10, 5]
    assert [len(batch) for batch in sqs._batches([large] * 5)] == [2, 2, 1]


def test_the_group_of_a_message_is_its_tenant_or_in_fifo_queues_its_person():
    """SQS shares a standard queue out among tenants, and keeps a person's events in order in a FIFO queue."""
    queues = queues_at("localhost:1")
    assert queues._message(EVENT, b"x") == {"MessageBody": BODY, "MessageGroupId": "1"}
    queues._url = replace(queues._url, fifo=True)
    first, again = (queues._message(replace(EVENT, sealed_for=UserNo(7)), b"x") for _ in range(2))
    assert first["MessageGroupId"] == "1.7"
    assert first["MessageDeduplicationId"] != again["MessageDeduplicationId"], "an event may be planned again"
    assert queues._message(EVENT, b"x")["MessageGroupId"] == f"1.{bytes(16).hex()}"


async def test_queues_are_made_with_dead_letters_and_others_must_have_them(elasticmq):
    """A queue whose messages SQS would take away too early, or never, is refused by name."""
    name = f"u{os.getpid()}"
    queues = queues_at(f"127.0.0.1:{elasticmq.port}", name)
    try:
        await queues.open()
        await queues.open()
        odd = f"{name}-normal-2"
        url = f"{elasticmq.account}/{odd}"
        await queues._client.call("DeleteQueue", {"QueueUrl": url}, dict)
        await queues._client.call("CreateQueue", {"QueueName": odd}, dict)
        with pytest.raises(ConfigError, match=rf"{odd} needs a redrive policy.*it has none"):
            await queues.open()
    finally:
        await queues.close()

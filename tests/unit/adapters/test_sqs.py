"""The queue of a service against moto, which plays SQS and SNS, and against servers that misbehave."""

import contextlib
import json
import socket

import boto3
import pytest
from msgspec.structs import replace

from clarion.adapters import sqs
from clarion.adapters.aws import AwsSigner
from clarion.adapters.providers.ses import SesConfig, plugin, read_event
from clarion.adapters.sinks import sns
from clarion.adapters.sqs import SqsQueue
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.content.bounces import refused_email
from clarion.errors import CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.ports.sink import OutEvent
from clarion.testing.ports import MONDAY_NOON, provider_tools
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.ses import MAIL

GONE = "smtp; 550 5.1.1 no such user"
REGION = "us-east-1"
RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)), allowed_networks=("127.0.0.0/8",)
)
INTEGRATION = Integration(key="mail", channel=Channel.EMAIL, provider="ses")


def client(service, url):
    """AWS's own SDK, to be closed."""
    made = boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    return contextlib.closing(made)


@pytest.fixture
def fast(monkeypatch):
    """An empty queue is told at once, and what was fetched comes again at once."""
    monkeypatch.setattr(sqs, "WAIT_S", 0)
    monkeypatch.setattr(sqs, "HIDDEN_S", 0)


@contextlib.asynccontextmanager
async def opened(url):
    """The queue at a URL."""
    queue = SqsQueue(url, AwsSigner("sqs", REGION, "x", "y", TOOLS.clock), TOOLS)
    try:
        yield queue
    finally:
        await queue.close()


def meaning(body):
    """What SES's plug-in reads in a report of the queue."""
    request = CallbackRequest(url="https://notify.example/x", body=body)
    config = SesConfig(region=REGION, from_address="news@shop.example")
    return read_event(request, config, CallbackTools(now=MONDAY_NOON, refused_email=refused_email))


async def test_what_is_done_does_not_come_again_and_the_rest_does(moto, fast):
    """In any number, whatever is in it; an empty queue has nothing."""
    with client("sqs", moto) as owner:
        url = owner.create_queue(QueueName="events")["QueueUrl"]
        for number in range(13):
            owner.send_message(QueueUrl=url, MessageBody=f"Grüße {number}")
    async with opened(url) as queue:
        assert await queue.fetch(), "what is not done"
        done = []
        while found := await queue.fetch():
            await queue.done([one.key for one in found])
            done += [one.body.decode() for one in found]
        assert sorted(done) == sorted(f"Grüße {number}" for number in range(13))
        await queue.done([])
        assert await queue.fetch() == []


async def test_events_come_through_a_topic_and_without_one(moto, fast):
    """SNS puts an envelope around them, unless it is told not to."""
    document = {
        "eventType": "Bounce",
        "mail": MAIL,
        "bounce": {
            "bounceType": "Permanent",
            "bouncedRecipients": [{"diagnosticCode": GONE, "status": "5.1.1"}],
        },
    }
    with client("sqs", moto) as owner, client("sns", moto) as topics:
        url = owner.create_queue(QueueName="through")["QueueUrl"]
        topic = topics.create_topic(Name="queued-mail-events")["TopicArn"]
        arn = f"arn:aws:sqs:{REGION}:123456789012:through"
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        topics.publish(TopicArn=topic, Message=json.dumps(document))
        owner.send_message(QueueUrl=url, MessageBody=json.dumps(document))
    bodies: dict[bytes, None] = {}
    async with opened(url) as queue:
        while found := await queue.fetch():
            bodies.update({one.body: None for one in found})
            await queue.done([one.key for one in found])
    assert len(bodies) == 2
    for body in bodies:
        (receipt,) = meaning(body).receipts
        assert (receipt.kind, receipt.permanent) == (ReceiptKind.BOUNCED, True)


async def test_events_of_a_sink_come_through_a_topic(moto):
    """As SNS takes them in batches, to whoever has subscribed."""
    event = OutEvent(
        id="m-1", type="clarion.message.sent", subject="m", time="", data=b"{}", body=b'{"id":"m-1"}'
    )
    with client("sqs", moto) as owner, client("sns", moto) as topics:
        url = owner.create_queue(QueueName="warehouse")["QueueUrl"]
        topic = topics.create_topic(Name="notifications")["TopicArn"]
        arn = f"arn:aws:sqs:{REGION}:123456789012:warehouse"
        topics.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )
        config = sns.SnsSink(
            topic_arn=topic, endpoint=moto, region=REGION, access_key_id="x", secret_access_key="y"
        )
        writer = sns.plugin.open(config, TOOLS)
        await writer.ping()
        assert list(await writer.write([event] * 11)) == [None] * 11
        await writer.close()
        found = owner.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert {one["Body"] for one in found} == {'{"id":"m-1"}'}


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"mail": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_unreadable(body):
    """It is for a person, and never stands in the way of the others."""
    with pytest.raises(CallbackUnreadable):
        meaning(body)


async def test_a_queue_that_is_not_there_is_the_operators_to_mend(moto):
    """It says which setting."""
    async with opened(f"{moto}/123456789012/missing") as queue:
        with pytest.raises(ConfigError, match="does not exist"):
            await queue.fetch()


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (
            Answer(status=400, body=b'{"__type": "com.amazonaws.sqs#AccessDeniedException"}'),
            ConfigError,
            "sqs:Rec",
        ),
        (Answer(status=403, body=b'{"__type": "InvalidClientTokenId"}'), ConfigError, "credentials"),
        (Answer(status=503, body=b"busy"), Unavailable, "503"),
        (Answer(status=400, body=b'{"__type": "OverLimit"}'), Unavailable, "OverLimit"),
        (Answer(status=200, body=b"<html>"), Unavailable, "URL of the queue"),
        (Answer(status=200, body=b'{"Messages": 1}'), Unavailable, "URL of the queue"),
    ],
)
async def test_errors_say_what_to_do(answer, error, says):
    """Whether an operator has to mend something, or it is tried again."""
    async with (
        scripted_server(answer) as server,
        opened(f"{server.url}/123456789012/events") as queue,
    ):
        with pytest.raises(error, match=says):
            await queue.fetch()


async def test_nobody_there_is_unavailable():
    """It is tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with opened(f"http://127.0.0.1:{port}/123456789012/events") as queue:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await queue.fetch()


async def test_a_report_that_was_not_deleted_is_told():
    """It comes again, which is harmless."""
    said = json.dumps({"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid"}]}).encode()
    async with (
        scripted_server(Answer(status=200, body=said)) as server,
        opened(f"{server.url}/123456789012/events") as queue,
    ):
        with pytest.raises(Unavailable, match="come again"):
            await queue.done(["key"])


async def test_ses_reads_a_queue_where_its_settings_name_one():
    """With the same credentials."""
    config = SesConfig(region=REGION, access_key_id="x", secret_access_key="y", from_address="n@shop.example")
    assert plugin.report_queue is not None
    assert plugin.report_queue(INTEGRATION, config, TOOLS) is None
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
    queue = plugin.report_queue(INTEGRATION, replace(config, queue_url=url), TOOLS)
    assert isinstance(queue, SqsQueue)
    await queue.close()

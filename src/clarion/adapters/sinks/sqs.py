"""A queue of Amazon SQS. In a FIFO queue each message is a group, so its events are in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from clarion.adapters.aws_settings import SECRETS, AwsIdentity, origin
from clarion.adapters.sqs import MOST, QueueUrl, SqsClient
from clarion.errors import Unavailable
from clarion.ports.provider import ProviderTools
from clarion.ports.sink import MEDIA_TYPE, EventWriter, OutEvent, SinkPlugin

FIFO = ".fifo"


class SqsSink(AwsIdentity, frozen=True, kw_only=True):
    """A queue that is written to."""

    queue_url: Annotated[QueueUrl, msgspec.Meta(min_length=1)]


class RefusedEntry(msgspec.Struct):
    """An entry that was not taken; the names are SQS's own."""

    Id: str
    SenderFault: bool = False
    Code: str = ""


class Written(msgspec.Struct):
    """The answer to a batch."""

    Failed: list[RefusedEntry] | None = None


class _Nothing(msgspec.Struct):
    """No part of the answer is needed."""


class SqsWriter:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, config: SqsSink, tools: ProviderTools) -> None:
        self._queue = config.queue_url
        endpoint = origin(config.queue_url, "#/queue_url")
        self._client = SqsClient(endpoint, config.signer("sqs", tools), tools)

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        answers: list[str | None] = []
        fifo = self._queue.endswith(FIFO)
        for part in batches(events):
            entries = [_entry(place, event, fifo=fifo) for place, event in enumerate(part)]
            asked = {"QueueUrl": self._queue, "Entries": entries}
            answers += refusals(part, await self._client.call("SendMessageBatch", asked, Written))
        return answers

    async def ping(self) -> None:
        asked = {"QueueUrl": self._queue, "AttributeNames": ["QueueArn"]}
        await self._client.call("GetQueueAttributes", asked, _Nothing)

    async def close(self) -> None:
        await self._client.close()


def batches(events: Sequence[OutEvent]) -> Iterator[Sequence[OutEvent]]:
    """In order, as many as a call takes."""
    for start in range(0, len(events), MOST):
        yield events[start : start + MOST]


def refusals(part: Sequence[OutEvent], written: Written) -> list[str | None]:
    """Why events are refused for good. Raises Unavailable when some may be taken later."""
    answers: list[str | None] = [None] * len(part)
    for one in written.Failed or ():
        if not one.SenderFault:
            raise Unavailable(f"some events were not taken ({one.Code}): they are written again")
        answers[int(one.Id)] = f"the receiver refuses it ({one.Code})"
    return answers


def _entry(place: int, event: OutEvent, *, fifo: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(place),
        "MessageBody": event.body.decode(),
        "MessageAttributes": {
            "content-type": {"DataType": "String", "StringValue": MEDIA_TYPE},
            "type": {"DataType": "String", "StringValue": event.type},
        },
    }
    if fifo:
        entry |= {"MessageGroupId": event.subject, "MessageDeduplicationId": event.id}
    return entry


def opened(config: SqsSink, tools: ProviderTools) -> EventWriter:
    """Reaches nobody."""
    return SqsWriter(config, tools)


plugin = SinkPlugin(
    name="sqs",
    title="Amazon SQS",
    config=SqsSink,
    open=opened,
    secrets=SECRETS,
    example={
        "region": "eu-central-1",
        "queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/notifications.fifo",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI",
    },
)

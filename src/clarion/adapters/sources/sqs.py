"""A queue of Amazon SQS. It forgets what is deleted, so it cannot be rewound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import msgspec

from clarion.adapters.aws_settings import SECRETS, AwsIdentity, origin
from clarion.adapters.sqs import MOST, QueueUrl, SqsClient
from clarion.errors import ClarionError, InvalidInput, Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools
from clarion.ports.source import Position, RecordReader, SourcePlugin, SourceRecord

WAIT_S = 1
HIDDEN_S = 120
"""What a process that died had fetched comes again after this time. While one lives, it is hidden for longer."""
EXTEND_EVERY_S = HIDDEN_S / 3
CALLS = 10
"""That fetch at the same time, while there is a lot."""


class SqsSource(AwsIdentity, frozen=True, kw_only=True):
    """A queue that is read."""

    queue_url: Annotated[QueueUrl, msgspec.Meta(min_length=1)]


class _Attribute(msgspec.Struct):
    StringValue: str = ""


class _Message(msgspec.Struct):
    MessageId: str
    ReceiptHandle: str
    Body: str = ""
    Attributes: dict[str, str] = {}
    MessageAttributes: dict[str, _Attribute] = {}


class _Messages(msgspec.Struct):
    Messages: list[_Message] | None = None


class _Entry(msgspec.Struct):
    Id: str = ""


class _Deletions(msgspec.Struct):
    Failed: list[_Entry] | None = None


class _QueueAttributes(msgspec.Struct):
    Attributes: dict[str, str] = {}


class SqsReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: SqsSource, tools: ProviderTools) -> None:
        self._queue = config.queue_url
        self._name = config.queue_url.rpartition("/")[2]
        endpoint = origin(config.queue_url, "#/queue_url")
        self._client = SqsClient(endpoint, config.signer("sqs", tools), tools)
        self._held: list[str] = []
        """Receipts of what was fetched and is not done."""
        self._clock = tools.clock
        self._extending: asyncio.Task[None] | None = None
        self._busy = False
        """The last fetch was full, so several calls are worth it."""

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        if not isinstance(to, StartAt):
            raise InvalidInput("a queue of SQS forgets what was taken: it cannot be rewound.")
        return {}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        calls = min(CALLS, -(-limit // MOST)) if self._busy else 1
        counts = [min(MOST, limit - MOST * number) for number in range(calls)]
        found = await asyncio.gather(*(self._receive(count, WAIT_S, HIDDEN_S) for count in counts))
        records = [record for some in found for record in some]
        self._busy = len(records) >= min(MOST, limit)
        self._held += [record.receipt for record in records]
        if records and self._extending is None:
            self._extending = asyncio.create_task(self._extend(), name="visibility")
        return records

    async def done(self, records: Sequence[SourceRecord]) -> None:
        parts = [records[start : start + MOST] for start in range(0, len(records), MOST)]
        failed = await asyncio.gather(*map(self._delete, parts))
        settled = {record.receipt for record in records}
        self._held = [one for one in self._held if one not in settled]
        if any(failed):
            raise Unavailable(f"SQS did not delete {sum(failed)} messages: they come again")

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        """What comes next; it is not hidden from others. It counts as received."""
        return await self._receive(min(MOST, limit), WAIT_S, 0)

    async def lag(self) -> Mapping[str, int | None]:
        """As SQS estimates it."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = {"QueueUrl": self._queue, "AttributeNames": names}
        found = await self._client.call("GetQueueAttributes", asked, _QueueAttributes)
        return {"": sum(int(found.Attributes.get(name, "0")) for name in names)}

    async def close(self) -> None:
        """What is not done is shown to others at once."""
        if self._extending is not None:
            self._extending.cancel()
            await asyncio.gather(self._extending, return_exceptions=True)
        with suppress(ClarionError):
            await self._hide(self._held, 0)
        await self._client.close()

    async def _extend(self) -> None:
        """Keep what is in hand from others, however long it takes."""
        while True:
            await self._clock.sleep(EXTEND_EVERY_S)
            with suppress(ClarionError):  # it comes again then, and is recognised
                await self._hide(self._held, HIDDEN_S)

    async def _receive(self, count: int, wait_s: int, hidden_s: int) -> list[SourceRecord]:
        asked = {
            "QueueUrl": self._queue,
            "MaxNumberOfMessages": count,
            "WaitTimeSeconds": wait_s,
            "VisibilityTimeout": hidden_s,
            "AttributeNames": ["SentTimestamp", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        }
        received = await self._client.call("ReceiveMessage", asked, _Messages)
        return [self._record(one) for one in received.Messages or ()]

    async def _hide(self, receipts: Sequence[str], seconds: int) -> None:
        for start in range(0, len(receipts), MOST):
            entries = [
                {"Id": str(n), "ReceiptHandle": one, "VisibilityTimeout": seconds}
                for n, one in enumerate(receipts[start : start + MOST])
            ]
            asked = {"QueueUrl": self._queue, "Entries": entries}
            await self._client.call("ChangeMessageVisibilityBatch", asked, _Deletions)

    async def _delete(self, records: Sequence[SourceRecord]) -> int:
        entries = [{"Id": str(n), "ReceiptHandle": one.receipt} for n, one in enumerate(records)]
        asked = {"QueueUrl": self._queue, "Entries": entries}
        return len((await self._client.call("DeleteMessageBatch", asked, _Deletions)).Failed or ())

    def _record(self, message: _Message) -> SourceRecord:
        sent = message.Attributes.get("SentTimestamp", "")
        return SourceRecord(
            topic=self._name,
            id=message.MessageId,
            key=message.Attributes.get("MessageGroupId"),
            value=message.Body.encode(errors="replace"),
            headers={name: one.StringValue for name, one in message.MessageAttributes.items()},
            at=Instant(int(sent)) if sent.isdecimal() else None,
            receipt=message.ReceiptHandle,
        )


def opened(config: SqsSource, tools: ProviderTools) -> RecordReader:
    """Reaches nobody."""
    return SqsReader(config, tools)


plugin = SourcePlugin(
    name="sqs",
    title="Amazon SQS",
    config=SqsSource,
    open=opened,
    rewinds=False,
    competing=True,
    secrets=SECRETS,
    example={
        "region": "eu-central-1",
        "queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/orders",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI",
    },
)

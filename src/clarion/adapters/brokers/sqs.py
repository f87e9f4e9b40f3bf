"""Amazon SQS as the broker: standard or FIFO queues for each lane.

A lane is several queues, by tenant, so that one tenant's backlog does not stand before everybody else's. In standard
queues the tenant is the message group as well: SQS then keeps a queue fair by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from hashlib import md5
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from clarion.adapters.aws import AwsSigner
from clarion.adapters.brokers.queue_broker import MOST_DELIVERIES, DeliveredEntry, all_of, broker_on
from clarion.adapters.server_url import number_of, options_of
from clarion.adapters.sqs import MISSING, MOST, SqsClient, SqsRefusal
from clarion.errors import Busy, ConfigError, InvalidInput, Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, Instant
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Random
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

BUCKETS = 4
"""Queues of a lane. Changing it leaves entries behind in queues that nobody reads."""
WAIT_S = 20
"""The longest that SQS lets one wait for a message."""
HOLD_S = 30
MOST_BYTES = 1_048_576
"""Of one call, and so of one message."""
AT_ONCE = 8
"""Calls about one queue."""
TRIES = 4
PAUSE_S = 0.2
"""Before the second try of what SQS throttled or could not do just then; twice as long before each further one."""
KEPT_S = 14 * 24 * 3600
"""How long queues that we create keep what nobody reads: as long as there is."""
MOST_RECEIVES = 2 * MOST_DELIVERIES
"""Of one message, then SQS puts it with the dead letters: later than we set an entry aside ourselves."""
EVERYWHERE = ("0.0.0.0/0", "::/0")


class SqsUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where the queues are and who we are."""

    endpoint: str
    account: str
    name: str
    """Begins the names of all queues."""
    fifo: bool
    region: str
    key_id: str = ""
    """Empty: credentials are found as all tools of AWS do."""
    secret: str = ""
    hold_s: int = HOLD_S

    def queue(self, *parts: str) -> str:
        """The name of a queue."""
        return "-".join((self.name, *parts)) + (".fifo" if self.fifo else "")

    def url(self, queue: str) -> str:
        """Where it is."""
        return f"{self.endpoint}/{self.account}/{queue}"


OPTIONS = ("hold_s", "region", "tls")
_HOST = re.compile(r"sqs(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_PATH = re.compile(r"/(\d{12})/([A-Za-z0-9_-]{1,60})(\.fifo)?")


def parse(url: str) -> SqsUrl:
    """Raises ConfigError; no message shows a secret."""
    try:
        return _parse(url)
    except ValueError as wrong:
        raise ConfigError(f"broker: {wrong}") from None


def _parse(url: str) -> SqsUrl:
    parts = urlsplit(url)
    path = _PATH.fullmatch(parts.path)
    if path is None or not parts.hostname:
        raise ValueError(
            "must be like sqs://sqs.eu-central-1.amazonaws.com/123456789012/clarion, or .../clarion.fifo"
        )
    options = options_of(parts.query, OPTIONS)
    host = _HOST.fullmatch(parts.hostname)
    region = options.get("region") or (host[1] if host else "")
    if not region:
        raise ValueError("add `region=` to the URL, such as region=eu-central-1: its host does not tell")
    if options.get("tls", "true") not in {"true", "false"}:
        raise ValueError(f"tls must be true or false, not {options['tls']!r}")
    scheme = "http" if options.get("tls") == "false" else "https"
    return SqsUrl(
        endpoint=f"{scheme}://{parts.netloc.rpartition('@')[2]}",
        account=path[1],
        name=path[2],
        fifo=bool(path[3]),
        region=region,
        key_id=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
        hold_s=number_of(options, "hold_s", HOLD_S, 1, 3_600),
    )


# SQS's own names


class _Message(msgspec.Struct):
    ReceiptHandle: str
    Body: str = ""
    MD5OfBody: str = ""
    Attributes: dict[str, str] = {}


class _Received(msgspec.Struct):
    Messages: list[_Message] | None = None


class _Sent(msgspec.Struct):
    Id: str
    MD5OfMessageBody: str = ""


class _Failed(msgspec.Struct):
    Id: str
    Code: str = ""
    SenderFault: bool = False


class _Batch(msgspec.Struct):
    Successful: list[_Sent] | None = None
    Failed: list[_Failed] | None = None


class _Attributes(msgspec.Struct):
    Attributes: dict[str, str] = {}


class _Tools(NamedTuple):
    """The operator says where SQS is: any address will do."""

    clock: Clock
    allowed_networks: tuple[str, ...] = EVERYWHERE


Handle = tuple[str, str]
"""Queue and receipt handle."""


class SqsQueues:
    """`queue_broker.LaneQueues` on SQS: a message is invisible to others until it is deleted, or not kept any longer."""

    def __init__(self, url: SqsUrl, client: SqsClient, random: Random) -> None:
        self._url = url
        self._client = client
        self._random = random
        self._calls = {lane: asyncio.Semaphore(BUCKETS * AT_ONCE) for lane in LANES}
        self.hold_s = float(url.hold_s)
        self.dead = url.queue("dead")

    async def open(self, *, dry_run: bool = False) -> None:
        """Make sure that all queues exist and suit. Raises ConfigError and Unavailable."""
        try:
            if dry_run:
                await self._exists(self.dead)
                return
            await self._prepare(self.dead, {"MessageRetentionPeriod": str(KEPT_S)})
            arn = (await self._attributes(self.dead))["QueueArn"]
            redrive = msgspec.json.encode({"deadLetterTargetArn": arn, "maxReceiveCount": str(MOST_RECEIVES)})
            wanted = {"MessageRetentionPeriod": str(KEPT_S), "RedrivePolicy": redrive.decode()}
            queues = [queue for lane in LANES for queue in self._queues(lane)]
            await asyncio.gather(*(self._prepare(queue, wanted) for queue in queues))
            for queue, attributes in zip(
                queues, await asyncio.gather(*map(self._attributes, queues)), strict=True
            ):
                self._check(queue, attributes)
        except SqsRefusal as refused:
            raise ConfigError(f"broker: {refused.detail}") from None
        except Busy as busy:
            raise Unavailable(busy.detail) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """See `LaneQueues.send`. In order to each FIFO queue; standard queues know no order."""
        by_queue: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        queues = self._queues(lane)
        for entry, data in entries:
            by_queue[queues[entry.tenant % BUCKETS]].append(self._message(entry, data))
        await all_of(self._send_all(queue, messages) for queue, messages in by_queue.items())

    async def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        """See `LaneQueues.receive`: a long poll on each queue, and several at once as long as they come back full."""
        arrived: asyncio.Queue[Sequence[DeliveredEntry] | Exception] = asyncio.Queue(maxsize=BUCKETS)
        polling = [asyncio.create_task(self._poll(queue, arrived)) for queue in self._queues(lane)]
        try:
            while True:
                found = await arrived.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            for one in polling:
                one.cancel()
            await asyncio.gather(*polling, return_exceptions=True)

    async def done(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.done`."""
        await self._of_each(lane, "DeleteMessageBatch", handles, {})

    async def give_back(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.give_back`."""
        await self._of_each(lane, "ChangeMessageVisibilityBatch", handles, {"VisibilityTimeout": 0})

    async def keep(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.keep`."""
        await self._of_each(
            lane, "ChangeMessageVisibilityBatch", handles, {"VisibilityTimeout": self._url.hold_s}
        )

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        """See `LaneQueues.bury`."""
        said = {"reason": reason, "lane": lane.value}
        message: dict[str, Any] = {
            "MessageBody": b64encode(delivery.data).decode(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": text} for name, text in said.items()
            },
        }
        if self._url.fifo:
            message |= {"MessageGroupId": lane.value, "MessageDeduplicationId": self._random.bytes(16).hex()}
        await self._send_all(self.dead, [message])
        await self.done(lane, [delivery.handle])

    async def waiting(self, lane: Lane) -> int:
        """See `LaneQueues.waiting`, as far as SQS knows: it counts roughly, and late."""
        names = ("", "NotVisible", "Delayed")
        try:
            counts = await asyncio.gather(*map(self._attributes, self._queues(lane)))
        except (Busy, SqsRefusal) as refused:
            raise Unavailable(refused.detail) from None
        return sum(int(one.get(f"ApproximateNumberOfMessages{name}", 0)) for one in counts for name in names)

    async def oldest_at(self, lane: Lane) -> Instant | None:
        """See `LaneQueues.oldest_at`: SQS does not show what waits in a queue."""
        return None

    def _queues(self, lane: Lane) -> Sequence[str]:
        return [self._url.queue(lane.value, str(bucket)) for bucket in range(BUCKETS)]

    def _message(self, entry: Entry, data: bytes) -> dict[str, str]:
        body = b64encode(data).decode()
        if len(body) > MOST_BYTES:
            raise InvalidInput(
                f"The event is too large for the broker: {len(body)} bytes, and SQS takes {MOST_BYTES}. Send less `data`.",
                status=413,
            )
        message = {"MessageBody": body, "MessageGroupId": str(entry.tenant)}
        if self._url.fifo:
            person = entry.event_id.hex() if entry.sealed_for == NO_USER else str(entry.sealed_for)
            message["MessageGroupId"] = f"{entry.tenant}.{person}"
            # Never that of an earlier call: SQS would swallow an event that is to be planned again.
            message["MessageDeduplicationId"] = self._random.bytes(16).hex()
        return message

    async def _send_all(self, queue: str, messages: Sequence[Mapping[str, Any]]) -> None:
        batches = list(_batches(messages))
        if self._url.fifo:
            for batch in batches:
                await self._send(queue, batch)
            return
        for start in range(0, len(batches), AT_ONCE):
            await asyncio.gather(*(self._send(queue, batch) for batch in batches[start : start + AT_ONCE]))

    async def _send(self, queue: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Until SQS has all of them: an answer of 200 may be about some only."""
        left = {str(place): message for place, message in enumerate(messages)}
        why = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
            entries = [{"Id": id_, **message} for id_, message in left.items()]
            try:
                answer = await self._ask("SendMessageBatch", queue, {"Entries": entries}, _Batch)
            except Busy:
                if attempt == TRIES - 1:
                    raise
                continue
            for sent in answer.Successful or ():
                if sent.MD5OfMessageBody == _md5(left[sent.Id]["MessageBody"]):
                    del left[sent.Id]
                else:
                    why = "it arrived with another checksum"
            for failed in answer.Failed or ():
                why = failed.Code
            if not left:
                return
        raise Unavailable(f"SQS did not take {len(left)} messages of {len(messages)} for {queue} ({why})")

    async def _poll(self, queue: str, arrived: asyncio.Queue[Sequence[DeliveredEntry] | Exception]) -> None:
        try:
            while True:
                found = await self._take(queue, WAIT_S)
                while found:
                    await arrived.put(found)
                    if len(found) < MOST:
                        break
                    several = await asyncio.gather(*(self._take(queue, 0) for _ in range(AT_ONCE)))
                    found = [delivery for its in several for delivery in its]
        except Exception as fault:  # noqa: BLE001 - whoever receives raises it
            await arrived.put(fault)

    async def _take(self, queue: str, wait_s: int) -> list[DeliveredEntry]:
        asked = {
            "MaxNumberOfMessages": MOST,
            "WaitTimeSeconds": wait_s,
            "VisibilityTimeout": self._url.hold_s,
            "AttributeNames": ["ApproximateReceiveCount"],
        }
        try:
            received = await self._ask("ReceiveMessage", queue, asked, _Received)
        except Busy as busy:
            raise Unavailable(busy.detail) from None
        deliveries = []
        for one in received.Messages or ():
            if one.MD5OfBody != md5(one.Body.encode(), usedforsecurity=False).hexdigest():
                log.warning("broker_checksum_wrong", queue=queue)
                continue  # It comes again.
            number = int(one.Attributes.get("ApproximateReceiveCount", 1))
            deliveries.append(DeliveredEntry((queue, one.ReceiptHandle), _data(one.Body), number))
        return deliveries

    async def _of_each(
        self, lane: Lane, action: str, handles: Sequence[Handle], asked: Mapping[str, int]
    ) -> None:
        """An action on messages, ten a call. What SQS cannot do comes again, or is somebody else's by now."""
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        for queue, handle in handles:
            by_queue[queue].append(handle)

        async def act(queue: str, some: Sequence[str]) -> None:
            entries = [{"Id": str(place), "ReceiptHandle": one, **asked} for place, one in enumerate(some)]
            async with self._calls[lane]:
                await self._ask(action, queue, {"Entries": entries}, _Batch)

        try:
            await all_of(
                act(queue, its[start : start + MOST])
                for queue, its in by_queue.items()
                for start in range(0, len(its), MOST)
            )
        except Busy as busy:
            raise Unavailable(busy.detail) from None

    async def _ask(self, action: str, queue: str, asked: Mapping[str, Any], answers: type[Any]) -> Any:
        """While it runs: what SQS refuses now may be mended without a restart."""
        try:
            return await self._client.call(action, {"QueueUrl": self._url.url(queue), **asked}, answers)
        except SqsRefusal as refused:
            raise Unavailable(refused.detail) from None

    async def _attributes(self, queue: str) -> Mapping[str, str]:
        asked = {"QueueUrl": self._url.url(queue), "AttributeNames": ["All"]}
        return (await self._client.call("GetQueueAttributes", asked, _Attributes)).Attributes

    async def _exists(self, queue: str) -> bool:
        try:
            await self._attributes(queue)
        except SqsRefusal as refused:
            if refused.name not in MISSING:
                raise
            return False
        return True

    async def _prepare(self, queue: str, attributes: Mapping[str, str]) -> None:
        if await self._exists(queue):
            return
        fifo = {
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
        wanted = {**attributes, **(fifo if self._url.fifo else {})}
        await self._client.call("CreateQueue", {"QueueName": queue, "Attributes": wanted}, _Attributes)

    def _check(self, queue: str, attributes: Mapping[str, str]) -> None:
        policy = msgspec.json.decode(attributes.get("RedrivePolicy") or "{}")
        receives = int(policy.get("maxReceiveCount", 0))
        if receives <= MOST_DELIVERIES:
            raise ConfigError(
                f"broker: the queue {queue} needs a redrive policy with a maxReceiveCount of {MOST_RECEIVES}, so that Clarion "
                f"sets aside what it cannot plan before SQS takes it away; it has {receives or 'none'}"
            )


def _batches(messages: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Up to ten messages, together not larger than one may be."""
    batch: list[Mapping[str, Any]] = []
    size = 0
    for message in messages:
        its = len(message["MessageBody"])
        if batch and (len(batch) == MOST or size + its > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += its
    if batch:
        yield batch


def _md5(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def _data(body: str) -> bytes:
    """What we have sent; what others have as it is."""
    try:
        return b64decode(body, validate=True)
    except (NotBase64, ValueError):
        return body.encode()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker on SQS. See `ports.backend.OpenBroker`."""
    place = parse(url)
    signer = AwsSigner("sqs", place.region, place.key_id, place.secret, tools.clock)
    queues = SqsQueues(place, SqsClient(place.endpoint, signer, _Tools(tools.clock)), tools.random)
    async with broker_on(queues, tools, store) as broker:
        yield broker

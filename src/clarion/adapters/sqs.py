"""Amazon SQS: its JSON protocol, and a queue with reports that is read by long polling.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from clarion.adapters.aws import AwsSigner, error_name
from clarion.adapters.http import HttpClient, HttpFailure, HttpRequest
from clarion.adapters.http.client import NetworkTools
from clarion.errors import Busy, ConfigError, Unavailable
from clarion.ports.provider import ProviderTools
from clarion.ports.report_queue import QueuedReport

WAIT_S = 20
"""The longest that SQS lets one wait for a message."""
CALL_S = WAIT_S + 15.0
HIDDEN_S = 60
"""What was fetched and not deleted comes again after this time."""
MOST = 10
"""Messages of one call; SQS takes no more."""
MOST_BYTES = 16 * 1024 * 1024
"""Of an answer: ten messages of 1 MiB each, and what JSON adds to them."""

QueueUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"(?i)\A(https?://[^\s/?#@\\]+/\d{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?)?\Z",
        description="the URL of an SQS queue: https://sqs.<region>.amazonaws.com/<account>/<name>",
    ),
]

MISSING = frozenset({"QueueDoesNotExist", "NonExistentQueue", "InvalidAddress"})
REFUSED = {
    "AccessDeniedException": "the credentials do not permit it",
    "AccessDenied": "the credentials do not permit it",
    "UnrecognizedClientException": "the credentials are wrong",
    "InvalidClientTokenId": "the credentials are wrong",
    "SignatureDoesNotMatch": "the credentials are wrong",
    "InvalidSignatureException": "the credentials are wrong, or the clock of this machine is",
    "ExpiredTokenException": "the credentials have ended",
    **dict.fromkeys(MISSING, "the queue does not exist in this region"),
}
"""Errors that an operator must mend."""
THROTTLED = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "RequestThrottled",
        "OverLimit",
        "KmsThrottled",
        "TooManyRequestsException",
    }
)


class SqsRefusal(ConfigError):
    """SQS refuses a call for a reason that waiting does not change."""

    def __init__(self, action: str, name: str) -> None:
        """`name`: of the error, as SQS says it."""
        super().__init__(f"SQS {name}: {REFUSED[name]} (sqs:{action})", pointer="#/queue_url")
        self.name = name


class _Message(msgspec.Struct):
    """The names are SQS's own."""

    ReceiptHandle: str
    Body: str = ""


class _Received(msgspec.Struct):
    Messages: list[_Message] | None = None


class _Failed(msgspec.Struct):
    Id: str = ""


class _Deleted(msgspec.Struct):
    Failed: list[_Failed] | None = None


class _Problem(msgspec.Struct):
    type_: str = msgspec.field(default="", name="__type")


A = TypeVar("A")


class SqsClient:
    """Calls actions of SQS at one endpoint."""

    def __init__(self, endpoint: str, signer: AwsSigner, tools: NetworkTools) -> None:
        """`endpoint`: `https://sqs.<region>.amazonaws.com`. `signer` signs for `sqs`."""
        self._url = f"{endpoint}/"
        self._signer = signer
        self._clock = tools.clock
        self._caller = HttpClient(tools, timeout_s=CALL_S)

    async def call(self, action: str, asked: Mapping[str, Any], answers: type[A]) -> A:
        """The answer. Raises SqsRefusal, Busy when SQS throttles, and Unavailable."""
        await self._signer.find_key()
        request = HttpRequest(
            url=self._url,
            headers={"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{action}"},
            body=msgspec.json.encode(asked),
        )
        reply = await self._caller.call(
            self._signer.signed(request), until_s=self._clock.monotonic() + CALL_S, limit=MOST_BYTES
        )
        if isinstance(reply, HttpFailure):
            raise Unavailable(f"SQS cannot be reached: {reply.detail}")
        if reply.status != 200:
            name = error_name(reply, _read(reply.body, _Problem).type_)
            if name in REFUSED:
                raise SqsRefusal(action, name)
            if name in THROTTLED:
                raise Busy(f"SQS throttles: {name}")
            raise Unavailable(f"SQS answered {reply.status} {name}".rstrip())
        try:
            return msgspec.json.decode(reply.body or b"{}", type=answers)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Unavailable("the answer is not SQS's: check the URL of the queue") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()


class SqsQueue:
    """Implements `ports.report_queue.ReportQueue`."""

    def __init__(self, url: str, signer: AwsSigner, tools: ProviderTools) -> None:
        """`signer` signs for `sqs`."""
        place = urlsplit(url)
        self._queue = url
        self._client = SqsClient(f"{place.scheme}://{place.netloc}", signer, tools)

    async def fetch(self) -> Sequence[QueuedReport]:
        asked = {"MaxNumberOfMessages": MOST, "WaitTimeSeconds": WAIT_S, "VisibilityTimeout": HIDDEN_S}
        received = await self._ask("ReceiveMessage", asked, _Received)
        return [
            QueuedReport(one.ReceiptHandle, one.Body.encode(errors="replace"))
            for one in received.Messages or ()
        ]

    async def done(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), MOST):
            entries = [
                {"Id": str(number), "ReceiptHandle": key}
                for number, key in enumerate(keys[start : start + MOST])
            ]
            deleted = await self._ask("DeleteMessageBatch", {"Entries": entries}, _Deleted)
            if deleted.Failed:
                raise Unavailable(f"SQS did not delete {len(deleted.Failed)} messages: they come again")

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, action: str, asked: dict[str, Any], answers: type[A]) -> A:
        try:
            return await self._client.call(action, {"QueueUrl": self._queue, **asked}, answers)
        except Busy as busy:
            raise Unavailable(busy.detail) from None


def _read(body: bytes, as_: type[_Problem]) -> _Problem:
    """Of an error; empty when there is none."""
    try:
        return msgspec.json.decode(body, type=as_)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return as_()

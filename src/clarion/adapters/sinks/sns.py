"""A topic of Amazon SNS, by its query protocol. In a FIFO topic each message is a group, so its events are in order.

https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, ParseError, fromstring

import msgspec

from clarion.adapters.aws import TopicArn
from clarion.adapters.aws_settings import SECRETS, AwsIdentity
from clarion.adapters.http import HttpClient, HttpFailure, HttpRequest
from clarion.adapters.sinks.sqs import FIFO, RefusedEntry, Written, batches, refusals
from clarion.errors import ConfigError, Unavailable
from clarion.ports.provider import ProviderTools, WebUrl
from clarion.ports.sink import EventWriter, OutEvent, SinkPlugin

CALL_S = 15.0
MOST_BYTES = 1024 * 1024
NAMESPACE = "{http://sns.amazonaws.com/doc/2010-03-31/}"
REFUSED = frozenset(
    {"AuthorizationError", "InvalidClientTokenId", "SignatureDoesNotMatch", "NotFound", "NotFoundException"}
)


class SnsSink(AwsIdentity, frozen=True, kw_only=True):
    """A topic that is written to."""

    topic_arn: Annotated[TopicArn, msgspec.Meta(min_length=1)]
    endpoint: WebUrl = ""
    """Another server than Amazon's."""


class SnsWriter:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, config: SnsSink, tools: ProviderTools) -> None:
        self._topic = config.topic_arn
        self._url = f"{config.endpoint or f'https://sns.{config.region}.amazonaws.com'}/"
        self._signer = config.signer("sns", tools)
        self._clock = tools.clock
        self._http = HttpClient(tools, timeout_s=CALL_S)

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        answers: list[str | None] = []
        for part in batches(events):
            asked = {"TopicArn": self._topic}
            for place, event in enumerate(part):
                entry = f"PublishBatchRequestEntries.member.{place + 1}"
                asked |= {f"{entry}.Id": str(place), f"{entry}.Message": event.body.decode()}
                attribute = f"{entry}.MessageAttributes.entry.1"
                asked |= {
                    f"{attribute}.Name": "type",
                    f"{attribute}.Value.DataType": "String",
                    f"{attribute}.Value.StringValue": event.type,
                }
                if self._topic.endswith(FIFO):
                    asked |= {
                        f"{entry}.MessageGroupId": event.subject,
                        f"{entry}.MessageDeduplicationId": event.id,
                    }
            answers += refusals(part, _written(await self._call("PublishBatch", asked)))
        return answers

    async def ping(self) -> None:
        await self._call("GetTopicAttributes", {"TopicArn": self._topic})

    async def close(self) -> None:
        await self._http.close()

    async def _call(self, action: str, asked: dict[str, str]) -> Element:
        await self._signer.find_key()
        request = HttpRequest(
            url=self._url,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode({"Action": action, "Version": "2010-03-31", **asked}).encode(),
        )
        until_s = self._clock.monotonic() + CALL_S
        reply = await self._http.call(self._signer.signed(request), until_s=until_s, limit=MOST_BYTES)
        if isinstance(reply, HttpFailure):
            raise Unavailable(f"SNS cannot be reached: {reply.detail}")
        try:
            found = fromstring(reply.body.decode(errors="replace"))  # noqa: S314 - Amazon's own, within a limit
        except ParseError:
            raise Unavailable(f"SNS answered {reply.status}") from None
        if reply.status != 200:
            code = next((one.text or "" for one in found.iter() if one.tag.endswith("Code")), "")
            if code in REFUSED:
                raise ConfigError(f"SNS refuses the call ({code}): check `topic_arn` and the credentials")
            raise Unavailable(f"SNS answered {reply.status} {code}")
        return found


def _written(answer: Element) -> Written:
    failed = answer.findall(f".//{NAMESPACE}Failed/{NAMESPACE}member")
    return Written(
        Failed=[
            RefusedEntry(
                Id=one.findtext(f"{NAMESPACE}Id", ""),
                SenderFault=one.findtext(f"{NAMESPACE}SenderFault") == "true",
                Code=one.findtext(f"{NAMESPACE}Code", ""),
            )
            for one in failed
        ]
    )


def opened(config: SnsSink, tools: ProviderTools) -> EventWriter:
    """Reaches nobody."""
    return SnsWriter(config, tools)


plugin = SinkPlugin(
    name="sns",
    title="Amazon SNS",
    config=SnsSink,
    open=opened,
    secrets=SECRETS,
    example={
        "region": "eu-central-1",
        "topic_arn": "arn:aws:sns:eu-central-1:123456789012:notifications.fifo",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI",
    },
)

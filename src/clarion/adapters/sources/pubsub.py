"""A pull subscription of Google Pub/Sub, over its REST API.

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from clarion.adapters.http import HttpClient, HttpFailure, HttpRequest
from clarion.adapters.oauth import AccessTokens
from clarion.adapters.service_account import grant, read_service_account
from clarion.errors import ClarionError, ConfigError, InvalidInput, Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderSettings, ProviderTools, WebUrl
from clarion.ports.source import Position, RecordReader, SourcePlugin, SourceRecord

A = TypeVar("A")

GOOGLE = "https://pubsub.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/pubsub"
PULL_S = 1.0
CALL_S = 20.0
MOST_PULLED = 1_000
MOST_BYTES = 32 * 1024 * 1024


class PubSubSource(ProviderSettings, frozen=True, kw_only=True):
    """A subscription that is read."""

    subscription: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\Aprojects/[a-z0-9.:-]+/subscriptions/[A-Za-z][\w.~+%-]{2,254}\Z",
            description="a name such as projects/shop/subscriptions/clarion",
        ),
    ]
    service_account: str = ""
    """The contents of the key file of a service account. Only an emulator needs none."""
    endpoint: WebUrl = GOOGLE
    """Another server than Google's, such as an emulator."""


class _PubSubMessage(msgspec.Struct, rename="camel"):
    message_id: str
    data: str = ""
    attributes: dict[str, str] = {}
    ordering_key: str = ""
    publish_time: str = ""


class _Pulled(msgspec.Struct, rename="camel"):
    ack_id: str
    message: _PubSubMessage


class _Pull(msgspec.Struct, rename="camel"):
    received_messages: list[_Pulled] = []


class _Empty(msgspec.Struct):
    """No part of the answer is needed."""


class PubSubReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: PubSubSource, tools: ProviderTools) -> None:
        """Raises ConfigError when the service account cannot be read."""
        self._config = config
        self._clock = tools.clock
        self._http = HttpClient(tools, timeout_s=CALL_S)
        self._tokens: AccessTokens | None = None
        self._held: set[str] = set()
        """What was fetched and is not done."""
        if config.service_account:
            account = read_service_account(config.service_account, "#/service_account")
            self._tokens = AccessTokens(grant(account, SCOPE, "#/service_account"), tools)
        elif config.endpoint == GOOGLE:
            raise ConfigError(
                "Google needs the key of a service account: set `service_account` to the contents of its key file",
                pointer="#/service_account",
            )

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        if not isinstance(to, StartAt):
            raise InvalidInput(
                "a subscription of Pub/Sub is rewound at Google: gcloud pubsub subscriptions seek."
            )
        return {}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        found = await self._pull(limit)
        if not found:
            await self._clock.sleep(PULL_S)
        self._held |= {one.receipt for one in found}
        return found

    async def done(self, records: Sequence[SourceRecord]) -> None:
        receipts = [one.receipt for one in records]
        await self._call("acknowledge", {"ackIds": receipts}, _Empty)
        self._held -= {*receipts}

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        """What comes next, given back. It counts as a delivery."""
        found = await self._pull(limit)
        await self._give_back([one.receipt for one in found])
        return found

    async def lag(self) -> Mapping[str, int | None]:
        """Google tells that in its monitoring only."""
        return {"": None}

    async def close(self) -> None:
        """What is not done is delivered to others at once."""
        with suppress(ClarionError):
            await self._give_back([*self._held])
        await self._http.close()
        if self._tokens is not None:
            await self._tokens.close()

    async def _give_back(self, receipts: Sequence[str]) -> None:
        if receipts:
            await self._call("modifyAckDeadline", {"ackIds": receipts, "ackDeadlineSeconds": 0}, _Empty)

    async def _pull(self, limit: int) -> list[SourceRecord]:
        asked = {"maxMessages": min(limit, MOST_PULLED), "returnImmediately": True}
        pulled = await self._call("pull", asked, _Pull)
        return [self._record(one) for one in pulled.received_messages]

    def _record(self, one: _Pulled) -> SourceRecord:
        message = one.message
        try:
            value = b64decode(message.data, validate=True)
        except binascii.Error:
            value = message.data.encode()
        return SourceRecord(
            topic=self._config.subscription.rpartition("/")[2],
            id=message.message_id,
            key=message.ordering_key or None,
            value=value,
            headers=message.attributes,
            at=_instant(message.publish_time),
            receipt=one.ack_id,
        )

    async def _call(self, action: str, asked: dict[str, Any], answers: type[A]) -> A:
        url = f"{self._config.endpoint.rstrip('/')}/v1/{self._config.subscription}:{action}"
        until_s = self._clock.monotonic() + CALL_S
        headers = {"content-type": "application/json"}
        if self._tokens is not None:
            headers["authorization"] = f"Bearer {await self._tokens.get()}"
        request = HttpRequest(url=url, headers=headers, body=msgspec.json.encode(asked))
        reply = await self._http.call(request, until_s=until_s, limit=MOST_BYTES)
        if isinstance(reply, HttpFailure):
            if reply.kind == "refused":
                raise ConfigError(reply.detail, pointer="#/endpoint")
            raise Unavailable(f"Pub/Sub cannot be reached: {reply.detail}")
        if reply.status in (401, 403):
            raise ConfigError("Pub/Sub refuses us: the service account needs the role Pub/Sub Subscriber")
        if reply.status == 404:
            raise ConfigError("Pub/Sub has no such subscription: create it", pointer="#/subscription")
        if reply.status != 200:
            raise Unavailable(f"Pub/Sub answered {reply.status}")
        try:
            return msgspec.json.decode(reply.body or b"{}", type=answers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unavailable("the answer is not that of Pub/Sub: check `endpoint`") from None


def _instant(text: str) -> Instant | None:
    try:
        return Instant(round(datetime.fromisoformat(text).timestamp() * 1_000))
    except ValueError:
        return None


def opened(config: PubSubSource, tools: ProviderTools) -> RecordReader:
    """Reaches nobody."""
    return PubSubReader(config, tools)


plugin = SourcePlugin(
    name="pubsub",
    title="Google Pub/Sub",
    config=PubSubSource,
    open=opened,
    rewinds=False,
    competing=True,
    secrets=frozenset({"service_account"}),
    example={"subscription": "projects/shop/subscriptions/clarion", "service_account": "{...}"},
)

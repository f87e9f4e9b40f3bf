"""Signed webhooks to URLs of users, as Standard Webhooks 1.0.0 wants them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

What goes to an endpoint is signed with the endpoint's own secrets, and every call leaves a record. What goes to a
plain contact (a URL without an endpoint) is signed with the integration's secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.adapters.http.host_backoff import HostBackoff, put_off
from clarion.adapters.isolation import each_at_once
from clarion.adapters.webhook_signature import signature
from clarion.errors import ConfigError
from clarion.model.channel import Channel
from clarion.model.content import WebhookContent
from clarion.model.endpoint import Delivery, Endpoint, secret_key
from clarion.model.ids import Instant, MessageId
from clarion.model.outcome import Accepted, Gone, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Report

AT_ONCE = 64
"""Messages one call takes; all of them go out at the same time."""
TIME_SHARE = 0.9
"""Part of the integration's time limit that a call may take, so that every message gets its own outcome."""
MOST_BODY = 256 * 1024
"""Receivers are promised less than 20 kB (spec, "Payload size"); over this something is wrong."""
KEPT_REQUEST = 16 * 1024
KEPT_REPLY = 4 * 1024
KEPT_HEADER = 200
TOLD_HEADERS = frozenset({"content-type", "date", "location", "retry-after", "server", "x-request-id"})
"""What is kept of a receiver's headers."""
SIGNATURE = "webhook-signature"

_encode = msgspec.json.Encoder().encode


class WebhookConfig(ProviderSettings, frozen=True, kw_only=True):
    """How endpoints are called."""

    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 15.0
    """How long a receiver may take to answer (spec: 15 to 30 seconds)."""
    secret: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\Awhsec_[A-Za-z0-9+/]+=*\Z",
            description="a webhook secret: whsec_ and 24 to 64 bytes in base64",
        ),
    ] = ""
    """Signs what goes to webhook contacts that are no endpoints: `whsec_<base64>`."""


def webhook_id(message_id: MessageId) -> str:
    """The same on every attempt, so that a receiver can tell a repetition."""
    return "msg_" + message_id.hex()


def payload(content: WebhookContent, happened: Instant) -> bytes:
    """The body (spec, "Payload structure"); every attempt at the same content has the same bytes."""
    at = datetime.fromtimestamp(happened / 1000, UTC).isoformat(timespec="milliseconds")
    return _encode(
        {
            "type": content.type,
            "timestamp": at.replace("+00:00", "Z"),
            "data": msgspec.Raw(content.body.encode()),
        }
    )


def outcome_of(reply: HttpReply, id: str) -> Outcome:
    """2xx accepts, 410 ends the endpoint, anything else is tried again: a receiver may be repaired."""
    if 200 <= reply.status < 300:
        return Accepted(provider_id=id)
    if reply.status == 410:
        return Gone(detail="answered 410 Gone")
    if 300 <= reply.status < 400:
        return Retry(
            of_address=True,
            detail=f"answered {reply.status}: redirects are not followed, the URL must be the final one",
        )
    return Retry(of_address=True, detail=f"answered {reply.status}", after_s=reply.retry_after_s)


def outcome_without(failure: HttpFailure) -> Outcome:
    """Nobody answered. The receiver knows a repetition by its id, so there is no doubt to carry."""
    if failure.kind == "refused":
        return Rejected(detail=failure.detail)
    reason = Reason.PROVIDER_TIMEOUT if failure.kind == "unanswered" else Reason.PROVIDER_ERROR
    return Retry(reason=reason, of_address=True, detail=failure.detail)


class Webhooks:
    """Implements `ports.provider.Provider`: each message to its own server, all of a batch at once."""

    def __init__(self, integration: Integration, config: WebhookConfig, tools: ProviderTools) -> None:
        """Raises ConfigError when the secret is none."""
        if config.secret:
            try:
                secret_key(config.secret)
            except ValueError as wrong:
                raise ConfigError(f"secret: {wrong}", pointer="#/secret") from None
        self._tools = tools
        self._secret = config.secret
        self._timeout_s = min(config.timeout_s, TIME_SHARE * integration.limits.timeout_s)
        self._caller = HttpClient(tools, timeout_s=self._timeout_s)
        self._backoff = HostBackoff()

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """A receiver that hangs holds up its batch for the time of one call, and is then left alone for a while."""
        return await self.send_reporting(batch, None)

    async def send_reporting(self, batch: Sequence[Outgoing], report: Report | None) -> Sequence[Outcome]:
        """Each receiver has a time limit of its own, and what it answered is told at once."""
        return await each_at_once(batch, self._send_one, report, idempotent=True)

    async def ping(self) -> None:
        """There is no server of the integration's own to reach."""

    async def close(self) -> None:
        """Release the connections."""
        await self._caller.close()

    async def _send_one(self, outgoing: Outgoing) -> Outcome:
        contact, content = outgoing.contact, outgoing.content
        if contact is None or not isinstance(content, WebhookContent):
            return Rejected(detail="a webhook needs a URL and a JSON document")
        endpoint = outgoing.user.profile.endpoint(contact.hash)
        now = self._tools.clock.now()
        secrets = endpoint.live_secrets(now) if endpoint is not None else (self._secret,)
        name = webhook_id(outgoing.message.id)
        try:
            body = payload(content, outgoing.message.created_at)
            signed = signature(secrets, name, now // 1000, body)
        except ValueError:
            return Rejected(reason=Reason.MISCONFIGURED, detail=_UNSIGNED)
        if len(body) > MOST_BODY:
            return Rejected(detail=f"the body has {len(body):,} bytes, at most {MOST_BODY:,} are sent")
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(now // 1000),
            SIGNATURE: signed,
        }
        call = HttpRequest(url=contact.address, headers=headers, body=body)
        started = self._tools.clock.monotonic()
        if wait_s := self._backoff.wait_s(contact.hash, started, self._timeout_s):
            return put_off(wait_s)
        answer = await self._caller.call(call, until_s=started + self._timeout_s, limit=KEPT_REPLY)
        ended = self._tools.clock.monotonic()
        self._backoff.ended(
            contact.hash,
            answered=isinstance(answer, HttpReply),
            began_s=started,
            now_s=ended,
            call_s=self._timeout_s,
        )
        outcome = outcome_of(answer, name) if isinstance(answer, HttpReply) else outcome_without(answer)
        if endpoint is None:
            return outcome
        record = self._record(outgoing, endpoint, call, answer, round((ended - started) * 1000))
        return msgspec.structs.replace(outcome, record=record)

    def _record(
        self,
        outgoing: Outgoing,
        endpoint: Endpoint,
        call: HttpRequest,
        answer: HttpReply | HttpFailure,
        took_ms: int,
    ) -> Delivery:
        status = answer.status if isinstance(answer, HttpReply) else 0
        return Delivery(
            tenant=outgoing.message.tenant,
            user=outgoing.message.user,
            message_id=outgoing.message.id,
            endpoint=endpoint.id,
            ok=200 <= status < 300,
            status=status,
            took_ms=took_ms,
            at=self._tools.clock.now(),
            sealed=self._tools.vault.seal(outgoing.user.key, _encode(exchange_of(call, answer))),
        )


def exchange_of(call: HttpRequest, answer: HttpReply | HttpFailure) -> Mapping[str, Any]:
    """What a person may see of a call: all but the signature, bounded."""
    headers = {name: value for name, value in call.headers.items() if name != SIGNATURE}
    request = {"url": call.url, "headers": headers, **_kept(call.body, KEPT_REQUEST)}
    if isinstance(answer, HttpFailure):
        return {"request": request, "error": answer.detail}
    told = {n: value[:KEPT_HEADER] for n, value in answer.headers.items() if n in TOLD_HEADERS}
    response = {"status": answer.status, "headers": told, **_kept(answer.body, KEPT_REPLY)}
    return {"request": request, "response": response | {"cut": answer.cut}}


def _kept(body: bytes, most: int) -> dict[str, Any]:
    return {"body": body[:most].decode("utf-8", "replace"), "cut": len(body) > most}


_UNSIGNED = "this address cannot be signed for: give the user an endpoint (POST /v1/endpoints), or the integration a `secret`"


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return Webhooks(integration, config, tools)


plugin = ProviderPlugin(
    name="webhook",
    title="Webhooks (Standard Webhooks)",
    channels=frozenset({Channel.WEBHOOK}),
    config=WebhookConfig,
    open=_open,
    idempotent=True,
    batch=AT_ONCE,
    secrets=frozenset({"secret"}),
    example={"timeout_s": 20, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
)

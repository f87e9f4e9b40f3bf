"""Expo: notifications in apps that were built with Expo, on Apple's and Android devices.

https://docs.expo.dev/push-notifications/sending-notifications/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, Transport, outcome_of
from clarion.adapters.service_json import answer_of, object_in, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.device_address import service_of, token_at
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.push import app_data
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.subscription import text_of
from clarion.model.user import Contact
from clarion.ports.callback import ReportedReceipt
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderPlugin, ProviderSettings, ProviderTools, WebUrl
from clarion.ports.receipt_source import FetchedReceipts

SERVICE: Final = "expo"
EXPO: Final = "https://exp.host"
MOST_BYTES: Final = 4_096
"""Of what is shown and of `data`: what Apple and Google take."""
LONGEST_TTL_S: Final = 28 * 86_400
COLLAPSE_CHARS: Final = 64
RATE_S: Final = 60.0
"""Rest of a device that gets too many."""
PRIORITY: Mapping[Lane, str] = {
    Lane.CRITICAL: "high",
    Lane.HIGH: "high",
    Lane.NORMAL: "normal",
    Lane.BULK: "normal",
}
CREDENTIALS = frozenset({"InvalidCredentials", "MismatchSenderId"})
"""Of the app at Apple or at Google: the other one is served as before."""
FAILURES = CREDENTIALS | {
    "MessageTooBig",
    "MessageRateExceeded",
    "DeveloperError",
    "ExpoError",
    "ProviderError",
}
"""What a receipt may say of a message that did not reach Apple or Google."""
RECEIPTS: Final = 300
"""Of one call, as many as Expo's own SDK asks for."""
RECEIPTS_BYTES: Final = 2 * 1024 * 1024
NO_RECEIPT = "00000000-0000-0000-0000-000000000000"

_encode = msgspec.json.Encoder().encode


class ExpoConfig(ProviderSettings, frozen=True, kw_only=True):
    """A project at Expo."""

    access_token: Annotated[
        str, msgspec.Meta(pattern=r"\A[!-~]*\Z", description="a token without spaces, or nothing")
    ] = ""
    """Needed when the project has enhanced push security: expo.dev, account settings, access tokens."""
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TTL_S)] = 86_400
    """How long a message without `expires_at` is kept for a device that is off. 0: now or never."""
    url: WebUrl = EXPO


def build(config: ExpoConfig, clock: Clock, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message to one device."""
    token = "" if outgoing.contact is None else token_at(SERVICE, outgoing.contact.address)
    if not token:
        return Rejected(detail="this push contact is no Expo push token (expo:ExponentPushToken[...])")
    content = outgoing.content
    assert isinstance(content, PushContent)
    message = _message(content, outgoing)
    if (size := len(_encode(message))) > MOST_BYTES:
        return Rejected(
            detail=f"the notification takes {size:,} bytes of JSON, Expo {MOST_BYTES:,} at most: shorten it"
        )
    message |= {
        "to": token,
        "ttl": _ttl(config.ttl_s, outgoing.message, clock.now()),
        "priority": PRIORITY[outgoing.message.lane],
    }
    return _request(config, "send", message)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What the ticket says, or why there is none."""
    answer = answer_of(reply)
    ticket = object_in(answer, "data")
    if reply.status == 200 and text_in(ticket, "status") == "ok":
        return Accepted(provider_id=text_in(ticket, "id") or None)
    if reply.status == 200 and text_in(ticket, "status") == "error":
        return _refused(text_in(object_in(ticket, "details"), "error"))
    code = _code(answer)
    if code == "UNAUTHORIZED":
        return Misconfigured(detail="Expo wants another access token: make one and set access_token")
    if reply.status == 200 and reply.cut:
        return Accepted()  # What is cut off says nothing against the 200.
    outcome = outcome_of(reply)
    if isinstance(outcome, Gone | Accepted):
        return Misconfigured(detail=f"status {reply.status}: this is no answer of Expo, check `url`")
    return outcome


def _refused(error: str) -> Outcome:
    if error == "DeviceNotRegistered":
        return Gone(detail="Expo said DeviceNotRegistered: the app is no longer on this device")
    if error == "MessageRateExceeded":
        return Retry(
            reason=Reason.RATE_LIMITED,
            after_s=RATE_S,
            of_address=True,
            detail="Expo said MessageRateExceeded: send less to this device",
        )
    if error in CREDENTIALS:
        detail = f"Expo said {error}: run `eas credentials`, or upload the key of the Firebase project"
        return Retry(reason=Reason.MISCONFIGURED, of_address=True, detail=detail)
    return Rejected(detail=f"Expo said {error}" if error == "MessageTooBig" else "Expo refused the message")


def _message(content: PushContent, outgoing: Outgoing) -> dict[str, Any]:
    """What is shown, and what the app gets."""
    options = content.device or DeviceOptions()
    data = app_data(content, outgoing.message.id)
    if options.background:
        return {"data": data, "contentAvailable": True}
    collapse = text_of(outgoing.collapse_key)[:COLLAPSE_CHARS] if outgoing.collapse_key else ""
    shown = {
        "title": content.title,
        "subtitle": options.subtitle,
        "body": content.body,
        "sound": options.sound,
        "channelId": options.channel_id,
        "categoryId": options.category,
        "mutableContent": options.mutable_content or bool(content.image),
        "interruptionLevel": options.interruption_level,
        "threadId": options.thread_id,
        "collapseId": collapse,
        "tag": collapse,
        "richContent": {"image": content.image} if content.image else None,
    }
    numbers = {"badge": options.badge, "relevanceScore": options.relevance_score}
    return (
        {name: value for name, value in shown.items() if value}
        | {name: value for name, value in numbers.items() if value is not None}
        | {"data": data}
    )


def _ttl(usual_s: int, message: Message, now: Instant) -> int:
    if message.expires_at is None:
        return usual_s
    return min(LONGEST_TTL_S, max(0, (message.expires_at - now) // 1000))


def _request(config: ExpoConfig, action: str, body: Mapping[str, Any]) -> HttpRequest:
    authorization = {"authorization": f"Bearer {config.access_token}"} if config.access_token else {}
    return HttpRequest(
        url=f"{config.url.rstrip('/')}/--/api/v2/push/{action}",
        headers={"accept": "application/json", "content-type": "application/json", **authorization},
        body=_encode(body),
    )


def _code(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return text_in(first, "code") if isinstance(first, dict) else ""


def check_pong(reply: HttpReply) -> None:
    """The receipts of a ticket that nobody has: none, if the access token is right."""
    answer = answer_of(reply)
    if reply.status in (401, 403) or _code(answer) == "UNAUTHORIZED":
        raise ConfigError("Expo refuses the access token: make a new one and set access_token")
    if reply.status != 200 or "data" not in answer:
        raise Unavailable(f"Expo answered {reply.status}: check `url`, or try again later")


def read_receipts(asked: Mapping[str, str], reply: HttpReply) -> Sequence[ReportedReceipt]:
    """Those of messages that did not reach Apple or Google; the others are sent, which is known. Raises ConfigError or
    Unavailable."""
    check_pong(reply)
    found = object_in(answer_of(reply), "data")
    receipts = [(reference, object_in(found, ticket)) for ticket, reference in asked.items()]
    return [
        _failed(reference, object_in(receipt, "details"))
        for reference, receipt in receipts
        if text_in(receipt, "status") == "error"
    ]


def _failed(reference: str, details: Mapping[str, Any]) -> ReportedReceipt:
    error, token = text_in(details, "error"), text_in(details, "expoPushToken")
    if error == "DeviceNotRegistered":
        return ReportedReceipt(
            reference=reference,
            kind=ReceiptKind.BOUNCED,
            permanent=True,
            address=f"{SERVICE}:{token}" if token else "",
            detail="Expo said DeviceNotRegistered: the app is no longer on this device",
        )
    said = f"Expo said {error}" if error in FAILURES else "Expo could not pass the message on"
    return ReportedReceipt(reference=reference, kind=ReceiptKind.FAILED, detail=said)


def accepts(contact: Contact) -> bool:
    """Expo push tokens."""
    return service_of(contact.address) == SERVICE


class Expo(HttpProvider[Outgoing]):
    """Implements `ports.provider.Provider` and `ports.receipt_source.ReceiptSource`."""

    def __init__(self, integration: Integration, config: ExpoConfig, tools: ProviderTools) -> None:
        self._config = config
        super().__init__(
            integration,
            tools,
            build=partial(build, config, tools.clock),
            read=read,
            ping=_request(config, "getReceipts", {"ids": [NO_RECEIPT]}),
            check_pong=check_pong,
            transport=Transport(http2_only=config.url == EXPO),
        )

    async def fetch_receipts(self, asked: Mapping[str, str]) -> Sequence[ReportedReceipt]:
        request = _request(self._config, "getReceipts", {"ids": list(asked)})
        return read_receipts(asked, await self.ask(request, limit=RECEIPTS_BYTES))


plugin = ProviderPlugin(
    name=SERVICE,
    title="Expo push",
    channels=frozenset({Channel.PUSH}),
    config=ExpoConfig,
    open=Expo,
    accepts=accepts,
    fetched_receipts=FetchedReceipts(
        kinds=frozenset({ReceiptKind.BOUNCED, ReceiptKind.FAILED}),
        after_s=1_800,
        kept_s=86_400,
        at_once=RECEIPTS,
    ),
    batch=32,
    secrets=frozenset({"access_token"}),
    example={"ttl_s": 86_400},
)

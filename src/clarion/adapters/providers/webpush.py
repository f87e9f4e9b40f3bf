"""Web push (RFC 8030) with the installation's own VAPID keys: notifications in browsers, without a vendor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest
from clarion.adapters.webpush.encryption import encrypt, new_key
from clarion.adapters.webpush.subject import subject_trouble
from clarion.adapters.webpush.vapid import Vapid, private_key, public_of
from clarion.errors import ConfigError
from clarion.model.channel import Channel, Lane
from clarion.model.content import PushContent
from clarion.model.ids import id_text
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.push import MOST_BYTES, push_payload, withdrawal_payload
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.subscription import is_subscription, read_subscription, text_of
from clarion.model.user import Contact
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, TakesBack

URGENCY: Mapping[Lane, str] = {
    Lane.CRITICAL: "high",
    Lane.HIGH: "high",
    Lane.NORMAL: "normal",
    Lane.BULK: "low",
}
"""RFC 8030, 5.3: a device on battery is woken for what is urgent only."""
LONGEST_TTL_S = 28 * 86_400
"""What the large push services keep at most."""
TOPIC_CHARS = 32
"""Longest name of what a message replaces while a push service still has it (RFC 8030, 5.4)."""
MOST_PROVEN = 1_024
"""Origins remembered. There are few push services, but endpoints come from users."""

_ORIGIN = re.compile(r"https?://[^/?#]+")


class WebPushConfig(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key pair of `clarion vapid create`, and whom push services may write to."""

    public_key: str
    """Base64url: pages subscribe with it (`applicationServerKey`)."""
    private_key: str
    subject: str
    """`mailto:` or `https://` address of whoever runs this: push services write there before they block, and refuse
    addresses that only your own network knows."""
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TTL_S)] = 86_400
    """How long a push service keeps a message without `expires_at` for a device that is off. 0: now or never."""


class WebPush:
    """The two pure ends of the provider: what is asked of a push service, and what its answer means."""

    def __init__(self, config: WebPushConfig, tools: ProviderTools) -> None:
        """Raises ConfigError when the keys are no pair."""
        try:
            key = private_key(config.private_key)
        except ValueError as wrong:
            raise ConfigError(
                f"private_key: {wrong}; make a pair with `clarion vapid create`", pointer="#/private_key"
            ) from None
        if public_of(key) != config.public_key.rstrip("="):
            raise ConfigError(
                "public_key and private_key are not a pair: make one with `clarion vapid create`",
                pointer="#/public_key",
            )
        if trouble := subject_trouble(config.subject):
            raise ConfigError(f"subject {trouble}", pointer="#/subject")
        self._vapid = Vapid(key, config.subject)
        self._ttl_s = config.ttl_s
        self._tools = tools
        self._proven: set[str] = set()
        """Origins of push services that have taken our key."""

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The encrypted notification, or why there is none."""
        contact = outgoing.contact
        if contact is None or not is_subscription(contact.address):
            return Rejected(
                detail="this push contact is no web push subscription (JSON with endpoint and keys)"
            )
        content = outgoing.content
        assert isinstance(content, PushContent)
        topic = text_of(outgoing.collapse_key)[:TOPIC_CHARS] if outgoing.collapse_key else ""
        plain = push_payload(content, outgoing.message.id, topic, outgoing.live)
        if len(plain) > MOST_BYTES:
            return Rejected(
                detail=f"the notification takes {len(plain):,} bytes of JSON, web push {MOST_BYTES:,} at most: shorten it"
            )
        ttl_s = self._ttl(outgoing.message, self._tools.clock.now())
        return self._push(contact, plain, topic, ttl_s, URGENCY[outgoing.message.lane])

    def withdrawal(self, sent: SentMessage) -> HttpRequest | Outcome:
        """Asks the service worker to close the notification; it takes its place while it waits at the push service."""
        if sent.contact is None or not is_subscription(sent.contact.address):
            return Rejected(detail="this push contact is no web push subscription")
        topic = text_of(sent.collapse_key)[:TOPIC_CHARS] if sent.collapse_key else ""
        plain = withdrawal_payload(topic or id_text(sent.message.id))
        return self._push(sent.contact, plain, topic, self._ttl_s, "low")

    def _push(
        self, contact: Contact, plain: bytes, topic: str, ttl_s: int, urgency: str
    ) -> HttpRequest | Outcome:
        try:
            subscription = read_subscription(contact.address)
            body = encrypt(plain, subscription, salt=self._tools.random.bytes(16), key=new_key())
        except ValueError:
            return Rejected(detail="the keys of this web push subscription are broken: subscribe again")
        now = self._tools.clock.now()
        origin = _ORIGIN.match(subscription.endpoint)
        headers = {
            "TTL": str(ttl_s),
            "Urgency": urgency,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._vapid.authorization(origin[0] if origin else "", now),
        }
        if topic:
            headers["Topic"] = topic
        return HttpRequest(url=subscription.endpoint, headers=headers, body=body)

    def read(self, outgoing: Outgoing | SentMessage, reply: HttpReply) -> Outcome:
        """What the push service said (RFC 8030, sections 5 to 8)."""
        said = f"the push service answered {reply.status}"
        match reply.status:
            case 200 | 201 | 202 | 204:
                if len(self._proven) < MOST_PROVEN:
                    self._proven.add(_origin_of(outgoing))
                return Accepted()
            case 404 | 410:
                return Gone(detail=f"{said}: the browser is no longer subscribed")
            case 413:
                return Rejected(detail=f"{said}: the notification is too large for it")
            case 401 | 403:
                return self._refused(said, _origin_of(outgoing))
            case 429:
                return Retry(reason=Reason.RATE_LIMITED, after_s=reply.retry_after_s, detail=said)
            case status if status >= 500 or status == 408:
                return Retry(after_s=reply.retry_after_s, detail=said)
        return Rejected(detail=said)

    def _refused(self, said: str, origin: str) -> Outcome:
        """Wrong keys, until this push service has taken them: from then on it is about the subscription.

        Endpoints are given by users. One of them, made with an older key or made to harm, must not stop all others,
        so the circuit stays closed: the message is tried again until somebody has mended the keys.
        """
        if origin in self._proven:
            return Rejected(
                detail=f"{said}: this subscription was made with another VAPID key, subscribe again"
            )
        return Retry(
            reason=Reason.MISCONFIGURED,
            detail=f"{said}: check the VAPID keys and the subject of the integration",
        )

    def _ttl(self, message: Message, now: int) -> int:
        if message.expires_at is None:
            return self._ttl_s
        return min(LONGEST_TTL_S, max(0, (message.expires_at - now) // 1000))


def _origin_of(outgoing: Outgoing | SentMessage) -> str:
    """Whose push service it is; of a contact that has been written to, so it is a subscription."""
    assert outgoing.contact is not None
    origin = _ORIGIN.match(read_subscription(outgoing.contact.address).endpoint)
    return origin[0] if origin else ""


def accepts(contact: Contact) -> bool:
    """Whether it is a browser's subscription, not a device token."""
    return is_subscription(contact.address)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    ends = WebPush(config, tools)
    return HttpProvider(
        integration,
        tools,
        build=ends.build,
        read=ends.read,
        urls="user",
        withdrawal=HttpEnds(ends.withdrawal, ends.read),
    )


plugin = ProviderPlugin(
    name="webpush",
    title="Web push (browsers)",
    channels=frozenset({Channel.PUSH}),
    config=WebPushConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="The service worker of your page closes the notification, if it does what ours does. A browser that is told "
        "so very often without anything to show may show a notification of its own.",
    ),
    batch=32,
    secrets=frozenset({"private_key"}),
    example={
        # The sender's pair in RFC 8291, section 5: known to everybody.
        "public_key": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
        "private_key": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
        "subject": "mailto:ops@example.com",
    },
)

"""APNs: notifications on iPhones, iPads, Macs and watches, over HTTP/2.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import msgspec

from clarion.adapters.apns_credentials import ApnsToken, certificate_pem
from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest, Transport, outcome_of
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import PushContent
from clarion.model.device_address import APNS_SERVICES, DeviceAddress, read_device_address, service_of
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.push import (
    APNS_BYTES,
    CHANNEL_BYTES,
    activity_obstacle,
    activity_payload,
    apns_payload,
    app_withdrawal,
)
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.subscription import text_of
from clarion.model.user import Contact
from clarion.ports.provider import (
    Provider,
    ProviderPlugin,
    ProviderSettings,
    ProviderTools,
    TakesBack,
    WebUrl,
)

PRODUCTION: Final = "https://api.push.apple.com"
SANDBOX: Final = "https://api.sandbox.push.apple.com"
PRIORITY: Mapping[Lane, str] = {Lane.CRITICAL: "10", Lane.HIGH: "10", Lane.NORMAL: "5", Lane.BULK: "1"}
"""10: at once. 5: with regard to the battery. 1: it does not wake the device."""
PRIORITY_IN_BACKGROUND: Final = "5"
"""APNs refuses any higher one for what shows nothing."""
ACTIVITY: Final = "liveactivity"
ACTIVITY_TOPIC: Final = ".push-type.liveactivity"
"""Behind the bundle id."""
LOWEST_OF_ACTIVITY: Final = "5"
LONGEST_TTL_S: Final = 30 * 86_400
"""What APNs keeps at most."""
COLLAPSE_ID_BYTES: Final = 64
TOO_MANY_S: Final = 60.0
"""Rest of a device that got too many, where APNs names no time."""
TOKEN_UPDATES_S: Final = 1_200.0
"""APNs takes a new token of ours every 20 minutes."""
NOBODYS_TOKEN: Final = "0" * 64

ADDRESS_REASONS = frozenset({"Unregistered", "ExpiredToken"})
WRONG_PLACE_REASONS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
"""No such device here: a token of the other environment or of another app looks the same."""
TOPIC_REASONS = frozenset({"BadTopic", "MissingTopic", "TopicDisallowed"})
CREDENTIAL_REASONS = frozenset(
    {
        *("InvalidProviderToken", "MissingProviderToken", "BadCertificate", "BadCertificateEnvironment"),
        *("Forbidden", "UnrelatedKeyIdInToken", "BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"),
    }
)
MESSAGE_REASONS = frozenset(
    {
        *("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "DuplicateHeaders"),
        *("InvalidPushType", "MissingDeviceToken", "PayloadEmpty", "PayloadTooLarge", "BadPath"),
        *(
            "MethodNotAllowed",
            "BadChannelId",
            "MissingChannelId",
            "ChannelNotRegistered",
            "FeatureNotEnabled",
        ),
    }
)
PASSING_REASONS = frozenset({"IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"})


class ApnsConfig(ProviderSettings, frozen=True, kw_only=True):
    """A signing key of the developer account (`key_id`, `team_id`, `private_key`), or a certificate of one app."""

    topic: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9.-]{0,254}\Z")]
    """Bundle id of the app. Contacts of other apps of the team name theirs: `apns:com.example.other/TOKEN`."""
    key_id: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Z0-9]{10}\Z", description="the 10 characters of the key's id")
    ] = ""
    team_id: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Z0-9]{10}\Z", description="the 10 characters of the team's id")
    ] = ""
    private_key: str = ""
    """The contents of the file `AuthKey_….p8`."""
    certificate: str = ""
    """Instead of a key: certificate and private key as PEM, or a .p12 file in base64."""
    certificate_password: str = ""
    """Of the .p12 file or the private key in it."""
    environment: Literal["production", "sandbox"] = "production"
    """Of contacts written `apns:TOKEN`; `apns-sandbox:TOKEN` always means the sandbox (builds from Xcode)."""
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TTL_S)] = 86_400
    """How long APNs keeps a message without `expires_at` for a device that is off. 0: now or never."""
    url: WebUrl = ""
    """Where to send instead of Apple's servers: a proxy, or port 2197 of theirs."""


class _Refusal(msgspec.Struct, frozen=True):
    reason: str = ""
    timestamp: int | None = None


_decode = msgspec.json.Decoder(_Refusal).decode
_encode = msgspec.json.Encoder().encode


class Apns:
    """The two pure ends of the provider: what is asked of APNs, and what its answer means."""

    def __init__(self, config: ApnsConfig, tools: ProviderTools) -> None:
        """Raises ConfigError when key or certificate cannot be used."""
        given = (config.key_id, config.team_id, config.private_key)
        if bool(config.certificate) == bool(config.private_key):
            raise ConfigError(
                "set `private_key` with `key_id` and `team_id`, or `certificate`", pointer="#/private_key"
            )
        if any(given) and not all(given):
            raise ConfigError("`key_id`, `team_id` and `private_key` belong together", pointer="#/key_id")
        self._config = config
        self._clock = tools.clock
        self._token = ApnsToken(*given) if config.private_key else None
        self.transport = Transport(
            identity=certificate_pem(config.certificate, config.certificate_password)
            if config.certificate
            else b"",
            http2_only=not config.url.lower().startswith("http:"),
        )
        """APNs speaks nothing but HTTP/2, and wants few connections; a proxy without TLS may do otherwise."""
        self._proven: set[tuple[str, str]] = set()
        """Environments and apps in which a device of ours was known: elsewhere the settings are doubted first."""

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message to one device."""
        to = _address_of(outgoing)
        if to is None:
            return Rejected(detail="this push contact is no APNs device (apns:TOKEN)")
        content = outgoing.content
        assert isinstance(content, PushContent)
        if to.is_of_activity:
            return self._to_activity(outgoing, to, content)
        body = apns_payload(content, outgoing.message.id, outgoing.live)
        background = content.device is not None and content.device.background
        own_id = apns_id(outgoing)
        collapse_id = text_of(outgoing.collapse_key)[:COLLAPSE_ID_BYTES] or own_id
        headers = {
            "apns-topic": to.app or self._config.topic,
            "apns-push-type": "background" if background else "alert",
            "apns-priority": PRIORITY_IN_BACKGROUND if background else PRIORITY[outgoing.message.lane],
            "apns-collapse-id": collapse_id,
            "apns-id": own_id,
        }
        return self._request(outgoing, f"{self._server(to)}/3/device/{to.token}", headers, body)

    def _to_activity(
        self, outgoing: Outgoing, to: DeviceAddress, content: PushContent
    ) -> HttpRequest | Outcome:
        """Starts, updates or ends a Live Activity: that of one device, or those that listen to a broadcast channel."""
        live = outgoing.live
        if obstacle := activity_obstacle(content, live, starts=to.starts):
            return Rejected(detail=obstacle)
        assert live is not None
        body = activity_payload(content, live, starts=to.starts, message=outgoing.message.id)
        app, own_id = to.app or self._config.topic, apns_id(outgoing)
        headers = {
            "apns-push-type": ACTIVITY,
            "apns-priority": max(PRIORITY[outgoing.message.lane], LOWEST_OF_ACTIVITY, key=int),
        }
        if to.is_channel:
            headers |= {"apns-channel-id": to.token, "apns-request-id": own_id}
            return self._request(
                outgoing, f"{self._server(to)}/4/broadcasts/apps/{app}", headers, body, CHANNEL_BYTES
            )
        headers |= {"apns-topic": app + ACTIVITY_TOPIC, "apns-id": own_id}
        return self._request(outgoing, f"{self._server(to)}/3/device/{to.token}", headers, body)

    def _request(
        self,
        outgoing: Outgoing | SentMessage,
        url: str,
        headers: dict[str, str],
        body: bytes,
        most: int = APNS_BYTES,
    ) -> HttpRequest | Outcome:
        if len(body) > most:
            return Rejected(
                detail=f"the notification takes {len(body):,} bytes of JSON, APNs {most:,} at most: shorten it"
            )
        now = self._clock.now()
        return HttpRequest(
            url=url,
            headers={
                **self._authorization(now),
                "content-type": "application/json",
                "apns-expiration": str(self._expiration(outgoing.message, now)),
                **headers,
            },
            body=body,
        )

    def withdrawal(self, sent: SentMessage) -> HttpRequest | Outcome:
        """A background push, by which the app removes the notification. It takes its place while it waits at APNs."""
        to = _address_of(sent)
        if to is None or to.is_of_activity:
            return Rejected(detail="this push contact is no APNs device (apns:TOKEN)")
        collapse_id = text_of(sent.collapse_key)[:COLLAPSE_ID_BYTES] or apns_id(sent)
        headers = {
            "apns-topic": to.app or self._config.topic,
            "apns-push-type": "background",
            "apns-priority": PRIORITY_IN_BACKGROUND,
            "apns-collapse-id": collapse_id,
        }
        data = app_withdrawal(sent.message.id, collapse_id)
        body = _encode({"aps": {"content-available": 1}, **data})
        return self._request(sent, f"{self._server(to)}/3/device/{to.token}", headers, body)

    def read(self, outgoing: Outgoing | SentMessage, reply: HttpReply) -> Outcome:
        """What APNs said."""
        to = _address_of(outgoing)
        assert to is not None
        if reply.status == 200:
            self._proven.add(self._place(to))
            return Accepted(provider_id=reply.headers.get("apns-request-id" if to.is_channel else "apns-id"))
        refusal = _refusal(reply)
        said = f"APNs said {refusal.reason} ({reply.status})"
        match refusal.reason:
            case reason if reason in ADDRESS_REASONS:
                since = None if refusal.timestamp is None else Instant(refusal.timestamp)
                return Gone(since=since, detail=f"{said}: the app is no longer on this device")
            case reason if reason in WRONG_PLACE_REASONS:
                return self._wrong_place(to, said)
            case reason if reason in TOPIC_REASONS:
                return self._wrong_topic(to, said)
            case "ExpiredProviderToken":
                return self._expired(said)
            case reason if reason in CREDENTIAL_REASONS:
                return Misconfigured(detail=f"{said}: check the key or certificate of the integration")
            case "TooManyRequests":
                after_s = reply.retry_after_s or TOO_MANY_S
                return Retry(reason=Reason.RATE_LIMITED, after_s=after_s, of_address=True, detail=said)
            case "TooManyProviderTokenUpdates":
                return Retry(reason=Reason.RATE_LIMITED, after_s=TOKEN_UPDATES_S, detail=said)
            case reason if reason in PASSING_REASONS:
                return Retry(after_s=reply.retry_after_s, detail=said)
            case reason if reason in MESSAGE_REASONS:
                return Rejected(detail=said)
        outcome = outcome_of(reply)
        if isinstance(outcome, Gone | Accepted):  # Not in the words of APNs: somebody else answered.
            return Misconfigured(detail=f"status {reply.status}: this is no answer of APNs, check `url`")
        return outcome

    def ping(self) -> HttpRequest:
        """A notification for a device that cannot exist: APNs looks at the credentials first."""
        server = self._server(DeviceAddress(service="apns", token=NOBODYS_TOKEN))
        return HttpRequest(
            url=f"{server}/3/device/{NOBODYS_TOKEN}",
            headers={
                **self._authorization(self._clock.now()),
                "apns-topic": self._config.topic,
                "apns-push-type": "background",
                "apns-priority": PRIORITY_IN_BACKGROUND,
                "apns-expiration": "0",
            },
            body=b'{"aps":{"content-available":1}}',
        )

    def _server(self, to: DeviceAddress) -> str:
        if self._config.url:
            return self._config.url.rstrip("/")
        return SANDBOX if self._place(to)[0] == "sandbox" else PRODUCTION

    def _place(self, to: DeviceAddress) -> tuple[str, str]:
        environment = "sandbox" if to.is_sandbox else self._config.environment
        return environment, to.app or self._config.topic

    def _authorization(self, now: Instant) -> dict[str, str]:
        return {} if self._token is None else {"authorization": f"bearer {self._token.at(now)}"}

    def _expiration(self, message: Message, now: Instant) -> int:
        """In seconds since 1970; 0: now or never."""
        if message.expires_at is not None:
            return min(message.expires_at // 1000, now // 1000 + LONGEST_TTL_S)
        return now // 1000 + self._config.ttl_s if self._config.ttl_s else 0

    def _wrong_place(self, to: DeviceAddress, said: str) -> Outcome:
        """The address is gone once others of its app were known there; before, the settings may be wrong for all."""
        environment, app = self._place(to)
        if (environment, app) in self._proven:
            return Gone(detail=f"{said}: APNs does not know this device")
        return Rejected(
            detail=f"{said}: check that {app} is the device's app and {environment} its environment; no device of "
            "them has been reached yet"
        )

    def _wrong_topic(self, to: DeviceAddress, said: str) -> Outcome:
        if to.app:
            return Rejected(detail=f"{said}: the key is not for the app that the contact names")
        return Misconfigured(detail=f"{said}: check `topic`, the bundle id of the app")

    def _expired(self, said: str) -> Outcome:
        """Sent once more with a new token; if that is expired as well, our clock is wrong."""
        if self._token is not None and self._token.renew(self._clock.now()):
            return Retry(after_s=0, detail=f"{said}: tried again with a new token")
        return Misconfigured(detail=f"{said}, although the token is new: check the clock of this machine")


def apns_id(outgoing: Outgoing | SentMessage) -> str:
    """The same on every attempt, another for every device: a message goes to all devices of its person."""
    assert outgoing.contact is not None
    return str(uuid5(UUID(bytes=outgoing.message.id), outgoing.contact.address))


def check_pong(reply: HttpReply) -> None:
    """Credentials are good when APNs goes on to look for the device."""
    reason = _refusal(reply).reason
    if reply.status == 200 or reason in ADDRESS_REASONS | WRONG_PLACE_REASONS:
        return
    if reason in TOPIC_REASONS:
        raise ConfigError(f"APNs said {reason}: check `topic`, the bundle id of the app")
    if reason == "ExpiredProviderToken":
        raise ConfigError(f"APNs said {reason}: check the clock of this machine")
    if reason in CREDENTIAL_REASONS:
        raise ConfigError(f"APNs said {reason}: check the key or certificate, and whether it is for this app")
    if reply.status == 429 or reply.status >= 500:
        raise Unavailable(f"APNs answered {reply.status}: try again later")
    raise ConfigError(f"this is no answer of APNs ({reply.status}): check `url`")


def accepts(contact: Contact) -> bool:
    """Devices whose address says that APNs knows them."""
    return service_of(contact.address) in APNS_SERVICES


_KNOWN = frozenset().union(
    *(ADDRESS_REASONS, WRONG_PLACE_REASONS, TOPIC_REASONS, CREDENTIAL_REASONS, MESSAGE_REASONS),
    *(PASSING_REASONS, {"ExpiredProviderToken", "TooManyRequests", "TooManyProviderTokenUpdates"}),
)


def _refusal(reply: HttpReply) -> _Refusal:
    """Why it was refused, in a word of APNs; anything else a server writes is not shown."""
    try:
        refusal = _decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        return _Refusal()
    return refusal if refusal.reason in _KNOWN else _Refusal()


def _address_of(outgoing: Outgoing | SentMessage) -> DeviceAddress | None:
    if outgoing.contact is None or not accepts(outgoing.contact):
        return None
    try:
        return read_device_address(outgoing.contact.address)
    except ValueError:
        return None


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    ends = Apns(config, tools)
    return HttpProvider(
        integration,
        tools,
        build=ends.build,
        read=ends.read,
        ping=ends.ping,
        check_pong=check_pong,
        transport=ends.transport,
        withdrawal=HttpEnds(ends.withdrawal, ends.read),
    )


plugin = ProviderPlugin(
    name="apns",
    title="Apple push (APNs)",
    channels=frozenset({Channel.PUSH}),
    config=ApnsConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="The app is asked to remove the notification, by a background push: it must do that itself, and the system "
        "delivers such pushes when it likes. A newer message of the same `collapse_key` or `thread` takes its place "
        "without that.",
    ),
    batch=64,
    secrets=frozenset({"private_key", "certificate", "certificate_password"}),
    example={
        "topic": "com.example.app",
        "key_id": "ABCDE12345",
        "team_id": "TEAMID1234",
        # The key of RFC 7515, appendix A.3, as PEM: known to everybody.
        "private_key": (
            "-----BEGIN PRIVATE KEY-----\n"
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
            "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
            "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
            "-----END PRIVATE KEY-----\n"
        ),
    },
)

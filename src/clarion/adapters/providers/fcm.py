"""FCM: notifications on Android, and on whatever else a Firebase project reaches (HTTP v1).

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest, Transport, outcome_of
from clarion.adapters.oauth import AccessTokens
from clarion.adapters.service_account import grant, read_service_account
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.device_address import DeviceAddress, read_device_address, service_of
from clarion.model.ids import Instant, id_text
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.push import (
    FCM_BYTES,
    FCM_TOPIC_BYTES,
    activity_aps,
    activity_obstacle,
    app_withdrawal,
    aps,
    fcm_bytes,
    fcm_data,
    fcm_notification,
    reserved_names,
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

TARGETS: Mapping[str, str] = {
    "fcm": "token",
    "fcm-topic": "topic",
    "fcm-condition": "condition",
    "fcm-start": "token",
    "fcm-activity": "token",
}
MANY: Final = frozenset({"fcm-topic", "fcm-condition"})
"""Addresses of more than one device."""
GOOGLE: Final = "https://fcm.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
PRIORITY: Mapping[Lane, str] = {
    Lane.CRITICAL: "HIGH",
    Lane.HIGH: "HIGH",
    Lane.NORMAL: "NORMAL",
    Lane.BULK: "NORMAL",
}
URGENCY: Mapping[Lane, str] = {
    Lane.CRITICAL: "high",
    Lane.HIGH: "high",
    Lane.NORMAL: "normal",
    Lane.BULK: "low",
}
LONGEST_TTL_S: Final = 28 * 86_400
"""What FCM keeps at most."""
QUOTA_S: Final = 60.0
"""Rest where FCM names no time, as it asks for."""
COLLAPSE_KEY_CHARS: Final = 64


ADDRESS_CODES = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT"})
QUOTA_CODES = frozenset({"QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
PASSING_CODES = frozenset({"UNAVAILABLE", "INTERNAL"})
OTHER_SERVICE_CODES = frozenset({"THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"})
PROJECT_CODES: Mapping[str, str] = {
    "PERMISSION_DENIED": "the service account needs the role Firebase Cloud Messaging API Admin",
    "NOT_FOUND": "nobody knows the project of the service account",
}

_encode = msgspec.json.Encoder().encode


class FcmConfig(ProviderSettings, frozen=True, kw_only=True):
    """The service account of a Firebase project."""

    service_account: str
    """The contents of the JSON key file (Firebase console, project settings, service accounts)."""
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TTL_S)] = 86_400
    """How long FCM keeps a message without `expires_at` for a device that is off. 0: now or never."""
    url: WebUrl = GOOGLE


class _Violation(msgspec.Struct, frozen=True):
    field: str = ""


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    error_code: str = ""
    field_violations: tuple[_Violation, ...] = ()


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: tuple[_Detail, ...] = ()

    @property
    def code(self) -> str:
        """FCM's own code, else the general one."""
        return next((detail.error_code for detail in self.details if detail.error_code), self.status)

    @property
    def is_about_token(self) -> bool:
        """Whether an invalid argument is the registration token."""
        fields = [one.field for detail in self.details for one in detail.field_violations]
        return "message.token" in fields or (not fields and "registration token" in self.message)


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class _Sent(msgspec.Struct, frozen=True):
    name: str


_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_decode_sent = msgspec.json.Decoder(_Sent).decode


class Fcm:
    """The two pure ends of the provider, and the access token between them."""

    def __init__(self, config: FcmConfig, tools: ProviderTools) -> None:
        """Raises ConfigError when the key file cannot be used."""
        account = read_service_account(config.service_account, "#/service_account")
        self.tokens = AccessTokens(grant(account, SCOPE, "#/service_account"), tools)
        self._url = f"{config.url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._ttl_s = config.ttl_s
        self._clock = tools.clock
        self.transport = Transport(http2_only=config.url == GOOGLE)
        self._token = ""
        self._proven = False
        """Whether the project has known a device: before, the settings are doubted first."""

    async def authorize(self) -> None:
        """Have a token for the next requests. Raises ConfigError or Unavailable."""
        self._token = await self.tokens.get()

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message to one device, topic or condition."""
        to = _address_of(outgoing)
        if to is None:
            return Rejected(detail="this push contact is no FCM device or topic (fcm:TOKEN)")
        content = outgoing.content
        assert isinstance(content, PushContent)
        if names := ", ".join(reserved_names(content.data)):
            return Rejected(detail=f"FCM keeps names in `data` for itself: {names}")
        if to.is_of_activity:
            return self._to_activity(to, outgoing, content)
        message = self._message(to, outgoing, content)
        most = FCM_TOPIC_BYTES if to.service in MANY else FCM_BYTES
        if (size := fcm_bytes(message["data"], message.get("notification", {}))) > most:
            return Rejected(detail=f"the notification takes {size:,} bytes, FCM {most:,} at most: shorten it")
        return self._request({"message": message})

    def _to_activity(
        self, to: DeviceAddress, outgoing: Outgoing, content: PushContent
    ) -> HttpRequest | Outcome:
        """Starts, updates or ends the Live Activity of a device of Apple's."""
        live = outgoing.live
        if obstacle := activity_obstacle(content, live, starts=to.starts):
            return Rejected(detail=obstacle)
        assert live is not None
        payload = {"aps": activity_aps(content, live, starts=to.starts)}
        if (size := len(_encode(payload))) > FCM_BYTES:
            return Rejected(
                detail=f"the Live Activity takes {size:,} bytes, FCM {FCM_BYTES:,} at most: shorten it"
            )
        ttl_s = self._ttl(outgoing.message, self._clock.now())
        headers = {
            "apns-priority": "10" if PRIORITY[outgoing.message.lane] == "HIGH" else "5",
            "apns-expiration": self._apns_expiration(ttl_s),
        }
        apple = {"headers": headers, "payload": payload, "liveActivityToken": to.activity}
        return self._request({"message": {"token": to.token, "apns": apple}})

    def withdrawal(self, sent: SentMessage) -> HttpRequest | Outcome:
        """Data without anything to show: the app removes the notification, which the system knows by its tag."""
        to = _address_of(sent)
        if to is None or to.is_of_activity:
            return Rejected(detail="this push contact is no FCM device or topic (fcm:TOKEN)")
        collapse = text_of(sent.collapse_key)[:COLLAPSE_KEY_CHARS] if sent.collapse_key else ""
        headers = {"apns-push-type": "background", "apns-priority": "5"}
        message: dict[str, Any] = {
            TARGETS[to.service]: to.token,
            "data": app_withdrawal(sent.message.id, collapse or id_text(sent.message.id)),
            "android": {
                "priority": "NORMAL",
                "ttl": f"{self._ttl_s}s",
                **({"collapseKey": collapse} if collapse else {}),
            },
            "apns": {"headers": headers, "payload": {"aps": {"content-available": 1}}},
        }
        return self._request({"message": message})

    def read(self, outgoing: Outgoing | SentMessage, reply: HttpReply) -> Outcome:
        """What FCM said; a 502 comes as HTML."""
        if reply.status == 200:
            outcome = _accepted(reply)
            self._proven |= isinstance(outcome, Accepted) and _is_device(outgoing)
            return outcome
        error = _refusal(reply)
        said = f"FCM said {error.code} ({reply.status})" if error.code in _KNOWN else f"status {reply.status}"
        if error.code in ADDRESS_CODES:
            return self._refused_address(outgoing, error, said)
        if error.code == "UNAUTHENTICATED" or (not error.code and reply.status == 401):
            return self._unauthenticated(said)
        if error.code in QUOTA_CODES:
            return Retry(reason=Reason.RATE_LIMITED, after_s=reply.retry_after_s or QUOTA_S, detail=said)
        if error.code in PASSING_CODES:
            return Retry(after_s=reply.retry_after_s, detail=said)
        if error.code in OTHER_SERVICE_CODES:
            # Of this app on Apple's devices or in browsers: Android is served as before.
            detail = f"{said}: upload the app's APNs key or web push key in the Firebase console"
            return Retry(reason=Reason.MISCONFIGURED, of_address=True, detail=detail)
        if advice := PROJECT_CODES.get(error.code):
            return Misconfigured(detail=f"{said}: {advice}")
        outcome = outcome_of(reply)
        if isinstance(outcome, Gone | Accepted):  # Not in the words of FCM: somebody else answered.
            return Misconfigured(detail=f"{said}: this is no answer of FCM, check `url`")
        return outcome

    def _refused_address(self, outgoing: Outgoing | SentMessage, error: _Error, said: str) -> Outcome:
        if not _is_device(outgoing):
            return Rejected(detail=said)
        if error.code == "SENDER_ID_MISMATCH":
            return self._of_other_project(said)
        if error.code == "INVALID_ARGUMENT" and not error.is_about_token:
            return Rejected(detail=said)
        return Gone(detail=f"{said}: the registration token is no longer valid")

    def _of_other_project(self, said: str) -> Outcome:
        """The address is gone once the project has reached others; before, it may be the wrong project for all."""
        if self._proven:
            return Gone(detail=f"{said}: the registration token belongs to another Firebase project")
        return Rejected(detail=f"{said}: check that service_account is of the project that the app uses")

    def _unauthenticated(self, said: str) -> Outcome:
        if self.tokens.forget(self._token):
            return Retry(after_s=0, detail=f"{said}: tried again with a new access token")
        return Misconfigured(detail=f"{said}, although the access token is new: check service_account")

    def _message(self, to: DeviceAddress, outgoing: Outgoing, content: PushContent) -> dict[str, Any]:
        options, live = content.device or DeviceOptions(), outgoing.live
        ttl_s = self._ttl(outgoing.message, self._clock.now())
        collapse = text_of(outgoing.collapse_key)[:COLLAPSE_KEY_CHARS] if outgoing.collapse_key else ""
        lane = outgoing.message.lane
        android: dict[str, Any] = {"priority": PRIORITY[lane], "ttl": f"{ttl_s}s"}
        if collapse:
            android["collapseKey"] = collapse
        message: dict[str, Any] = {
            TARGETS[to.service]: to.token,
            "data": fcm_data(content, outgoing.message.id, live),
            "android": android,
            "apns": {
                "headers": self._apns_headers(ttl_s, lane, collapse, options),
                "payload": {"aps": aps(content, live)},
            },
            "webpush": _webpush(content, ttl_s, lane, collapse),
        }
        if live is not None and content.live is not None and content.live.progress is not None:
            # FCM shows no progress: the app does, with what Apple's devices and browsers are shown beside its data.
            message["data"] |= {"title": content.title, "body": content.body}
            message["webpush"]["notification"] = {**fcm_notification(content), "tag": collapse}
        elif not options.background:
            message["notification"] = fcm_notification(content)
            tag = collapse or id_text(outgoing.message.id)
            android["notification"] = _android_notification(options, tag)
        return message

    def _apns_headers(self, ttl_s: int, lane: Lane, collapse: str, options: DeviceOptions) -> dict[str, str]:
        at_once = PRIORITY[lane] == "HIGH" and not options.background
        return {
            "apns-push-type": "background" if options.background else "alert",
            "apns-priority": "10" if at_once else "5",
            "apns-expiration": self._apns_expiration(ttl_s),
            **({"apns-collapse-id": collapse} if collapse else {}),
        }

    def _apns_expiration(self, ttl_s: int) -> str:
        return str(self._clock.now() // 1000 + ttl_s if ttl_s else 0)

    def _ttl(self, message: Message, now: Instant) -> int:
        if message.expires_at is None:
            return self._ttl_s
        return min(LONGEST_TTL_S, max(0, (message.expires_at - now) // 1000))

    def _request(self, body: Mapping[str, Any]) -> HttpRequest:
        return HttpRequest(
            url=self._url,
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
            body=_encode(body),
        )

    def ping(self) -> HttpRequest:
        """Has FCM check a message to a topic without sending it."""
        return self._request(
            {"validateOnly": True, "message": {"topic": "clarion-check", "data": {"check": "1"}}}
        )

    def check_pong(self, reply: HttpReply) -> None:
        """Whether it would have been sent. Raises ConfigError or Unavailable."""
        if reply.status == 200 and isinstance(_accepted(reply), Accepted):
            return
        code = _refusal(reply).code
        said = f"FCM said {code} ({reply.status})" if code in _KNOWN else f"FCM answered {reply.status}"
        if reply.status == 429 or reply.status >= 500:
            raise Unavailable(f"{said}: try again later")
        raise ConfigError(
            f"{said}: check service_account, that its project has the Firebase Cloud Messaging API enabled, and `url`"
        )


def accepts(contact: Contact) -> bool:
    """Devices, topics and conditions whose address says that FCM knows them."""
    return service_of(contact.address) in TARGETS


_KNOWN = frozenset().union(
    *(ADDRESS_CODES, QUOTA_CODES, PASSING_CODES, OTHER_SERVICE_CODES, PROJECT_CODES, {"UNAUTHENTICATED"})
)


def _refusal(reply: HttpReply) -> _Error:
    try:
        return _decode_refusal(reply.body).error
    except (msgspec.DecodeError, RecursionError):
        return _Error()


def _address_of(outgoing: Outgoing | SentMessage) -> DeviceAddress | None:
    if outgoing.contact is None or not accepts(outgoing.contact):
        return None
    try:
        return read_device_address(outgoing.contact.address)
    except ValueError:
        return None


def _is_device(outgoing: Outgoing | SentMessage) -> bool:
    to = _address_of(outgoing)
    return to is not None and to.service not in MANY


def _accepted(reply: HttpReply) -> Outcome:
    """Of a 200."""
    try:
        return Accepted(provider_id=_decode_sent(reply.body).name)
    except (msgspec.DecodeError, RecursionError):
        # What is cut off says nothing against the 200; what is whole and reads otherwise is not from FCM.
        return Accepted() if reply.cut else Misconfigured(detail="this is no answer of FCM: check `url`")


def _android_notification(options: DeviceOptions, tag: str) -> dict[str, Any]:
    """`tag`: what the app removes it by, and what replaces itself when it comes twice."""
    return _filled(
        channelId=options.channel_id,
        sound=options.sound,
        clickAction=options.category,
        tag=tag,
        notificationCount=options.badge,
        titleLocKey=options.title_loc_key,
        titleLocArgs=options.title_loc_args,
        bodyLocKey=options.loc_key,
        bodyLocArgs=options.loc_args,
    )


def _webpush(content: PushContent, ttl_s: int, lane: Lane, collapse: str) -> dict[str, Any]:
    headers = {"TTL": str(ttl_s), "Urgency": URGENCY[lane], **({"Topic": collapse[:32]} if collapse else {})}
    link = content.url if content.url.startswith("https://") else ""
    return {"headers": headers, **({"fcmOptions": {"link": link}} if link else {})}


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    ends = Fcm(config, tools)
    return HttpProvider(
        integration,
        tools,
        build=ends.build,
        read=ends.read,
        ping=ends.ping,
        check_pong=ends.check_pong,
        prepare=ends.authorize,
        release=ends.tokens.close,
        transport=ends.transport,
        withdrawal=HttpEnds(ends.withdrawal, ends.read),
    )


plugin = ProviderPlugin(
    name="fcm",
    title="Firebase push (FCM)",
    channels=frozenset({Channel.PUSH}),
    config=FcmConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="The app is asked to remove the notification, by a data message: it must do that itself, and be allowed to "
        "run. A newer message of the same `collapse_key` or `thread` takes its place without that.",
    ),
    batch=64,
    secrets=frozenset({"service_account"}),
    # The key was made for this example: known to everybody.
    example={
        "service_account": (
            '{"type": "service_account", "project_id": "example-project", "private_key_id": "1", "private_key": "'
            "-----BEGIN PRIVATE KEY-----\\n"
            "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDoKXeGs5F3IoyK\\n"
            "S9HMNHLr20yFO6P30L+YctzYnheufbMhEazQytWhbBfhoEdYxoZ7cE1nEsSkkaCG\\n"
            "/wu5SksGeT58fg0DHU4YPJAvDKtENP42GJWfUG9ULkaRquTy5p0z9bcJ2PQMjdQo\\n"
            "QPKIwSiAW6ErZLy7/aFXwKhEqFSkmaZhMz4vBg2WW7VKYIewNeRXLZIiRqMsrbiH\\n"
            "YFIRt6qEu55A4/cPhDbyrb3AOz/NfqHifv5WtUe2xZ3o81zXLJWL8mEUqTjnnVlA\\n"
            "0Hp78v9MCz/9m3/m3Te7wXBc4DxEHKladVVF9rVIElnCj56qVd8+KaoJfrhW9T2w\\n"
            "fT90WbsJAgMBAAECggEADiqRl4+XfbyG9N1hhONia8/q4GpeO/3p4wSHQ1SKP2R+\\n"
            "LLNmZyspU/tDjcn48IrUo+2bW4HCrAQS1onzji/hWhjF3lTWuGzuWf5AEg7k2Hmf\\n"
            "VW+0mY8P7AQS3EqgQ84co5IHxDsP0UBKRNaJthyLOyHcOMih15rHYJJp8h6PY6e6\\n"
            "vYCTE9XVTjwl2pJkbekoffrCjVbsKiVlMiUsk9pepF+wDLdR/x390y+uHU5Upbiv\\n"
            "8Heyz0lgqCkySMLYuHLmKIL/AnqoUXvABx0Vg/auWYYtlPKe02oGPRfTb8JfB8oU\\n"
            "KTpbpiasQZQMrMYK/HP1wQoQZA0T+NosPWZalBcAAQKBgQD/a+F1VEGhl9mxtwOo\\n"
            "cJw7mLchZkg4MP/s/v0ko1Eaw+lfgUFuwbimUbukYsECB9Y/EIemeduyEzakWA0r\\n"
            "oGHNKq2L1xgXjrQU57GO2SSBwokqGyKH+30+M+MpaUvPpRLQbUOlccXAQy2GGEov\\n"
            "W/MqJeSbNH4uHctWmfNNfrS7CQKBgQDosBkX41nj5EvZyodg7Or/abB4BpspK5dN\\n"
            "tOs6rkq/NJrofkA45WLGQ0IJK4Q7FIEJszKaskRuTHEtzkg74sNyMCih7umdBGfb\\n"
            "oG1thXmFZeGnk7hLdUZj+1lYlRq+S55eH8wqUqqPus7KApE+wBTZxqk3J53jyUEi\\n"
            "dU784L0AAQKBgQCg8wj6FyLYQciy3KFYdcVtJHlZeYtOpUnPvIolmSgVVphrTxa9\\n"
            "RSMm4t/74SLANdICoVbpR2ZyGvtWqgl6kTCvyRHcyahrx8egWLOhUSFZBw3J05l5\\n"
            "2LZ+CNI/GRPlf56QahmzWjMDSRGZqxqsJyPeTkx0pKpSQwILyyzui0Y1iQKBgQC2\\n"
            "Uh0nWY36gcxpF0ciTCEKBi8urMZw6OYCDitubFjHHxnt59a8fgf6H4MjmkRe4n8F\\n"
            "MbMKAXqbDix0Xri8q77GvzNnRsMns+cI8NgtQ7NnMeAxJQ73mSmRd8WXIiW1S50I\\n"
            "VVPtKZ7ZRd9367ERAQKVbRLz04fkjrIJpO9CN3oAAQKBgDxqJ+sY1paTNCcRq6q8\\n"
            "t2beIz5k3zLV+YiIMQIERlBXZvnXYVURivbxYFUJk5i+h2BuCGiU46WxXle4ZeP2\\n"
            "Q/h/41tTJCJQpD8aagc0/cry05MPKLK+MZvbybTL2XTsTzDD4f/ps+0Z3SMmVbLo\\n"
            "P+gvXmNYn5xxYiZHATKVdX1k\\n"
            "-----END PRIVATE KEY-----\\n"
            '", "client_email": "clarion@example-project.iam.gserviceaccount.com"}'
        )
    },
)

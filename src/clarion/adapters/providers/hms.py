"""HMS Push Kit: notifications on phones of Huawei without Google's services (HarmonyOS up to 4, EMUI).

https://developer.huawei.com/consumer/en/doc/HMSCore-References/https-send-api-0000001050986197
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.oauth import AccessTokens, Grant
from clarion.adapters.service_json import answer_of, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.device_address import service_of, token_at
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.push import app_data
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.subscription import text_of
from clarion.model.user import Contact
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl

SERVICE: Final = "hms"
LONGEST_TTL_S: Final = 15 * 86_400
MOST_BYTES: Final = 4_096
"""Of the message without the token."""
MOST_BADGE: Final = 99
TAG_CHARS: Final = 64

SUCCESS: Final = "80000000"
BAD_TOKENS = frozenset({"80100000", "80300007"})
"""The token is not valid, or of another app."""
BAD_CREDENTIALS = frozenset({"80200001", "80200003"})
NO_RIGHT: Final = "80300002"
"""Push Kit is not enabled for the app; or the token is of another app."""
OAUTH_FAILED: Final = "80600003"
INTERNAL: Final = "81000001"
REFUSED: Mapping[str, str] = {
    "80100001": "a parameter is wrong",
    "80100003": "the structure of the message is wrong",
    "80100004": "it has expired",
    "80100013": "the collapse key is wrong",
    "80100016": "it holds sensitive information",
    "80300008": "it is too large",
    "80300011": "messages of high urgency need a permission of Huawei",
}
# A token that cannot exist: the answer to it says that everything else is right.
NOBODY = "clarion-check-of-the-settings"

_encode = msgspec.json.Encoder().encode


class HmsConfig(ProviderSettings, frozen=True, kw_only=True):
    """An app in AppGallery Connect: project settings, general information."""

    client_id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,32}\Z")]
    """OAuth 2.0 client id of the app (the app id)."""
    client_secret: Token
    """OAuth 2.0 client secret of the app."""
    badge_class: str = ""
    """Full name of the app's entry activity: without it no badge is set."""
    category: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z_]{0,32}\Z")] = ""
    """The class of messages that Huawei granted the app, such as `ACCOUNT` or `EXPRESS`."""
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_TTL_S)] = 86_400
    """How long Huawei keeps a message without `expires_at` for a device that is off."""
    url: WebUrl = "https://push-api.cloud.huawei.com"
    token_url: WebUrl = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"  # noqa: S105 - a URL


class Hms:
    """The two pure ends of the provider, and the access token between them."""

    def __init__(self, config: HmsConfig, tools: ProviderTools) -> None:
        self.tokens = AccessTokens(
            Grant(token_url=config.token_url, client_id=config.client_id, client_secret=config.client_secret),
            tools,
        )
        self._config = config
        self._url = f"{config.url.rstrip('/')}/v1/{config.client_id}/messages:send"
        self._clock = tools.clock
        self._token = ""
        self._proven = False
        """Whether the app has reached a device: before, the settings are doubted first."""

    async def authorize(self) -> None:
        """Have a token for the next requests. Raises ConfigError or Unavailable."""
        self._token = await self.tokens.get()

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message to one device."""
        token = "" if outgoing.contact is None else token_at(SERVICE, outgoing.contact.address)
        if not token:
            return Rejected(detail="this push contact is no push token of Huawei (hms:TOKEN)")
        content = outgoing.content
        assert isinstance(content, PushContent)
        message = self._message(outgoing, content)
        if (size := len(_encode(message))) > MOST_BYTES:
            return Rejected(
                detail=f"the notification takes {size:,} bytes of JSON, Huawei {MOST_BYTES:,} at most: shorten it"
            )
        return self._request(message, token)

    def read(self, outgoing: Outgoing, reply: HttpReply) -> Outcome:
        """`{"code": "80000000", "msg": ..., "requestId": ...}`."""
        answer = answer_of(reply)
        code = text_in(answer, "code")
        if code == SUCCESS:
            self._proven = True
            return Accepted(provider_id=text_in(answer, "requestId") or None)
        if code in _KNOWN:
            return self._refused(code)
        said = f"status {reply.status}"
        if reply.status == 401:
            return self._unauthorized(said)
        if reply.status == 503:
            return Retry(reason=Reason.RATE_LIMITED, after_s=reply.retry_after_s, detail=f"{said}: slower")
        if code.isdecimal() and reply.status < 500:
            return Rejected(detail="Huawei refused the message, with a code that is not known here")
        outcome = outcome_of(reply)
        if isinstance(outcome, Accepted) and reply.cut:
            return outcome  # What is cut off says nothing against the 200.
        if isinstance(outcome, Gone | Accepted):
            return Misconfigured(detail=f"{said}: this is no answer of Huawei, check `url`")
        return outcome

    def _refused(self, code: str) -> Outcome:
        said = f"Huawei said {code}"
        if code in BAD_TOKENS:
            return self._refused_token(said)
        if code in BAD_CREDENTIALS:
            return self._unauthorized(said)
        if code == NO_RIGHT and self._proven:
            return Rejected(detail=f"{said}: the token belongs to another app")
        if code == NO_RIGHT:
            return Misconfigured(detail=f"{said}: enable Push Kit for the app in AppGallery Connect")
        if code == OAUTH_FAILED:
            return Misconfigured(detail=f"{said}: check client_id and client_secret")
        if code == INTERNAL:
            return Retry(detail=said)
        return Rejected(detail=f"{said}: {REFUSED[code]}")

    def _refused_token(self, said: str) -> Outcome:
        """The token is gone once the app has reached others; before, it may be the wrong app for all."""
        if self._proven:
            return Gone(detail=f"{said}: the token is no longer valid")
        return Rejected(detail=f"{said}: check that client_id is of the app that the token comes from")

    def _unauthorized(self, said: str) -> Outcome:
        if self.tokens.forget(self._token):
            return Retry(after_s=0, detail=f"{said}: tried again with a new access token")
        return Misconfigured(
            detail=f"{said}, although the access token is new: check client_id and client_secret"
        )

    def _message(self, outgoing: Outgoing, content: PushContent) -> dict[str, Any]:
        options = content.device or DeviceOptions()
        data = _encode(app_data(content, outgoing.message.id, outgoing.live)).decode()
        ttl_s = _ttl(self._config.ttl_s, outgoing.message, self._clock.now())
        android: dict[str, Any] = {"ttl": f"{ttl_s}s"}
        if self._config.category:
            android["category"] = self._config.category
        if not options.background:
            android["notification"] = self._notification(outgoing, content, options)
        return {"data": data, "android": android}

    def _notification(
        self, outgoing: Outgoing, content: PushContent, options: DeviceOptions
    ) -> dict[str, Any]:
        link = content.url if content.url.startswith("https://") else ""
        shown: dict[str, Any] = {
            "title": content.title,
            "body": content.body or content.title,
            "image": content.image if content.image.startswith("https://") else "",
            "title_loc_key": options.title_loc_key,
            "title_loc_args": options.title_loc_args if options.title_loc_key else (),
            "body_loc_key": options.loc_key,
            "body_loc_args": options.loc_args if options.loc_key else (),
            "channel_id": options.channel_id,
            "tag": text_of(outgoing.collapse_key)[:TAG_CHARS] if outgoing.collapse_key else "",
            "importance": "LOW" if outgoing.message.lane is Lane.BULK else "NORMAL",
            "click_action": {"type": 2, "url": link} if link else {"type": 3},
        }
        badge = {}
        if self._config.badge_class and isinstance(options.badge, int):
            number = min(options.badge, MOST_BADGE)
            badge = {"badge": {"class": self._config.badge_class, "set_num": number}}
        return {name: value for name, value in shown.items() if value} | badge

    def _request(self, message: Mapping[str, Any], token: str, *, check: bool = False) -> HttpRequest:
        return HttpRequest(
            url=self._url,
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
            body=_encode({"validate_only": check, "message": {**message, "token": [token]}}),
        )

    def ping(self) -> HttpRequest:
        """Has Huawei check a message to a token that cannot exist."""
        return self._request({"data": "{}", "android": {"ttl": "1s"}}, NOBODY, check=True)

    def check_pong(self, reply: HttpReply) -> None:
        """Whether only the token was wrong. Raises ConfigError or Unavailable."""
        code = text_in(answer_of(reply), "code")
        if code == SUCCESS or code in BAD_TOKENS:
            return
        said = f"Huawei said {code}" if code in _KNOWN else f"Huawei answered {reply.status}"
        if reply.status == 429 or reply.status >= 500 or code == INTERNAL:
            raise Unavailable(f"{said}: try again later")
        raise ConfigError(f"{said}: check client_id, client_secret and that Push Kit is enabled for the app")


def _ttl(usual_s: int, message: Message, now: Instant) -> int:
    if message.expires_at is None:
        return usual_s
    return min(LONGEST_TTL_S, max(1, (message.expires_at - now) // 1000))


def accepts(contact: Contact) -> bool:
    """Push tokens of Huawei."""
    return service_of(contact.address) == SERVICE


_KNOWN = frozenset({SUCCESS, *BAD_TOKENS, *BAD_CREDENTIALS, NO_RIGHT, OAUTH_FAILED, INTERNAL, *REFUSED})


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    ends = Hms(config, tools)
    return HttpProvider(
        integration,
        tools,
        build=ends.build,
        read=ends.read,
        ping=ends.ping,
        check_pong=ends.check_pong,
        prepare=ends.authorize,
        release=ends.tokens.close,
    )


plugin = ProviderPlugin(
    name=SERVICE,
    title="Huawei push (HMS)",
    channels=frozenset({Channel.PUSH}),
    config=HmsConfig,
    open=_open,
    accepts=accepts,
    batch=32,
    secrets=frozenset({"client_secret"}),
    example={"client_id": "100000001", "client_secret": "..."},
)

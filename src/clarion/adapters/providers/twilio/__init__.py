"""Twilio: SMS, MMS, RCS and WhatsApp over Programmable Messaging, with its reports of what became of each message.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.http.basic import basic
from clarion.adapters.providers.twilio.error_codes import outcome_of_code, said
from clarion.adapters.providers.twilio.status_callbacks import REFERENCE, callbacks
from clarion.adapters.service_json import answer_as
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent, WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 1600
SID_CHARS = 34
VARIABLES_CHARS = 8_192
WHATSAPP = "whatsapp:"
"""Before the numbers of WhatsApp."""
LONGEST_VALIDITY_S = 36_000
"""How long Twilio holds a message at most; what it does by itself."""


class TwilioAccount(ProviderSettings, frozen=True, kw_only=True):
    """An account, and how to reach it."""

    account_sid: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\AAC[0-9a-fA-F]{32}\Z", description="the account SID as the console shows it: AC..."
        ),
    ]
    """The account."""
    auth_token: Token
    """Of the account. Twilio signs its callbacks with it, also when messages are sent with an API key."""
    api_key_sid: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\ASK[0-9a-fA-F]{32}\Z",
            description="the SID of an API key as the console shows it: SK...",
        ),
    ] = ""
    """An API key to send with; empty: the auth token."""
    api_key_secret: Token = ""
    """Its secret."""
    api_url: WebUrl = "https://api.twilio.com"
    """Where the API is; another one for regions such as `https://api.dublin.ie1.twilio.com`."""

    def __post_init__(self) -> None:
        if bool(self.api_key_sid) != bool(self.api_key_secret):
            raise ValueError("set `api_key_sid` and `api_key_secret` together, or neither")

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password."""
        return self.api_key_sid or self.account_sid, self.api_key_secret or self.auth_token


class TwilioConfig(TwilioAccount, frozen=True, kw_only=True):
    """An account and who sends."""

    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(\+[1-9][0-9]{6,14}|[0-9]{3,8}|MG[0-9a-fA-F]{32}|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 +&_-]{1,11})\Z",
            description="a number (+15005550006), a short code, a name of up to 11 characters, or a messaging service (MG...)",
        ),
    ]
    """Who sends: a number, a short code, a name where the country allows names, or the SID of a messaging service."""


class TwilioAnswer(msgspec.Struct):
    """What we read of Twilio's JSON: a message, or an error."""

    sid: str = ""
    status: str | int = ""
    code: int | None = None
    error_code: int | None = None


class TwilioMessages:
    """Makes requests for one integration, and reads their answers."""

    def __init__(self, integration: Integration, config: TwilioConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._tools = tools
        self._url = f"{config.api_url.rstrip('/')}/2010-04-01/Accounts/{config.account_sid}"
        self._headers = {"authorization": basic(*config.credentials)}
        self._sender = config.sender

    @property
    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return HttpRequest(method="GET", url=f"{self._url}.json", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        content = outgoing.content
        assert isinstance(content, SmsContent | WhatsAppContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        if len(content.text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that Twilio takes")
        number = normal_address(Channel.SMS, outgoing.contact.address)
        sender = outgoing.sender or self._sender
        said: dict[str, str | tuple[str, ...]]
        if isinstance(content, WhatsAppContent):
            said = {"To": WHATSAPP + number, **_sender(sender, WHATSAPP), **_whatsapp(content)}
        else:
            said = {"To": number, **_sender(sender), **_text(content, sender)}
        if len(said.get("ContentSid", "")) not in (0, SID_CHARS):
            return Rejected(detail="the template must be the SID of a content template at Twilio: HX...")
        if len(said.get("ContentVariables", "")) > VARIABLES_CHARS:
            return Rejected(
                detail=f"the parameters are longer than the {VARIABLES_CHARS} characters that Twilio takes"
            )
        fields = {**said, **self._validity(outgoing.message.expires_at)}
        if url := self._tools.callback_url(outgoing.message.tenant, self._key):
            fields["StatusCallback"] = f"{url}?{REFERENCE}={quote(self._tools.reference(outgoing.message))}"
        return HttpRequest(
            url=f"{self._url}/Messages.json",
            headers={**self._headers, "content-type": "application/x-www-form-urlencoded"},
            body=urlencode(fields, doseq=True, errors="replace").encode(),
        )

    def _validity(self, expires_at: Instant | None) -> dict[str, str]:
        """Twilio drops what waits longer in its queue."""
        if expires_at is None:
            return {}
        left_s = (expires_at - self._tools.clock.now()) // 1000
        return (
            {"ValidityPeriod": str(min(max(1, left_s), LONGEST_VALIDITY_S))}
            if left_s < LONGEST_VALIDITY_S
            else {}
        )


def _text(content: SmsContent, sender: str) -> dict[str, str | tuple[str, ...]]:
    """A text with its media; through a messaging service, the content template that is sent instead."""
    if content.rcs_template and _is_service(sender):
        return {**_template(content.rcs_template, content.rcs_parameters)}
    return {"Body": content.text, **({"MediaUrl": content.media} if content.media else {})}


def _whatsapp(content: WhatsAppContent) -> dict[str, str]:
    """A text, or a content template: its body is filled first, then the buttons."""
    if not content.template:
        return {"Body": _linked(content)}
    return _template(content.template, (*content.parameters, *content.buttons))


def _linked(content: WhatsAppContent) -> str:
    """Twilio has buttons in content templates only: the link leads to all of them, and people may write their answer."""
    url = next((one.url for one in content.actions if one.url), "")
    labels = " / ".join(one.label for one in content.actions)
    linked = f"{content.text}\n{labels}: {url}"
    return linked if url and len(linked) <= TEXT_CHARS else content.text


def _template(sid: str, values: tuple[str, ...]) -> dict[str, str]:
    """A content template with what fills it."""
    variables = {str(number): value for number, value in enumerate(values, 1)}
    filled = {"ContentVariables": json.dumps(variables)} if variables else {}
    return {"ContentSid": sid, **filled}


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Twilio's answer means."""
    answer = answer_of(reply)
    code = answer.code or answer.error_code
    if code is not None:
        outcome = outcome_of_code(code, reply.retry_after_s)
        if outcome is not None:
            return outcome
    if 200 <= reply.status < 300:
        if not answer.sid:
            return Unknown(detail="an answer that is not Twilio's")
        return Rejected(detail=said(code)) if code else Accepted(provider_id=answer.sid)
    if reply.status == 504:
        return Unknown(detail="status 504: Twilio may have taken it")
    if code is not None and 400 <= reply.status < 500 and reply.status not in (401, 403, 404, 429):
        return Rejected(detail=said(code))
    return outcome_of(reply)


def answer_of(reply: HttpReply) -> TwilioAnswer:
    """The JSON of an answer; empty when there is none."""
    return answer_as(reply, TwilioAnswer)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    answer = answer_of(reply)
    if reply.status == 200 and answer.status == "active":
        return
    if reply.status == 200 and answer.status in ("suspended", "closed"):
        raise ConfigError(f"the Twilio account is {answer.status}: look at its console")
    if reply.status in {401, 403, 404}:
        raise ConfigError(
            "Twilio refuses the credentials: compare `account_sid`, `auth_token` and the API key with its console"
        )
    raise Unavailable(
        f"Twilio answered {reply.status}: try again later, or look at https://status.twilio.com"
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = TwilioMessages(integration, config, tools)
    return HttpProvider(
        integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
    )


def _sender(sender: str, prefix: str = "") -> dict[str, str]:
    """A messaging service, or what stands before a number and the number."""
    return {"MessagingServiceSid": sender} if _is_service(sender) else {"From": prefix + sender}


def _is_service(sender: str) -> bool:
    return sender.startswith("MG") and len(sender) == SID_CHARS


plugin = ProviderPlugin(
    name="twilio",
    title="Twilio",
    channels=frozenset({Channel.SMS, Channel.WHATSAPP}),
    config=TwilioConfig,
    open=_open,
    callbacks=callbacks,
    batch=50,
    secrets=frozenset({"auth_token", "api_key_secret"}),
    example={
        "account_sid": "AC00000000000000000000000000000000",
        "auth_token": "...",
        "sender": "+15005550006",
    },
)

"""AWS End User Messaging: text messages, with its events through SNS.

https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from clarion.adapters.aws import (
    SNS_WINDOW_S,
    AwsSigner,
    Region,
    TopicArn,
    check_key_pair,
    error_name,
    notification_of,
    verify_notification,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors
from clarion.adapters.service_json import answer_as, object_in, object_of, second, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import (
    Callback,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    DocumentNeeded,
    ReportedReceipt,
)
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

SERVICE = "sms-voice"
TARGET = "PinpointSMSVoiceV2"
TEXT_CHARS = 1600
SHORTEST_TTL_S, LONGEST_TTL_S = 5, 259_200
REFERENCE = "clarion"
"""Our name in the context, which events repeat."""
ANSWERS = PhoneErrors(
    "AWS",
    {
        "UnrecognizedClientException": PhoneError("the credentials are wrong", PhoneErrorEffect.SET_UP),
        "InvalidSignatureException": PhoneError(
            "the credentials are wrong, or the clock of this machine is", PhoneErrorEffect.SET_UP
        ),
        "ExpiredTokenException": PhoneError("the credentials have ended", PhoneErrorEffect.SET_UP),
        "AccessDeniedException": PhoneError(
            "the credentials lack a permission, or the account is disabled", PhoneErrorEffect.SET_UP
        ),
        "ResourceNotFoundException": PhoneError(
            "the sender or the configuration set does not exist in this region", PhoneErrorEffect.SET_UP
        ),
        "ThrottlingException": PhoneError("too many requests at once", PhoneErrorEffect.LATER),
        "ServiceQuotaExceededException": PhoneError(
            "a quota or the spending limit is used up", PhoneErrorEffect.LATER
        ),
        "InternalServerException": PhoneError("an error inside AWS", PhoneErrorEffect.UNCLEAR),
        "ValidationException": PhoneError("a parameter is not valid", PhoneErrorEffect.REFUSED),
        "ConflictException": PhoneError(
            "the sender, the number and the account do not fit", PhoneErrorEffect.REFUSED
        ),
        "DESTINATION_PHONE_NUMBER_OPTED_OUT": PhoneError(
            "the recipient answered STOP", PhoneErrorEffect.OPTED_OUT
        ),
        "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": PhoneError(
            "the account is in the sandbox, and the number is not verified", PhoneErrorEffect.REFUSED
        ),
        "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": PhoneError(
            "a protect configuration blocks this country", PhoneErrorEffect.BLOCKED
        ),
        "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": PhoneError(
            "a protect configuration blocks this number", PhoneErrorEffect.BLOCKED
        ),
        "NO_ORIGINATION_IDENTITIES_FOUND": PhoneError(
            "the account has no sender for this number", PhoneErrorEffect.SET_UP
        ),
        "SENDER_ID_NOT_REGISTERED": PhoneError(
            "the sender is not registered in this country", PhoneErrorEffect.SET_UP
        ),
        "SENDER_ID_REQUIRES_REGISTRATION": PhoneError(
            "the sender must be registered in this country", PhoneErrorEffect.SET_UP
        ),
    },
)
"""When sending: names of errors, and the reasons of some, which say more."""
ERRORS = PhoneErrors(
    "AWS",
    {
        "TEXT_INVALID": PhoneError("the number is not valid", PhoneErrorEffect.GONE),
        "TEXT_INVALID_MESSAGE": PhoneError("the message is not valid", PhoneErrorEffect.REFUSED),
        "TEXT_UNREACHABLE": PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
        "TEXT_CARRIER_UNREACHABLE": PhoneError("the carrier was out of reach", PhoneErrorEffect.UNCLEAR),
        "TEXT_BLOCKED": PhoneError("the recipient blocks messages", PhoneErrorEffect.BLOCKED),
        "TEXT_CARRIER_BLOCKED": PhoneError(
            "a carrier blocks messages to this number", PhoneErrorEffect.BLOCKED
        ),
        "TEXT_SPAM": PhoneError("a carrier filtered the message as spam", PhoneErrorEffect.BLOCKED),
        "TEXT_UNKNOWN": PhoneError("nobody gave a reason", PhoneErrorEffect.UNCLEAR),
        "TEXT_TTL_EXPIRED": PhoneError("the time to live of the message is over", PhoneErrorEffect.EXPIRED),
        "TEXT_PROTECT_BLOCKED": PhoneError(
            "a protect configuration blocks this country or number", PhoneErrorEffect.BLOCKED
        ),
    },
)
"""Types of events.
https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html"""


class AwsSmsConfig(ProviderSettings, frozen=True, kw_only=True):
    """A region of an AWS account, and who sends."""

    region: Region
    """Where the sender is, such as `eu-central-1`."""
    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[A-Za-z0-9_:/+-]{1,256}\Z",
            description="a number, a name, the ID of a phone number or a pool, or the ARN of one",
        ),
    ]
    """Who sends: a number, a name, a phone number or pool by its ID, or the ARN of one."""
    message_type: Annotated[
        str,
        msgspec.Meta(pattern=r"\A(TRANSACTIONAL|PROMOTIONAL)\Z", description="TRANSACTIONAL or PROMOTIONAL"),
    ] = "TRANSACTIONAL"
    """What its messages are: `TRANSACTIONAL` or `PROMOTIONAL`."""
    access_key_id: Token = ""
    """Of a user who may `sms-voice:SendTextMessage` and `sms-voice:DescribeAccountAttributes`; empty: credentials are found as AWS tools do."""
    secret_access_key: Token = ""
    """Its secret."""
    configuration_set: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[A-Za-z0-9_:/-]{0,256}\Z", description="the name or ARN of a configuration set"
        ),
    ] = ""
    """Says where events go; empty: the default of the sender."""
    topic_arn: TopicArn = ""
    """The SNS topic that events come from; empty: no reports are accepted."""
    api_url: WebUrl = ""
    """Where the API is; empty: `https://sms-voice.<region>.amazonaws.com`."""

    def __post_init__(self) -> None:
        check_key_pair(self.access_key_id, self.secret_access_key)


class AwsAnswer(msgspec.Struct):
    """What we read of the JSON."""

    MessageId: str = ""
    Reason: str = ""
    type_: str = msgspec.field(default="", name="__type")


class AwsTexts:
    """Makes requests for one integration, and signs them."""

    def __init__(self, integration: Integration, config: AwsSmsConfig, tools: ProviderTools) -> None:
        self._config = config
        self._tools = tools
        self._url = (config.api_url or f"https://sms-voice.{config.region}.amazonaws.com").rstrip("/")
        self.signer = AwsSigner(
            SERVICE, config.region, config.access_key_id, config.secret_access_key, tools.clock
        )

    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return self._request("DescribeAccountAttributes", {})

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that AWS takes")
        document: dict[str, Any] = {
            "DestinationPhoneNumber": normal_address(Channel.SMS, outgoing.contact.address),
            "OriginationIdentity": outgoing.sender or self._config.sender,
            "MessageBody": text,
            "MessageType": self._config.message_type,
            "Context": {REFERENCE: self._tools.reference(outgoing.message)},
            **self._ttl(outgoing.message.expires_at),
        }
        if self._config.configuration_set:
            document["ConfigurationSetName"] = self._config.configuration_set
        return self._request("SendTextMessage", document)

    def _ttl(self, expires_at: Instant | None) -> dict[str, int]:
        """AWS gives up what waits longer."""
        if expires_at is None:
            return {}
        left_s = (expires_at - self._tools.clock.now()) // 1000
        return {"TimeToLive": max(SHORTEST_TTL_S, left_s)} if left_s < LONGEST_TTL_S else {}

    def _request(self, action: str, document: dict[str, Any]) -> HttpRequest:
        request = HttpRequest(
            url=f"{self._url}/",
            headers={"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{TARGET}.{action}"},
            body=msgspec.json.encode(document),
        )
        return self.signer.signed(request)


def answer_of(reply: HttpReply) -> AwsAnswer:
    """The JSON of an answer; empty when there is none."""
    return answer_as(reply, AwsAnswer)


def error_of(reply: HttpReply) -> str:
    """The name of an error, such as `ConflictException`."""
    return error_name(reply, answer_of(reply).type_)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What AWS's answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        return (
            Accepted(provider_id=answer.MessageId)
            if answer.MessageId
            else Unknown(detail="an answer that is not AWS's")
        )
    if reply.status == 504:
        return Unknown(detail="status 504: AWS may have taken it")
    return (
        ANSWERS.outcome(answer.Reason, reply.retry_after_s)
        or ANSWERS.outcome(error_of(reply), reply.retry_after_s)
        or outcome_of(reply)
    )


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if error_of(reply) == "AccessDeniedException":
        raise ConfigError(
            "the AWS credentials need the permissions sms-voice:SendTextMessage and sms-voice:DescribeAccountAttributes"
        )
    known = ANSWERS.codes.get(error_of(reply))
    if reply.status in {401, 403} or (known is not None and known.effect is PhoneErrorEffect.SET_UP):
        raise ConfigError(
            "AWS refuses the credentials: check `access_key_id`, `secret_access_key` and the clock"
        )
    if reply.status == 404:
        raise ConfigError("End User Messaging is not at this URL: check `region` and `api_url`")
    raise Unavailable(
        f"AWS answered {reply.status}: try again later, or look at https://health.aws.amazon.com"
    )


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────

ON_THE_WAY = frozenset({"TEXT_PENDING", "TEXT_QUEUED", "TEXT_SENT", "TEXT_SUCCESSFUL"})
"""`TEXT_SUCCESSFUL`: the carrier has it; where it does not say more, the message stays `sent`."""
DELIVERED = "TEXT_DELIVERED"


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> DocumentNeeded | None:
    """The signature of SNS, for the topic of the settings."""
    return verify_notification(request, tools, config.topic_arn)


def read_event(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt; or the subscription, which is confirmed."""
    notification = notification_of(request)
    if notification.confirmation_url:
        return Callback(visits=(notification.confirmation_url,))
    if notification.Type != "Notification":
        return Callback()
    document = object_of(notification.Message.encode("utf-8", "replace"))
    kind, reference = text_in(document, "eventType"), text_in(object_in(document, "context"), REFERENCE)
    if not reference or kind in ON_THE_WAY or (kind != DELIVERED and kind not in ERRORS.codes):
        return Callback()  # somebody else's message, or not the end of one
    at = document.get("eventTimestamp")
    receipt = ReportedReceipt(
        reference=reference,
        kind=ReceiptKind.DELIVERED,
        at=second(at / 1000) if isinstance(at, int) and not isinstance(at, bool) and at < 10**15 else None,
        provider_id=text_in(document, "messageId") or None,
    )
    if kind != DELIVERED:
        receipt = ERRORS.failed(receipt, kind)
    return Callback(receipts=(receipt,))


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    texts = AwsTexts(integration, config, tools)
    return HttpProvider(
        integration,
        tools,
        build=texts.build,
        read=read,
        ping=texts.ping,
        check_pong=check_pong,
        prepare=texts.signer.find_key,
    )


plugin = ProviderPlugin(
    name="aws_sms",
    title="AWS End User Messaging",
    channels=frozenset({Channel.SMS}),
    config=AwsSmsConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_event,
        kinds=frozenset({ReceiptKind.DELIVERED, *ERRORS.kinds}),
        replay_window_s=SNS_WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"secret_access_key"}),
    example={
        "region": "eu-central-1",
        "sender": "+15005550006",
        "access_key_id": "AKIA...",
        "secret_access_key": "...",
    },
)

"""Amazon SES: emails as MIME over its v2 API, and its events through SNS or from a queue.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

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
from clarion.adapters.email import (
    EmailProvider,
    EmailReport,
    EmailSettings,
    address_in,
    mail_of,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_as, moment, object_in, object_of, text_in
from clarion.adapters.sqs import QueueUrl, SqsQueue
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import (
    Callback,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    DocumentNeeded,
    ReportedReceipt,
)
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl
from clarion.ports.report_queue import ReportQueue

MOST_BYTES = 40 * 1024 * 1024
"""Of one email, encoded."""
TAG_CHARS = 256
REFERENCE = "clarion"
"""Our name among the tags, which events repeat."""
QUOTA_WAIT_S = 600.0
"""The daily quota is a window of 24 hours that moves: some of it is free again soon."""

_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_-]+")
SET_UP = {
    "AccessDeniedException": "the credentials lack a permission",
    "UnrecognizedClientException": "the credentials are wrong",
    "InvalidClientTokenId": "the credentials are wrong",
    "SignatureDoesNotMatch": "the credentials are wrong",
    "InvalidSignatureException": "the credentials are wrong, or the clock of this machine is",
    "ExpiredTokenException": "the credentials have ended",
    "IncompleteSignature": "the credentials are wrong",
    "MailFromDomainNotVerifiedException": "the MAIL FROM domain is not verified",
    "NotFoundException": "the configuration set does not exist in this region",
    "AccountSuspendedException": "the account is suspended",
    "SendingPausedException": "sending is paused for the account or the configuration set",
}
"""Errors that an operator must mend."""
LATER = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"})


class SesConfig(EmailSettings, frozen=True, kw_only=True):
    """A region of an AWS account."""

    region: Region
    """Where the sender is verified, such as `eu-central-1`."""
    access_key_id: Token = ""
    """Of a user who may `ses:SendEmail` and `ses:GetAccount`; empty: credentials are found as AWS tools do."""
    secret_access_key: Token = ""
    """Its secret."""
    configuration_set: Annotated[
        str,
        msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{0,64}\Z", description="the name of a configuration set"),
    ] = ""
    """Says where events go; empty: the default of the sender's identity."""
    topic_arn: TopicArn = ""
    """The SNS topic that events come from; empty: no reports are accepted."""
    queue_url: QueueUrl = ""
    """The SQS queue that events are fetched from, in the same region; empty: none."""
    api_url: WebUrl = ""
    """Where the API is; empty: `https://email.<region>.amazonaws.com`."""

    def __post_init__(self) -> None:
        check_key_pair(self.access_key_id, self.secret_access_key)


class SesAnswer(msgspec.Struct):
    """What we read of SES's JSON."""

    MessageId: str = ""
    message: str = ""
    type_: str = msgspec.field(default="", name="__type")
    SendingEnabled: bool = True


class SesMails:
    """Makes requests for one integration, and signs them."""

    def __init__(self, config: SesConfig, tools: ProviderTools) -> None:
        self._config = config
        self._tools = tools
        self._sender = replace(sender_of(config, tools), seven_bit=True)
        self._url = (config.api_url or f"https://email.{config.region}.amazonaws.com").rstrip("/")
        self.signer = AwsSigner(
            "ses", config.region, config.access_key_id, config.secret_access_key, tools.clock
        )

    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return self.signer.signed(HttpRequest(method="GET", url=f"{self._url}/v2/email/account"))

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one email: SES shares requests among templates of its own only."""
        mail = mail_of(outgoing, self._sender, self._tools)
        if mail.utf8:
            return Rejected(detail="SES takes no address whose first part is not ASCII")
        data = b64encode(mail.body)
        if len(data) > MOST_BYTES:
            return Rejected(detail="the email is larger than the 40 MB that SES takes")
        message = outgoing.message
        tags = {
            REFERENCE: self._tools.reference(message),
            "category": _NOT_IN_TAG.sub("-", message.category)[:TAG_CHARS],
            "workflow": _NOT_IN_TAG.sub("-", message.workflow)[:TAG_CHARS],
        }
        document: dict[str, Any] = {
            "FromEmailAddress": mail.return_path,
            "Destination": {"ToAddresses": [mail.recipient]},
            "Content": {"Raw": {"Data": data.decode()}},
            "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items() if value],
        }
        if self._config.configuration_set:
            document["ConfigurationSetName"] = self._config.configuration_set
        request = HttpRequest(
            url=f"{self._url}/v2/email/outbound-emails",
            headers={"content-type": "application/json"},
            body=msgspec.json.encode(document),
        )
        return self.signer.signed(request)


def answer_of(reply: HttpReply) -> SesAnswer:
    """The JSON of an answer; empty when there is none."""
    return answer_as(reply, SesAnswer)


def error_of(reply: HttpReply) -> str:
    """The name of an error, such as `MessageRejected`."""
    return error_name(reply, answer_of(reply).type_)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What SES's answer means."""
    answer, error = answer_of(reply), error_of(reply)
    if 200 <= reply.status < 300:
        if not answer.MessageId:
            return Unknown(detail="an answer that is not SES's")
        return Accepted(provider_id=answer.MessageId)
    if error in LATER:
        daily = "daily" in answer.message.lower() or error == "LimitExceededException"
        detail = f"SES {error}: the daily quota is used up" if daily else f"SES {error}"
        return Retry(
            reason=Reason.RATE_LIMITED,
            after_s=QUOTA_WAIT_S if daily else reply.retry_after_s,
            detail=detail,
        )
    if error in SET_UP:
        return Misconfigured(detail=f"SES {error}: {SET_UP[error]}")
    if error == "MessageRejected":
        if "not verified" in answer.message.lower():
            return Misconfigured(
                detail="SES MessageRejected: the sender is not verified in this region, or the account is in the sandbox"
            )
        return Rejected(detail="SES MessageRejected: it takes the content for harmful")
    if error == "BadRequestException":
        return Rejected(detail="SES BadRequestException")
    if reply.status == 504:
        return Unknown(detail="status 504: SES may have taken it")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    error = error_of(reply)
    if reply.status == 200:
        if not answer_of(reply).SendingEnabled:
            raise ConfigError("SES has paused sending for this account in this region: look at its console")
        return
    if error == "AccessDeniedException":
        raise ConfigError("the AWS credentials need the permissions ses:SendEmail and ses:GetAccount")
    if error in SET_UP or reply.status in {401, 403}:
        raise ConfigError(
            "AWS refuses the credentials: check `access_key_id`, `secret_access_key` and the clock"
        )
    if reply.status == 404:
        raise ConfigError("SES is not at this URL: check `region` and `api_url`")
    raise Unavailable(
        f"SES answered {reply.status}: try again later, or look at https://health.aws.amazon.com"
    )


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────

TESTED = "Successfully validated SNS topic"
"""How a text begins that SES sends when the topic is set."""
_PLAIN = {
    "Delivery": ReceiptKind.DELIVERED,
    "DeliveryDelay": ReceiptKind.DELAYED,
    "Open": ReceiptKind.OPENED,
    "Click": ReceiptKind.CLICKED,
}
_PARTS = {"DeliveryDelay": "deliveryDelay"}
SUPPRESSED = frozenset({"Suppressed", "OnAccountSuppressionList", "OnTenantSuppressionList"})
OF_CONTENT = frozenset({"ContentRejected", "AttachmentRejected"})


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> DocumentNeeded | None:
    """The signature of SNS, for the topic of the settings."""
    return verify_notification(request, tools, config.topic_arn)


def read_event(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt; or the subscription, which is confirmed. On a queue, events may come without SNS around them."""
    try:
        notification = notification_of(request)
    except CallbackForged:
        event = object_of(request.body)
        if not object_in(event, "mail"):
            raise CallbackUnreadable("it is no event of SES") from None
        return _event(event, tools)
    if notification.confirmation_url:
        return Callback(visits=(notification.confirmation_url,))
    if notification.Type != "Notification" or notification.Message.startswith(TESTED):
        return Callback()
    return _event(object_of(notification.Message.encode("utf-8", "replace")), tools)


def _event(document: dict[str, Any], tools: CallbackTools) -> Callback:
    receipt = _receipt(document, tools)
    return Callback() if receipt is None else Callback(receipts=(receipt,))


def _receipt(document: dict[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    kind = text_in(document, "eventType") or text_in(document, "notificationType")
    mail = object_in(document, "mail")
    reference = _first(object_in(mail, "tags").get(REFERENCE))
    if not isinstance(reference, str):
        return None  # somebody else's email
    part = object_in(document, _PARTS.get(kind, kind.lower()))
    event = EmailReport(
        reference=reference,
        at=moment(text_in(part, "timestamp")) or moment(text_in(mail, "timestamp")),
        provider_id=text_in(mail, "messageId") or None,
    )
    match kind:
        case "Bounce":
            return _bounced(event, part, tools)
        case "Complaint":
            return _complained(event, part)
        case "Reject":
            return event.receipt(ReceiptKind.BLOCKED, detail="SES did not send it: there is a virus in it")
        case "Subscription":
            preferences = object_in(part, "newTopicPreferences")
            left = preferences.get("unsubscribeAll") is True
            return event.receipt(ReceiptKind.UNSUBSCRIBED) if left else None
    return event.receipt(_PLAIN[kind]) if kind in _PLAIN else None


def _bounced(event: EmailReport, bounce: dict[str, Any], tools: CallbackTools) -> ReportedReceipt:
    recipient = _first(bounce.get("bouncedRecipients"))
    recipient = recipient if isinstance(recipient, dict) else {}
    event = replace(event, address=address_in(recipient, "emailAddress"))
    subtype = text_in(bounce, "bounceSubType")
    permanent = text_in(bounce, "bounceType") == "Permanent"
    if permanent and subtype in SUPPRESSED:
        detail = "SES did not send it: the address is on its suppression list"
        return event.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    diagnostic = text_in(recipient, "diagnosticCode")
    said = diagnostic.partition(";")[2].strip() or diagnostic
    return event.refused(
        tools,
        status=text_in(recipient, "status"),
        said=said,
        permanent=permanent,
        unknown=ReceiptKind.BLOCKED if subtype in OF_CONTENT else ReceiptKind.BOUNCED,
    )


def _complained(event: EmailReport, complaint: dict[str, Any]) -> ReportedReceipt | None:
    if text_in(complaint, "complaintFeedbackType") == "not-spam":
        return None
    if text_in(complaint, "complaintSubType") in SUPPRESSED:
        return event.opted_out("SES did not send it: the person called an email spam before")
    return event.receipt(ReceiptKind.COMPLAINED)


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = SesMails(config, tools)
    http = HttpProvider(
        integration,
        tools,
        build=mails.build,
        read=read,
        ping=mails.ping,
        check_pong=check_pong,
        prepare=mails.signer.find_key,
    )
    return EmailProvider(integration, tools, http)


def _queue(integration: Integration, config: Any, tools: ProviderTools) -> ReportQueue | None:
    if not config.queue_url:
        return None
    signer = AwsSigner("sqs", config.region, config.access_key_id, config.secret_access_key, tools.clock)
    return SqsQueue(config.queue_url, signer, tools)


plugin = ProviderPlugin(
    name="ses",
    title="Amazon SES",
    channels=frozenset({Channel.EMAIL}),
    config=SesConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_event,
        kinds=frozenset(
            {
                *_PLAIN.values(),
                ReceiptKind.BOUNCED,
                ReceiptKind.BLOCKED,
                ReceiptKind.COMPLAINED,
                ReceiptKind.UNSUBSCRIBED,
            }
        ),
        replay_window_s=SNS_WINDOW_S,
    ),
    report_queue=_queue,
    batch=50,
    secrets=frozenset({"secret_access_key"}),
    example={
        "region": "eu-central-1",
        "access_key_id": "AKIA...",
        "secret_access_key": "...",
        "from_address": "news@example.com",
        "from_name": "Example News",
    },
)

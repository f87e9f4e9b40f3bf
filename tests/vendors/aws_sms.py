"""What AWS End User Messaging answers, and reports through SNS.

https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html,
https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html. Signatures of SNS: tests/vendors/ses.py.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from clarion.adapters.providers.aws_sms import ERRORS
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.model.receipt import ReceiptKind
from clarion.testing.provider_contract import (
    REFERENCE,
    SECRET,
    WORDS,
    CallbackVendor,
    Recorded,
    RecordedCallback,
    Vendor,
)
from clarion.testing.scripted_server import Answer
from tests.vendors.ses import CERTIFICATE_URL, CONFIRMATION_URL, TOPIC, envelope, keys, signed, sns

SENT = Answer.json(200, {"MessageId": "9f5d2d3e-7f0c-4ab5-a6a3-4a2f4b1f4a5e"})


def error(name: str, reason: str = "", status: int = 400) -> Answer:
    """An error, which may quote what it should not."""
    more = {"Reason": reason} if reason else {}
    return Answer.json(status, {"__type": f"com.amazonaws.sms#{name}", "Message": WORDS, **more})


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"), means=Gone),
    Recorded(answer=error("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"), means=Rejected),
    Recorded(answer=error("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND"), means=Misconfigured),
    Recorded(answer=error("ValidationException", "INVALID_PARAMETER"), means=Rejected),
    Recorded(answer=error("ValidationException", "SENDER_ID_NOT_REGISTERED"), means=Misconfigured),
    Recorded(answer=error("ResourceNotFoundException"), means=Misconfigured),
    Recorded(answer=error("AccessDeniedException", "ACCOUNT_DISABLED"), means=Misconfigured),
    Recorded(answer=error("UnrecognizedClientException"), means=Misconfigured),
    Recorded(answer=error("ThrottlingException"), means=Retry),
    Recorded(
        answer=error("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"), means=Retry
    ),
    Recorded(answer=error("InternalServerException", status=500), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def event(kind: str, **more: Any) -> RecordedCallback:
    """A notification about an event, before SNS signs it."""
    document = {
        "eventType": kind,
        "eventVersion": "1.0",
        "eventTimestamp": 1_767_614_281_000,
        "isFinal": kind not in ("TEXT_PENDING", "TEXT_QUEUED", "TEXT_SENT"),
        "originationPhoneNumber": "+15005550006",
        "destinationPhoneNumber": "+4915550000001",
        "isoCountryCode": "DE",
        "messageId": "9f5d2d3e-7f0c-4ab5-a6a3-4a2f4b1f4a5e",
        "messageType": "TRANSACTIONAL",
        "messageStatus": kind.removeprefix("TEXT_"),
        "messageStatusDescription": WORDS,
        "context": {"clarion": REFERENCE},
        **more,
    }
    return sns(envelope("Notification", json.dumps(document)))


def failed(kind: str) -> RecordedCallback:
    """A message that did not arrive."""
    means, permanent, _ = ERRORS.reported(kind)
    return replace(event(kind), means=(means,), permanent=permanent)


SUBSCRIBED = sns(
    envelope(
        "SubscriptionConfirmation",
        "You have chosen to subscribe",
        Token="2336412f",
        SubscribeURL=CONFIRMATION_URL,
    )
)


def account(url: str) -> dict[str, str]:
    """A key that may send, and the topic of its events."""
    return {
        "region": "eu-central-1",
        "sender": "+15005550006",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": SECRET,
        "configuration_set": "clarion",
        "topic_arn": TOPIC,
        "api_url": url,
    }


VENDORS = {
    "key": Vendor(
        config=account,
        accepted=SENT,
        replies=REPLIES,
        callbacks=CallbackVendor(
            sign=lambda request, at: signed("sns", request, at),
            stranger=lambda request, at: signed("a stranger", request, at),
            documents={CERTIFICATE_URL: keys("sns")[1]},
            recorded=(
                event("TEXT_QUEUED"),
                event("TEXT_SUCCESSFUL"),
                replace(event("TEXT_DELIVERED"), means=(ReceiptKind.DELIVERED,)),
                event("TEXT_DELIVERED", context={}),
                event("VOICE_COMPLETED"),
                *map(failed, ERRORS.codes),
                SUBSCRIBED,
            ),
        ),
    )
}

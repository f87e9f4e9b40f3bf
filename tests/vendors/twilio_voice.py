"""What Twilio answers to a request for a call, and what it reports.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/answering-machine-detection. Callbacks are
signed by Twilio's own SDK.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

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
from tests.vendors.twilio import ACCOUNT, FORM, SENDER, account, error, signed

SID = "CA0123456789abcdef0123456789abcdef"


def call(status: str, http: int = 200, sid: str = SID) -> Answer:
    """A call as the API shows it."""
    shown: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "answered_by": None,
        "api_version": "2010-04-01",
        "direction": "outbound-api",
        "duration": None,
        "from": SENDER,
        "price": None,
        "sid": sid,
        "status": status,
        "to": "+4915550000001",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json",
    }
    return Answer.json(http, shown)


ANSWERED = call("in-progress", 201)
REPLIES = (
    Recorded(answer=ANSWERED, means=Accepted),
    Recorded(answer=error(401, 20003, "Authenticate"), means=Misconfigured),
    Recorded(answer=error(404, 20404, "The requested resource was not found"), means=Misconfigured),
    Recorded(answer=error(429, 20429, "Too Many Requests", retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(400, 21211, f"Invalid 'To' Phone Number: {WORDS}"), means=Gone),
    Recorded(answer=error(400, 21210, f"'From' {WORDS} is not verified"), means=Misconfigured),
    Recorded(answer=error(400, 21215, f"Account not authorized to call {WORDS}"), means=Rejected),
    Recorded(answer=error(400, 13224, f"invalid number {WORDS}"), means=Rejected),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def report(status: str, **more: str) -> RecordedCallback:
    """A request of Twilio's about a call."""
    fields = {
        "CallSid": SID,
        "CallStatus": status,
        "To": "+4915550000001",
        "From": SENDER,
        "Direction": "outbound-api",
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        **more,
    }
    return RecordedCallback(query=f"ref={REFERENCE}", content_type=FORM, body=urlencode(fields).encode())


PRESSED = replace(
    report("in-progress", Digits="1", msg="Gather End", FinishedOnKey=""),
    means=(ReceiptKind.ACKNOWLEDGED,),
    pressed=1,
)

VENDORS = {
    "calls": Vendor(
        config=account,
        accepted=ANSWERED,
        replies=REPLIES,
        callbacks=CallbackVendor(
            sign=lambda request, at: signed(SECRET, request),
            stranger=lambda request, at: signed("another", request),
            recorded=(
                replace(report("completed", CallDuration="12"), means=(ReceiptKind.DELIVERED,)),
                replace(report("completed", AnsweredBy="human"), means=(ReceiptKind.DELIVERED,)),
                replace(report("completed", AnsweredBy="unknown"), means=(ReceiptKind.DELIVERED,)),
                replace(report("completed", AnsweredBy="machine_end_beep"), means=(ReceiptKind.FAILED,)),
                replace(report("completed", AnsweredBy="fax"), means=(ReceiptKind.FAILED,)),
                PRESSED,
                report("busy"),
                report("no-answer"),
                report("failed"),
                report("in-progress"),
            ),
        ),
    )
}

"""What FCM answers.

https://firebase.google.com/docs/cloud-messaging/error-codes, https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from __future__ import annotations

from functools import cache
from typing import Any

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.testing.provider_contract import Recorded, Vendor
from clarion.testing.scripted_server import Answer
from tests.google import TokenServer, service_account

TOKEN = "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1-a_b"
TAKEN = Answer.json(200, {"name": "projects/example-project/messages/0:1500415314455276%31bd1c9631bd1c96"})
HTML_502 = "<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>"


def refused(
    http: int, status: str, code: str = "", *details: Any, message: str = "", **headers: str
) -> Answer:
    """A refusal, with the code of FCM where it gives one."""
    fcm = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    error = {
        "code": http,
        "message": message or "What a person reads.",
        "status": status,
        "details": [*details, *([fcm] if code else [])],
    }
    return Answer.json(http, {"error": error}, **headers)


def violation(field: str) -> dict[str, Any]:
    """What says which field is wrong."""
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": "Invalid value"}],
    }


@cache
def tokens() -> TokenServer:
    """Google's token endpoint, beside the server under test: one for all checks."""
    return TokenServer()


VENDORS = {
    "to a device": Vendor(
        config=lambda url: {"service_account": service_account(tokens().url), "url": url},
        address=lambda url: f"fcm:{TOKEN}",
        accepted=TAKEN,
        replies=(
            Recorded(answer=TAKEN, means=Accepted),
            Recorded(answer=refused(404, "NOT_FOUND", "UNREGISTERED"), means=Gone),
            Recorded(
                answer=refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation("message.token")),
                means=Gone,
            ),
            Recorded(
                answer=refused(
                    400,
                    "INVALID_ARGUMENT",
                    "INVALID_ARGUMENT",
                    message="The registration token is not a valid FCM registration token",
                ),
                means=Gone,
            ),
            Recorded(
                answer=refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation("message.android.ttl")),
                means=Rejected,
            ),
            Recorded(answer=refused(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), means=Rejected),
            Recorded(
                answer=refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="17"),
                means=Retry,
                after_s=17,
            ),
            Recorded(answer=refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), means=Retry, after_s=60),
            Recorded(
                answer=refused(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="5"), means=Retry, after_s=5
            ),
            Recorded(answer=refused(500, "INTERNAL", "INTERNAL"), means=Retry),
            Recorded(answer=refused(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), means=Retry),
            Recorded(answer=refused(401, "UNAUTHENTICATED", "APNS_AUTH_ERROR"), means=Retry),
            Recorded(answer=refused(401, "UNAUTHENTICATED"), means=Misconfigured),
            Recorded(answer=refused(403, "PERMISSION_DENIED"), means=Misconfigured),
            Recorded(answer=refused(404, "NOT_FOUND"), means=Misconfigured),
            Recorded(answer=Answer(status=502, body=HTML_502.encode()), means=Retry),
        ),
        withdrawn=TAKEN,
        withdrawals=(
            Recorded(answer=TAKEN, means=Accepted),
            Recorded(answer=refused(404, "NOT_FOUND", "UNREGISTERED"), means=Gone),
            Recorded(answer=refused(503, "UNAVAILABLE", "UNAVAILABLE"), means=Retry),
        ),
        edited=TAKEN,
        most_bytes=32 * 1024,
    )
}

"""What Expo answers. https://docs.expo.dev/push-notifications/sending-notifications/#push-tickets"""

from __future__ import annotations

from typing import Any

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.testing.provider_contract import SECRET, WORDS, Recorded, Vendor
from clarion.testing.scripted_server import Answer

TOKEN = "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"
SENT = Answer.json(200, {"data": {"status": "ok", "id": "019a1b2c-0000-7000-8000-000000000001"}})


def ticket(error: str) -> Answer:
    """A message that was not taken."""
    details: dict[str, Any] = {"details": {"error": error}} if error else {}
    return Answer.json(200, {"data": {"status": "error", "message": f'"{TOKEN}" {WORDS}', **details}})


def receipt(error: str) -> dict[str, Any]:
    """Of a message that did not reach Apple or Google."""
    return {"status": "error", "message": f"APNs said {WORDS}", "details": {"error": error} if error else {}}


def refused(status: int, code: str, **headers: str) -> Answer:
    """A request that was not taken."""
    return Answer.json(
        status, {"errors": [{"code": code, "message": WORDS, "isTransient": False}]}, **headers
    )


VENDORS = {
    "to a device": Vendor(
        config=lambda url: {"access_token": SECRET, "url": url},
        address=lambda url: f"expo:{TOKEN}",
        accepted=SENT,
        replies=(
            Recorded(answer=SENT, means=Accepted),
            Recorded(answer=ticket("DeviceNotRegistered"), means=Gone),
            Recorded(answer=ticket("MessageTooBig"), means=Rejected),
            Recorded(answer=ticket(""), means=Rejected),
            Recorded(answer=ticket("MessageRateExceeded"), means=Retry, after_s=60),
            Recorded(answer=ticket("InvalidCredentials"), means=Retry),
            Recorded(answer=ticket("MismatchSenderId"), means=Retry),
            Recorded(answer=refused(400, "VALIDATION_ERROR"), means=Rejected),
            Recorded(answer=refused(401, "UNAUTHORIZED"), means=Misconfigured),
            Recorded(answer=refused(400, "UNAUTHORIZED"), means=Misconfigured),
            Recorded(answer=refused(429, "TOO_MANY_REQUESTS", retry_after="2"), means=Retry, after_s=2),
            Recorded(answer=refused(500, "INTERNAL_SERVER_ERROR"), means=Retry),
            Recorded(answer=Answer.text(504, "<html>Gateway Timeout</html>"), means=Retry),
            Recorded(answer=Answer.text(200, "<html>A proxy</html>"), means=Misconfigured),
        ),
    )
}

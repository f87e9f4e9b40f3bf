"""What ntfy answers. https://github.com/binwiederhier/ntfy/blob/main/server/errors.go"""

from __future__ import annotations

from clarion.model.outcome import Accepted, Misconfigured, Rejected, Retry
from clarion.testing.provider_contract import SECRET, WORDS, Recorded, Vendor
from clarion.testing.scripted_server import Answer

SENT = Answer.json(
    200,
    {
        "id": "xE73Iyuabi",
        "time": 1893448800,
        "expires": 1893492000,
        "event": "message",
        "topic": "orders",
        "message": WORDS,
    },
)


def refused(code: int, error: str, **headers: str) -> Answer:
    """An error of the server; its first three digits are the status."""
    status = code // 100
    return Answer.json(status, {"code": code, "http": status, "error": f"{error} {WORDS}"}, **headers)


VENDORS = {
    "to a topic": Vendor(
        config=lambda url: {"token": SECRET, "url": url},
        address=lambda url: "ntfy:orders-of-ada",
        accepted=SENT,
        replies=(
            Recorded(answer=SENT, means=Accepted),
            Recorded(answer=refused(40009, "invalid request: topic invalid"), means=Rejected),
            Recorded(answer=refused(40018, "invalid request: actions invalid"), means=Rejected),
            Recorded(answer=refused(41303, "JSON body too large"), means=Rejected),
            Recorded(answer=refused(40101, "unauthorized"), means=Misconfigured),
            Recorded(answer=refused(40301, "forbidden"), means=Retry),
            Recorded(answer=refused(40401, "page not found"), means=Misconfigured),
            Recorded(answer=refused(42901, "limit reached: too many requests"), means=Retry),
            Recorded(
                answer=refused(42908, "limit reached: daily message quota", retry_after="9"),
                means=Retry,
                after_s=9,
            ),
            Recorded(answer=refused(50001, "internal server error"), means=Retry),
            Recorded(answer=refused(50701, "no active subscriber of the UnifiedPush topic"), means=Retry),
            Recorded(answer=Answer.text(200, "<html>A proxy</html>"), means=Misconfigured),
        ),
        never={"Gone": "a topic is there as soon as something is sent to it"},
    )
}

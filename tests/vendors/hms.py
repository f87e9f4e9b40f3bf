"""What Huawei's Push Kit answers.

https://developer.huawei.com/consumer/en/doc/HMSCore-References/https-send-api-0000001050986197
"""

from __future__ import annotations

from functools import cache

from clarion.model.outcome import Accepted, Misconfigured, Rejected, Retry
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer
from tests.huawei import TokenServer

TOKEN = "IQAAAACy0p2tAABd1hV5pG3x-T0kEn~of.a|phone"
CLIENT_ID = "100000001"


def said(code: str, msg: str = "What a person reads.", status: int = 200, **headers: str) -> Answer:
    """An answer of the API."""
    return Answer.json(status, {"code": code, "msg": msg, "requestId": "157440955549500001006"}, **headers)


SENT = said("80000000", "Success")


@cache
def tokens() -> TokenServer:
    """The token endpoint, beside the server under test: one for all checks."""
    return TokenServer(CLIENT_ID, SECRET)


VENDORS = {
    "to a device": Vendor(
        config=lambda url: {
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "token_url": tokens().url,
            "url": url,
        },
        address=lambda url: f"hms:{TOKEN}",
        accepted=SENT,
        replies=(
            Recorded(answer=SENT, means=Accepted),
            Recorded(answer=said("80100001", "UnSupported svc", 400), means=Rejected),
            Recorded(answer=said("80300007", "All the tokens are invalid"), means=Rejected),
            Recorded(
                answer=said("80100000", '{"success":0,"failure":1,"illegal_tokens":["xxx"]}'), means=Rejected
            ),
            Recorded(answer=said("80100003", status=400), means=Rejected),
            Recorded(answer=said("80100016", status=400), means=Rejected),
            Recorded(answer=said("80300008", status=400), means=Rejected),
            Recorded(answer=said("80399999", status=400), means=Rejected),
            Recorded(answer=said("80200001", status=401), means=Misconfigured),
            Recorded(answer=said("80200003", status=401), means=Misconfigured),
            Recorded(answer=Answer.text(401, ""), means=Misconfigured),
            Recorded(answer=said("80300002"), means=Misconfigured),
            Recorded(answer=said("80600003"), means=Misconfigured),
            Recorded(answer=Answer.text(404, "no service"), means=Misconfigured),
            Recorded(answer=Answer.text(200, "<html>A proxy</html>"), means=Misconfigured),
            Recorded(answer=said("81000001", status=500), means=Retry),
            Recorded(answer=Answer.text(502, "Bad Gateway"), means=Retry),
            Recorded(answer=Answer.text(503, "", retry_after="3"), means=Retry, after_s=3),
        ),
        never={"Gone": "a token is only held to be gone after the app has reached another one"},
    )
}

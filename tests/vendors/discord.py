"""What Discord answers to a webhook's call.

https://docs.discord.com/developers/resources/webhook, https://docs.discord.com/developers/topics/rate-limits
"""

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

POSTED = Answer.json(200, {"id": "1234567890123456789", "type": 0, "channel_id": "42", "webhook_id": "7"})
UNKNOWN = Answer.json(404, {"message": "Unknown Webhook", "code": 10015})
FORM = Answer.json(
    400,
    {
        "code": 50035,
        "errors": {
            "content": {
                "_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]
            }
        },
        "message": "Invalid Form Body",
    },
)
SLOW_DOWN = Answer.json(
    429,
    {"message": "You are being rate limited.", "retry_after": 0.529, "global": False},
    retry_after="1",
    x_ratelimit_scope="shared",
)

ALWAYS = (
    Recorded(answer=POSTED, means=Accepted),
    Recorded(answer=Answer(status=204), means=Accepted),
    Recorded(answer=FORM, means=Rejected),
    Recorded(
        answer=Answer.json(400, {"message": "Cannot send an empty message", "code": 50006}), means=Rejected
    ),
    Recorded(answer=SLOW_DOWN, means=Retry, after_s=0.529),
    Recorded(answer=Answer.text(429, "error code: 1015", retry_after="60"), means=Retry, after_s=60),
    Recorded(answer=Answer.text(502, "<html>Bad Gateway</html>"), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)

WITHDRAWALS = (
    Recorded(answer=Answer(status=204), means=Accepted),
    Recorded(answer=Answer.json(404, {"message": "Unknown Message", "code": 10008}), means=Accepted),
    Recorded(answer=SLOW_DOWN, means=Retry, after_s=0.529),
    Recorded(answer=Answer.text(502, "<html>Bad Gateway</html>"), means=Retry),
)
"""To DELETE, https://docs.discord.com/developers/resources/webhook#delete-webhook-message"""

VENDORS = {
    "webhook": Vendor(
        config=lambda url: {"url": f"{url}/api/webhooks/7/{SECRET}", "username": "Shop"},
        accepted=POSTED,
        replies=(
            *ALWAYS,
            Recorded(answer=UNKNOWN, means=Misconfigured),
            Recorded(
                answer=Answer.json(401, {"message": "Invalid Webhook Token", "code": 50027}),
                means=Misconfigured,
            ),
        ),
        never={"Gone": "the webhook is the integration's own"},
        withdrawn=Answer(status=204),
        withdrawals=(*WITHDRAWALS, Recorded(answer=UNKNOWN, means=Misconfigured)),
        edited=POSTED,
    ),
    "webhook of a contact": Vendor(
        config=lambda url: {"hosts": ["127.0.0.1"]},
        address=lambda url: f"{url}/api/webhooks/7/{SECRET}",
        accepted=POSTED,
        replies=(*ALWAYS, Recorded(answer=UNKNOWN, means=Gone)),
        never={"Misconfigured": "nothing of the integration's own is used"},
        withdrawn=Answer(status=204),
        withdrawals=(*WITHDRAWALS, Recorded(answer=UNKNOWN, means=Gone)),
        edited=POSTED,
    ),
}

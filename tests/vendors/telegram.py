"""What Telegram's Bot API answers.

https://core.telegram.org/bots/api#making-requests, https://core.telegram.org/bots/api#responseparameters
"""

from typing import Any

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

SENT = Answer.json(
    200,
    {"ok": True, "result": {"message_id": 365, "chat": {"id": 42, "type": "private"}, "date": 1767614400}},
)


def no(status: int, description: str, **parameters: Any) -> Answer:
    """An error of the API."""
    more = {"parameters": parameters} if parameters else {}
    return Answer.json(status, {"ok": False, "error_code": status, "description": description, **more})


ALWAYS = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=no(401, "Unauthorized"), means=Misconfigured),
    Recorded(answer=no(404, "Not Found"), means=Misconfigured),
    Recorded(answer=no(400, "Bad Request: can't parse entities: Unsupported start tag"), means=Rejected),
    Recorded(answer=no(400, "Bad Request: message is too long"), means=Rejected),
    Recorded(answer=no(403, "Forbidden: bot can't initiate conversation with a user"), means=Rejected),
    Recorded(answer=no(429, "Too Many Requests: retry after 14", retry_after=14), means=Retry, after_s=14),
    Recorded(answer=Answer.text(502, "<html>502 Bad Gateway</html>"), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


DELETED = Answer.json(200, {"ok": True, "result": True})
WITHDRAWALS = (
    Recorded(answer=DELETED, means=Accepted),
    Recorded(answer=no(400, "Bad Request: message to delete not found"), means=Accepted),
    Recorded(answer=no(400, "Bad Request: message can't be deleted for everyone"), means=Rejected),
    Recorded(answer=no(400, "Bad Request: message can't be deleted"), means=Rejected),
    Recorded(answer=no(403, "Forbidden: not enough rights to delete a message"), means=Rejected),
    Recorded(answer=no(401, "Unauthorized"), means=Misconfigured),
    Recorded(answer=no(429, "Too Many Requests: retry after 14", retry_after=14), means=Retry, after_s=14),
    Recorded(answer=Answer.text(502, "<html>502 Bad Gateway</html>"), means=Retry),
)
"""https://core.telegram.org/bots/api#deletemessage"""


def bot(url: str) -> dict[str, str]:
    """A bot with a channel to fall back to."""
    return {"token": f"123456:{SECRET}", "chat": "@shop_news", "api_url": url}


VENDORS = {
    "bot": Vendor(
        config=bot,
        accepted=SENT,
        replies=(*ALWAYS, Recorded(answer=no(400, "Bad Request: chat not found"), means=Misconfigured)),
        never={"Gone": "the message goes to the integration's own chat"},
        withdrawn=DELETED,
        withdrawals=WITHDRAWALS,
        edited=SENT,
    ),
    "bot to a contact": Vendor(
        config=bot,
        address=lambda url: "987654321",
        accepted=SENT,
        replies=(
            *ALWAYS,
            Recorded(answer=no(403, "Forbidden: bot was blocked by the user"), means=Gone),
            Recorded(answer=no(403, "Forbidden: user is deactivated"), means=Gone),
            Recorded(answer=no(403, "Forbidden: bot was kicked from the supergroup chat"), means=Gone),
            Recorded(answer=no(400, "Bad Request: chat not found"), means=Gone),
            Recorded(
                answer=no(
                    400,
                    "Bad Request: group chat was upgraded to a supergroup chat",
                    migrate_to_chat_id=-1001234567890,
                ),
                means=Retry,
            ),
            Recorded(answer=no(403, "Forbidden: the group chat was deleted"), means=Gone),
        ),
        withdrawn=DELETED,
        withdrawals=(
            *WITHDRAWALS,
            Recorded(answer=no(403, "Forbidden: bot was blocked by the user"), means=Gone),
        ),
        edited=no(
            400,
            "Bad Request: message is not modified: specified new message content and reply markup are exactly the same",
        ),
    ),
}

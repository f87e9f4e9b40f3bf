"""What Telegram's Bot API answers.

https://core.telegram.org/bots/api#making-requests, https://core.telegram.org/bots/api#responseparameters
"""

import json
from typing import Any

from msgspec.structs import replace

from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.ports.callback import CallbackRequest
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.provider_contract.recorded_callbacks import (
    REFERENCE,
    CallbackVendor,
    RecordedCallback,
    Sign,
)
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
    """A bot with a channel to fall back to, that is told which buttons are pressed."""
    return {
        "token": f"123456:{SECRET}",
        "chat": "@shop_news",
        "api_url": url,
        "secret_token": SECRET,
    }


def shown(token: str) -> Sign:
    """An update as it comes when `setWebhook` was given this token."""

    def show(request: CallbackRequest, at: Instant) -> CallbackRequest:
        return replace(request, headers={**request.headers, "x-telegram-bot-api-secret-token": token})

    return show


def update(pressed: int = 0, **what: Any) -> RecordedCallback:
    """https://core.telegram.org/bots/api#update"""
    body = json.dumps({"update_id": 7, **what}).encode()
    return RecordedCallback(content_type="application/json", body=body, pressed=pressed)


MISAKI = {"id": 5, "is_bot": False, "first_name": "Misaki", "username": "misaki"}
CALLBACKS = CallbackVendor(
    sign=shown(SECRET),
    stranger=shown("another"),
    recorded=(
        update(pressed=1, callback_query={"id": "42", "from": MISAKI, "data": f"{REFERENCE}.0"}),
        update(callback_query={"id": "42", "from": MISAKI, "game_short_name": "chess"}),
        update(message={"message_id": 3, "from": MISAKI, "text": "Hello"}),
    ),
)
UNSIGNED = {"a_changed_callback_is_refused": "Telegram shows a token, and signs nothing"}


VENDORS = {
    "bot": Vendor(
        config=bot,
        accepted=SENT,
        replies=(*ALWAYS, Recorded(answer=no(400, "Bad Request: chat not found"), means=Misconfigured)),
        never={"Gone": "the message goes to the integration's own chat"},
        withdrawn=DELETED,
        withdrawals=WITHDRAWALS,
        edited=SENT,
        callbacks=CALLBACKS,
        excused=UNSIGNED,
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
        callbacks=CALLBACKS,
        excused=UNSIGNED,
    ),
}

"""What Slack answers: to a bot in JSON, to a webhook in plain text.

https://docs.slack.dev/reference/methods/chat.postMessage#errors, https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

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

POSTED = Answer.json(
    200,
    {
        "ok": True,
        "channel": "C123ABC456",
        "ts": "1503435956.000247",
        "message": {"text": "Here's a message for you", "type": "message", "ts": "1503435956.000247"},
    },
)
OK = Answer.text(200, "ok")
DELETED = Answer.json(200, {"ok": True, "channel": "C123ABC456", "ts": "1503435956.000247"})
"""https://docs.slack.dev/reference/methods/chat.delete, and to `chat.update` with the new text."""


def refused(code: str) -> Answer:
    """The API's way to say no."""
    return Answer.json(200, {"ok": False, "error": code})


def bot(url: str) -> dict[str, str]:
    """A bot with a channel to fall back to."""
    return {
        "token": f"xoxb-{SECRET}",
        "channel": "#deliveries",
        "api_url": f"{url}/api",
        "signing_secret": SECRET,
    }


def webhook(url: str) -> dict[str, str]:
    """An incoming webhook."""
    return {"url": f"{url}/services/T00000000/B00000000/{SECRET}", "signing_secret": SECRET}


def signed(secret: str) -> Sign:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""

    def sign(request: CallbackRequest, at: Instant) -> CallbackRequest:
        second = str(at // 1_000)
        digest = hmac.new(secret.encode(), f"v0:{second}:".encode() + request.body, hashlib.sha256)
        names = {"x-slack-signature": f"v0={digest.hexdigest()}", "x-slack-request-timestamp": second}
        return replace(request, headers={**request.headers, **names})

    return sign


def interaction(pressed: int = 0, **what: Any) -> RecordedCallback:
    """https://docs.slack.dev/reference/interaction-payloads/block_actions-payload"""
    payload = {"user": {"id": "U024BE7LH", "username": "misaki"}, **what}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    body = body.replace(urlencode({"": REFERENCE})[1:].encode(), REFERENCE.encode())
    return RecordedCallback(content_type="application/x-www-form-urlencoded", body=body, pressed=pressed)


BUTTON = {"type": "button", "action_id": f"{REFERENCE}.0", "value": f"{REFERENCE}.0"}
CALLBACKS = CallbackVendor(
    sign=signed(SECRET),
    stranger=signed("another"),
    recorded=(
        interaction(pressed=1, type="block_actions", actions=[BUTTON]),
        interaction(type="block_actions", actions=[{"type": "button", "url": "https://shop.example/track"}]),
        interaction(type="view_closed"),
    ),
)


VENDORS = {
    "bot": Vendor(
        config=bot,
        accepted=POSTED,
        callbacks=CALLBACKS,
        replies=(
            Recorded(answer=POSTED, means=Accepted),
            Recorded(
                answer=Answer.json(429, {"ok": False, "error": "ratelimited"}, retry_after="30"),
                means=Retry,
                after_s=30,
            ),
            Recorded(answer=refused("internal_error"), means=Retry),
            Recorded(answer=Answer.text(503, "upstream connect error"), means=Retry),
            Recorded(answer=refused("fatal_error"), means=Unknown),
            Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
            Recorded(answer=refused("msg_too_long"), means=Rejected),
            Recorded(answer=refused("invalid_blocks"), means=Rejected),
            Recorded(answer=refused("not_in_channel"), means=Rejected),
            Recorded(answer=refused("invalid_auth"), means=Misconfigured),
            Recorded(answer=refused("missing_scope"), means=Misconfigured),
            Recorded(answer=refused("channel_not_found"), means=Misconfigured),
        ),
        never={"Gone": "the message goes to the integration's own channel"},
        withdrawn=DELETED,
        withdrawals=(
            Recorded(answer=DELETED, means=Accepted),
            Recorded(answer=refused("message_not_found"), means=Accepted),
            Recorded(answer=refused("cant_delete_message"), means=Rejected),
            Recorded(answer=refused("compliance_exports_prevent_deletion"), means=Rejected),
            Recorded(answer=refused("token_revoked"), means=Misconfigured),
            Recorded(answer=refused("ratelimited"), means=Retry),
            Recorded(answer=Answer.text(503, "upstream connect error"), means=Retry),
        ),
        edited=DELETED,
    ),
    "bot to a contact": Vendor(
        config=bot,
        address=lambda url: "U024BE7LH",
        accepted=POSTED,
        callbacks=CALLBACKS,
        replies=(
            Recorded(answer=POSTED, means=Accepted),
            Recorded(answer=refused("channel_not_found"), means=Gone),
            Recorded(answer=refused("is_archived"), means=Gone),
            Recorded(answer=refused("token_revoked"), means=Misconfigured),
            Recorded(answer=refused("restricted_action"), means=Rejected),
            Recorded(answer=refused("ratelimited"), means=Retry),
        ),
    ),
    "webhook": Vendor(
        config=webhook,
        accepted=OK,
        callbacks=CALLBACKS,
        withdrawals=(Recorded(answer=OK, means=Rejected),),
        replies=(
            Recorded(answer=OK, means=Accepted),
            Recorded(answer=Answer.text(400, "invalid_payload"), means=Rejected),
            Recorded(answer=Answer.text(403, "action_prohibited"), means=Rejected),
            Recorded(answer=Answer.text(403, "invalid_token"), means=Misconfigured),
            Recorded(answer=Answer.text(404, "no_service"), means=Misconfigured),
            Recorded(answer=Answer.text(410, "channel_is_archived"), means=Misconfigured),
            Recorded(answer=Answer.text(429, "rate_limited", retry_after="1"), means=Retry, after_s=1),
            Recorded(answer=Answer.text(500, "rollup_error"), means=Retry),
            Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
        ),
        never={"Gone": "the webhook is the integration's own"},
    ),
    "webhook of a contact": Vendor(
        config=lambda url: {"hosts": ["127.0.0.1"], "signing_secret": SECRET},
        address=lambda url: f"{url}/services/T1/B1/{SECRET}",
        accepted=OK,
        callbacks=CALLBACKS,
        replies=(
            Recorded(answer=OK, means=Accepted),
            Recorded(answer=Answer.text(404, "no_service"), means=Gone),
            Recorded(answer=Answer.text(410, "channel_is_archived"), means=Gone),
            Recorded(answer=Answer.text(403, "<html>Forbidden</html>"), means=Gone),
            Recorded(answer=Answer.text(400, "no_text"), means=Rejected),
            Recorded(answer=Answer.text(502, "Bad Gateway"), means=Retry),
        ),
        never={"Misconfigured": "nothing of the integration's own is used"},
    ),
}

"""What Mattermost answers to an incoming webhook.

https://developers.mattermost.com/integrate/webhooks/incoming/, server/channels/web/webhook.go
"""

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

OK = Answer.text(200, "ok")


def no(status: int, id: str, message: str = "Failed.") -> Answer:
    """An application error."""
    return Answer.json(
        status,
        {
            "id": id,
            "message": message,
            "detailed_error": "",
            "request_id": "3bxwn99zx7dfxdjy5x",
            "status_code": status,
        },
    )


INVALID = no(400, "web.incoming_webhook.invalid.app_error", "Invalid webhook.")
CHANNEL = no(404, "web.incoming_webhook.channel.app_error", "Couldn't find the channel.")
LOCKED = no(
    403, "web.incoming_webhook.channel_locked.app_error", "This webhook is not permitted to post there."
)
ALWAYS = (
    Recorded(answer=OK, means=Accepted),
    Recorded(answer=Answer.text(200, "<!doctype html><html><title>Mattermost</title>"), means=Unknown),
    Recorded(answer=no(400, "web.incoming_webhook.text.app_error", "No text specified."), means=Rejected),
    Recorded(answer=no(400, "web.incoming_webhook.decode.app_error"), means=Rejected),
    Recorded(answer=Answer.text(429, "limit exceeded", retry_after="2"), means=Retry, after_s=2),
    Recorded(answer=no(500, "app.post.save.app_error"), means=Retry),
)


def webhook(url: str) -> dict[str, str]:
    """An incoming webhook."""
    return {"url": f"{url}/hooks/{SECRET}"}


VENDORS = {
    "webhook": Vendor(
        config=webhook,
        accepted=OK,
        replies=(
            *ALWAYS,
            Recorded(answer=INVALID, means=Misconfigured),
            Recorded(answer=no(404, "web.incoming_webhook.general.app_error"), means=Misconfigured),
            Recorded(answer=LOCKED, means=Misconfigured),
            Recorded(answer=no(501, "web.incoming_webhook.disabled.app_error"), means=Misconfigured),
        ),
        never={"Gone": "the webhook is the integration's own"},
    ),
    "webhook to a contact": Vendor(
        config=webhook,
        address=lambda url: "@ada",
        accepted=OK,
        replies=(
            *ALWAYS,
            Recorded(answer=CHANNEL, means=Gone),
            Recorded(answer=LOCKED, means=Rejected),
            Recorded(answer=INVALID, means=Misconfigured),
        ),
    ),
    "webhook of a contact": Vendor(
        config=lambda url: {"hosts": ["127.0.0.1"]},
        address=lambda url: f"{url}/hooks/{SECRET}",
        accepted=OK,
        replies=(*ALWAYS, Recorded(answer=INVALID, means=Gone)),
        never={"Misconfigured": "nothing of the integration's own is used"},
    ),
}

"""What push services answer (RFC 8030, sections 5 to 8)."""

import msgspec

from clarion.model.outcome import Accepted, Gone, Rejected, Retry
from clarion.plugins import providers
from clarion.testing.provider_contract import Recorded, Vendor
from clarion.testing.scripted_server import Answer
from tests.browsers import Browser

CREATED = Answer(
    status=201, headers={"location": "https://push.example.net/message/qDIYHNcfAIPP_5ITvURr-d6BGt"}
)


def address(url: str) -> str:
    """A browser that is subscribed there."""
    return msgspec.json.encode(Browser(f"{url}/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV").subscription).decode()


VENDORS = {
    "to a browser": Vendor(
        config=lambda url: providers()["webpush"].example,
        address=address,
        accepted=CREATED,
        replies=(
            Recorded(answer=CREATED, means=Accepted),
            Recorded(answer=Answer(status=202), means=Accepted),
            Recorded(answer=Answer.text(429, "too many", retry_after="60"), means=Retry, after_s=60),
            Recorded(answer=Answer.text(503, "Service Unavailable"), means=Retry),
            Recorded(answer=Answer.text(404, "Not Found"), means=Gone),
            Recorded(answer=Answer.text(410, "push subscription has unsubscribed or expired.\n"), means=Gone),
            Recorded(answer=Answer.text(413, "Payload Too Large"), means=Rejected),
            Recorded(answer=Answer.text(400, "TTL is missing"), means=Rejected),
            Recorded(answer=Answer.text(401, "UnauthorizedRegistration"), means=Retry),
        ),
        never={"Misconfigured": "a subscription of somebody's must not stop all others"},
        excused={"what_is_said_arrives": "it arrives encrypted (RFC 8291), and is decrypted in other tests"},
        withdrawn=CREATED,
        withdrawals=(
            Recorded(answer=CREATED, means=Accepted),
            Recorded(answer=Answer.text(410, "push subscription has unsubscribed or expired.\n"), means=Gone),
            Recorded(answer=Answer.text(503, "Service Unavailable"), means=Retry),
        ),
        edited=CREATED,
        most_bytes=4_096,
    )
}

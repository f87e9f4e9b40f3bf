"""What APNs answers.

https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
"""

from __future__ import annotations

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.plugins import providers
from clarion.testing.provider_contract import Recorded, Vendor
from clarion.testing.scripted_server import Answer

TOKEN = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
TAKEN = Answer(status=200, headers={"apns-id": "eabeae54-14a8-11e5-b60b-1697f925ec7b"})


def refused(status: int, reason: str, **more: int) -> Answer:
    """A refusal."""
    return Answer.json(status, {"reason": reason, **more})


VENDORS = {
    "to a device": Vendor(
        config=lambda url: {**providers()["apns"].example, "url": url},
        address=lambda url: f"apns:{TOKEN}",
        accepted=TAKEN,
        replies=(
            Recorded(answer=TAKEN, means=Accepted),
            Recorded(answer=refused(410, "Unregistered", timestamp=1_454_948_015_990), means=Gone),
            Recorded(answer=refused(410, "ExpiredToken", timestamp=1_454_948_015_990), means=Gone),
            Recorded(answer=refused(413, "PayloadTooLarge"), means=Rejected),
            Recorded(answer=refused(400, "BadDeviceToken"), means=Rejected),
            Recorded(answer=refused(400, "DeviceTokenNotForTopic"), means=Rejected),
            Recorded(answer=refused(400, "BadCollapseId"), means=Rejected),
            Recorded(answer=refused(400, "IdleTimeout"), means=Retry),
            Recorded(answer=refused(403, "InvalidProviderToken"), means=Misconfigured),
            Recorded(answer=refused(403, "BadEnvironmentKeyInToken"), means=Misconfigured),
            Recorded(answer=refused(403, "MissingProviderToken"), means=Misconfigured),
            Recorded(answer=refused(403, "Forbidden"), means=Misconfigured),
            Recorded(answer=refused(403, "BadCertificate"), means=Misconfigured),
            Recorded(answer=refused(403, "BadCertificateEnvironment"), means=Misconfigured),
            Recorded(answer=refused(403, "UnrelatedKeyIdInToken"), means=Misconfigured),
            Recorded(answer=refused(403, "ExpiredProviderToken"), means=Retry, after_s=0),
            Recorded(answer=refused(400, "TopicDisallowed"), means=Misconfigured),
            Recorded(answer=refused(400, "BadTopic"), means=Misconfigured),
            Recorded(answer=refused(400, "MissingTopic"), means=Misconfigured),
            Recorded(answer=refused(404, "BadPath"), means=Rejected),
            Recorded(answer=refused(400, "BadChannelId"), means=Rejected),
            Recorded(answer=refused(400, "MissingChannelId"), means=Rejected),
            Recorded(answer=refused(410, "ChannelNotRegistered"), means=Rejected),
            Recorded(answer=refused(403, "FeatureNotEnabled"), means=Rejected),
            Recorded(answer=refused(429, "TooManyRequests"), means=Retry, after_s=60),
            Recorded(answer=refused(429, "TooManyProviderTokenUpdates"), means=Retry, after_s=1_200),
            Recorded(answer=refused(500, "InternalServerError"), means=Retry),
            Recorded(answer=refused(503, "Shutdown"), means=Retry),
            Recorded(answer=refused(503, "ServiceUnavailable"), means=Retry),
        ),
        withdrawn=TAKEN,
        withdrawals=(
            Recorded(answer=TAKEN, means=Accepted),
            Recorded(answer=refused(410, "Unregistered", timestamp=1_454_948_015_990), means=Gone),
            Recorded(answer=refused(429, "TooManyRequests"), means=Retry, after_s=60),
            Recorded(answer=refused(403, "InvalidProviderToken"), means=Misconfigured),
        ),
        edited=TAKEN,
        most_bytes=4_096,
    )
}

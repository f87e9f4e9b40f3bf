"""What the receivers of webhooks answer.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from base64 import b64encode

from clarion.model.outcome import Accepted, Gone, Retry
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

OK = Answer(status=204)

VENDORS = {
    "to a contact": Vendor(
        config=lambda url: {"secret": "whsec_" + b64encode(SECRET.encode()).decode()},
        address=lambda url: f"{url}/hook",
        accepted=OK,
        replies=(
            Recorded(answer=OK, means=Accepted),
            Recorded(answer=Answer.text(410, "Gone"), means=Gone),
            Recorded(answer=Answer.text(429, "slow down", retry_after="120"), means=Retry, after_s=120),
            Recorded(answer=Answer.text(502, "Bad Gateway"), means=Retry),
            Recorded(answer=Answer.text(404, "not found"), means=Retry),
        ),
        never={
            "Rejected": "a receiver may be repaired, so every other answer is tried again",
            "Misconfigured": "nothing of the integration's own is used",
        },
    )
}

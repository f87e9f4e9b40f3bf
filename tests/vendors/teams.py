"""What a flow's trigger answers.

https://learn.microsoft.com/azure/connectors/connectors-native-reqres, https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-configuration
"""

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

STARTED = Answer(status=202, headers={"x-ms-workflow-run-id": "08584"})


def error(status: int, code: str) -> Answer:
    """An error of the trigger."""
    return Answer.json(status, {"error": {"code": code, "message": "The workflow ..."}})


def passed_on(status: int) -> Answer:
    """What a connector says when Teams did not take the message: with a 200."""
    return Answer.text(
        200,
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error "
        f"{status} with ContextId tcid=0,server=DM3PEPF00009C8B,cv=...",
    )


ALWAYS = (
    Recorded(answer=passed_on(429), means=Retry),
    Recorded(answer=passed_on(413), means=Rejected),
    Recorded(answer=passed_on(502), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
    Recorded(answer=STARTED, means=Accepted),
    Recorded(answer=Answer(status=200), means=Accepted),
    Recorded(answer=error(400, "TriggerInputSchemaMismatch"), means=Rejected),
    Recorded(answer=error(413, "RequestEntityTooLarge"), means=Rejected),
    Recorded(
        answer=Answer.json(429, {"error": {"code": "TooManyRequests"}}, retry_after="17"),
        means=Retry,
        after_s=17,
    ),
    Recorded(answer=error(503, "ServiceUnavailable"), means=Retry),
    Recorded(answer=error(502, "NoResponse"), means=Unknown),
)
PATH = f"workflows/9a/triggers/manual/paths/invoke?api-version=2016-06-01&sig={SECRET}"

VENDORS = {
    "flow": Vendor(
        config=lambda url: {"url": f"{url}/{PATH}"},
        accepted=STARTED,
        replies=(
            *ALWAYS,
            Recorded(answer=error(401, "DirectApiAuthorizationRequired"), means=Misconfigured),
            Recorded(answer=error(404, "WorkflowNotFound"), means=Misconfigured),
            Recorded(answer=error(400, "WorkflowTriggerIsNotEnabled"), means=Misconfigured),
        ),
        never={"Gone": "the flow is the integration's own"},
        most_bytes=28 * 1024,
    ),
    "flow of a contact": Vendor(
        config=lambda url: {"hosts": ["127.0.0.1"]},
        address=lambda url: f"{url}/{PATH}",
        accepted=STARTED,
        replies=(
            *ALWAYS,
            Recorded(answer=error(404, "WorkflowNotFound"), means=Gone),
            Recorded(answer=error(400, "WorkflowTriggerIsNotEnabled"), means=Rejected),
        ),
        never={"Misconfigured": "nothing of the integration's own is used"},
        most_bytes=28 * 1024,
    ),
}

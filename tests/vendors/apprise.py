"""What a service of Apprise's answers: its JSON webhook, which takes any 2xx."""

from clarion.model.outcome import Accepted, Retry
from clarion.testing.provider_contract import SECRET, Recorded, Vendor
from clarion.testing.scripted_server import Answer

OK = Answer.text(200, "ok")
BOOL = "Apprise says yes or no"

VENDORS = {
    "json": Vendor(
        config=lambda url: {"url": f"{url.replace('http://', f'json://clarion:{SECRET}@')}/notify"},
        accepted=OK,
        replies=(
            Recorded(answer=OK, means=Accepted),
            Recorded(answer=Answer.text(401, "no"), means=Retry),
            Recorded(answer=Answer.text(500, "no"), means=Retry),
        ),
        never={"Rejected": BOOL, "Gone": BOOL, "Misconfigured": BOOL},
        excused={"an_answer_that_breaks_off_leaves_doubt": f"{BOOL}, and no when an answer breaks off"},
    )
}

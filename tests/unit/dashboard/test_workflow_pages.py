"""The pages of workflows and their runs."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.run import RunFilter
from clarion.model.setup import Case, SendAll, Step, StepType, Workflow
from clarion.model.submission import Submission

HELLO = Step(key="hello", template="welcome", to=SendAll(channels=(Channel.IN_APP,)))
PAUSE = Step(key="pause", type=StepType.WAIT, for_s=3_600)
FORK = Step(
    key="fork",
    type=StepType.BRANCH,
    cases=(Case(when="data.plan == '<b>'", steps=(Step(key="tips", template="welcome", to=HELLO.to),)),),
)
JOURNEY = Workflow(key="journey", name="<i>Journey", category="account", steps=(HELLO, PAUSE, FORK))


@pytest.fixture
async def waiting(app):
    """The demo with a journey in which two people wait; the ids of the runs."""
    (tenant,) = app.ledger.setup.tenants.all().values()
    await app.ledger.setup.workflows.put(tenant.id, JOURNEY)
    for user in ("ada", "juergen"):
        await app.pipeline.submit(
            tenant.id, [Submission(workflow="journey", recipients=(user,), data=msgspec.Raw(b"{}"))]
        )
    async with asyncio.timeout(30):
        while True:
            rows, _ = await app.ledger.runs.page(tenant.id, RunFilter(workflow="journey"), None, 9)
            if len(rows) == 2:
                return [id_text(row.id) for row in rows]
            await asyncio.sleep(0.01)


async def test_workflows_are_listed_with_what_became_of_them(ask, waiting):
    """How many runs wait; names are no markup."""
    page = (await ask("/ui/workflows")).body
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*journey.*?</tr>", page, re.DOTALL)
    assert "&lt;i&gt;Journey" in row
    assert row.endswith("<td>2</td></tr>")
    assert 'href="/ui/workflows" aria-current="page"' in page


async def test_a_workflow_is_drawn_with_its_runs(ask, waiting):
    """Where they wait leads to them; a condition is no markup."""
    page = (await ask("/ui/workflows/journey")).body
    assert page.count('class="graph-node') == 4
    assert '<a href="?status=waiting&amp;step=pause#runs-title">' in page
    assert "2 waiting" in page
    assert "data.plan == &#x27;&lt;b&gt;&#x27;" in page
    assert page.count('href="/ui/runs/') == 2


async def test_runs_are_looked_for_by_status_and_step(ask, waiting):
    """In the address, so that it can be sent to somebody."""
    assert "No run fits" in (await ask("/ui/workflows/journey?status=failed")).body
    assert "No run fits" in (await ask("/ui/workflows/journey?step=hello")).body
    assert (await ask("/ui/workflows/journey?status=waiting&step=pause")).body.count('href="/ui/runs/') == 2
    assert (await ask("/ui/workflows/journey?status=odd")).status == 400


async def test_a_workflow_that_never_waits_says_so(ask):
    """Instead of an empty table."""
    assert "No run of this workflow has waited yet" in (await ask("/ui/workflows/welcome")).body


async def test_a_run_tells_its_steps_and_can_be_canceled(ask, waiting):
    """Afterwards its page says so, and nothing more can be canceled."""
    address = f"/ui/runs/{waiting[0]}"
    page = (await ask(address)).body
    assert "Cancel this run" in page
    assert page.index("Step &#x27;hello&#x27;: sends") < page.index("Step &#x27;pause&#x27;: waits")
    answer = await ask(f"{address}/cancel", "POST")
    assert answer.status == 303
    page = (await ask(answer.headers["location"])).body
    assert "Canceled" in page
    assert "Cancel this run" not in page

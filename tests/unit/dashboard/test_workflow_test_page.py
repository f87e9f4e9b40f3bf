"""A workflow tried with one person."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from clarion.model.channel import Channel
from clarion.model.setup import Case, SendAll, Step, StepType, Workflow

TO = SendAll(channels=(Channel.IN_APP, Channel.SMS))
JOURNEY = Workflow(
    key="journey",
    category="account",
    steps=(
        Step(key="hello", template="welcome", to=TO),
        Step(key="pause", type=StepType.WAIT, for_s=3_600),
        Step(
            key="fork",
            type=StepType.BRANCH,
            cases=(Case(when="data.plan == 'pro'", steps=(Step(key="tips", template="welcome", to=TO),)),),
        ),
    ),
    data_schema={"type": "object", "properties": {"plan": {"type": "string"}}, "required": ["plan"]},
)
TEST = "/ui/workflows/journey/test"


@pytest.fixture
async def tested(app, ask):
    """Tries the journey with some fields of the form."""
    (tenant,) = app.ledger.setup.tenants.all().values()
    await app.ledger.setup.workflows.put(tenant.id, JOURNEY)

    async def test(**fields):
        return await ask(TEST, "POST", urlencode(fields).encode())

    return test


def steps_in(page):
    """The steps that were told, in order."""
    return re.findall(r"<h3>\w.*?<code>(.*?)</code>", page.body)


async def test_every_step_is_told_with_its_channels_its_rules_and_what_would_be_read(app, ask, tested):
    """With example data filled in; to the end when waits are skipped, else to the first. Nothing is stored."""
    page = await ask(TEST)
    assert '"plan": "' in unescape(page.body)
    assert re.search(r'name="user" value="\w+"', page.body)
    assert "What would happen" not in page.body
    page = await tested(user="ada", data='{"plan": "pro"}', skip_waits="on")
    assert [*dict.fromkeys(steps_in(page))] == ["hello", "pause", "fork", "tips"]
    assert page.body.count("would read</summary>") >= 2
    assert 'class="because"' in page.body
    page = await tested(user="ada", data='{"plan": "x"}', skip_waits="on")
    assert "tips" not in steps_in(page)
    assert steps_in(await tested(user="ada", data='{"plan": "pro"}')) == ["hello", "pause"]
    (tenant,) = app.ledger.setup.tenants.all().values()
    assert not await app.ledger.records.tail(tenant.id, -1, 9)


async def test_what_cannot_be_tried_is_told_and_kept(tested):
    """The form comes back as it was."""
    for user, data, said in (
        ("ada", "{", "not valid JSON"),
        ("ada", "{}", "plan"),
        ("ada", "[]", "must be a JSON object"),
        ("nobody", '{"plan": "x"}', "nobody"),
    ):
        page = unescape((await tested(user=user, data=data)).body)
        assert re.search(rf'role="alert">[^<]*{said}', page), said
        assert f"\n{data}</textarea>" in page
        assert f'name="user" value="{user}"' in page


async def test_a_text_that_is_not_published_is_tried(app, ask):
    """From the editor: nothing is live afterwards; a wrong text is refused."""
    text = (
        "category: account\nsteps:\n  - key: only\n    template: welcome\n"
        "    to:\n      mode: all\n      channels: [in_app]\n"
    )
    page = await ask("/ui/workflows/draft/test", "POST", urlencode({"text": text}).encode())
    assert "your text, which is not live" in page.body
    fields = {"text": text, "user": "ada", "data": "{}"}
    page = await ask("/ui/workflows/draft/test", "POST", urlencode(fields).encode())
    assert steps_in(page) == ["only"]
    (tenant,) = app.ledger.setup.tenants.all().values()
    assert "draft" not in app.ledger.setup.workflows.all(tenant.id)
    wrong = urlencode({"text": text.replace("account", "acount")}).encode()
    assert (await ask("/ui/workflows/draft/test", "POST", wrong)).status == 400
    assert (await ask("/ui/workflows/draft/test")).status == 404

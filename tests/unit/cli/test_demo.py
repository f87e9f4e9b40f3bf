"""The demo is complete, speaks three languages, and leaves alone what somebody changed."""

from pathlib import Path

import msgspec
import pytest

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.cli import demo
from clarion.content.templates.review import errors
from clarion.content.templates.schema import Schema
from clarion.dashboard.trigger_form import channels_of
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from tests.ledger_files import new_ledger

DEMO = demo.load()
TEMPLATES = {template.key: template for template in demo.templates(DEMO)}


@pytest.mark.parametrize("key", sorted(TEMPLATES))
def test_every_template_is_sound(key):
    """The check that the API runs finds nothing."""
    assert errors(TEMPLATES[key]) == []


@pytest.mark.parametrize("workflow", DEMO.workflows, ids=lambda workflow: workflow.key)
def test_every_workflow_has_its_category_and_words_on_every_channel(workflow):
    """Nothing in the first minute fails for want of a template."""
    assert workflow.category in {category.key for category in DEMO.categories}
    channels = {integration.channel for integration in DEMO.integrations}
    for step in workflow.steps:
        for channel in channels_of((step,)):
            assert channel in channels
            languages = {"en"} if channel is Channel.WEBHOOK else {"en", "de", "ja"}  # programs read webhooks
            assert set(TEMPLATES[step.template].channels[channel]) == languages


def test_emails_share_a_layout_that_goes_live_with_them():
    """Every email is written in three languages, says only what is its own, and carries the layout it uses."""
    with_email = [template for template in TEMPLATES.values() if Channel.EMAIL in template.channels]
    assert len(with_email) > 1
    assert all(set(template.partials) == {demo.LETTER} for template in with_email)
    assert all(
        "<html" not in fields["html"]
        for template in with_email
        for fields in template.channels[Channel.EMAIL].values()
    )


def test_one_template_says_what_data_it_needs():
    """With an example that fits, and an event that is refused."""
    template = TEMPLATES["order-shipped"]
    assert template.data_schema is not None
    schema = Schema(template.data_schema)
    assert schema.mismatches(template.example_data, 100) == []
    assert [m.pointer for m in schema.mismatches({"order": "A-1"}, 20)] == [""]


def test_people_live_in_three_languages_and_zones():
    """That is what makes the same event look and arrive differently."""
    assert len({user.locale for user in DEMO.users}) == len({user.timezone for user in DEMO.users}) == 3


async def test_what_somebody_changed_survives_the_next_start(tmp_path: Path):
    """Seeding again adds what is missing and touches nothing else."""
    clock, random = SystemClock(), SystemRandom()
    path = new_ledger(tmp_path / "db")
    vault = LocalVault.from_file(tmp_path / "key", random)
    ledger = Ledger(SqliteLedger.open(path, vault=vault, clock=clock, random=random))
    try:
        tenant = await demo.seed(ledger, DEMO)
        otp = ledger.setup.workflows.all(tenant.id)["otp"]
        changed = await ledger.setup.workflows.put(tenant.id, msgspec.structs.replace(otp, name="Mine"))
        assert await ledger.users.delete(tenant.id, "misaki")
        assert await demo.seed(ledger, DEMO) == tenant
        assert ledger.setup.workflows.all(tenant.id)["otp"] == changed
        assert sorted(await ledger.users.find(tenant.id, ["ada", "juergen", "misaki"])) == [
            "ada",
            "juergen",
            "misaki",
        ]
    finally:
        await ledger.close()

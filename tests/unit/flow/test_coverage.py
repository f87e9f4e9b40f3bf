"""An installation that has no integration yet: it says so, and catches up when there is one."""

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import INBOX, Integration, SendAll, Step, Tenant
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.testing.providers import RecordingProvider
from tests.engine import ALL_CHANNELS, Engine, engine, workflow

BOTH = Step(key="note", template="note", to=SendAll(channels=(Channel.IN_APP, Channel.SMS)))


async def fresh(clarion: Engine) -> None:
    """A tenant as it is made, with a workflow over in-app and text message."""
    await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
    await clarion.ledger.setup.templates.put(clarion.tenant, ALL_CHANNELS)
    await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("hello", steps=(BOTH,)))
    await clarion.put_user("ada")


async def test_a_new_tenant_has_an_inbox(store):
    """In-app messages arrive without any set-up."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await fresh(clarion)
        assert dict(clarion.ledger.setup.integrations.all(clarion.tenant)) == {"inbox": INBOX}
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(channel=Channel.IN_APP)).status is Status.DELIVERED


async def test_what_no_integration_serves_waits_and_goes_out_when_one_does(store):
    """The answer, the message and the dry run agree; nothing is lost."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await fresh(clarion)
        accepted = await clarion.trigger("hello", "ada")
        (notice,) = accepted.notices
        assert notice.code == "no_integration"
        assert "`sms`" in notice.detail
        await clarion.until_idle()
        text = await clarion.one(channel=Channel.SMS)
        assert (text.status, text.reason) == (Status.DEFERRED, Reason.NO_INTEGRATION)
        ((_, run),) = await clarion.services.dry_runs.runs(
            clarion.tenant, Submission(workflow="hello", recipients=("ada",))
        )
        assert {one.channel: one.reason for one in run.channels} == {
            Channel.IN_APP: None,
            Channel.SMS: Reason.NO_INTEGRATION,
        }
        await clarion.ledger.setup.integrations.put(
            clarion.tenant, Integration(key="texts", channel=Channel.SMS, provider="recording")
        )
        assert (await clarion.trigger("hello", "ada")).notices == ()
        await clarion.pass_time(60)
        assert {m.status for m in (await clarion.messages(channel=Channel.SMS)).values()} == {Status.SENT}
        assert len(clarion.provider.effects) == 2


async def test_an_integration_that_is_switched_off_serves_nothing(store):
    """As if there were none, until it is switched on."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await fresh(clarion)
        texts = Integration(key="texts", channel=Channel.SMS, provider="recording", enabled=False)
        await clarion.ledger.setup.integrations.put(clarion.tenant, texts)
        assert len((await clarion.trigger("hello", "ada")).notices) == 1

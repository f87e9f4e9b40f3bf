"""Which words a message is sent with when its template changes meanwhile."""

import msgspec

from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Retry
from clarion.model.setup import Category, Template
from clarion.model.status import Status
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, sms_text, workflow


def words(text: str) -> Template:
    """The note, saying something else."""
    return Template(key="note", channels={Channel.SMS: {"en": {"text": text}}})


async def test_a_retry_says_what_was_live_when_the_message_was_planned(store):
    """Publishing a new version changes the messages planned afterwards, and only those."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        first = await clarion.ledger.setup.templates.put(clarion.tenant, words("first words"))
        await clarion.put_user("ada")
        planned = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.DEFERRED
        await clarion.ledger.setup.templates.put(clarion.tenant, words("second words"))
        provider.otherwise = Accepted()
        await clarion.pass_time(900)
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert [sms_text(o) for o in provider.effects] == ["first words", "second words"]
        message = await clarion.one(event_id=planned.event_id)
        assert message.template_version == first.version
        assert (await clarion.services.message_contents.render(message)).text == "first words"


async def test_the_words_outlive_the_process_and_the_template(store):
    """After a restart, with the template deleted, the message still has the version it was planned with."""
    clock, provider = ManualClock(), RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider, clock=clock) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.templates.put(clarion.tenant, words("first words"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await clarion.ledger.setup.templates.delete(clarion.tenant, "note")
    after = RecordingProvider(batch=50)
    async with engine(store, provider=after, clock=clock, seed=2) as clarion:
        await clarion.pass_time(900)
        assert [sms_text(o) for o in after.effects] == ["first words"]


async def test_many_old_versions_in_one_batch_are_all_found(store, monkeypatch):
    """However few are kept in memory, every message gets its own."""
    monkeypatch.setattr("clarion.flow.dispatch.rendering.OLD_KEPT", 2)
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        for version in range(6):
            await clarion.ledger.setup.templates.put(clarion.tenant, words(f"version {version}"))
            await clarion.trigger("hello", "ada", data=msgspec.Raw(b"{}"))
            await clarion.until_idle()
        provider.otherwise = Accepted()
        await clarion.pass_time(900)
        assert sorted(sms_text(o) for o in provider.effects) == [f"version {n}" for n in range(6)]


async def test_a_message_from_before_versions_were_kept_is_sent_with_the_live_one(store):
    """Such messages know no version (0)."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        old = msgspec.structs.replace(await clarion.one(), template_version=0)
        await clarion.ledger.setup.templates.put(clarion.tenant, words("live words"))
        assert (await clarion.services.message_contents.render(old)).text == "live words"


async def test_a_mail_can_show_the_link_that_leaves_its_category(store):
    """The same one that the mail program is told; where nothing can be left there is none to show."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("news", channel=Channel.EMAIL),
            workflow("code", "security", channel=Channel.EMAIL),
            categories=(Category(key="security", critical=True),),
        )
        fields = {"subject": "News", "text": "{{ unsubscribe_url|default('no way out', true) }}"}
        await clarion.ledger.setup.templates.put(
            clarion.tenant, Template(key="note", channels={Channel.EMAIL: {"en": fields}})
        )
        await clarion.put_user("ada")
        for key in ("news", "code"):
            await clarion.trigger(key, "ada")
            await clarion.until_idle()
        news, code = clarion.provider.effects
        assert news.content.text == news.unsubscribe_url != ""
        assert (code.content.text, code.unsubscribe_url) == ("no way out", "")

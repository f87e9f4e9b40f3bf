"""Which words a message is sent with when its template changes meanwhile."""

import msgspec

from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Retry
from clarion.model.setup import Category, Template
from clarion.model.status import Status
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, said, workflow


def words(text: str) -> Template:
    """The note, saying something else."""
    return Template(key="note", channels={Channel.SMS: {"en": {"text": text}}})


async def test_a_retry_says_what_was_live_when_the_message_was_planned(store):
    """Publishing a new version changes the messages planned afterwards, and only those."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as house:
        await house.furnish(workflow("hello"))
        first = await house.ledger.setup.templates.put(house.tenant, words("first words"))
        await house.person("ada")
        planned = await house.trigger("hello", "ada")
        await house.quiet()
        assert (await house.one()).status is Status.DEFERRED
        await house.ledger.setup.templates.put(house.tenant, words("second words"))
        provider.otherwise = Accepted()
        await house.pass_time(900)
        await house.trigger("hello", "ada")
        await house.quiet()
        assert [said(o) for o in provider.effects] == ["first words", "second words"]
        message = await house.one(event_id=planned.event_id)
        assert message.template_version == first.version
        assert (await house.services.message_contents.render(message)).text == "first words"


async def test_the_words_outlive_the_process_and_the_template(store):
    """After a restart, with the template deleted, the message still has the version it was planned with."""
    clock, provider = ManualClock(), RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider, clock=clock) as house:
        await house.furnish(workflow("hello"))
        await house.ledger.setup.templates.put(house.tenant, words("first words"))
        await house.person("ada")
        await house.trigger("hello", "ada")
        await house.quiet()
        await house.ledger.setup.templates.delete(house.tenant, "note")
    after = RecordingProvider(batch=50)
    async with engine(store, provider=after, clock=clock, seed=2) as house:
        await house.pass_time(900)
        assert [said(o) for o in after.effects] == ["first words"]


async def test_many_old_versions_in_one_batch_are_all_found(store, monkeypatch):
    """However few are kept in memory, every message gets its own."""
    monkeypatch.setattr("clarion.flow.dispatch.rendering.OLD_KEPT", 2)
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as house:
        await house.furnish(workflow("hello"))
        await house.person("ada")
        for version in range(6):
            await house.ledger.setup.templates.put(house.tenant, words(f"version {version}"))
            await house.trigger("hello", "ada", data=msgspec.Raw(b"{}"))
            await house.quiet()
        provider.otherwise = Accepted()
        await house.pass_time(900)
        assert sorted(said(o) for o in provider.effects) == [f"version {n}" for n in range(6)]


async def test_a_message_from_before_versions_were_kept_is_sent_with_the_live_one(store):
    """Such messages know no version (0)."""
    async with engine(store) as house:
        await house.furnish(workflow("hello"))
        await house.person("ada")
        await house.trigger("hello", "ada")
        await house.quiet()
        old = msgspec.structs.replace(await house.one(), template_version=0)
        await house.ledger.setup.templates.put(house.tenant, words("live words"))
        assert (await house.services.message_contents.render(old)).text == "live words"


async def test_a_mail_can_show_the_link_that_leaves_its_category(store):
    """The same one that the mail program is told; where nothing can be left there is none to show."""
    async with engine(store) as house:
        await house.furnish(
            workflow("news", channel=Channel.EMAIL),
            workflow("code", "security", channel=Channel.EMAIL),
            categories=(Category(key="security", critical=True),),
        )
        fields = {"subject": "News", "text": "{{ unsubscribe_url|default('no way out', true) }}"}
        await house.ledger.setup.templates.put(
            house.tenant, Template(key="note", channels={Channel.EMAIL: {"en": fields}})
        )
        await house.person("ada")
        for key in ("news", "code"):
            await house.trigger(key, "ada")
            await house.quiet()
        news, code = house.provider.effects
        assert news.content.text == news.unsubscribe_url != ""
        assert (code.content.text, code.unsubscribe_url) == ("no way out", "")

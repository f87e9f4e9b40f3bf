"""What outsiders wrote is rendered where it can harm nobody else."""

import msgspec
import pytest

from clarion.adapters.limited.process import LimitedProcess
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Template, Tenant
from clarion.model.status import Reason, Status
from clarion.model.user import Profile, User
from clarion.services.limited import MEMORY_BYTES, TARGET
from clarion.services.previews import Previews
from clarion.services.templates import ReviewTask
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, sms_text, workflow
from tests.limited import InThread

TENANT = Tenant(id=TenantId(1), key="acme")
USER = User(no=UserNo(1), tenant=TENANT.id, id="ada", key=b"secret-key", profile=Profile(locale="en"))
NOTE = Template(
    key="note", channels={Channel.SMS: {"en": {"text": "Hi {{ name }}"}}}, example_data={"name": "Ada"}
)


async def test_previews_and_reviews_are_made_in_a_real_process():
    """By the code that sends, and with the same words."""
    process = LimitedProcess(TARGET, memory_bytes=MEMORY_BYTES, cpu_s=10)
    try:
        previews = Previews(process, ManualClock())
        (shown,) = await previews.of(NOTE, TENANT, USER, {"name": "Eve"}, [Channel.SMS])
        assert shown.content.text == "Hi Eve"  # type: ignore[union-attr]
        (shown,) = await previews.of(NOTE, TENANT, USER, {}, [Channel.SMS])
        assert "`name` has no value" in shown.error.detail  # type: ignore[union-attr]
        task = ReviewTask(template=NOTE, tenant=TENANT, opt_out=False)
        assert await process.run([msgspec.json.encode(task)]) == [b"[]"]
    finally:
        await process.close()


async def test_a_preview_that_takes_too_much_is_refused():
    """It says what of; the server goes on. The key of a person's data does not go there."""
    limited = InThread(b"greedy")
    previews = Previews(limited, ManualClock())
    with pytest.raises(ContentError, match="more than 256 MB"):
        await previews.of(NOTE, TENANT, USER, {"name": "greedy"}, [Channel.SMS])
    assert len(await previews.of(NOTE, TENANT, USER, {"name": "modest"}, [Channel.SMS])) == 1
    assert not any(b"c2VjcmV0" in task for task in limited.tasks)


async def test_data_nested_too_deep_for_a_preview_are_refused():
    """With a clear word."""
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ContentError, match="nested too deep"):
        await Previews(InThread(), ManualClock()).of(NOTE, TENANT, USER, {"name": nested}, [Channel.SMS])


async def test_a_message_that_ends_the_process_is_set_aside_for_good(store):
    """Those beside it are sent; it is not tried again, also not by the next life of the server."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        clarion.limited.deadly = (b"greedy",)
        await clarion.create_setup(workflow("w"))
        for who in ("ada", "bob", "eve"):
            await clarion.put_user(who)
        await clarion.trigger("w", "ada", overrides=msgspec.Raw(b'{"sms":{"text":"mine"}}'))
        await clarion.trigger("w", "bob", overrides=msgspec.Raw(b'{"sms":{"text":"greedy"}}'))
        await clarion.trigger("w", "eve")
        await clarion.until_idle()
        assert sorted(map(sms_text, provider.effects)) == ["hello", "mine"]
        tried = len(clarion.limited.tasks)
        await clarion.crash()
        await clarion.open()
        await clarion.pass_time(3_600)
        (failed,) = [m for m in (await clarion.messages()).values() if m.status is Status.FAILED]
        assert failed.reason is Reason.RENDER_LIMIT
        assert len(clarion.limited.tasks) == tried


async def test_messages_without_overrides_are_rendered_where_they_always_were(store):
    """They pay nothing for it."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT
        assert clarion.limited.tasks == []

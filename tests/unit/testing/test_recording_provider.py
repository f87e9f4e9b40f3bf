"""The recording provider: a script in, a record of calls and effects out."""

import asyncio

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.content import SmsContent
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Gone, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.testing.providers import HANG, RecordingProvider


def outgoing(n: int) -> Outgoing:
    message = Message(
        id=MessageId(bytes([n]) * 16),
        tenant=TenantId(1),
        user=UserNo(1),
        event_id=EventId(bytes(16)),
        workflow="w",
        workflow_version=1,
        category="c",
        step="s",
        template="t",
        channel=Channel.SMS,
        lane=Lane.NORMAL,
        status=Status.QUEUED,
        created_at=Instant(0),
    )
    user = User(no=UserNo(1), tenant=TenantId(1), id="ada", key=bytes(32), profile=Profile())
    return Outgoing(message=message, user=user, contact=None, content=SmsContent(text="hi"))


ONE, TWO = outgoing(1), outgoing(2)


async def test_the_script_answers_by_message_and_by_number_of_the_call():
    """A message may fail first and be accepted later."""
    provider = RecordingProvider({(ONE.message.id, 1): Retry(), TWO.message.id: Gone()})
    assert await provider.send([ONE, TWO]) == [Retry(), Gone()]
    assert await provider.send([ONE, TWO]) == [Accepted(), Gone()]
    assert provider.calls == [(ONE, TWO), (ONE, TWO)]
    assert provider.effects == [ONE]


async def test_the_script_may_answer_by_address():
    """One message goes to several devices, and each may say something else."""
    phone, laptop = (
        replace(ONE, contact=Contact(channel=Channel.PUSH, address=name)) for name in ("phone", "laptop")
    )
    provider = RecordingProvider({"phone": Gone()}, idempotent=True)
    assert await provider.send([phone, laptop]) == [Gone(), Accepted()]
    await provider.send([laptop])
    assert provider.effects == [laptop]


async def test_a_repeated_message_is_a_second_effect_unless_idempotent():
    """An unknown outcome did reach the person."""
    careless = RecordingProvider(otherwise=Unknown())
    careful = RecordingProvider(otherwise=Unknown(), idempotent=True)
    for provider in (careless, careful):
        await provider.send([ONE])
        await provider.send([ONE])
    assert (len(careless.effects), len(careful.effects)) == (2, 1)


async def test_a_scripted_exception_is_raised():
    """Surprise is an exception, for the whole call: nobody was reached."""
    provider = RecordingProvider({TWO.message.id: OSError("cut")})
    with pytest.raises(OSError, match="cut"):
        await provider.send([ONE, TWO])
    assert provider.effects == []


async def test_a_hanging_call_ends_when_cancelled_and_reached_nobody():
    """Nothing is left under way."""
    provider = RecordingProvider({TWO.message.id: HANG})
    call = asyncio.ensure_future(provider.send([ONE, TWO]))
    await asyncio.sleep(0)
    assert provider.under_way == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (provider.under_way, provider.effects) == (0, [])


async def test_a_closed_gate_holds_calls_and_counts_them():
    """`most_under_way` shows whether a concurrency budget is kept."""
    provider = RecordingProvider()
    provider.proceed.clear()
    calls = [asyncio.ensure_future(provider.send([ONE])) for _ in range(3)]
    await asyncio.sleep(0)
    provider.proceed.set()
    await asyncio.gather(*calls)
    assert (provider.most_under_way, provider.under_way) == (3, 0)


async def test_a_send_after_close_is_the_callers_error():
    """The engine must not use a provider it has closed."""
    provider = RecordingProvider()
    await provider.close()
    with pytest.raises(RuntimeError, match="after close"):
        await provider.send([ONE])

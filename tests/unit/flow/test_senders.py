"""Texts have the sender of the country they go to; what cannot arrive is not sent."""

import pytest

from clarion.model.channel import Channel
from clarion.model.setup import Category, Integration
from clarion.model.status import Reason, Status
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow


@pytest.mark.parametrize(
    ("senders", "status", "sender"),
    [
        ({}, Status.SENT, ""),
        ({"DE": "Example", "*": "+15005550006"}, Status.SENT, "Example"),
        ({"US": "Example", "*": "+15005550006"}, Status.SENT, "+15005550006"),
        ({"DE": None}, Status.REJECTED, ""),
        ({"DE": "+18005550006"}, Status.REJECTED, ""),
    ],
)
async def test_a_text_is_from_the_sender_of_its_country(store, senders, status, sender):
    """Whoever is refused is told why, and no provider is called."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"), categories=(Category(key="news"),))
        texts = Integration(key="main-sms", channel=Channel.SMS, provider="recording", senders=senders)
        await clarion.ledger.setup.integrations.put(clarion.tenant, texts)
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        message = await clarion.one()
        assert message.status is status
        if status is Status.SENT:
            assert [one.sender for one in provider.effects] == [sender]
        else:
            assert (message.reason, provider.calls) == (Reason.SENDER_NOT_ALLOWED, [])
            *_, last = await clarion.ledger.records.changes(clarion.tenant, message.id)
            assert last.detail

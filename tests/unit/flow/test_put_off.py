"""What a busy destination means for its message and for its integration."""

from __future__ import annotations

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.outcome import Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.rules.outcomes import AttemptContext, settle_outcome
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow
from tests.mails import AT, message
from tests.relay import mails

PUT_OFF = Retry(reason=Reason.RATE_LIMITED, after_s=30, called=False, of_address=True, detail="slowed down")


def settled(outcome: Retry, **changes):
    outgoing: Outgoing = mails("ada@example.org")[0]
    attempt = AttemptContext(integration="relay", idempotent=False, alternatives=1, took_ms=1)
    return settle_outcome(
        msgspec.structs.replace(outgoing, message=message(**changes)),
        outcome,
        attempt,
        on_unknown=UnknownPolicy.DO_NOT_SEND,
        now=AT,
        uniform=0.0,
    )


def test_a_message_that_was_put_off_has_used_no_attempt():
    """It waits as long as it was told to, also when another integration could take over: the domain is the same."""
    found = settled(PUT_OFF, attempt=3)
    assert (found.status, found.reason, found.attempt) == (Status.DEFERRED, Reason.RATE_LIMITED, 3)
    assert found.due_at is not None
    assert found.due_at >= AT + 30_000


def test_a_message_that_was_put_off_still_expires():
    """Putting off is no way round `expires_at`, and no reason to give up before: it is tried once more right before."""
    put_off = settled(PUT_OFF, expires_at=Instant(AT + 10_000))
    assert (put_off.status, put_off.due_at) == (Status.DEFERRED, AT + 9_999)
    assert settled(PUT_OFF, expires_at=Instant(AT + 1)).status is Status.EXPIRED


def test_a_message_that_was_tried_has_used_an_attempt():
    """The destination itself said no."""
    found = settled(Retry(reason=Reason.RATE_LIMITED, of_address=True), attempt=3)
    assert (found.reason, found.attempt) == (Reason.RETRY, 4)


@pytest.mark.parametrize("outcome", [Retry, Unknown])
@pytest.mark.parametrize(("of_address", "circuit"), [(True, "closed"), (False, "open")])
async def test_a_busy_destination_does_not_open_the_circuit_of_its_relay(store, outcome, of_address, circuit):
    """Only failures of the provider itself do."""
    provider = RecordingProvider(otherwise=outcome(of_address=of_address), batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        people = [f"user{i}" for i in range(30)]
        for one in people:
            await clarion.put_user(one)
        await clarion.trigger("hello", *people)
        await clarion.until_idle()
        health = clarion.pipeline.integrations.health(clarion.tenant)
    assert {one.circuit for one in health if one.integration.channel is Channel.SMS} == {circuit}

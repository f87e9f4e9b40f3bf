"""Time limits of the dispatcher come from the clock it is given, so that a simulation can hold them."""

import time

import pytest

from clarion.flow.dispatch.dispatcher import SLOT_WAIT_S
from clarion.model.channel import Channel
from clarion.model.outcome import Unknown
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Reason, Status
from clarion.testing.providers import HANG, RecordingProvider
from tests.engine import engine, workflow


def limited(limits: IntegrationLimits) -> Integration:
    return Integration(key="main-sms", channel=Channel.SMS, provider="recording", limits=limits)


@pytest.mark.parametrize(
    ("idempotent", "status", "reason", "outcome"),
    [
        (False, Status.FAILED, Reason.OUTCOME_UNKNOWN, "unknown"),
        (True, Status.DEFERRED, Reason.RETRY, "retry"),
    ],
)
async def test_a_provider_that_hangs_is_given_up_at_its_time_limit_and_no_sooner(
    store, idempotent, status, reason, outcome
):
    """A hundred seconds on the clock, none on the wall: in doubt, or tried again where a repetition does no harm."""
    provider = RecordingProvider(batch=50, otherwise=HANG, idempotent=idempotent)
    began = time.monotonic()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(clarion.tenant, limited(IntegrationLimits(timeout_s=100)))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        clarion.clock.advance(99)
        await clarion.until_idle()
        assert provider.under_way == 1
        clarion.clock.advance(1)
        assert await clarion.eventually(status)
        message = await clarion.one()
        (*_, last) = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert (message.reason, last.outcome, last.detail) == (reason, outcome, "no answer in time")
        assert last.took_ms == 100_000
        assert (provider.under_way, provider.effects) == (0, [])
        assert (await clarion.pipeline.stats())["unknown_outcomes"] == (0 if idempotent else 1)
    assert time.monotonic() - began < 60


async def test_a_batch_that_finds_no_slot_in_time_is_put_off(store):
    """One call at a time, and it hangs: what comes behind waits a second on the clock, then in the ledger."""
    provider = RecordingProvider(batch=50, otherwise=HANG)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(clarion.tenant, limited(IntegrationLimits(concurrency=1)))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        second = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=second.event_id)).status is Status.QUEUED
        clarion.clock.advance(SLOT_WAIT_S)
        assert await clarion.eventually(Status.DEFERRED, event_id=second.event_id)
        assert (await clarion.one(event_id=second.event_id)).reason is Reason.INTEGRATION_BUSY
        assert len(provider.calls) == 1


async def test_an_answer_that_leaves_it_open_counts_as_unknown_like_none_at_all(store):
    """The metric is about attempts that may have gone through, however that came about."""
    async with engine(store, provider=RecordingProvider(batch=50, otherwise=Unknown())) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.pipeline.stats())["unknown_outcomes"] == 1

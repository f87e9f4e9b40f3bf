"""Old data goes by itself, in small steps, and nothing that is needed goes with it."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.retention import RetentionKind
from clarion.model.setup import Tenant
from clarion.model.submission import Submission
from tests.engine import engine, workflow

DAY_S = 86_400


async def test_old_messages_and_events_go_within_the_hour(tmp_path):
    """By the defaults: events after a month, messages after three."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.until_idle()
        await clarion.pass_time(31 * DAY_S)
        retention = clarion.services.retention
        assert await clarion.until(lambda: _is(retention.deleted[RetentionKind.EVENTS] == 1))
        assert len(await clarion.messages()) == 1
        await clarion.pass_time(91 * DAY_S)
        retention.start([clarion.tenant])
        assert await clarion.until(lambda: _is(retention.deleted[RetentionKind.MESSAGES] == 1))
        assert await clarion.messages() == {}
        assert clarion.services.stats()["deleted.messages"] == 1


async def test_a_message_that_waits_can_still_be_rendered(tmp_path):
    """Its event stays although it is old."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        later = clarion.clock.now() + 60 * DAY_S * 1000
        await clarion.trigger("w", "ada", send_at=later)
        await clarion.until_idle()
        clarion.clock.advance(45 * DAY_S)
        await _swept(clarion)
        (message,) = (await clarion.messages()).values()
        assert (await clarion.services.message_contents.render(message)).text == "hello"


async def test_a_tenant_that_keeps_everything_loses_nothing(tmp_path):
    """`null` is for ever."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w", channel=Channel.IN_APP))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.until_idle()
        for_ever = dict.fromkeys(RetentionKind)
        await clarion.services.setup.change_tenant(clarion.tenant, lambda one: _keeping(one, for_ever))
        clarion.clock.advance(4_000 * DAY_S)
        assert not any((await _swept(clarion)).values())
        assert len(await clarion.messages()) == 1


async def test_who_asks_has_only_their_own_deleted(tmp_path):
    """What is old of others waits for the hour."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.until_idle()
        setup, retention = clarion.services.setup, clarion.services.retention
        for_ever = dict.fromkeys(RetentionKind)
        await setup.change_tenant(clarion.tenant, lambda one: _keeping(one, for_ever))
        await clarion.pass_time(100 * DAY_S)  # the round of the hour
        await setup.change_tenant(clarion.tenant, lambda one: _keeping(one, {}))
        stranger = await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
        retention.start([stranger.id])
        assert await clarion.until(lambda: _is(not retention.asked))
        await clarion.until_idle()
        assert len(await clarion.messages()) == 1
        retention.start([clarion.tenant])
        assert await clarion.until(lambda: _is(retention.deleted[RetentionKind.MESSAGES] == 1))


async def test_a_step_is_small(tmp_path):
    """However much is old: a thousand messages go in steps that each change a bounded number of rows."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        said = Submission(workflow="w", recipients=("ada",), data=msgspec.Raw(b'{"text":"hello"}'))
        for _ in range(12):
            await clarion.pipeline.submit(clarion.tenant, [said] * 100)
        await clarion.until_idle()
        assert len(await clarion.messages()) == 1_200
        steps = []
        whole = clarion.ledger.retention.sweep

        async def counted(*asked, dry):
            swept = await whole(*asked, dry=dry)
            steps.append(sum(swept.expired.values()))
            return swept

        clarion.services.retention._retention = _Counting(counted)
        clarion.clock.advance(100 * DAY_S)
        await _swept(clarion)
        deleted = clarion.services.retention.deleted
        assert deleted[RetentionKind.MESSAGES] == deleted[RetentionKind.EVENTS] == 1_200
        assert max(steps) <= 500


async def test_who_chooses_to_keep_more_stops_what_is_being_deleted(tmp_path):
    """With the next slice, not with the next round."""
    async with engine(tmp_path) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        said = Submission(workflow="w", recipients=("ada",), data=msgspec.Raw(b'{"text":"hello"}'))
        for _ in range(4):
            await clarion.pipeline.submit(clarion.tenant, [said] * 100)
        await clarion.until_idle()
        setup, retention = clarion.services.setup, clarion.services.retention
        sweep, kept = clarion.ledger.retention.sweep, dict.fromkeys(RetentionKind)

        async def interrupted(kind, cutoffs, after, *, dry):
            swept = await sweep(kind, cutoffs, after, dry=dry)
            if swept.expired:
                await setup.change_tenant(clarion.tenant, lambda one: _keeping(one, kept))
            return swept

        retention._retention = _Counting(interrupted)
        clarion.clock.advance(100 * DAY_S)
        await _swept(clarion)
        assert 0 < sum(retention.deleted.values()) < 400


class _Counting:
    def __init__(self, sweep):
        self.sweep = sweep


def _keeping(tenant, days):
    return replace(tenant, retention=days)


async def _swept(clarion):
    """What a round deletes, while time goes on."""
    round_ = asyncio.ensure_future(clarion.services.retention.sweep([clarion.tenant]))
    assert await clarion.until(lambda: _is(round_.done()))
    return round_.result()


async def _is(true):
    return true

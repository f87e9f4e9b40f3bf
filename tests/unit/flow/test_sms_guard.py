"""Whoever makes a tenant send texts to numbers that they earn money with is stopped after a few."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.setup import Category, GuardMode, GuardWatch, SmsGuard
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.model.verification import VerificationStatus
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

NEWS = Category(key="news")
BLOCKED = (Status.SUPPRESSED, Reason.RANGE_BLOCKED)
PREMIUM, HONEST = "+371270", "+49151"


async def set_up(clarion: Engine, **guard: Any) -> None:
    """With this guard."""
    await clarion.create_setup(workflow("w"), categories=(NEWS,))
    await change(clarion, sms_guard=SmsGuard(**guard))


async def change(clarion: Engine, **fields: Any) -> None:
    """Other settings of the tenant."""
    await clarion.services.setup.change_tenant(clarion.tenant, lambda tenant: replace(tenant, **fields))


async def people(clarion: Engine, numbers: Sequence[str]) -> Sequence[User]:
    """A user for each number."""
    return await clarion.ledger.users.put(
        clarion.tenant,
        [
            UserPut(
                id=f"u{number}", profile=Profile(contacts=(Contact(channel=Channel.SMS, address=number),))
            )
            for number in numbers
        ],
    )


async def outcomes(clarion: Engine) -> Counter[tuple[Status, Reason | None]]:
    """How many messages are how."""
    return Counter((m.status, m.reason) for m in (await clarion.messages()).values())


async def code_for(clarion: Engine, number: str) -> Any:
    """A verification of this number."""
    user = await clarion.services.verifications.user_with(clarion.tenant, Channel.SMS, number)
    return await clarion.services.verifications.create(
        clarion.tenant, user, (Channel.SMS,), None, digits=6, ttl_s=600
    )


async def test_ten_thousand_requests_over_a_premium_range_are_stopped_within_twenty_messages(store):
    """Every number is another one. Elsewhere messages still go."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion, watch=GuardWatch.ALL)
        for start in range(0, 10_000, 500):
            users = await people(clarion, [f"{PREMIUM}{number:05d}" for number in range(start, start + 500)])
            await clarion.trigger("w", *[user.id for user in users])
            await clarion.until_idle()
        await clarion.pass_time(1)
        (honest,) = await people(clarion, [f"{HONEST}12345678"])
        await clarion.trigger("w", honest.id)
        await clarion.pass_time(1)
        pumped = [one for one in provider.effects if one.contact and one.contact.address.startswith(PREMIUM)]
        assert 1 <= len(pumped) <= 20
        found = await outcomes(clarion)
        assert found == {(Status.SENT, None): len(pumped) + 1, BLOCKED: 10_000 - len(pumped)}
        blocked = await clarion.ledger.number_ranges.blocked(clarion.tenant, clarion.clock.now())
        assert [one.digits for one in blocked] == ["+3712700"]
        assert clarion.pipeline.payments.guarded["stopped"] == 10_000 - len(pumped)


async def test_codes_that_are_entered_keep_a_range_open(store):
    """Two of three are: none of sixty is stopped."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        for number in range(60):
            one = await code_for(clarion, f"{HONEST}2345{number:04d}")
            await clarion.until_idle()
            if number % 3:
                (code,) = re.findall(r"\d{6}", sms_text(provider.effects[-1]))
                checked = await clarion.services.verifications.check(clarion.tenant, one.id, code)
                assert checked.status is VerificationStatus.APPROVED
        assert await outcomes(clarion) == {(Status.SENT, None): 60}


async def test_codes_that_nobody_enters_are_stopped_by_default(store):
    """And ordinary texts to the same numbers are not."""
    async with engine(store) as clarion:
        await set_up(clarion)
        for number in range(40):
            await code_for(clarion, f"{PREMIUM}0{number:04d}")
        users = await people(clarion, [f"{PREMIUM}1{number:04d}" for number in range(40)])
        await clarion.trigger("w", *[user.id for user in users])
        await clarion.pass_time(1)
        assert await outcomes(clarion) == {(Status.SENT, None): 10 + 40, BLOCKED: 30}


@pytest.mark.parametrize(("mode", "observed"), [(GuardMode.OBSERVE, 30), (GuardMode.OFF, 0)])
async def test_a_guard_that_does_not_block_sends_everything(store, mode, observed):
    """When it observes it counts what it would have stopped."""
    async with engine(store) as clarion:
        await set_up(clarion, mode=mode)
        for number in range(40):
            await code_for(clarion, f"{PREMIUM}0{number:04d}")
        await clarion.pass_time(1)
        assert await outcomes(clarion) == {(Status.SENT, None): 40}
        assert clarion.pipeline.payments.guarded["observed"] >= observed
        assert bool(clarion.pipeline.payments.guarded["ranges"]) is bool(observed)


async def test_a_block_outlives_the_process_and_is_lifted_by_a_person(store):
    """The range is open at once then."""
    async with engine(store) as clarion:
        await set_up(clarion)
        for number in range(12):
            await code_for(clarion, f"{PREMIUM}0{number:04d}")
        await clarion.pass_time(1)
        await clarion.crash()
        await clarion.open()
        await code_for(clarion, f"{PREMIUM}00100")
        await clarion.pass_time(1)
        assert await outcomes(clarion) == {(Status.SENT, None): 10, BLOCKED: 3}
        assert await clarion.services.number_ranges.unblock(clarion.tenant, "+3712700")
        await code_for(clarion, f"{PREMIUM}00200")
        await clarion.pass_time(1)
        assert (await outcomes(clarion))[Status.SENT, None] == 11


@pytest.mark.parametrize(
    ("mode", "countries", "status"),
    [
        (GuardMode.ON, None, Status.SUPPRESSED),
        (GuardMode.ON, ("LV",), Status.SENT),
        (GuardMode.ON, ("DE",), Status.SUPPRESSED),
        (GuardMode.OBSERVE, None, Status.SENT),
        (GuardMode.OFF, (), Status.SENT),
    ],
)
async def test_texts_go_to_allowed_countries_only(store, mode, countries, status):
    """Without a list: to those where the tenant's own users are. Others wait for nobody, and say why."""
    async with engine(store) as clarion:
        await set_up(clarion, country_mode=mode, countries=countries)
        profile = Profile(contacts=(Contact(channel=Channel.SMS, address=f"{HONEST}12345678"),))
        await clarion.services.users.put(clarion.tenant, [UserPut(id="ada", profile=profile)])
        (stranger,) = await people(clarion, [f"{PREMIUM}00001"])
        await clarion.trigger("w", stranger.id)
        await clarion.pass_time(1)
        message = await clarion.one()
        assert message.status is status
        if status is Status.SUPPRESSED:
            assert message.reason is Reason.COUNTRY_NOT_ALLOWED
            *_, last = await clarion.ledger.records.changes(clarion.tenant, message.id)
            assert last.detail is not None
            assert "LV is not among the allowed countries" in last.detail
        assert clarion.ledger.setup.tenants.all()[clarion.tenant].seen_countries == ("DE",)


async def test_an_entered_code_makes_a_country_one_of_the_tenants(store):
    """Whoever only asks for codes does not."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        one = await code_for(clarion, f"{PREMIUM}00001")
        await clarion.until_idle()
        assert clarion.ledger.setup.tenants.all()[clarion.tenant].seen_countries == ()
        (code,) = re.findall(r"\d{6}", sms_text(provider.effects[-1]))
        await clarion.services.verifications.check(clarion.tenant, one.id, code)
        assert clarion.ledger.setup.tenants.all()[clarion.tenant].seen_countries == ("LV",)


async def test_the_users_of_an_earlier_version_are_looked_through_once(store):
    """Until then no country is forbidden."""
    async with engine(store) as clarion:
        await set_up(clarion, country_mode=GuardMode.ON)
        await people(clarion, [f"{HONEST}12345678", f"{PREMIUM}00001", "+15005550006"])
        await change(clarion, seen_countries=None)
        await clarion.crash()
        await clarion.open()
        await clarion.pass_time(1)
        assert clarion.ledger.setup.tenants.all()[clarion.tenant].seen_countries == ("DE", "LV", "US")

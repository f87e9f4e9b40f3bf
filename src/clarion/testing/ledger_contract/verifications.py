"""What a ledger does about one-time codes and the ranges of numbers they go to."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.retention import RetentionKind
from clarion.model.spending import Charge, Charged, RangeLimit
from clarion.model.status import Reason, Status
from clarion.model.verification import ConsentAsked, Resend, Verification, VerificationId, VerificationStatus
from clarion.testing.ledger_contract.subject import LedgerSubject

PENDING = VerificationStatus.PENDING
RANGE = RangeLimit(digits="+3712700", limit=3, window_s=3_600, block_s=7_200)


def verification(subject: LedgerSubject, **fields: Any) -> Verification:
    """A code for Ada that is right for ten minutes."""
    wanted: dict[str, Any] = {
        "user": subject.ada.no,
        "contact": b"c" * 16,
        "channels": (Channel.SMS, Channel.EMAIL),
        "workflow": "",
        "digits": 6,
        "hash": b"h" * 16,
        "expires_at": Instant(subject.now + 600_000),
    } | fields
    return Verification(
        id=VerificationId(subject.event()),
        tenant=subject.tenant,
        created_at=subject.now,
        sent_at=subject.now,
        **wanted,
    )


async def add(subject: LedgerSubject, one: Verification, most: int = 5) -> bool:
    """Stores it; most in the last ten minutes."""
    return await subject.ledger.verifications.add(one, Instant(subject.now - 600_000), most)


async def a_verification_is_found_as_it_was_stored(subject: LedgerSubject) -> None:
    """By its tenant only."""
    asked = ConsentAsked(purpose="news", text_version="2026-05")
    one = verification(subject, workflow="login", channels=(), consent=asked)
    assert await add(subject, one)
    store = subject.ledger.verifications
    assert await store.get(subject.tenant, one.id) == one
    assert await store.get(TenantId(subject.tenant + 1), one.id) is None
    assert await store.get(subject.tenant, VerificationId(b"n" * 16)) is None


async def an_address_has_one_pending_verification(subject: LedgerSubject) -> None:
    """A newer one cancels it; that of another address stays, and what is over stays as it ended."""
    old, other, new = verification(subject), verification(subject, contact=b"o" * 16), verification(subject)
    approved = verification(subject)
    await add(subject, approved)
    await subject.ledger.verifications.finish(
        subject.tenant, approved.id, VerificationStatus.APPROVED, subject.now
    )
    for one in (old, other, new):
        assert await add(subject, one)
    found = [
        await subject.ledger.verifications.get(subject.tenant, one.id) for one in (approved, old, other, new)
    ]
    assert [one.status.value for one in found if one] == ["approved", "canceled", "pending", "pending"]


async def an_address_gets_so_many_verifications_in_a_while(subject: LedgerSubject) -> None:
    """One more is not stored, and cancels nothing; later there is room again."""
    first, second, third = [verification(subject) for _ in range(3)]
    assert [await add(subject, one, 2) for one in (first, second, third)] == [True, True, False]
    store = subject.ledger.verifications
    assert await store.get(subject.tenant, third.id) is None
    assert (await store.get(subject.tenant, second.id)) == second
    subject.clock.advance(601)
    assert await add(subject, verification(subject), 2)


async def checks_are_counted_before_they_count(subject: LedgerSubject) -> None:
    """However many come at once: after the last one it is locked."""
    one = verification(subject)
    await add(subject, one)
    store = subject.ledger.verifications
    found = await asyncio.gather(
        *[store.count_check(subject.tenant, one.id, subject.now, 3) for _ in range(5)]
    )
    assert sorted((f.checks, f.status.value) for f in found if f) == [
        (1, "pending"),
        (2, "pending"),
        (3, "locked"),
        (3, "locked"),
        (3, "pending"),
    ]
    stored = await store.get(subject.tenant, one.id)
    assert stored == replace(one, checks=3, status=VerificationStatus.LOCKED, finished_at=subject.now)
    assert await store.count_check(subject.tenant, VerificationId(b"n" * 16), subject.now, 3) is None


async def a_code_whose_time_is_over_is_not_checked(subject: LedgerSubject) -> None:
    """It expired when it said."""
    one = verification(subject)
    await add(subject, one)
    subject.clock.advance(600)
    found = await subject.ledger.verifications.count_check(subject.tenant, one.id, subject.now, 3)
    assert found == replace(one, status=VerificationStatus.EXPIRED, finished_at=one.expires_at)


async def a_new_code_takes_the_place_of_the_old_one(subject: LedgerSubject) -> None:
    """After a pause, so many times, and only while it is pending."""
    one = verification(subject)
    await add(subject, one)
    store = subject.ledger.verifications

    async def resend(hash_: bytes) -> Verification | None:
        wanted = Resend(hash=hash_, at=subject.now, most=2, pause_ms=30_000)
        return await store.resend(subject.tenant, one.id, wanted)

    assert await resend(b"1" * 16) is None
    subject.clock.advance(30)
    second = replace(one, hash=b"2" * 16, sends=2, sent_at=subject.now)
    assert await resend(b"2" * 16) == second
    subject.clock.advance(30)
    assert await resend(b"3" * 16) is None
    assert await store.get(subject.tenant, one.id) == second


async def a_verification_ends_once(subject: LedgerSubject) -> None:
    """The first end counts."""
    one = verification(subject)
    await add(subject, one)
    store = subject.ledger.verifications
    ends = [
        await store.finish(subject.tenant, one.id, status, subject.now)
        for status in (VerificationStatus.APPROVED, VerificationStatus.CANCELED)
    ]
    assert [end.status.value for end in ends if end] == ["approved", "approved"]
    assert await store.finish(subject.tenant, VerificationId(b"n" * 16), PENDING, subject.now) is None


async def verifications_go_with_their_user_and_with_time(subject: LedgerSubject) -> None:
    """Those of an erased user at once."""
    ada, bob = verification(subject), verification(subject, user=subject.bob.no, contact=b"b" * 16)
    await add(subject, ada)
    await add(subject, bob)
    await subject.ledger.users.delete(subject.tenant, "bob")
    store = subject.ledger.verifications
    assert await store.get(subject.tenant, bob.id) is None
    subject.clock.advance(86_400)
    cutoffs = {subject.tenant: Instant(subject.now - 3_600_000)}
    kind = RetentionKind.VERIFICATIONS
    assert (await subject.ledger.retention.sweep(kind, cutoffs, None, dry=True)).expired == {
        subject.tenant: 1
    }
    assert (await subject.ledger.retention.sweep(kind, cutoffs, None, dry=False)).expired == {
        subject.tenant: 1
    }
    assert await store.get(subject.tenant, ada.id) is None


async def send(subject: LedgerSubject, count: int, first: int = 1, **fields: Any) -> Charged:
    """So many codes to the range, which cost nothing."""
    wanted: dict[str, Any] = {"attempt": 0, "ranges": (RANGE,), "at": subject.now} | fields
    return await subject.ledger.spending.charge(
        [
            Charge(
                message_id=MessageId(number.to_bytes(16)),
                tenant=subject.tenant,
                day="2030-05-04",
                channel=Channel.SMS,
                country="LV",
                integration="main",
                cost=None,
                **wanted,
            )
            for number in range(first, first + count)
        ]
    )


async def a_range_that_gets_too_many_codes_is_blocked(subject: LedgerSubject) -> None:
    """Those behind its limit are refused, and everything until the block is over or lifted."""
    charged = await send(subject, 5)
    assert [int.from_bytes(one) for one in charged.refused] == [4, 5]
    assert {one.reason for one in charged.refused.values()} == {Reason.RANGE_BLOCKED}
    assert next(iter(charged.refused.values())).detail == (
        "numbers that begin with +3712700 are blocked: 3 codes were sent there, and 0 were entered"
    )
    (now,) = charged.blocked
    assert (now.sent, now.blocked_at, now.blocked_until) == (3, subject.now, subject.now + 7_200_000)
    ranges = subject.ledger.number_ranges
    assert [one.digits for one in await ranges.blocked(subject.tenant, subject.now)] == ["+3712700"]
    again = await send(subject, 1, 10)
    assert (len(again.refused), again.blocked) == (1, ())
    assert await ranges.unblock(subject.tenant, "+3712700", subject.now)
    assert not await ranges.unblock(subject.tenant, "+3712700", subject.now)
    assert not await ranges.unblock(TenantId(subject.tenant + 1), "+3712700", subject.now)
    assert len((await send(subject, 4, 20)).refused) == 1
    subject.clock.advance(7_200)
    assert await ranges.blocked(subject.tenant, subject.now) == []
    assert (await send(subject, 3, 30)).refused == {}
    assert list(await subject.ledger.spending.spent(subject.tenant, "0000", "9999")) == []


async def a_block_holds_however_many_ask_at_once(subject: LedgerSubject) -> None:
    """Exactly so many go."""
    answers = await asyncio.gather(*[send(subject, 1, number) for number in range(1, 21)])
    assert sum(not one.refused for one in answers) == 3
    assert sum(len(one.blocked) for one in answers) == 1


async def a_repeat_is_answered_as_before(subject: LedgerSubject) -> None:
    """What went once goes again without being counted, also while its range is blocked."""
    await send(subject, 3)
    assert (await send(subject, 3)).refused == {}
    assert len((await send(subject, 2, 4)).refused) == 2
    assert (await send(subject, 3)).refused == {}
    assert len((await send(subject, 1, 2, attempt=1)).refused) == 1


async def codes_that_are_entered_make_room(subject: LedgerSubject) -> None:
    """Each for itself and five others, and not without end."""
    ranges = subject.ledger.number_ranges
    await send(subject, 3)
    await ranges.confirm(subject.tenant, [RANGE], subject.now)
    assert (await send(subject, 6, 10)).refused == {}
    assert len((await send(subject, 1, 20)).refused) == 1
    await ranges.unblock(subject.tenant, RANGE.digits, subject.now)
    for _ in range(50):
        await ranges.confirm(subject.tenant, [RANGE], subject.now)
    charged = await send(subject, 40, 100)
    assert (len(charged.refused), charged.blocked[0].confirmed) == (7, 51)


async def a_range_recovers_with_time(subject: LedgerSubject) -> None:
    """Its limit in a window."""
    await send(subject, 3)
    subject.clock.advance(1_200)
    assert (await send(subject, 1, 10)).refused == {}
    assert len((await send(subject, 1, 20)).refused) == 1


async def a_guard_that_observes_lets_everything_go(subject: LedgerSubject) -> None:
    """And says what it would have refused."""
    charged = await send(subject, 5, blocks=False)
    assert (charged.refused, charged.observed, len(charged.blocked)) == ({}, 2, 1)


async def old_ranges_are_forgotten(subject: LedgerSubject) -> None:
    """With the verifications; nobody is told how many there were."""
    await send(subject, 5)
    subject.clock.advance(86_400)
    cutoffs = {subject.tenant: subject.now}
    after: bytes | None = b""
    while after is not None:
        swept = await subject.ledger.retention.sweep(
            RetentionKind.VERIFICATIONS, cutoffs, after or None, dry=False
        )
        assert not swept.expired
        after = swept.following
    charged = await send(subject, 4, 10)
    assert [one.sent for one in charged.blocked] == [3]


async def a_call_that_costs_nothing_is_given_back_as_well(subject: LedgerSubject) -> None:
    """Nothing is added up for it."""
    message = subject.planned()
    await subject.plan(message)
    charge = Charge(
        message_id=message.id,
        attempt=0,
        tenant=subject.tenant,
        day="2030-05-04",
        channel=Channel.SMS,
        country="LV",
        integration="main",
        cost=None,
    )
    await subject.ledger.spending.charge([charge])
    await subject.settle(message, Status.REJECTED, reason=Reason.PROVIDER_REJECTED, paid=True)
    assert list(await subject.ledger.spending.costs([message.id])) == []
    assert list(await subject.ledger.spending.spent(subject.tenant, "0000", "9999")) == []


VERIFICATIONS_CONTRACT = (
    a_verification_is_found_as_it_was_stored,
    an_address_has_one_pending_verification,
    an_address_gets_so_many_verifications_in_a_while,
    checks_are_counted_before_they_count,
    a_code_whose_time_is_over_is_not_checked,
    a_new_code_takes_the_place_of_the_old_one,
    a_verification_ends_once,
    verifications_go_with_their_user_and_with_time,
    a_range_that_gets_too_many_codes_is_blocked,
    a_block_holds_however_many_ask_at_once,
    a_repeat_is_answered_as_before,
    codes_that_are_entered_make_room,
    a_range_recovers_with_time,
    a_guard_that_observes_lets_everything_go,
    old_ranges_are_forgotten,
    a_call_that_costs_nothing_is_given_back_as_well,
)

"""What a ledger does about consent records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.consent import (
    EVERY_PURPOSE,
    Consent,
    ConsentAction,
    ConsentFilter,
    ConsentId,
    ConsentRecord,
)
from clarion.model.ids import Instant, TenantId
from clarion.model.user import Profile, User, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject

GRANTED, WITHDRAWN = ConsentAction.GRANTED, ConsentAction.WITHDRAWN


def record(
    subject: LedgerSubject, action: ConsentAction = GRANTED, purpose: str = "news", **fields: Any
) -> ConsentRecord:
    """Something that a user says now about the news."""
    wanted: dict[str, Any] = {
        "id": ConsentId(subject.event()),
        "recorded_at": subject.now,
        "source": "form",
    } | fields
    return ConsentRecord(purpose=purpose, action=action, **wanted)


async def say(subject: LedgerSubject, user: User, *records: ConsentRecord) -> User:
    """The user afterwards."""
    put = UserPut(id=user.id, consents=records)
    return (await subject.ledger.users.put(subject.tenant, [put]))[0]


async def found(subject: LedgerSubject, **where: Any) -> Sequence[Consent]:
    """Of the tenant, newest first."""
    return await subject.ledger.consents.page(subject.tenant, ConsentFilter(**where), None, 10)


async def a_consent_is_found_as_it_was_recorded(subject: LedgerSubject) -> None:
    """With its proof sealed, by its tenant only; and what follows from it is known of the user at once."""
    said = record(
        subject, channel=Channel.EMAIL, text_version="2026-05", proof={"form": "signup", "ip": "192.0.2.1"}
    )
    ada = await say(subject, subject.ada, said)
    (one,) = await found(subject)
    assert (one.id, one.tenant, one.user) == (said.id, subject.tenant, ada.no)
    assert (one.purpose, one.channel, one.action, one.source) == ("news", Channel.EMAIL, GRANTED, "form")
    assert (one.at, one.recorded_at, one.text_version) == (subject.now, subject.now, "2026-05")
    assert b"signup" not in one.proof
    assert [(state.id, state.action, state.at) for state in ada.profile.consents] == [
        (said.id, GRANTED, subject.now)
    ]
    assert await subject.reread(subject.ada) == ada
    other = await subject.ledger.consents.page(TenantId(subject.tenant + 1), ConsentFilter(), None, 10)
    assert list(other) == []


async def what_is_said_later_counts(subject: LedgerSubject) -> None:
    """Also in the same moment and by a clock that is behind; what is recorded late about an earlier time does not."""
    first = record(subject)
    then = record(subject, WITHDRAWN, recorded_at=Instant(subject.now - 5_000))
    late = record(subject, at=Instant(subject.now - 60_000))
    ada = await say(subject, await say(subject, subject.ada, first), then, late)
    assert [(one.action, one.id) for one in ada.profile.consents] == [(WITHDRAWN, then.id)]
    at = {one.id: one.at for one in await found(subject)}
    assert at == {first.id: subject.now, then.id: subject.now + 1, late.id: subject.now - 60_000}


async def a_consent_that_comes_again_is_recorded_once(subject: LedgerSubject) -> None:
    """The first stays as it is."""
    one = record(subject, WITHDRAWN, EVERY_PURPOSE, channel=Channel.SMS, at=subject.now)
    ada = await say(subject, subject.ada, one)
    again = await say(subject, subject.ada, replace(one, source="another"))
    assert again.profile == ada.profile
    assert [(kept.id, kept.source) for kept in await found(subject)] == [(one.id, "form")]


async def consents_are_stored_with_the_profile_or_not_at_all(subject: LedgerSubject) -> None:
    """A put that is refused adds none; a new user may come with some, and a later profile leaves them alone."""
    stale = UserPut(id="ada", profile=Profile(locale="de"), revision=99, consents=(record(subject),))
    try:
        await subject.ledger.users.put(subject.tenant, [stale])
        raise AssertionError("it was stored")
    except Conflict:
        assert list(await found(subject)) == []
    new = UserPut(id="eve", profile=Profile(locale="fr"), consents=(record(subject),))
    (eve,) = await subject.ledger.users.put(subject.tenant, [new])
    (later,) = await subject.ledger.users.put(
        subject.tenant, [UserPut(id="eve", profile=Profile(locale="it"))]
    )
    assert (later.profile.locale, later.profile.consents) == ("it", eve.profile.consents)
    assert [(one.user, one.purpose) for one in await found(subject)] == [(eve.no, "news")]


async def consents_are_filtered_and_paged(subject: LedgerSubject) -> None:
    """By user, purpose, channel, action, source and time; newest first, each once."""
    start, ids = subject.now, []
    for user, said in (
        (subject.ada, record(subject)),
        (subject.bob, record(subject, channel=Channel.SMS)),
        (subject.ada, record(subject, WITHDRAWN, "offers", source="till")),
    ):
        moved = replace(said, id=ConsentId(subject.event()), recorded_at=subject.now)
        ids.append(moved.id)
        await say(subject, user, moved)
        subject.clock.advance(1)
    first, second, third = ids
    for where, wanted in (
        ({}, [third, second, first]),
        ({"user": subject.ada.no}, [third, first]),
        ({"purpose": "news"}, [second, first]),
        ({"channel": Channel.SMS}, [second]),
        ({"action": WITHDRAWN}, [third]),
        ({"source": "till"}, [third]),
        ({"since": Instant(start + 1_000)}, [third, second]),
        ({"before": Instant(start + 1_000)}, [first]),
        ({"user": subject.ada.no, "purpose": "news", "action": WITHDRAWN}, []),
    ):
        assert [one.id for one in await found(subject, **where)] == wanted, where
    page = await subject.ledger.consents.page(subject.tenant, ConsentFilter(), second, 1)
    assert [one.id for one in page] == [first]


async def consents_stay_when_their_user_is_deleted(subject: LedgerSubject) -> None:
    """They can be counted, and nobody can open their proofs."""
    ada = await say(subject, subject.ada, record(subject, proof={"form": "signup"}))
    assert await subject.ledger.users.delete(subject.tenant, "ada")
    (one,) = await found(subject)
    assert (one.user, one.purpose, one.action) == (ada.no, "news", GRANTED)
    again = await subject.put_user("ada", "ada@example.org")
    assert again.profile.consents == ()
    assert list(await found(subject, user=again.no)) == []
    assert "signup" not in msgspec.json.encode(one).decode()


CONSENTS_CONTRACT = (
    a_consent_is_found_as_it_was_recorded,
    what_is_said_later_counts,
    a_consent_that_comes_again_is_recorded_once,
    consents_are_stored_with_the_profile_or_not_at_all,
    consents_are_filtered_and_paged,
    consents_stay_when_their_user_is_deleted,
)

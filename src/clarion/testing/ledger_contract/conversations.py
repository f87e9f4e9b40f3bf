"""When people wrote last."""

from __future__ import annotations

from clarion.model.ids import Instant
from clarion.model.whatsapp import Heard
from clarion.testing.ledger_contract.subject import LedgerSubject

NEVER = Instant(0)
MAIN, OTHER = "main", "other"


def heard(subject: LedgerSubject, contact: bytes, at: int, integration: str = MAIN) -> Heard:
    """Somebody wrote."""
    return Heard(tenant=subject.tenant, integration=integration, contact=contact, at=Instant(at))


async def the_latest_message_of_a_person_counts(subject: LedgerSubject) -> None:
    """Whatever comes first, also within one call; each integration hears for itself."""
    conversations = subject.ledger.conversations
    ada, bob = bytes(16), b"b" * 16
    await conversations.hear([heard(subject, ada, 5), heard(subject, ada, 7), heard(subject, bob, 6)], NEVER)
    await conversations.hear([heard(subject, ada, 6), heard(subject, ada, 9, OTHER)], NEVER)
    found = await conversations.heard(subject.tenant, MAIN, [ada, bob, b"c" * 16])
    assert found == {ada: 7, bob: 6}
    assert await conversations.heard(subject.tenant, OTHER, [ada, bob]) == {ada: 9}
    assert await conversations.heard(subject.tenant, MAIN, []) == {}


async def what_was_heard_long_ago_is_forgotten(subject: LedgerSubject) -> None:
    """With the next message of anybody."""
    conversations = subject.ledger.conversations
    ada, bob = bytes(16), b"b" * 16
    await conversations.hear([heard(subject, ada, 5), heard(subject, bob, 6)], NEVER)
    await conversations.hear([heard(subject, ada, 4, OTHER)], Instant(6))
    assert await conversations.heard(subject.tenant, MAIN, [ada, bob]) == {bob: 6}
    assert await conversations.heard(subject.tenant, OTHER, [ada]) == {}


CONVERSATIONS_CONTRACT = (the_latest_message_of_a_person_counts, what_was_heard_long_ago_is_forgotten)

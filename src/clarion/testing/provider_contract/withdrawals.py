"""What a provider that takes back what it sent has to keep: it does what it says, and says for people what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import SkipTest

import msgspec

from clarion.model.outcome import Accepted, Gone, Outcome, Rejected
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.ports.provider import ProviderPlugin, TakesBack, Withdrawing
from clarion.testing.provider_contract.network import at, vendor_of
from clarion.testing.provider_contract.subject import SECRET, WORDS, ProviderSubject, overheard
from clarion.testing.scripted_server import Answer, scripted_server


def sent(outgoing: Outgoing, outcome: Outcome) -> SentMessage:
    """A message as it is taken back after this outcome."""
    return SentMessage(
        message=outgoing.message,
        user=outgoing.user,
        contact=outgoing.contact,
        provider_id=(outcome.provider_id or "") if isinstance(outcome, Accepted) else "",
    )


def taking_back(plugin: ProviderPlugin) -> TakesBack:
    """What it can do; a check is skipped where that is nothing."""
    if plugin.takes_back is None:
        raise SkipTest(f"{plugin.name} takes nothing back")
    return plugin.takes_back


async def _withdrawn(subject: ProviderSubject, answers: Sequence[Answer], count: int = 1) -> list[Outcome]:
    """What becomes of withdrawals of messages that were taken, when the service answers each like this in turn."""
    vendor = vendor_of(subject)
    outcomes: list[Outcome] = []
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as opened:
            provider: Withdrawing = opened  # type: ignore[assignment]
            for answer in answers:
                server.otherwise = vendor.accepted
                batch = local.messages(count)
                taken = [sent(*one) for one in zip(batch, await opened.send(batch), strict=True)]
                server.otherwise = answer
                outcomes += await provider.withdraw(taken)
    return outcomes


async def it_withdraws_what_it_says(subject: ProviderSubject) -> None:
    """What it sent is gone when the service says so: one outcome for each message of a batch, and twice is as good as once.
    Without a server it says so by itself."""
    if not taking_back(subject.plugin).withdraws:
        raise SkipTest(f"{subject.plugin.name} withdraws nothing")
    if subject.vendor is not None:
        if subject.vendor.withdrawn is None:
            raise SkipTest(f"{subject.plugin.name} cannot withdraw anything in this way of using it")
        outcomes = await _withdrawn(subject, [subject.vendor.withdrawn] * 2, min(3, subject.plugin.batch))
    else:
        async with subject.opened() as opened:
            provider: Withdrawing = opened  # type: ignore[assignment]
            batch = subject.messages(min(3, subject.plugin.batch))
            taken = [sent(*one) for one in zip(batch, await opened.send(batch), strict=True)]
            outcomes = [*await provider.withdraw(taken), *await provider.withdraw(taken)]
    assert len(outcomes) == 2 * min(3, subject.plugin.batch)
    assert all(isinstance(one, Accepted) for one in outcomes), outcomes


async def each_answer_to_a_withdrawal_means_what_is_recorded(subject: ProviderSubject) -> None:
    """What is gone already is withdrawn; what is too old or not allowed is refused, with a reason for people; what passes is
    tried again."""
    if not taking_back(subject.plugin).withdraws:
        raise SkipTest(f"{subject.plugin.name} withdraws nothing")
    for recorded in vendor_of(subject).withdrawals:
        (outcome,) = await _withdrawn(subject, [recorded.answer])
        assert isinstance(outcome, recorded.means), f"{recorded.answer!r} was read as {outcome!r}"
        if isinstance(outcome, Rejected | Gone):
            assert outcome.detail, "a person wants to know why it cannot be withdrawn"


async def an_edit_is_the_same_message(subject: ProviderSubject) -> None:
    """It keeps its id, so that it can be edited once more; the new words arrive."""
    if not taking_back(subject.plugin).edits:
        raise SkipTest(f"{subject.plugin.name} edits nothing")
    vendor = vendor_of(subject)
    if vendor.edited is None:
        raise SkipTest(f"{subject.plugin.name} cannot edit anything in this way of using it")
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as provider:
            (outgoing,) = local.messages(1)
            (first,) = await provider.send([outgoing])
            assert isinstance(first, Accepted)
            replaces = first.provider_id or outgoing.message.id.hex()
            server.otherwise = vendor.edited
            (second,) = await provider.send([msgspec.structs.replace(outgoing, replaces=replaces)])
        assert isinstance(second, Accepted), second
        assert second.provider_id in (first.provider_id, None)
        assert len(server.requests) == 2


async def a_withdrawal_shows_neither_secrets_nor_content(subject: ProviderSubject) -> None:
    """Not in outcomes, exceptions or logs."""
    if not taking_back(subject.plugin).withdraws or subject.vendor is None:
        raise SkipTest(f"{subject.plugin.name} calls nobody to withdraw")
    with overheard() as said:
        for recorded in subject.vendor.withdrawals:
            for outcome in await _withdrawn(subject, [recorded.answer]):
                said.hear(getattr(outcome, "detail", ""))
    shown = said.showing(SECRET, WORDS)
    assert not shown, f"`{shown}` is shown"


WITHDRAWALS = (
    it_withdraws_what_it_says,
    each_answer_to_a_withdrawal_means_what_is_recorded,
    an_edit_is_the_same_message,
    a_withdrawal_shows_neither_secrets_nor_content,
)

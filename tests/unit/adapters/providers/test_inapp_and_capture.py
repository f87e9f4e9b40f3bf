"""The two providers of the house: what they hand to the ledger."""

import asyncio
from collections import Counter

import msgspec
import pytest

from clarion.adapters.providers import capture, inapp
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import InAppContent
from clarion.model.inbox import Captured, InboxItem
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.model.status import Reason
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject

ENTROPY = SystemRandom()
VAULT = LocalVault(ENTROPY.bytes(32), ENTROPY)


class Stopwatch(SystemClock):
    """A clock that does not wait, only notes how long it should have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def subject(plugin, **config):
    tools = provider_tools(Stopwatch(), ENTROPY, VAULT)
    return ProviderSubject(plugin=plugin, tools=tools, config=config)


async def answers(checked: ProviderSubject, count: int = 1, channel: Channel | None = None):
    batch = checked.messages(count, channel)
    async with checked.opened() as provider:
        return batch, await provider.send(batch)


async def test_an_inbox_item_is_the_content_sealed_for_its_reader():
    """Nobody but the user's key opens it, and acceptance is arrival."""
    (outgoing,), (outcome,) = await answers(subject(inapp.plugin))
    assert isinstance(outcome, Accepted)
    assert outcome.delivered
    item = outcome.record
    assert isinstance(item, InboxItem)
    assert (item.message_id, item.user, item.workflow, item.category) == (
        outgoing.message.id,
        outgoing.user.no,
        "checked",
        "checks",
    )
    opened = VAULT.open(outgoing.user.key, item.sealed)
    assert opened == msgspec.json.encode(outgoing.content)
    assert msgspec.json.decode(opened, type=InAppContent) == outgoing.content


@pytest.mark.parametrize("channel", Channel)
async def test_capture_keeps_address_and_content_of_every_channel(channel):
    """As JSON under the user's key, with the name of the integration."""
    (outgoing,), (outcome,) = await answers(subject(capture.plugin), 1, channel)
    kept = outcome.record
    assert isinstance(kept, Captured)
    assert (kept.channel, kept.integration, kept.message_id) == (channel, "checked", outgoing.message.id)
    document = msgspec.json.decode(VAULT.open(outgoing.user.key, kept.sealed))
    assert document["to"] == (outgoing.contact.address if outgoing.contact else None)
    assert document["content"] == msgspec.to_builtins(outgoing.content)
    assert not outcome.delivered


@pytest.mark.parametrize(
    ("config", "outcome"),
    [
        ({"outcome": "retry"}, Retry(detail="rehearsed: try again later")),
        (
            {"outcome": "retry", "retry_after_s": 7},
            Retry(after_s=7, detail="rehearsed: try again later"),
        ),
        ({"outcome": "reject"}, Rejected(detail="rehearsed: this message is refused")),
        ({"outcome": "gone"}, Gone(detail="rehearsed: this address no longer exists")),
        ({"outcome": "unknown"}, Unknown(detail="rehearsed: the request went out and no answer came")),
        (
            {"outcome": "misconfigured"},
            Misconfigured(detail="rehearsed: the credentials are refused"),
        ),
    ],
)
async def test_every_failure_can_be_rehearsed(config, outcome):
    """The outcome is the one configured, with its own closed reason."""
    _, outcomes = await answers(subject(capture.plugin, **config), 3)
    assert outcomes == [outcome] * 3
    assert isinstance(outcomes[0].reason, Reason)


async def test_acceptance_can_be_arrival():
    """For dry_running ladders that wait for delivery."""
    _, (outcome,) = await answers(subject(capture.plugin, delivered=True))
    assert outcome.delivered


async def test_a_share_fails_and_the_same_attempt_always_fails_the_same_way():
    """The next attempt of the same message is drawn anew."""
    checked = subject(capture.plugin, outcome="retry", share=0.3)
    batch = checked.messages(500)
    again = [msgspec.structs.replace(o, message=msgspec.structs.replace(o.message, attempt=1)) for o in batch]
    async with checked.opened() as provider:
        first = [type(o) for o in await provider.send(batch)]
        assert [type(o) for o in await provider.send(batch)] == first
        second = [type(o) for o in await provider.send(again)]
    assert 100 <= Counter(first)[Retry] <= 200
    assert first != second


@pytest.mark.parametrize(("share", "kinds"), [(0, {Accepted}), (1, {Gone})])
async def test_no_share_and_the_whole_share_are_exact(share, kinds):
    """Zero and one are no chances."""
    _, outcomes = await answers(subject(capture.plugin, outcome="gone", share=share), 200)
    assert {type(outcome) for outcome in outcomes} == kinds


async def test_a_delay_is_waited_once_per_call():
    """By the clock that was lent, so a simulation need not wait."""
    checked = subject(capture.plugin, delay_ms=250)
    await answers(checked, 10)
    clock = checked.tools.clock
    assert isinstance(clock, Stopwatch)
    assert clock.slept == [0.25]


async def test_a_hanging_share_leaves_other_calls_alone():
    """Only calls that hold a message of the share never answer."""
    checked = subject(capture.plugin, outcome="hang", share=0.5)
    async with checked.opened() as provider:
        calls = [asyncio.ensure_future(provider.send([m])) for m in checked.messages(40)]
        done, hanging = await asyncio.wait(calls, timeout=0.1)
        assert done
        assert hanging
        for call in hanging:
            call.cancel()
        await asyncio.wait(hanging)


@pytest.mark.parametrize(
    "config", [{"outcome": "explode"}, {"share": 2}, {"delay_ms": -1}, {"retry_after_s": -1}, {"x": 1}]
)
def test_a_config_that_makes_no_sense_is_refused(config):
    """By the config type itself, with the path of the field."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(config, capture.CaptureConfig)

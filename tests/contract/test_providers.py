"""Every provider in the registry keeps the contract, and the contract catches one that does not."""

import asyncio
import importlib

import msgspec
import pytest

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Retry
from clarion.plugins import providers
from clarion.ports.provider import ProviderPlugin
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import PROVIDER_CONTRACT, WORDS, ProviderSubject, Vendor
from clarion.testing.provider_contract.promises import (
    PROMISES,
    a_repeat_has_no_second_effect_if_it_says_so,
    it_answers_an_empty_batch_with_nothing,
    it_answers_every_message_in_order,
    it_lets_go_when_cancelled,
    it_refuses_settings_it_does_not_know,
    it_serves_a_hundred_calls_at_once,
    it_shows_neither_secrets_nor_contacts_nor_content,
    it_waits_for_nobody_if_it_only_stores,
    its_ping_says_what_to_do,
)
from clarion.testing.providers import RecordingProvider

ENTROPY = SystemRandom()
TOOLS = msgspec.structs.replace(
    provider_tools(SystemClock(), ENTROPY, LocalVault(ENTROPY.bytes(32), ENTROPY)),
    allowed_networks=("127.0.0.0/8",),  # where the servers of these tests are
)


class Remembering(RecordingProvider):
    """The provider in memory, closed and opened again by every check."""

    async def close(self) -> None:
        """May be opened again."""


MEMORY = {
    "memory": Remembering(batch=10).plugin(),
    "memory, idempotent": Remembering(idempotent=True, batch=10).plugin(),
}
REGISTRY = providers()
AT_HOME = {
    "inapp": "never leaves the house",
    "capture": "never leaves the house",
    "smtp": "speaks SMTP, and meets its servers in tests/unit/adapters/providers/smtp",
}
"""Providers without an HTTP server on the other side, and why. Every other one brings `tests/vendors/<name>.py`."""

NOBODY_THERE = {"smtp": {"host": "127.0.0.1", "port": 1}}
"""Settings that keep a provider from looking for the servers of its example."""


def vendors(name: str) -> dict[str, Vendor]:
    """The other sides of a provider, by the way it is used."""
    try:
        return importlib.import_module(f"tests.vendors.{name}").VENDORS
    except ModuleNotFoundError:
        return {}


def subjects() -> dict[str, ProviderSubject]:
    """Everything to check: the providers in memory first, then the registry, each in every way it is used."""
    found = {name: ProviderSubject(plugin=plugin, tools=TOOLS) for name, plugin in MEMORY.items()}
    for name, plugin in REGISTRY.items():
        if name in AT_HOME:
            config = {**plugin.example, **NOBODY_THERE.get(name, {})}
            found[name] = ProviderSubject(plugin=plugin, tools=TOOLS, config=config)
        for way, vendor in vendors(name).items():
            found[f"{name}, {way}"] = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=vendor)
    return found


SUBJECTS = subjects()


@pytest.mark.parametrize("name", REGISTRY)
def test_no_provider_opts_out(name):
    """Each says why it needs no server, or brings one's answers: otherwise nothing would be asked of it."""
    assert (name in AT_HOME) != bool(vendors(name)), (
        f"write tests/vendors/{name}.py, see tests/vendors/slack.py"
    )


@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
async def test_every_provider_keeps_the_contract(name, check):
    """The one in memory first, then everything that is installed."""
    await check(SUBJECTS[name])


@pytest.mark.parametrize("outcome", ["accept", "retry", "reject", "gone", "unknown", "misconfigured"])
@pytest.mark.parametrize("check", PROMISES, ids=lambda check: check.__name__)
async def test_capture_keeps_it_whatever_it_rehearses(check, outcome):
    """Simulated failures are proper outcomes."""
    await check(ProviderSubject(plugin=providers()["capture"], tools=TOOLS, config={"outcome": outcome}))


async def test_a_hanging_capture_lets_go():
    """The one rehearsal that never answers can still be cancelled."""
    subject = ProviderSubject(plugin=providers()["capture"], tools=TOOLS, config={"outcome": "hang"})
    async with subject.opened() as provider:
        call = asyncio.ensure_future(provider.send(subject.messages(2)))
        done, _ = await asyncio.wait([call], timeout=0.05)
        assert not done
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=1)
        assert done


# ── the contract can fail ─────────────────────────────────────────────────────────────────────────────────


class Shuffling(Remembering):
    async def send(self, batch):
        return list(await super().send(batch))[:-1]


class FallingOnNothing(Remembering):
    async def send(self, batch):
        return [Retry(detail=batch[0].message.template), *[Retry() for _ in batch[1:]]]


class Forgetful(Remembering):
    async def send(self, batch):
        return [Accepted(provider_id=ENTROPY.bytes(4).hex()) for _ in batch]


class Talkative(Remembering):
    async def send(self, batch):
        return [Retry(detail=f"could not send {outgoing.content}") for outgoing in batch]


class Rude(Remembering):
    async def ping(self):
        raise KeyError("host")


class Stubborn(Remembering):
    async def send(self, batch):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            await asyncio.sleep(10)
        return await super().send(batch)


class Narrow(Remembering):
    async def send(self, batch):
        if self.under_way:
            return []
        self.under_way += 1
        await asyncio.sleep(0)
        self.under_way -= 1
        return [Accepted() for _ in batch]


class Slow(Remembering):
    async def send(self, batch):
        await asyncio.sleep(0)
        return await super().send(batch)


def storing(kind: type[RecordingProvider]) -> ProviderPlugin:
    return msgspec.structs.replace(plugin_of(kind), stores=lambda settings: True)


class Careless(msgspec.Struct):
    """Takes any setting."""


def plugin_of(kind: type[RecordingProvider]) -> ProviderPlugin:
    return kind(idempotent=True, batch=3).plugin("broken", [Channel.SMS])


@pytest.mark.parametrize(
    ("plugin", "check"),
    [
        (plugin_of(Shuffling), it_answers_every_message_in_order),
        (plugin_of(FallingOnNothing), it_answers_an_empty_batch_with_nothing),
        (plugin_of(Forgetful), a_repeat_has_no_second_effect_if_it_says_so),
        (plugin_of(Talkative), it_shows_neither_secrets_nor_contacts_nor_content),
        (plugin_of(Rude), its_ping_says_what_to_do),
        (plugin_of(Stubborn), it_lets_go_when_cancelled),
        (plugin_of(Narrow), it_serves_a_hundred_calls_at_once),
        (storing(Slow), it_waits_for_nobody_if_it_only_stores),
        (storing(Remembering), it_waits_for_nobody_if_it_only_stores),
        (
            msgspec.structs.replace(storing(Remembering), idempotent=False),
            it_waits_for_nobody_if_it_only_stores,
        ),
        (
            msgspec.structs.replace(plugin_of(Remembering), config=Careless),
            it_refuses_settings_it_does_not_know,
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_provider_that_breaks_a_promise_is_caught(plugin, check, monkeypatch):
    """Each check is there for a fault that it finds."""
    monkeypatch.setattr("clarion.testing.provider_contract.promises.PROMPTLY_S", 0.05)
    with pytest.raises((AssertionError, LookupError)):
        await check(ProviderSubject(plugin=plugin, tools=TOOLS))


def test_the_words_to_hide_are_in_every_content():
    """A check for leaks that looks for nothing would find nothing."""
    subject = ProviderSubject(plugin=MEMORY["memory"], tools=TOOLS)
    for channel in Channel:
        assert WORDS in str(subject.messages(1, channel)[0].content)

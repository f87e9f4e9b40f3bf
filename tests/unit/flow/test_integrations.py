"""Which integration a message takes, and what it is told about the message."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from clarion.flow.dispatch.candidates import Candidates, NoCandidate
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.live_integration import IN_PROCESS
from clarion.flow.provider_scores import ProviderScores
from clarion.model.channel import Channel, Lane
from clarion.model.content import PushContent
from clarion.model.ids import TenantId, WorkerId
from clarion.model.message import Message
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.provider import ProviderPlugin
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow
from tests.outgoing import outgoing

TENANT = TenantId(1)
TOKEN = Contact(channel=Channel.PUSH, address="token-1")
BROWSER = Contact(channel=Channel.PUSH, address='{"endpoint": "https://push.example/"}')
MESSAGES = [outgoing(PushContent(title="x"), n, channel=Channel.PUSH).message for n in range(50)]


def is_browser(contact: Contact) -> bool:
    return contact.address.startswith("{")


def is_device(contact: Contact) -> bool:
    return not is_browser(contact)


def plugin(**changes: Any) -> ProviderPlugin:
    return msgspec.structs.replace(RecordingProvider(batch=10).plugin(), **changes)


PLUGINS = {
    "anything": plugin(),
    "browsers": plugin(accepts=is_browser),
    "devices": plugin(accepts=is_device),
}


class Documents:
    """The integrations of one tenant: key to provider."""

    def __init__(self, **providers: str) -> None:
        self._all = {
            key: Integration(key=key, channel=Channel.PUSH, provider=provider)
            for key, provider in providers.items()
        }

    def all(self, tenant: TenantId) -> Mapping[str, Integration]:
        return self._all


def alone(lane: Lane, channel: Channel, whole: int) -> int:
    """No other process divides anything with this one."""
    return whole


def integrations(**providers: str) -> Integrations:
    setup = SimpleNamespace(
        integrations=Documents(**providers), tenants=SimpleNamespace(all=lambda: {TENANT: None})
    )
    clock = ManualClock()
    scores = ProviderScores(SimpleNamespace(all=lambda tenant: {}), lambda: WorkerId(1), clock)  # type: ignore[arg-type]
    return Integrations(setup, PLUGINS, SimpleNamespace(clock=clock, refusal=None), scores, alone)  # type: ignore[arg-type]


def usable(clarion: Integrations, now_s: float = 0.0) -> Candidates:
    found = clarion.usable(TENANT, Channel.PUSH, Lane.NORMAL, now_s)
    assert isinstance(found, Candidates)
    return found


def chosen(found: Candidates, contact: Contact, messages: list[Message] = MESSAGES) -> set[str]:
    """Keys of the integrations that the messages to this contact take."""
    live = [found.choose(message, contact) for message in messages]
    return {"closed" if isinstance(one, NoCandidate) else one.key for one in live}


async def test_a_contact_goes_to_the_provider_that_claims_it():
    """A browser's subscription goes to web push, everything else to whoever takes any."""
    clarion = integrations(captured="anything", browsers="browsers")
    assert chosen(usable(clarion), BROWSER) == {"browsers"}
    assert chosen(usable(clarion), TOKEN) == {"captured"}


async def test_several_that_claim_a_contact_share_it_by_weight():
    """Two web push integrations are alternatives, as ever."""
    clarion = integrations(first="browsers", second="browsers", devices="devices")
    assert chosen(usable(clarion), BROWSER) == {"first", "second"}
    assert chosen(usable(clarion), TOKEN) == {"devices"}


async def test_without_anybody_who_claims_it_one_says_what_is_wrong():
    """The provider refuses the message with its reason; it does not wait for ever."""
    assert chosen(usable(integrations(browsers="browsers")), TOKEN) == {"browsers"}


async def test_an_open_circuit_does_not_send_a_contact_to_the_wrong_provider():
    """Messages to browsers wait for web push; those to devices go on."""
    clarion = integrations(browsers="browsers", devices="devices")
    live = usable(clarion).choose(MESSAGES[0], BROWSER)
    assert not isinstance(live, NoCandidate)
    live.trip(0.0)
    assert chosen(usable(clarion), TOKEN) == {"devices"}
    closed = usable(clarion).choose(MESSAGES[0], BROWSER)
    assert isinstance(closed, NoCandidate)
    assert closed.reason is Reason.CIRCUIT_OPEN
    assert closed.wait_s > 0


async def test_a_busy_provider_keeps_its_contacts():
    """A message waits for a slot where it belongs instead of going where it does not."""
    clarion = integrations(browsers="browsers", devices="devices")
    live = usable(clarion).choose(MESSAGES[0], BROWSER)
    assert not isinstance(live, NoCandidate)
    for _ in range(IN_PROCESS):
        live.begin(Lane.NORMAL)
    assert chosen(usable(clarion), BROWSER) == {"browsers"}


OTHER_BROWSER = Contact(channel=Channel.PUSH, address='{"endpoint": "https://other.example/"}')


def chosen_each(found: Candidates, *contacts: Contact) -> list[tuple[Contact, str]]:
    """Who takes which device; nobody takes any while they have to wait."""
    each = found.choose_each(MESSAGES[0], contacts)
    return [] if isinstance(each, NoCandidate) else [(to, live.key) for to, live in each]


async def test_each_device_goes_to_the_provider_of_its_kind():
    """One push, two integrations."""
    clarion = integrations(browsers="browsers", devices="devices")
    assert chosen_each(usable(clarion), BROWSER, TOKEN, OTHER_BROWSER) == [
        (BROWSER, "browsers"),
        (TOKEN, "devices"),
        (OTHER_BROWSER, "browsers"),
    ]


async def test_without_kinds_all_devices_go_the_same_way():
    """By weight, and the same for all of a message."""
    clarion = integrations(first="anything", second="anything")
    keys = {key for _, key in chosen_each(usable(clarion), BROWSER, TOKEN, OTHER_BROWSER)}
    assert len(keys) == 1


async def test_a_device_that_nobody_knows_is_left_out_unless_it_is_the_only_one():
    """Then one integration says what is wrong with it."""
    found = usable(integrations(browsers="browsers"))
    assert chosen_each(found, TOKEN, BROWSER) == [(BROWSER, "browsers")]
    other = Contact(channel=Channel.PUSH, address="token-2")
    assert chosen_each(found, TOKEN, other) == [(TOKEN, "browsers")]


async def test_a_device_whose_integration_is_down_is_left_out_unless_there_is_no_other():
    """The others get it now; with none that can be reached it waits."""
    clarion = integrations(browsers="browsers", devices="devices")
    next(one for one in usable(clarion)._healthy.values() if one.key == "devices").trip(0.0)
    found = usable(clarion)
    assert chosen_each(found, TOKEN, BROWSER) == [(BROWSER, "browsers")]
    assert chosen_each(found, TOKEN) == []


@pytest.mark.parametrize(("key", "others"), [("first", 1), ("devices", 0), ("captured", 0)])
async def test_only_providers_of_the_same_kind_are_alternatives(key, others):
    """A failed web push is not tried at once where only device tokens are understood."""
    clarion = integrations(first="browsers", second="browsers", devices="devices", captured="anything")
    found = usable(clarion)
    live = next(one for one in found._healthy.values() if one.key == key)
    assert clarion.alternatives(TENANT, live) == others


async def test_a_provider_learns_which_messages_replace_one_another(store):
    """The same collapse key for the same thing, another for another, none without one; and never the value itself."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("parcel", collapse_key="/parcel"), workflow("plain"))
        await clarion.put_user("ada")
        await clarion.put_user("bob")
        for key, user, data in (
            ("parcel", "ada", {"text": "1", "parcel": "SECRET-7"}),
            ("parcel", "ada", {"text": "2", "parcel": "SECRET-7"}),
            ("parcel", "ada", {"text": "3", "parcel": "SECRET-8"}),
            ("parcel", "bob", {"text": "4", "parcel": "SECRET-7"}),
            ("parcel", "ada", {"text": "5"}),
            ("plain", "ada", {"text": "6", "parcel": "SECRET-7"}),
        ):
            await clarion.trigger(key, user, data=msgspec.Raw(msgspec.json.encode(data)))
            await clarion.until_idle()
        keys = [sent.collapse_key for sent in clarion.provider.effects]
    assert keys[0] == keys[1]
    assert len({keys[0], keys[2], keys[3]}) == 3
    assert len(keys[0]) == 16
    assert keys[4] == keys[5] == b""
    assert not any(b"SECRET" in key for key in keys)

"""Receipts that a service is asked for, on a whole engine: once, when they are there, also after a restart."""

from __future__ import annotations

from itertools import chain

import pytest
from msgspec.structs import replace

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Status
from clarion.ports.callback import ReportedReceipt
from clarion.ports.receipt_source import FetchedReceipts
from clarion.services.receipt_fetcher import LOOK_EVERY_S
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow

PING = workflow("ping", channel=Channel.PUSH)
AFTER_S, KEPT_S = 1_800, 86_400
DUE_S = AFTER_S + LOOK_EVERY_S


class Service(RecordingProvider):
    """Gives every device `ticket-<device>`, and keeps receipts of what went wrong."""

    def __init__(self):
        super().__init__(batch=10)
        self.receipts = {}
        """What to report, by ticket."""
        self.asked = []
        """The tickets of each call."""
        self.trouble = None

    def plugin(self, *given):
        fetched = FetchedReceipts(
            kinds=frozenset({ReceiptKind.BOUNCED}), after_s=AFTER_S, kept_s=KEPT_S, at_once=2
        )
        return replace(super().plugin(*given), fetched_receipts=fetched)

    async def send(self, batch):
        await super().send(batch)
        return [Accepted(provider_id=f"ticket-{one.contact.address}") for one in batch]

    async def fetch_receipts(self, asked):
        self.asked.append(sorted(asked))
        if self.trouble is not None:
            raise self.trouble
        return [
            ReportedReceipt(reference=reference, kind=ReceiptKind.BOUNCED, permanent=True)
            for ticket, reference in asked.items()
            if ticket in self.receipts
        ]


@pytest.fixture
def service():
    """The service behind all integrations."""
    return Service()


@pytest.fixture
async def clarion(store, service):
    """An engine that pings over the service."""
    async with engine(store, provider=service) as one:
        await one.create_setup(PING)
        yield one


async def test_a_receipt_is_fetched_once_when_it_is_there(clarion, service):
    """Before that nobody asks. What it reports moves its message and retires the address."""
    for user in ("ada", "bob"):
        await clarion.put_user(user, devices=[user])
        await clarion.trigger("ping", user)
    await clarion.pass_time(AFTER_S / 2)
    assert service.asked == []
    service.receipts = {"ticket-ada"}
    await clarion.pass_time(DUE_S)
    await clarion.pass_time(DUE_S)
    assert service.asked == [["ticket-ada", "ticket-bob"]]
    assert clarion.services.stats()["receipts_asked"] == 2
    assert sorted(one.status for one in (await clarion.messages()).values()) == [Status.BOUNCED, Status.SENT]
    await clarion.trigger("ping", "ada")
    await clarion.until_idle()
    assert [one.contact.address for one in service.effects] == ["ada", "bob"]


async def test_no_call_asks_about_more_than_the_service_takes(clarion, service):
    """The others follow at once."""
    for user in ("ada", "bob", "cy"):
        await clarion.put_user(user, devices=[user])
    await clarion.trigger("ping", "ada", "bob", "cy")
    await clarion.pass_time(DUE_S)
    assert sorted(map(len, service.asked)) == [1, 2]
    assert sorted(chain.from_iterable(service.asked)) == ["ticket-ada", "ticket-bob", "ticket-cy"]


async def test_a_restart_goes_on_where_it_was(store, service):
    """What was asked is not asked again; what was not is."""
    clock = ManualClock()
    async with engine(store, provider=service, clock=clock) as one:
        await one.create_setup(PING)
        await one.put_user("ada", devices=["ada"])
        await one.trigger("ping", "ada")
        await one.pass_time(DUE_S)
        await one.put_user("bob", devices=["bob"])
        await one.trigger("ping", "bob")
        await one.until_idle()
        await one.crash()
    async with engine(store, provider=service, clock=clock) as one:
        await one.pass_time(DUE_S)
    assert service.asked == [["ticket-ada"], ["ticket-bob"]]


async def test_nobody_asks_for_a_receipt_that_is_no_longer_kept(clarion, service):
    """After a day without the integration its messages stay as they are."""
    await clarion.put_user("ada", devices=["ada"])
    await clarion.trigger("ping", "ada")
    await clarion.pass_time(LOOK_EVERY_S)
    push = Integration(key="main-push", channel=Channel.PUSH, provider="recording")
    await clarion.ledger.setup.integrations.put(clarion.tenant, replace(push, enabled=False))
    await clarion.pass_time(KEPT_S)
    await clarion.ledger.setup.integrations.put(clarion.tenant, push)
    await clarion.pass_time(LOOK_EVERY_S)
    assert service.asked == []


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Unavailable("it answered 503"), "main-push: it answered 503"),
        (KeyError("SECRET"), "main-push: fetching them failed (KeyError)"),
    ],
)
async def test_a_service_in_trouble_is_told_and_asked_again(clarion, service, trouble, told):
    """Readiness names it, in words that quote nothing."""
    await clarion.put_user("ada", devices=["ada"])
    await clarion.trigger("ping", "ada")
    await clarion.until_idle()
    service.trouble, service.receipts = trouble, {"ticket-ada"}
    await clarion.pass_time(DUE_S)
    assert clarion.services.receipt_fetcher.trouble == told
    assert told in str(await clarion.pipeline.warnings())
    service.trouble = None
    await clarion.pass_time(LOOK_EVERY_S)
    assert clarion.services.receipt_fetcher.trouble == ""
    assert (await clarion.one()).status is Status.BOUNCED


async def test_what_several_devices_took_is_not_asked_about(clarion, service):
    """One of them says nothing about the others."""
    await clarion.put_user("ada", devices=["phone", "tablet"])
    await clarion.trigger("ping", "ada")
    await clarion.pass_time(DUE_S)
    assert service.asked == []
    assert (await clarion.one()).status is Status.SENT

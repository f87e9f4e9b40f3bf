"""Reports that a provider leaves in a queue, on a whole engine: stored before they are taken off it."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.quarantine import ANY_QUARANTINED
from clarion.model.setup import Integration
from clarion.model.status import Status
from clarion.ports.report_queue import QueuedReport
from clarion.services.message_references import MessageReferences
from clarion.services.report_queues import LOOK_S, PAUSE_S
from tests.carrier import carrier
from tests.engine import engine, workflow

TEXTS = Integration(key="texts", channel=Channel.SMS, provider="carrier", config={"token": "t_1"})


class Queue:
    """A queue in memory: what was fetched stays until it is done."""

    def __init__(self):
        self.waiting = {}
        self.came = asyncio.Event()
        self.closed = False
        self.trouble = ""

    def put(self, *bodies):
        """Leave reports."""
        for body in bodies:
            self.waiting[str(len(self.waiting))] = body
        self.came.set()

    async def fetch(self):
        if self.trouble:
            raise Unavailable(self.trouble)
        await self.came.wait()
        found = [QueuedReport(key, body) for key, body in self.waiting.items()]
        if not found:
            self.came.clear()
        return found

    async def done(self, keys):
        for key in keys:
            del self.waiting[key]

    async def close(self):
        self.closed = True


@pytest.fixture
def queue():
    """The only queue."""
    return Queue()


@pytest.fixture
async def clarion(store, queue):
    """An engine whose carrier leaves reports in the queue, with a text message that was sent."""
    async with engine(store) as one:
        plugin = replace(carrier(one.provider), report_queue=lambda integration, config, tools: queue)
        one.pipeline.integrations._plugins = {**one.pipeline.integrations._plugins, "carrier": plugin}
        await one.create_setup(workflow("text"))
        await one.ledger.setup.integrations.delete(one.tenant, "main-sms")
        await one.ledger.setup.integrations.put(one.tenant, TEXTS)
        await one.put_user("ada")
        await one.trigger("text", "ada")
        await one.pass_time(LOOK_S)
        yield one


async def report(clarion, kind="delivered"):
    """A report about the message, as the carrier writes it."""
    reference = MessageReferences(clarion.vault).of(await clarion.one())
    return json.dumps([{"ref": reference, "event": kind}]).encode()


async def test_a_report_moves_its_message_and_leaves_the_queue(clarion, queue):
    """Also when it comes twice."""
    delivered = await report(clarion)
    queue.put(delivered, delivered)
    await clarion.until_idle()
    assert (await clarion.one()).status is Status.DELIVERED
    assert queue.waiting == {}
    assert clarion.services.stats()["queued_reports"] == 2


async def test_what_makes_no_sense_is_kept_and_holds_up_nobody(clarion, queue):
    """It is in quarantine, from where it can be read again, and no longer in the queue."""
    queue.put(b"nonsense", await report(clarion))
    await clarion.until_idle()
    assert (await clarion.one()).status is Status.DELIVERED
    assert queue.waiting == {}
    (kept,) = await clarion.ledger.quarantine.page(clarion.tenant, ANY_QUARANTINED, None, 10)
    assert (kept.kind, kept.integration) == ("callback", "texts")


async def test_what_could_not_be_stored_stays_in_the_queue(clarion, queue, monkeypatch):
    """Until it can be."""

    async def full(*_):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(clarion.services.callbacks._store, "store", full)
        queue.put(await report(clarion))
        await clarion.until_idle()
        assert len(queue.waiting) == 1
        assert "the disk is full" in clarion.services.report_queues.trouble
    await clarion.pass_time(PAUSE_S)
    assert (await clarion.one()).status is Status.DELIVERED
    assert queue.waiting == {}
    assert clarion.services.report_queues.trouble == ""


async def test_a_queue_in_trouble_is_told_and_tried_again(clarion, queue):
    """Readiness names it."""
    queue.trouble = "SQS answered 503"
    queue.put(await report(clarion))
    await clarion.pass_time(PAUSE_S)
    assert clarion.services.report_queues.trouble == "texts: SQS answered 503"
    assert "SQS answered 503" in str(await clarion.pipeline.warnings())
    queue.trouble = ""
    await clarion.pass_time(PAUSE_S)
    assert (await clarion.one()).status is Status.DELIVERED


async def test_an_integration_that_is_switched_off_reads_no_queue(clarion, queue):
    """Its queue is closed; another setting opens another one."""
    await clarion.ledger.setup.integrations.put(clarion.tenant, replace(TEXTS, enabled=False))
    await clarion.pass_time(LOOK_S)
    assert queue.closed
    queue.put(await report(clarion))
    await clarion.until_idle()
    assert len(queue.waiting) == 1
    await clarion.ledger.setup.integrations.put(clarion.tenant, replace(TEXTS, weight=1))
    await clarion.pass_time(LOOK_S)
    assert queue.waiting == {}


async def test_a_stop_closes_the_queue(store, clarion, queue):
    """And leaves what was not stored in it."""
    await clarion.pipeline.loops.stop("read-queues")
    assert queue.closed

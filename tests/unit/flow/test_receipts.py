"""What providers and mail servers report afterwards moves messages forward, and only forward."""

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.outcome import Unknown
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Category, LadderChannel, SendLadder, Step, Success, UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.rules.receipts import SOFT_BOUNCES, SOFT_WINDOW_MS
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow

EMAIL, SMS = Channel.EMAIL, Channel.SMS


def receipt(message, kind=ReceiptKind.BOUNCED, **more) -> Receipt:
    """A report about a message, at the time it was last touched unless told otherwise."""
    fields = {"at": message.updated_at} | more
    return Receipt(tenant=message.tenant, message_id=message.id, kind=kind, **fields)


def ladder(until: Success):
    """Email first, then a text message an hour later."""
    rungs = (LadderChannel(channel=EMAIL, wait_s=3600), LadderChannel(channel=SMS, wait_s=3600))
    step = Step(key="note", template="note", to=SendLadder(channels=rungs, until=until))
    return workflow("climb", steps=(step,))


async def sent(clarion, key="mail"):
    """A mail that went out to ada."""
    answer = await clarion.trigger(key, "ada")
    await clarion.until_idle()
    return await clarion.one(event_id=answer.event_id, channel=EMAIL)


@pytest.mark.parametrize(
    ("kind", "permanent", "status", "reason", "suppressed"),
    [
        (ReceiptKind.DELIVERED, False, Status.DELIVERED, None, False),
        (ReceiptKind.BOUNCED, True, Status.BOUNCED, Reason.ADDRESS_GONE, True),
        (ReceiptKind.BOUNCED, False, Status.UNDELIVERED, Reason.SOFT_BOUNCE, False),
        (ReceiptKind.BLOCKED, False, Status.UNDELIVERED, Reason.BLOCKED, False),
        (ReceiptKind.COMPLAINED, False, Status.DELIVERED, None, True),
        (ReceiptKind.DELAYED, False, Status.SENT, None, False),
        (ReceiptKind.AUTO_REPLY, False, Status.SENT, None, False),
        (ReceiptKind.OPENED, False, Status.DELIVERED, None, False),
        (ReceiptKind.UNSUBSCRIBED, False, Status.SENT, None, False),
        (ReceiptKind.FAILED, False, Status.UNDELIVERED, Reason.PROVIDER_ERROR, False),
    ],
)
async def test_what_each_kind_means(store, kind, permanent, status, reason, suppressed):
    """Where the message goes and whether its address may be used again; the second time nothing happens."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        told = receipt(message, kind, permanent=permanent)
        assert await clarion.pipeline.receive([told]) == [True]
        assert await clarion.pipeline.receive([told, told]) == [False, False]
        stored = await clarion.one()
        assert (stored.status, stored.reason) == (status, reason)
        user = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        assert bool(user.suppressed) is suppressed
        assert (await clarion.pipeline.stats())[f"receipts.{kind}.ignored"] == 2


async def test_a_reason_is_more_exact_than_the_kind(store):
    """What a provider says about why stands with the message, and with the address it retires."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        await clarion.pipeline.receive([receipt(message, permanent=True, reason=Reason.OPTED_OUT)])
        stored = await clarion.one()
        assert (stored.status, stored.reason) == (Status.BOUNCED, Reason.OPTED_OUT)
        (suppressed,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        assert suppressed.reason == Reason.OPTED_OUT


async def test_only_the_provider_that_sent_it_last_can_end_it_badly(store):
    """A message that was sent another way since does not fail with the first one; that it arrived is good news from both."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        for kind in (ReceiptKind.FAILED, ReceiptKind.BOUNCED, ReceiptKind.BLOCKED):
            await clarion.pipeline.receive([receipt(message, kind, integration="another")])
        assert (await clarion.one()).status is Status.SENT
        await clarion.pipeline.receive([receipt(message, ReceiptKind.DELIVERED, integration="another")])
        assert (await clarion.one()).status is Status.DELIVERED


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (ReceiptKind.DELIVERED, Status.DELIVERED, None),
        (ReceiptKind.BLOCKED, Status.UNDELIVERED, Reason.BLOCKED),
    ],
)
async def test_a_report_settles_an_unknown_outcome(store, kind, status, reason):
    """The provider did not answer in time, but it had taken the message: what it reports later is right."""
    provider = RecordingProvider(otherwise=Unknown(), batch=10)
    async with engine(store, provider=provider) as clarion:
        category = Category(key="news", on_unknown=UnknownPolicy.DO_NOT_SEND)
        await clarion.create_setup(workflow("mail", channel=EMAIL), categories=(category,))
        await clarion.put_user("ada")
        message = await sent(clarion)
        assert (message.status, message.reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)
        assert await clarion.pipeline.receive([receipt(message, kind)]) == [True]
        stored = await clarion.one()
        assert (stored.status, stored.reason) == (status, reason)
        assert await clarion.pipeline.receive([receipt(message, kind)]) == [False]


async def test_after_a_bounce_the_address_is_left_alone(store):
    """The next mail to the same person is suppressed, and says why."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        await clarion.pipeline.receive([receipt(await sent(clarion), permanent=True)])
        second = await sent(clarion)
        assert (second.status, second.reason) == (Status.SUPPRESSED, Reason.SUPPRESSED_ADDRESS)


async def test_a_receipt_names_its_contact(store):
    """An address that was replaced since takes the suppression with it; the new one stays usable."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        await clarion.pipeline.receive([receipt(message, permanent=True, contact=b"o" * 16)])
        (row,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        assert (row.hash, row.reason) == (b"o" * 16, "address_gone")
        assert (await sent(clarion)).status is Status.SENT


async def test_an_address_that_keeps_coming_back_is_given_up(store):
    """The fifth soft bounce within two weeks; older ones are forgotten."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        await clarion.pipeline.receive([receipt(await sent(clarion))])
        await clarion.pass_time(SOFT_WINDOW_MS / 1000)
        for _ in range(SOFT_BOUNCES - 1):
            message = await sent(clarion)
            assert message.status is Status.SENT
            await clarion.pipeline.receive([receipt(message)])
        assert (
            list(await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)) == []
        )
        await clarion.pipeline.receive([receipt(await sent(clarion))])
        (row,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        assert row.reason == "soft_bounces"


async def test_a_bounce_starts_the_next_rung_at_once(store):
    """Nobody waits an hour for a mail that came back."""
    async with engine(store) as clarion:
        await clarion.create_setup(ladder(Success.DELIVERED))
        await clarion.put_user("ada")
        message = await sent(clarion, "climb")
        await clarion.pipeline.receive([receipt(message, permanent=True)])
        await clarion.pass_time(2)
        assert (await clarion.one(channel=SMS)).status is Status.SENT


@pytest.mark.parametrize(
    ("until", "kind", "satisfied"),
    [
        (Success.DELIVERED, ReceiptKind.DELIVERED, True),
        (Success.DELIVERED, ReceiptKind.COMPLAINED, True),
        (Success.DELIVERED, ReceiptKind.DELAYED, False),
        (Success.SEEN, ReceiptKind.DELIVERED, False),
        (Success.SEEN, ReceiptKind.OPENED, True),
        (Success.READ, ReceiptKind.OPENED, False),
        (Success.READ, ReceiptKind.CLICKED, True),
    ],
)
async def test_what_satisfies_a_ladder(store, until, kind, satisfied):
    """The later rungs are cancelled by what the ladder waits for, and by nothing less."""
    async with engine(store) as clarion:
        await clarion.create_setup(ladder(until))
        await clarion.put_user("ada")
        await clarion.pipeline.receive([receipt(await sent(clarion, "climb"), kind)])
        second = await clarion.one(channel=SMS)
        assert (second.status is Status.CANCELED) is satisfied


@pytest.mark.parametrize(
    ("until", "kind", "satisfied"),
    [
        (Success.SEEN, ReceiptKind.OPENED, True),
        (Success.READ, ReceiptKind.OPENED, False),
        (Success.DELIVERED, ReceiptKind.OPENED, False),
    ],
)
async def test_what_went_beside_a_ladder_satisfies_it_by_being_seen(store, until, kind, satisfied):
    """A mail that went out always and was opened: no text message any more, if the ladder waits for that."""
    async with engine(store) as clarion:
        rungs = (LadderChannel(channel=Channel.PUSH, wait_s=3600), LadderChannel(channel=SMS))
        to = SendLadder(channels=rungs, until=until, always=(EMAIL,))
        await clarion.create_setup(workflow("climb", steps=(Step(key="note", template="note", to=to),)))
        await clarion.put_user("ada")
        await clarion.pipeline.receive([receipt(await sent(clarion, "climb"), kind)])
        assert ((await clarion.one(channel=SMS)).status is Status.CANCELED) is satisfied


async def test_strangers_and_fakes_are_ignored(store):
    """A receipt of another tenant, or about a message nobody has, changes nothing for its neighbours."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        told = receipt(message, ReceiptKind.DELIVERED)
        batch = [
            replace(told, tenant=TenantId(9)),
            replace(told, message_id=MessageId(b"x" * 16)),
            told,
        ]
        assert await clarion.pipeline.receive(batch) == [False, False, True]


async def test_a_clock_that_is_wrong_elsewhere_is_corrected(store):
    """A receipt from the future happened now; one from before the message happened with it."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=EMAIL))
        await clarion.put_user("ada")
        message = await sent(clarion)
        await clarion.pipeline.receive(
            [
                receipt(message, ReceiptKind.DELAYED, at=Instant(5)),
                receipt(message, ReceiptKind.DELIVERED, at=Instant(clarion.clock.now() + 10**9)),
            ]
        )
        *_, delayed, delivered = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert (delayed.at, delivered.at) == (message.created_at, clarion.clock.now())


@pytest.mark.parametrize(("devices", "suppressed"), [(("phone",), 1), (("phone", "laptop"), 0)])
async def test_a_bounced_push_condemns_no_device_that_nobody_named(store, devices, suppressed):
    """A report without a contact is about the only one; of several nobody knows which."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("ping", channel=Channel.PUSH))
        await clarion.put_user("ada", devices=devices)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert await clarion.pipeline.receive([receipt(await clarion.one(), permanent=True)]) == [True]
        rows = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        assert len(rows) == suppressed

"""From a submission to a message that somebody got, or a reason why not."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import IdempotencyMismatch, InvalidInput, NotFound, UnknownReference
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, TenantId, id_text
from clarion.model.inbox import InboxFilter
from clarion.model.message import MessageFilter
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
from clarion.model.setup import (
    Category,
    Dedupe,
    EventMatch,
    Integration,
    IntegrationLimits,
    LadderChannel,
    SendFirst,
    SendLadder,
    Step,
    Success,
    Tenant,
    UnknownPolicy,
)
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient, Submission
from clarion.model.suppression import Suppression
from clarion.model.user import FrequencyCap, Preferences, PreferenceSet, UserPut, Window
from clarion.services.retries import Retries
from clarion.testing.ports import ManualClock
from clarion.testing.providers import HANG, RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow


@pytest.fixture(params=["sqlite", "memory"])
def store(request, tmp_path):
    """The whole way is the same on both."""
    return tmp_path if request.param == "sqlite" else Tables()


async def test_a_triggered_workflow_reaches_the_user_and_says_so(store):
    """One trigger, one provider call with the rendered text, one message that is `sent`."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        answer = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=answer.event_id)
        assert (message.status, message.reason) == (Status.SENT, None)
        assert [sms_text(o) for o in clarion.provider.effects] == ["hello"]
        assert clarion.provider.effects[0].contact.address == "+4915112345678"


async def test_a_user_created_by_an_event_has_an_inbox_waiting(store):
    """An in-app message waits until they first look."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.IN_APP))
        with pytest.raises(UnknownReference):
            await clarion.trigger("hello", "newcomer")
        assert (await clarion.trigger("hello", Recipient(user_id="newcomer", create=True))).accepted == 1
        await clarion.until_idle()
        message = await clarion.one()
        assert message.status is Status.DELIVERED
        offset, counts = await clarion.ledger.inboxes.head(message.user)
        assert (offset, counts.unread, counts.unseen) == (1, 1, 1)


async def test_inline_fields_of_a_recipient_are_kept_with_the_user(store):
    """`{"user_id", "email"}` updates the user first and then reaches them there."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.EMAIL))
        await clarion.put_user("eve")
        await clarion.trigger("hello", Recipient(user_id="eve", email="eve@example.net"))
        await clarion.until_idle()
        assert [o.contact.address for o in clarion.provider.effects] == ["eve@example.net"]


async def test_an_event_finds_its_workflows_by_type(store):
    """A CloudEvent starts every workflow whose pattern matches; its subject is the recipient."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("shipped", on=EventMatch(type="com.shop.order.*")),
            workflow("other", on=EventMatch(type="com.shop.user.*")),
        )
        await clarion.put_user("ada")
        event = Submission(
            type="com.shop.order.shipped",
            source="/shop",
            subject="ada",
            event_key="1",
            data=msgspec.Raw(b'{"text":"x"}'),
        )
        (first,) = await clarion.pipeline.submit(clarion.tenant, [event])
        (again,) = await clarion.pipeline.submit(clarion.tenant, [event])
        await clarion.until_idle()
        assert (first.accepted, again.event_id, again.repeated) == (1, first.event_id, True)
        assert (await clarion.one()).workflow == "shipped"


async def test_what_cannot_be_accepted_is_refused_with_its_place(store):
    """Unknown workflow, no recipient, already expired: errors as values, naming the field."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        answers = await clarion.pipeline.submit(
            clarion.tenant,
            [
                Submission(workflow="helo", recipients=("ada",)),
                Submission(workflow="hello"),
                Submission(workflow="hello", recipients=("ada",), expires_at=Instant(1)),
            ],
        )
        assert [type(a) for a in answers] == [NotFound, InvalidInput, InvalidInput]
        assert [a.pointer for a in answers] == ["#/workflow", "#/recipients", "#/expires_at"]
        assert "hello" in answers[0].detail
        assert await clarion.messages() == {}


async def test_the_same_idempotency_key_gives_the_same_answer_and_another_body_is_refused(store):
    """I3, across a restart."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        first = await clarion.trigger("hello", "ada", idempotency_key="k", fingerprint=b"body")
        clock, provider = clarion.clock, clarion.provider
    async with engine(store, clock=clock, provider=RecordingProvider(batch=50)) as clarion:
        again = await clarion.trigger("hello", "ada", idempotency_key="k", fingerprint=b"body")
        assert (again.event_id, again.repeated) == (first.event_id, True)
        with pytest.raises(IdempotencyMismatch):
            await clarion.trigger("hello", "ada", idempotency_key="k", fingerprint=b"other")
        await clarion.until_idle()
        assert len(await clarion.messages()) == 1
    del provider


async def test_a_topic_reaches_all_its_members_once_however_many(store):
    """Fan-out goes on in pages of 500; a member named twice is told once."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.IN_APP))
        users = await clarion.ledger.users.put(clarion.tenant, [UserPut(id=f"u{n}") for n in range(1_203)])
        await clarion.ledger.topics.subscribe(clarion.tenant, "all", [u.no for u in users])
        await clarion.trigger("hello", Recipient(topic="all"), "u7")
        await clarion.pass_time(0.1)
        found = await clarion.messages()
        assert len(found) == 1_203
        assert {m.status for m in found.values()} == {Status.DELIVERED}


async def test_a_failing_provider_is_tried_again_later_and_the_timeline_tells(store):
    """Retry with back-off, then success; every step leaves one record."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        waiting = await clarion.one()
        assert (waiting.status, waiting.reason, waiting.attempt) == (Status.DEFERRED, Reason.RETRY, 1)
        provider.otherwise = Accepted(provider_id="p1")
        await clarion.pass_time(900)
        message = await clarion.one()
        assert (message.status, message.attempt) == (Status.SENT, 2)
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert [(c.status, c.outcome) for c in changes] == [
            (Status.QUEUED, None),
            (Status.SENDING, None),
            (Status.DEFERRED, "retry"),
            (Status.SENDING, None),
            (Status.SENT, "accepted"),
        ]


async def test_a_provider_that_never_recovers_ends_in_the_dead_letters_and_can_be_retried(store):
    """Attempts are bounded; a person may put the message back, with fresh attempts."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello", lane=Lane.CRITICAL))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        for _ in range(40):
            await clarion.pass_time(30)
        dead = await clarion.one()
        assert dead.status is Status.DEAD_LETTERED
        assert dead.reason in {Reason.ATTEMPTS_EXHAUSTED, Reason.TOO_OLD}
        provider.otherwise = Accepted()
        where = MessageFilter(statuses=frozenset({Status.DEAD_LETTERED}))
        moved = await Retries(clarion.ledger, clarion.clock).retry(clarion.tenant, where, None, 100, "live")
        await clarion.pass_time(60)
        assert len(moved) == 1
        assert (await clarion.one()).status is Status.SENT


async def test_another_integration_takes_over_when_the_first_fails(store):
    """Failover: a retry goes to an integration that has not failed, without waiting."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(
            clarion.tenant, Integration(key="second", channel=Channel.SMS, provider="recording")
        )
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.pass_time(1)
        changes = await clarion.ledger.records.changes(clarion.tenant, (await clarion.one()).id)
        tried = [c.integration for c in changes if c.outcome]
        assert set(tried[:2]) == {"main-sms", "second"}


async def test_a_plug_in_that_falls_over_when_it_is_opened_costs_nobody_else_a_message(store):
    """Foreign code can raise anything: its integration is left out, the other one of the channel sends."""

    def fall_over(integration, config, tools):
        raise RuntimeError("surprise")

    async with engine(store) as clarion:
        broken = msgspec.structs.replace(clarion.provider.plugin(), name="broken", open=fall_over)
        clarion.pipeline.integrations._plugins = {**clarion.pipeline.integrations._plugins, "broken": broken}
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(
            clarion.tenant, Integration(key="broken", channel=Channel.SMS, provider="broken", weight=10_000)
        )
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT


async def test_a_misconfigured_provider_opens_its_circuit_and_the_other_one_is_used(store):
    """The message is not to blame: no attempt is counted, and nobody calls the broken one again."""
    provider = RecordingProvider(batch=50, otherwise=Misconfigured())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        assert (message.status, message.reason, message.attempt) == (Status.DEFERRED, Reason.MISCONFIGURED, 0)
        calls = len(provider.calls)
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert len(provider.calls) == calls


async def test_a_dead_address_is_suppressed_and_never_used_again(store):
    """I9: `Gone` ends the message and suppresses the address for every later one."""
    provider = RecordingProvider(batch=50, otherwise=Gone())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        first = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=first.event_id)).reason is Reason.ADDRESS_GONE
        calls = len(provider.calls)
        second = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=second.event_id)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.SUPPRESSED_ADDRESS)
        assert len(provider.calls) == calls


async def test_a_rejected_message_ends_but_the_address_stays_usable(store):
    """`Rejected` is about this message only."""
    provider = RecordingProvider(batch=50, otherwise=Rejected(detail="too long"))
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.REJECTED
        provider.otherwise = Accepted()
        second = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=second.event_id)).status is Status.SENT


@pytest.mark.parametrize(
    ("policy", "effects", "status"),
    [(UnknownPolicy.SEND_AGAIN, 2, Status.FAILED), (UnknownPolicy.DO_NOT_SEND, 1, Status.FAILED)],
)
async def test_an_unknown_outcome_follows_the_policy_of_the_category(store, policy, effects, status):
    """At most one extra send where the category wants it, none where it does not; never more (I2, I15)."""
    provider = RecordingProvider(batch=50, otherwise=Unknown())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"), categories=(Category(key="news", on_unknown=policy),))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.pass_time(5)
        await clarion.pass_time(5)
        message = await clarion.one()
        assert (message.status, message.reason) == (status, Reason.OUTCOME_UNKNOWN)
        assert len(provider.effects) == effects


async def test_an_opt_out_binds_what_is_already_queued(store):
    """I8: a message deferred before the opt-out is suppressed after it."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        calls = len(provider.calls)
        await clarion.put_user("ada", Preferences(categories={"news": PreferenceSet(enabled=False)}))
        await clarion.pass_time(3_600)
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        assert len(provider.calls) == calls


async def test_a_critical_category_cannot_be_opted_out_and_ignores_quiet_hours(store):
    """Security codes arrive at night and whatever the user switched off."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("otp", "security"), categories=(Category(key="security", critical=True),)
        )
        await clarion.put_user(
            "ada",
            Preferences(
                channels={Channel.SMS: False},
                categories={"security": PreferenceSet(enabled=False)},
                quiet_hours=(Window(start="00:00", end="00:00"),),
            ),
        )
        await clarion.trigger("otp", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT


async def test_quiet_hours_defer_to_their_end_and_then_it_goes(store):
    """Noon is quiet for this user until two: deferred, then sent, never dropped (I6)."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada", Preferences(quiet_hours=(Window(start="11:00", end="14:00"),)))
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        waiting = await clarion.one()
        assert (waiting.status, waiting.reason) == (Status.DEFERRED, Reason.QUIET_HOURS)
        assert waiting.due_at == clarion.clock.now() + 2 * 3600 * 1000
        await clarion.pass_time(2 * 3600 - 1)
        assert clarion.provider.calls == []
        await clarion.pass_time(2)
        assert (await clarion.one()).status is Status.SENT


async def test_a_frequency_cap_holds_across_workflows(store):
    """Two a day over two workflows of a category: the third is throttled and explained (I7)."""
    cap = FrequencyCap(limit=2, window_s=86_400)
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("a"), workflow("b"), categories=(Category(key="news", caps=(cap,)),)
        )
        await clarion.put_user("ada")
        for key in ("a", "b", "a", "b"):
            await clarion.trigger(key, "ada")
        await clarion.until_idle()
        statuses = sorted(m.status for m in (await clarion.messages()).values())
        assert statuses == [Status.SENT, Status.SENT, Status.THROTTLED, Status.THROTTLED]
        await clarion.pass_time(86_401)
        await clarion.trigger("a", "ada")
        await clarion.until_idle()
        assert len(clarion.provider.effects) == 3


async def test_messages_that_waited_out_quiet_hours_are_counted_when_they_go(store):
    """Four messages wait for the same morning; the cap lets two of them out (I7)."""
    cap = FrequencyCap(limit=2, window_s=86_400)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("a"), categories=(Category(key="news", caps=(cap,)),))
        await clarion.put_user("ada", Preferences(quiet_hours=(Window(start="11:00", end="14:00"),)))
        for _ in range(4):
            await clarion.trigger("a", "ada")
        await clarion.pass_time(2 * 3600 + 1)
        statuses = sorted(m.status for m in (await clarion.messages()).values())
        assert statuses == [Status.SENT, Status.SENT, Status.THROTTLED, Status.THROTTLED]


async def test_a_repeat_inside_the_dedupe_window_is_merged(store):
    """The same order id within the window makes one message; another one makes its own."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", dedupe=Dedupe(key="/order", window_s=60)))
        await clarion.put_user("ada")
        for order in (1, 1, 2):
            await clarion.trigger("hello", "ada", data=msgspec.Raw(b'{"text":"t","order":%d}' % order))
        await clarion.until_idle()
        found = list((await clarion.messages()).values())
        assert sorted(m.status for m in found) == [Status.MERGED, Status.SENT, Status.SENT]
        assert [m.reason for m in found if m.status is Status.MERGED] == [Reason.DUPLICATE]


async def test_a_newer_message_replaces_an_undelivered_older_one_of_its_collapse_key(store):
    """The score of a match: whoever was offline wants the last one only."""
    provider = RecordingProvider(batch=50, otherwise=Retry(after_s=60))
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("score", collapse_key="/match"))
        await clarion.put_user("ada")
        first = await clarion.trigger("score", "ada", data=msgspec.Raw(b'{"text":"1:0","match":7}'))
        await clarion.until_idle()
        provider.otherwise = Accepted()
        second = await clarion.trigger("score", "ada", data=msgspec.Raw(b'{"text":"2:0","match":7}'))
        await clarion.pass_time(3_600)
        old = await clarion.one(event_id=first.event_id)
        assert (old.status, old.reason) == (Status.MERGED, Reason.SUPERSEDED)
        assert (await clarion.one(event_id=second.event_id)).status is Status.SENT
        assert [sms_text(o) for o in provider.effects] == ["2:0"]


async def test_messages_of_a_thread_keep_their_order_through_retries(store):
    """I4: the second waits while the first is being retried."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("chat", thread="/room"))
        await clarion.put_user("ada")
        for text in (b"one", b"two", b"three"):
            await clarion.trigger("chat", "ada", data=msgspec.Raw(b'{"text":"%s","room":1}' % text))
            await clarion.until_idle()
        provider.otherwise = Accepted()
        for _ in range(4):
            await clarion.pass_time(900)
        assert [sms_text(o) for o in provider.effects] == ["one", "two", "three"]


async def test_what_is_scheduled_goes_then_and_counts_towards_caps_then(store):
    """Not before, with the cap of that hour: the second of two is too many."""
    async with engine(store) as clarion:
        hourly = Category(key="news", caps=(FrequencyCap(limit=1, window_s=3600),))
        await clarion.create_setup(workflow("hello", "news"), categories=(hourly,))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", delay_s=7_200)
        await clarion.trigger("hello", "ada", send_at=Instant(clarion.clock.now() + 7_200_000))
        await clarion.trigger("hello", "ada")
        await clarion.pass_time(7_000)
        assert len(clarion.provider.effects) == 1
        await clarion.pass_time(300)
        assert len(clarion.provider.effects) == 2
        assert sorted(m.status for m in (await clarion.messages()).values()) == [
            Status.SENT,
            Status.SENT,
            Status.THROTTLED,
        ]


async def test_an_opt_out_made_meanwhile_holds_back_what_is_scheduled(store):
    """The person's choices of the day it goes count, not those of the day it was asked for."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", delay_s=3_600)
        await clarion.until_idle()
        await clarion.put_user("ada", Preferences(channels={Channel.SMS: False}))
        await clarion.pass_time(4_000)
        assert clarion.provider.effects == []
        assert (await clarion.one()).reason is Reason.OPTED_OUT


@pytest.mark.parametrize("wait", ["schedule", "quiet_hours", "person"])
async def test_however_long_a_message_waited_its_failures_are_tried_again(store, wait):
    """Its age counts from the first try: not from the event, and after a person's retry from the beginning."""
    provider = RecordingProvider({}, batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(
            workflow("code", lane=Lane.CRITICAL)
        )  # Critical messages are tried for ten minutes.
        quiet = (Window(start="11:00", end="14:00"),) if wait == "quiet_hours" else ()
        await clarion.put_user("ada", Preferences(quiet_hours=quiet))
        await clarion.trigger("code", "ada", **({"delay_s": 86_400} if wait == "schedule" else {}))
        await clarion.pass_time(86_400 if wait == "schedule" else 3 * 3_600)
        if wait == "person":
            dead = await clarion.one()
            assert dead.status is Status.DEAD_LETTERED
            await Retries(clarion.ledger, clarion.clock).retry(
                clarion.tenant, MessageFilter(), [dead.id], 1, "live"
            )
        await clarion.pass_time(1)
        assert [(m.status, m.reason) for m in (await clarion.messages()).values()] == [
            (Status.DEFERRED, Reason.RETRY)
        ]
        provider.otherwise = Accepted()
        await clarion.pass_time(30)
        assert (await clarion.one()).status is Status.SENT


LADDER = SendLadder(
    channels=(LadderChannel(channel=Channel.PUSH, wait_s=30), LadderChannel(channel=Channel.SMS)),
    always=(Channel.IN_APP,),
)


def ladder_workflow(**more):
    return workflow("climb", steps=(Step(key="note", template="note", to=LADDER),), **more)


async def test_the_next_rung_goes_when_the_first_is_not_delivered_in_time(store):
    """Push accepted but never confirmed: after 30 seconds the text goes out; the inbox had it at once."""
    async with engine(store) as clarion:
        await clarion.create_setup(ladder_workflow())
        await clarion.put_user("ada")
        await clarion.trigger("climb", "ada")
        await clarion.until_idle()
        assert [o.message.channel for o in clarion.provider.effects] == [Channel.PUSH]
        await clarion.pass_time(31)
        assert [o.message.channel for o in clarion.provider.effects] == [Channel.PUSH, Channel.SMS]
        assert (await clarion.one(channel=Channel.IN_APP)).status is Status.DELIVERED


async def test_the_next_rung_goes_at_once_when_the_first_fails(store):
    """No need to wait for a push that was refused."""
    provider = RecordingProvider(batch=50, otherwise=Rejected())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(ladder_workflow())
        await clarion.put_user("ada")
        await clarion.trigger("climb", "ada")
        await clarion.until_idle()
        provider.otherwise = Accepted()
        await clarion.pass_time(1)
        assert [o.message.channel for o in provider.effects] == [Channel.SMS]


async def test_success_on_one_rung_cancels_the_later_ones(store):
    """Never two rungs for one success."""
    provider = RecordingProvider(batch=50, otherwise=Accepted(delivered=True))
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(ladder_workflow())
        await clarion.put_user("ada")
        await clarion.trigger("climb", "ada")
        await clarion.pass_time(120)
        second = await clarion.one(channel=Channel.SMS)
        assert (second.status, second.reason) == (Status.CANCELED, Reason.LADDER_SATISFIED)
        assert [o.message.channel for o in provider.effects] == [Channel.PUSH]


def until_seen(until=Success.SEEN):
    """Push; if it is not seen in 30 seconds, SMS; in-app always."""
    rungs = (LadderChannel(channel=Channel.PUSH, wait_s=30), LadderChannel(channel=Channel.SMS))
    to = SendLadder(channels=rungs, until=until, always=(Channel.IN_APP,))
    return workflow("climb", steps=(Step(key="note", template="note", to=to),))


@pytest.mark.parametrize(
    ("until", "action", "stops"),
    [
        (Success.SEEN, "seen", True),
        (Success.SEEN, "read", True),
        (Success.READ, "seen", False),
        (Success.READ, "read", True),
        (Success.DELIVERED, "read", False),
        (Success.SEEN, "archived", False),
    ],
)
async def test_who_has_seen_it_in_the_inbox_is_not_sent_a_text(store, until, action, stops):
    """The in-app item goes beside the ladder; seen there is seen. Delivered there says nothing about the push."""
    async with engine(store) as clarion:
        await clarion.create_setup(until_seen(until))
        user = await clarion.put_user("ada")
        await clarion.trigger("climb", "ada")
        await clarion.until_idle()
        await clarion.inbox_actions.mark(user.tenant, user.no, action, InboxFilter())
        await clarion.pass_time(31)
        second = await clarion.one(channel=Channel.SMS)
        ended = (Status.CANCELED, Reason.LADDER_SATISFIED) if stops else (Status.SENT, None)
        assert (second.status, second.reason) == ended
        texts = [o for o in clarion.provider.effects if o.message.channel is Channel.SMS]
        assert len(texts) == (0 if stops else 1)


async def test_a_ladder_that_has_not_begun_is_stopped_as_well(store):
    """Held back by quiet hours, it need not begin in the morning: the person has seen it in the evening."""
    async with engine(store) as clarion:
        await clarion.create_setup(until_seen())
        now = datetime.fromtimestamp(clarion.clock.now() / 1000, UTC)
        night = Window(start=f"{now:%H:%M}", end=f"{now + timedelta(hours=2):%H:%M}")
        user = await clarion.put_user("ada", Preferences(quiet_hours=(night,)))
        await clarion.trigger("climb", "ada")
        await clarion.until_idle()
        assert (await clarion.one(channel=Channel.PUSH)).reason is Reason.QUIET_HOURS
        await clarion.inbox_actions.mark(user.tenant, user.no, "seen", InboxFilter())
        await clarion.pass_time(3 * 3600)
        assert clarion.provider.effects == []
        for channel in (Channel.PUSH, Channel.SMS):
            assert (await clarion.one(channel=channel)).reason is Reason.LADDER_SATISFIED


async def test_an_inbox_item_that_cannot_be_stored_leaves_the_ladder_alone(store):
    """`always` means outside: its failure starts no rung, and canceling it stops none."""
    async with engine(store) as clarion:
        await clarion.create_setup(until_seen())
        await clarion.ledger.setup.integrations.delete(clarion.tenant, "inbox")
        await clarion.put_user("ada")
        await clarion.trigger("climb", "ada")
        await clarion.pass_time(1)
        inbox = await clarion.one(channel=Channel.IN_APP)
        assert not inbox.status.is_terminal
        await clarion.services.cancellations.message(inbox)
        assert (await clarion.one(channel=Channel.SMS)).reason is Reason.WAITING_FOR_EARLIER_CHANNEL
        await clarion.pass_time(31)
        assert (await clarion.one(channel=Channel.SMS)).status is Status.SENT


async def test_first_available_skips_what_the_user_switched_off(store):
    """`first` picks the first channel the user can be reached on and wants."""
    steps = (Step(key="note", template="note", to=SendFirst(channels=(Channel.PUSH, Channel.EMAIL))),)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", steps=steps))
        await clarion.put_user("ada", Preferences(channels={Channel.PUSH: False}))
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert [o.message.channel for o in clarion.provider.effects] == [Channel.EMAIL]


async def test_nothing_is_sent_after_it_expired(store):
    """I5: a retry that would come too late does not come."""
    provider = RecordingProvider(batch=50, otherwise=Retry(after_s=120))
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", expires_at=Instant(clarion.clock.now() + 60_000))
        await clarion.pass_time(600)
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.EXPIRED, Reason.EXPIRED)
        assert len(provider.calls) == 1


async def test_a_template_error_ends_this_message_only(store):
    """A missing variable fails one message with its place; the others go on."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        bad = await clarion.trigger("hello", "ada", data=msgspec.Raw(b"{}"))
        good = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=bad.event_id)
        assert (message.status, message.reason) == (Status.FAILED, Reason.TEMPLATE_ERROR)
        assert (await clarion.one(event_id=good.event_id)).status is Status.SENT


async def test_a_hung_provider_holds_back_neither_other_channels_nor_other_lanes(store):
    """I10: text messages hang; email of the same lane and critical text go through."""
    provider = RecordingProvider(batch=1)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(
            workflow("bulk", lane=Lane.BULK),
            workflow("mail", channel=Channel.EMAIL, lane=Lane.BULK),
            workflow("otp", lane=Lane.CRITICAL),
        )
        await clarion.put_user("ada")
        provider.otherwise = HANG
        for _ in range(40):
            await clarion.trigger("bulk", "ada")
        await clarion.until_idle()
        provider.otherwise = Accepted()
        mail = await clarion.trigger("mail", "ada")
        otp = await clarion.trigger("otp", "ada")
        assert await clarion.eventually(Status.SENT, event_id=mail.event_id)
        assert await clarion.eventually(Status.SENT, event_id=otp.event_id)


async def test_a_dry_run_says_what_would_happen_and_stores_nothing(store):
    """The same rules and exact checks; no event, no message, no user is left behind."""
    cap = FrequencyCap(limit=1, window_s=3_600)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"), categories=(Category(key="news", caps=(cap,)),))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        runs = await clarion.services.dry_runs.runs(
            clarion.tenant,
            Submission(workflow="hello", recipients=("ada", Recipient(user_id="nobody", create=True))),
        )
        verdict = {user: run.channels[0] for user, run in runs}
        assert (verdict["ada"].status, verdict["ada"].reason) == (Status.THROTTLED, Reason.FREQUENCY_CAP)
        assert (verdict["nobody"].status, verdict["nobody"].reason) == (Status.SUPPRESSED, Reason.NO_CONTACT)
        assert len(await clarion.messages()) == 1
        assert await clarion.ledger.users.find(clarion.tenant, ["nobody"]) == {}


async def test_deleting_a_user_ends_what_was_queued_and_leaves_nothing_readable(store):
    """Erasure: the deferred message is suppressed, its event cannot be opened, the number remains."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada", Preferences(quiet_hours=(Window(start="11:00", end="14:00"),)))
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert await clarion.ledger.users.delete(clarion.tenant, "ada")
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.USER_DELETED)
        with pytest.raises(NotFound):
            await clarion.services.message_contents.render(message)
        await clarion.pass_time(3 * 3600)
        assert clarion.provider.calls == []


async def test_a_suppressed_address_is_not_contacted_even_if_the_message_was_queued_before(store):
    """I9 for what waits."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        user = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        phone = next(c for c in user.profile.contacts if c.channel is Channel.SMS)
        await clarion.ledger.suppressions.add(
            [
                Suppression(
                    tenant=clarion.tenant,
                    channel=Channel.SMS,
                    hash=phone.hash,
                    reason="stop",
                    at=clarion.clock.now(),
                )
            ]
        )
        await clarion.pass_time(3_600)
        assert (await clarion.one()).reason is Reason.SUPPRESSED_ADDRESS
        assert len(provider.calls) == 1


async def test_what_was_held_when_the_process_died_is_sent_after_the_restart(store):
    """I1 and I2: a batch that was under way is recovered; a provider that deduplicates sees no second effect."""
    provider = RecordingProvider(batch=50, idempotent=True)
    provider.proceed.clear()
    clarion = await _opened(store, provider)
    await clarion.create_setup(workflow("hello"))
    await clarion.put_user("ada")
    for _ in range(5):
        await clarion.trigger("hello", "ada")
    await clarion.until_idle()
    await clarion.crash()
    later = RecordingProvider(batch=50, idempotent=True)
    async with engine(store, provider=later, clock=clarion.clock, seed=2) as again:
        await again.pass_time(1)
        found = await again.messages()
        assert [m.status for m in found.values()] == [Status.SENT] * 5
        assert len({o.message.id for o in later.effects}) == len(later.effects) == 5


async def test_a_crash_between_call_and_record_is_an_unknown_outcome(store):
    """A provider that cannot deduplicate: marketing is not sent again, and says why."""
    provider = RecordingProvider(batch=50)
    provider.proceed.clear()
    clarion = await _opened(store, provider)
    await clarion.create_setup(workflow("hello"))
    await clarion.put_user("ada")
    answer = await clarion.trigger("hello", "ada")
    await clarion.until_idle()
    await clarion.crash()
    later = RecordingProvider(batch=50)
    async with engine(store, provider=later, clock=clarion.clock, seed=2) as again:
        await again.pass_time(1)
        message = await again.one(event_id=answer.event_id)
        assert (message.status, message.reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN), id_text(
            message.id
        )
        assert later.calls == []


async def _opened(directory, provider):
    return await Engine(directory, ManualClock(), provider, 1).open()


async def test_one_recipient_that_cannot_be_planned_does_not_hold_back_the_others(store):
    """A set-up that slipped past the edge ends as a failed message with a reason; the lane goes on (I1)."""
    async with engine(store) as clarion:
        broken = workflow("broken", thread="no pointer at all")
        await clarion.create_setup(broken, workflow("hello"))
        await clarion.put_user("ada")
        bad = await clarion.trigger("broken", "ada")
        good = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=bad.event_id)
        assert (message.status, message.reason) == (Status.FAILED, Reason.INTERNAL_ERROR)
        assert (await clarion.one(event_id=good.event_id)).status is Status.SENT


async def test_a_provider_that_keeps_failing_is_left_alone_until_it_recovers(store):
    """The circuit opens: the rest waits without spending attempts, then goes when a probe succeeds."""
    provider = RecordingProvider(batch=1, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        for _ in range(30):
            await clarion.trigger("hello", "ada")
            await clarion.until_idle()
        reasons = {m.reason for m in (await clarion.messages()).values()}
        assert Reason.CIRCUIT_OPEN in reasons
        assert len(provider.calls) < 30
        provider.otherwise = Accepted()
        for _ in range(20):
            await clarion.pass_time(120)
        assert {m.status for m in (await clarion.messages()).values()} == {Status.SENT}


async def test_a_rate_limit_is_kept_and_everything_goes_out_in_its_time(store):
    """Five a second: never more than the burst and what came back since, and nobody is forgotten."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(
            clarion.tenant,
            Integration(
                key="main-sms",
                channel=Channel.SMS,
                provider="recording",
                limits=IntegrationLimits(per_second=5),
            ),
        )
        await clarion.put_user("ada")
        began = clarion.clock.now()
        for _ in range(20):
            await clarion.trigger("hello", "ada")
        for _ in range(60):
            await clarion.until_idle()
            passed_s = (clarion.clock.now() - began) / 1000
            assert len(clarion.provider.effects) <= 5 + 5 * passed_s
            clarion.clock.advance(0.2)
        assert len(clarion.provider.effects) == 20


async def test_the_caller_s_trace_reaches_every_attempt_and_the_timeline(store):
    """One `traceparent` from the request to the provider and into the record of the attempt."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", traceparent=trace)
        await clarion.until_idle()
        assert clarion.provider.effects[0].traceparent == trace
        changes = await clarion.ledger.records.changes(clarion.tenant, (await clarion.one()).id)
        assert changes[-1].traceparent == trace


async def test_two_tenants_with_the_same_names_use_their_own_integrations(store):
    """Isolation: the same workflow, user and integration keys in two tenants never meet."""
    theirs = RecordingProvider(batch=50)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        ours = clarion.tenant
        clarion.tenant = (await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))).id
        clarion.pipeline.integrations._plugins["theirs"] = theirs.plugin("theirs")
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.put(
            clarion.tenant, Integration(key="main-sms", channel=Channel.SMS, provider="theirs")
        )
        await clarion.put_user("ada")
        submissions = [Submission(workflow="hello", recipients=("ada",), data=msgspec.Raw(b'{"text":"x"}'))]
        await clarion.pipeline.submit(ours, submissions * 3)
        await clarion.pipeline.submit(clarion.tenant, submissions * 2)
        await clarion.until_idle()
        assert {o.message.tenant for o in clarion.provider.effects} == {ours}
        assert {o.message.tenant for o in theirs.effects} == {clarion.tenant}
        assert (len(clarion.provider.effects), len(theirs.effects)) == (3, 2)


async def test_every_workflow_of_an_event_finds_its_own_recipients(store):
    """Two workflows match one event: one tells the subject, the other those its pointer names."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("buyer", on=EventMatch(type="shop.sold")),
            workflow("sellers", on=EventMatch(type="shop.sold", recipients="/sellers")),
        )
        for name in ("ada", "bob", "cy"):
            await clarion.put_user(name)
        (answer,) = await clarion.pipeline.submit(
            clarion.tenant,
            [
                Submission(
                    type="shop.sold",
                    source="/shop",
                    subject="ada",
                    data=msgspec.Raw(b'{"text":"sold","sellers":["bob",{"user_id":"cy"},"bob"]}'),
                )
            ],
        )
        await clarion.until_idle()
        assert answer.accepted == 3
        told = sorted((o.message.workflow, o.user.id) for o in clarion.provider.effects)
        assert told == [("buyer", "ada"), ("sellers", "bob"), ("sellers", "cy")]


async def test_inline_fields_never_undo_a_choice_made_at_the_same_time(store):
    """A trigger that carries an email address and an opt-out that arrive together: both are kept (I8)."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.EMAIL))
        await clarion.put_user("ada")
        opted_out = Preferences(categories={"news": PreferenceSet(enabled=False)})
        submission = Submission(
            workflow="hello",
            recipients=(Recipient(user_id="ada", email="new@example.net"),),
            data=msgspec.Raw(b'{"text":"x"}'),
        )
        await asyncio.gather(
            *(clarion.pipeline.submit(clarion.tenant, [submission]) for _ in range(5)),
            clarion.put_user("ada", opted_out),
            *(clarion.pipeline.submit(clarion.tenant, [submission]) for _ in range(5)),
        )
        user = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        assert user.profile.preferences == opted_out
        assert "new@example.net" in {c.address for c in user.profile.contacts}

"""Sinks on a whole engine: every change of a message is told, in order, at least once, also after a crash."""

import json
from itertools import groupby

import pytest
from msgspec.structs import replace

from clarion.errors import InvalidInput, UnknownReference
from clarion.model.audience import Segment
from clarion.model.campaign import Audience, Campaign
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.reading import WHOLE, DeadRecordFilter, ReadingKind
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.sink import Sink
from clarion.model.source import StartAt
from clarion.model.user import Preferences
from clarion.services import dead_records
from clarion.services import sinks as services
from clarion.services.reading_loops import LOOK_EVERY_S
from clarion.services.sinks import LOOK_EVERY_S as FOLLOW_EVERY_S
from clarion.services.sinks import EventFilter
from clarion.testing.memory_sink import MemorySink
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow

SINK = Sink(key="warehouse", kind="memory", paused=False)


@pytest.fixture
def receiver():
    """The warehouse."""
    return MemorySink()


@pytest.fixture
async def shop(tmp_path, receiver):
    """An engine with one workflow, one person, and a sink that has begun to follow."""
    provider = RecordingProvider(batch=50, idempotent=True)
    async with engine(tmp_path, provider=provider, sinks={"memory": receiver.plugin()}) as one:
        await one.create_setup(
            workflow("shipped"),
            workflow("mailed", channel=Channel.EMAIL),
            workflow("in-app", channel=Channel.IN_APP),
        )
        await one.put_user("ada")
        await put(one)
        yield one


async def put(shop: Engine, sink: Sink = SINK) -> None:
    """Set the sink up, and let it begin."""
    await shop.ledger.setup.sinks.put(shop.tenant, sink)
    await shop.pass_time(LOOK_EVERY_S)


async def follow(shop: Engine) -> None:
    """Let it write what there is."""
    await shop.pass_time(FOLLOW_EVERY_S)


def told(receiver: MemorySink) -> list[dict]:
    """Everything that was written."""
    return [json.loads(event.body) for event in receiver.events]


async def test_every_change_is_told_as_a_cloudevent(shop, receiver):
    """With the attributes that CloudEvents want, whom it concerns by id, and no contact."""
    await shop.trigger("shipped", "ada")
    await shop.until_idle()
    await follow(shop)
    message = await shop.one()
    first, last = told(receiver)
    assert [first["type"], last["type"]] == ["clarion.message.queued", "clarion.message.sent"]
    assert last == {
        "specversion": "1.0",
        "id": last["id"],
        "source": "/tenants/acme/environments/production",
        "type": "clarion.message.sent",
        "subject": id_text(message.id),
        "time": last["time"],
        "datacontenttype": "application/json",
        "sequence": last["sequence"],
        "data": {
            "message_id": id_text(message.id),
            "event_id": id_text(message.event_id),
            "user_id": "ada",
            "run_id": last["data"]["run_id"],
            "workflow": "shipped",
            "step": last["data"]["step"],
            "category": "news",
            "channel": "sms",
            "status": "sent",
            "reason": None,
            "integration": "main-sms",
            "attempt": 1,
        },
    }
    assert first["sequence"] < last["sequence"]
    assert len({event["id"] for event in (first, last)}) == 2
    receipt = Receipt(
        tenant=shop.tenant, message_id=message.id, kind=ReceiptKind.CLICKED, at=shop.clock.now()
    )
    await shop.pipeline.receive([receipt])
    await follow(shop)
    assert told(receiver)[-1]["type"] == "clarion.message.clicked"
    assert told(receiver)[-1]["data"]["status"] == "delivered"


async def test_events_of_a_message_are_in_order(shop, receiver):
    """However many messages there are."""
    for _ in range(20):
        await shop.trigger("shipped", "ada")
    await shop.until_idle()
    await follow(shop)
    by_subject = groupby(sorted(told(receiver), key=lambda one: one["subject"]), lambda one: one["subject"])
    orders = [[one["sequence"] for one in events] for _, events in by_subject]
    assert len(orders) == 20
    assert all(order == sorted(order) and len(order) == 2 for order in orders)


@pytest.mark.parametrize("paused", [False, True])
async def test_what_people_do_in_their_inbox_is_told(shop, receiver, paused):
    """Behind the changes of the message and in order, with the status that the message has; a paused sink gets it later."""
    await put(
        shop,
        replace(
            SINK,
            types=("clarion.message.delivered", "clarion.message.read", "clarion.message.unread"),
            paused=paused,
        ),
    )
    user = await shop.put_user("ada")
    await shop.trigger("in-app", "ada")
    await shop.until_idle()
    message = await shop.one()
    for action in ("seen", "read", "unread", "archived"):
        assert await shop.inbox_actions.mark(shop.tenant, user.no, action, [message.id]) == 1
    await follow(shop)
    if paused:
        assert told(receiver) == []
        await shop.services.sinks.pause(shop.tenant, "warehouse", paused=False)
        await shop.pass_time(10)
    delivered, read, unread = told(receiver)
    assert [one["type"] for one in (delivered, read, unread)] == [
        "clarion.message.delivered",
        "clarion.message.read",
        "clarion.message.unread",
    ]
    assert {one["subject"] for one in (delivered, read, unread)} == {id_text(message.id)}
    assert delivered["sequence"] < read["sequence"] < unread["sequence"]
    assert read["data"] == {**delivered["data"], "integration": None, "attempt": 0}


async def test_what_becomes_of_users_is_told_to_whoever_asks(shop, receiver):
    """By id, also of whoever was erased; a sink that names no types is told of messages only."""
    await shop.put_user("eve")
    await follow(shop)
    assert told(receiver) == []
    types = ("clarion.user.*", "clarion.preference.changed", "clarion.message.queued")
    await put(shop, replace(SINK, types=types))
    await shop.put_user("bob")
    await shop.trigger("shipped", "bob")
    await shop.until_idle()
    await shop.put_user("bob", Preferences(channels={Channel.EMAIL: False}))
    await follow(shop)
    (bob,) = (await shop.ledger.users.find(shop.tenant, ["bob"])).values()
    await shop.services.users.delete(bob)
    await follow(shop)
    events = told(receiver)
    assert [one["type"] for one in events] == [
        "clarion.user.created",
        "clarion.message.queued",
        "clarion.preference.changed",
        "clarion.user.erased",
    ]
    assert [one["sequence"] for one in events] == sorted(one["sequence"] for one in events)
    assert {one["subject"] for one in events if "user" in one["type"]} == {"bob"}
    assert events[-1]["data"] == {"user_id": "bob"}
    assert len({one["id"] for one in events}) == 4


async def test_who_enters_and_leaves_a_segment_is_told(shop, receiver):
    """With the segment and the id of the user, once each; the first members and a changed condition are no news."""
    await put(shop, replace(SINK, types=("clarion.segment.*",)))
    await shop.services.segments.put(shop.tenant, Segment(key="news", where="'news' in user.topics"), None)
    ada = await shop.put_user("ada")
    await shop.services.topics.subscribe(shop.tenant, "news", [ada.no])
    await follow(shop)
    await shop.services.topics.unsubscribe(shop.tenant, "news", ada.no)
    await follow(shop)
    everybody = Segment(key="news", where="true")
    await shop.services.segments.put(shop.tenant, everybody, None)
    await follow(shop)
    data = {"user_id": "ada", "segment": "news"}
    assert [(one["type"], one["subject"], one["data"]) for one in told(receiver)] == [
        ("clarion.segment.entered", "ada", data),
        ("clarion.segment.left", "ada", data),
    ]


async def test_what_becomes_of_campaigns_is_told(shop, receiver):
    """With how many messages have which status by then; a draft tells nothing, and what fails in part says so."""
    await put(shop, replace(SINK, types=("clarion.campaign.*",)))
    service, tenant = shop.services.campaigns, shop.tenant
    for name in ("ada", "bob"):
        await shop.put_user(name)
    audience = Audience(user_ids=("ada", "bob"))
    good = Campaign(name="Spring", workflow="shipped", audience=audience, data={"text": "20 %"})
    id_ = (await service.create(tenant, good)).row.id
    await service.start(tenant, id_)
    await service.pause(tenant, id_)
    await service.resume(tenant, id_)
    for _ in range(4):
        await shop.pass_time(10)
    bad = (await service.create(tenant, replace(good, data={}))).row.id
    await service.start(tenant, bad)
    for _ in range(4):
        await shop.pass_time(10)
    await follow(shop)
    events = told(receiver)
    names = ("started", "paused", "resumed", "finished", "started", "partly_failed")
    assert [one["type"] for one in events] == [f"clarion.campaign.{name}" for name in names]
    assert [one["subject"] for one in events] == [id_text(id_)] * 4 + [id_text(bad)] * 2
    found = await service.get(tenant, id_)
    assert events[3]["data"] == {
        "campaign_id": id_text(id_),
        "name": "Spring",
        "workflow": "shipped",
        "event_id": id_text(found.row.event_id),
        "members_planned": 2,
        "messages": {"sent": 2},
    }


async def test_changes_of_users_are_recorded_from_when_a_sink_asks_until_it_does_not(shop, receiver):
    """A sink that begins anew somewhere else misses none meanwhile."""
    await put(shop, replace(SINK, types=("clarion.user.*",)))
    await shop.services.sinks.rewind(shop.tenant, "warehouse", StartAt.LATEST)
    await shop.put_user("bob")
    await shop.pass_time(10)
    assert {one["subject"] for one in told(receiver)} == {"bob"}
    receiver.events.clear()
    await shop.services.sinks.rewind(shop.tenant, "warehouse", StartAt.LATEST)
    await shop.pass_time(10)
    assert told(receiver) == []
    await put(shop, replace(SINK, types=("clarion.message.sent",)))
    await shop.put_user("eve")
    await put(shop, replace(SINK, types=("clarion.user.*",)))
    await shop.put_user("joe")
    await follow(shop)
    assert [one["subject"] for one in told(receiver)] == ["joe"]


async def test_marks_that_no_sink_wants_are_not_recorded(shop):
    """So an inbox costs what it cost before."""
    await put(shop, replace(SINK, types=("clarion.message.delivered",)))
    user = await shop.put_user("ada")
    await shop.trigger("in-app", "ada")
    await shop.until_idle()
    message = await shop.one()
    before = await shop.ledger.records.changes(shop.tenant, message.id)
    assert await shop.inbox_actions.mark(shop.tenant, user.no, "read", [message.id]) == 1
    assert await shop.ledger.records.changes(shop.tenant, message.id) == before


async def test_a_filter_chooses_types_and_conditions(shop, receiver):
    """By pattern, and by what the event says."""
    await put(shop, replace(SINK, types=("clarion.message.sent",), where="data.channel == 'email'"))
    await shop.trigger("shipped", "ada")
    await shop.trigger("mailed", "ada")
    await shop.until_idle()
    await follow(shop)
    assert [(one["type"], one["data"]["channel"]) for one in told(receiver)] == [
        ("clarion.message.sent", "email")
    ]


async def test_a_receiver_that_is_away_gets_everything_later(shop, receiver):
    """In order, from where it stopped; meanwhile the reason is shown."""
    receiver.trouble = "the receiver is away"
    await shop.trigger("shipped", "ada")
    await shop.until_idle()
    await follow(shop)
    assert told(receiver) == []
    reading = (await shop.ledger.readings.of(shop.tenant, ReadingKind.SINK))["warehouse"][WHOLE]
    assert reading.trouble == "the receiver is away"
    receiver.trouble = ""
    await shop.pass_time(30)
    assert [one["type"] for one in told(receiver)] == ["clarion.message.queued", "clarion.message.sent"]


async def test_a_crash_writes_some_again_and_leaves_none_out(tmp_path, receiver):
    """With the same ids."""
    provider = RecordingProvider(batch=50, idempotent=True)
    async with engine(tmp_path, provider=provider, sinks={"memory": receiver.plugin()}) as one:
        await one.create_setup(workflow("shipped"))
        await one.put_user("ada")
        await put(one)
        moved = one.ledger.readings.move

        async def lost(worker, place, to):
            return frozenset()

        one.ledger.readings.move = lost  # type: ignore[method-assign]
        await one.trigger("shipped", "ada")
        await one.until_idle()
        await follow(one)
        assert len(receiver.events) >= 2
        await one.kill()
        one.ledger.readings.move = moved  # type: ignore[method-assign]
        again = Engine(tmp_path, one.clock, one.provider, 2)
        again.sinks = one.sinks
        await again.work_on(one.ledger.store)
        before = len(receiver.events)

        async def written() -> bool:
            return len(receiver.events) >= before + 2

        assert await again.until(written)
        assert len({event.id for event in receiver.events}) == 2
        await again.leave()


async def test_what_the_receiver_refuses_waits_as_a_dead_letter(shop, receiver):
    """What follows is written; it can be written again."""
    receiver.refused["clarion.message.queued"] = "it is too large"
    await shop.trigger("shipped", "ada")
    await shop.until_idle()
    await follow(shop)
    assert [one["type"] for one in told(receiver)] == ["clarion.message.sent"]
    (dead,) = await shop.ledger.dead_records.page(shop.tenant, DeadRecordFilter(), None, 10)
    assert (dead.origin, dead.reason, dead.detail) == ("warehouse", "refused_by_receiver", "it is too large")
    assert await shop.services.sinks.retry(dead) == "it is too large"
    receiver.refused.clear()
    assert await shop.services.sinks.retry(dead) is None
    assert told(receiver)[-1]["type"] == "clarion.message.queued"
    assert shop.services.stats()["sink_events.dead"] == 1


async def test_a_condition_without_a_value_makes_a_dead_letter(shop, receiver):
    """It does not hold the others up."""
    await put(shop, replace(SINK, where="data.reason.size() > 3"))
    await shop.trigger("shipped", "ada")
    await shop.until_idle()
    await follow(shop)
    dead = await shop.ledger.dead_records.page(shop.tenant, DeadRecordFilter(), None, 10)
    assert [one.reason for one in dead] == ["condition_failed", "condition_failed"]


async def test_a_sink_with_too_many_dead_letters_does_not_go_on(shop, receiver, monkeypatch):
    """Until somebody has decided about them; then it writes what it has left out."""
    monkeypatch.setattr(dead_records, "MOST", 1)
    receiver.refused["clarion.message.queued"] = "it is too large"
    await shop.trigger("shipped", "ada")
    await shop.pass_time(5)
    await shop.trigger("shipped", "ada")
    await shop.pass_time(10)
    reading = (await shop.ledger.readings.of(shop.tenant, ReadingKind.SINK))["warehouse"][WHOLE]
    assert "1 dead letters of the sink wait" in reading.trouble
    assert len(told(receiver)) == 1
    receiver.refused.clear()
    dead = await shop.ledger.dead_records.page(shop.tenant, DeadRecordFilter(), None, 10)
    await shop.services.sinks.dead.discard(shop.tenant, [one.seq for one in dead])
    await shop.pass_time(10)
    assert len(told(receiver)) == 3


async def test_a_sink_is_paused_resumed_and_rewound(shop, receiver, monkeypatch):
    """What happened meanwhile is told then; what was told is told again, to an end or from a time."""
    monkeypatch.setattr(services, "PAGE", 1)
    await shop.services.sinks.pause(shop.tenant, "warehouse", paused=True)
    await shop.pass_time(LOOK_EVERY_S)
    await shop.trigger("shipped", "ada")
    await shop.pass_time(60)
    assert told(receiver) == []
    await shop.services.sinks.pause(shop.tenant, "warehouse", paused=False)
    await shop.pass_time(10)
    assert len(told(receiver)) == 2
    await shop.trigger("shipped", "ada")
    await shop.pass_time(10)
    assert len(told(receiver)) == 4
    rewind, half = shop.services.sinks.rewind, shop.clock.now() - 30_000
    await rewind(shop.tenant, "warehouse", half)
    await shop.pass_time(10)
    assert len(told(receiver)) == 6
    await rewind(shop.tenant, "warehouse", StartAt.EARLIEST)
    await shop.pass_time(10)
    assert len(told(receiver)) == 10
    await rewind(shop.tenant, "warehouse", StartAt.LATEST)
    await shop.pass_time(10)
    assert len(told(receiver)) == 10


async def test_a_sink_is_tried_without_writing(shop, receiver):
    """It shows what it would have got; a receiver that cannot be reached says so."""
    await shop.services.sinks.pause(shop.tenant, "warehouse", paused=True)
    await shop.pass_time(LOOK_EVERY_S)
    await shop.trigger("shipped", "ada")
    await shop.until_idle()
    shown = await shop.services.sinks.test(shop.tenant, SINK, 1)
    assert [event.type for event in shown] == ["clarion.message.sent"]
    assert told(receiver) == []


@pytest.mark.parametrize(
    ("change", "fault", "place", "said"),
    [
        (
            {"types": ("clarion.message.delivred",)},
            UnknownReference,
            "#/types/0",
            "clarion.message.delivered",
        ),
        ({"types": ("a..b",)}, InvalidInput, "#/types/0", "segments"),
        ({"where": "dota.channel"}, InvalidInput, "#/where", "did you mean `data`?"),
    ],
)
def test_a_filter_that_lets_nothing_through_is_refused(change, fault, place, said):
    """With the nearest name."""
    with pytest.raises(fault) as wrong:
        EventFilter(replace(SINK, **change))
    assert wrong.value.pointer == place
    assert said in wrong.value.detail

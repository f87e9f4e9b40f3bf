"""Sources on a whole engine: every record starts its workflow, is passed over, or waits as a dead letter."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from clarion.errors import Busy, InvalidInput
from clarion.model.reading import DeadRecordFilter, ReadingKind, ReadingPlace
from clarion.model.setup import EventMatch
from clarion.model.source import RecordMap, Source, StartAt
from clarion.services import dead_records
from clarion.services.reading_loops import LOOK_EVERY_S, TAKE_EVERY_S
from clarion.services.sources import LAG_EVERY_S
from clarion.testing.memory_topic import MemoryTopic
from tests.engine import Engine, engine, sms_text, workflow

SOURCE = Source(
    key="orders",
    kind="memory",
    map=RecordMap(workflow="'shipped'", recipients="data.customer", data="{'text': 'Order ' + data.id}"),
    start_at=StartAt.EARLIEST,
    paused=False,
)
ANY = DeadRecordFilter()


def order(id: str, customer: str = "ada", **more: object) -> bytes:
    """A record as the shop writes it."""
    return json.dumps({"id": id, "customer": customer, **more}).encode()


@pytest.fixture
def topic():
    """The topic of the shop."""
    return MemoryTopic()


@pytest.fixture
async def shop(tmp_path, topic):
    """An engine with one workflow and one person, and no source yet."""
    async with engine(tmp_path, sources={"memory": topic.plugin()}) as one:
        await one.create_setup(
            workflow("shipped", on=EventMatch(type="order.shipped", recipients="/customer"))
        )
        await one.put_user("ada")
        yield one


async def follow(shop: Engine, source: Source = SOURCE) -> None:
    """Set the source up, and let it read what is there."""
    await shop.ledger.setup.sources.put(shop.tenant, source)
    await shop.pass_time(LOOK_EVERY_S)


async def reading(shop: Engine):
    """How far it is."""
    return (await shop.ledger.readings.of(shop.tenant, ReadingKind.SOURCE))["orders"]


async def dead(shop: Engine):
    """What waits for a person, oldest first."""
    return list(await shop.ledger.dead_records.page(shop.tenant, ANY, None, 100))[::-1]


def texts(shop: Engine) -> list[str]:
    """What was sent."""
    return sorted(sms_text(one) for one in shop.provider.effects)


async def test_a_record_starts_its_workflow(shop, topic):
    """With the data and the recipient that the expressions choose; the position moves behind it."""
    topic.publish(order("A-1"), key="ada")
    await follow(shop)
    assert texts(shop) == ["Order A-1"]
    topic.publish(order("A-2"), key="ada")
    await shop.pass_time(1)
    assert texts(shop) == ["Order A-1", "Order A-2"]
    assert {"1"} <= {*(await reading(shop)).position.values()}
    assert shop.services.stats()["source_records.started"] == 2


async def test_a_paused_source_is_not_read(shop, topic):
    """Until it is resumed; then it goes on where it stopped."""
    topic.publish(order("A-1"))
    await follow(shop, replace(SOURCE, paused=True))
    assert texts(shop) == []
    await shop.services.sources.pause(shop.tenant, "orders", paused=False)
    await shop.pass_time(LOOK_EVERY_S)
    assert texts(shop) == ["Order A-1"]
    await shop.services.sources.pause(shop.tenant, "orders", paused=True)
    await shop.pass_time(LOOK_EVERY_S)
    topic.publish(order("A-2"))
    await shop.pass_time(5)
    assert texts(shop) == ["Order A-1"]


async def test_latest_begins_with_what_comes_from_now_on(shop, topic):
    """What was there is passed over, also after a crash right behind the start."""
    topic.publish(order("old"))
    await follow(shop, replace(SOURCE, start_at=StartAt.LATEST))
    assert texts(shop) == []
    assert (await reading(shop)).position
    topic.publish(order("new"))
    await shop.pass_time(1)
    assert texts(shop) == ["Order new"]


async def test_a_condition_passes_records_over(shop, topic):
    """They start nothing, and are done."""
    topic.publish(order("A-1", status="paid"))
    topic.publish(order("A-2", status="shipped"))
    await follow(shop, replace(SOURCE, when="data.status == 'shipped'"))
    assert texts(shop) == ["Order A-2"]
    assert shop.services.stats()["source_records.passed_over"] == 1
    assert await dead(shop) == []


async def test_what_cannot_be_done_waits_as_a_dead_letter(shop, topic):
    """With the reason and its place; what stands behind it goes on."""
    topic.publish(b"no json")
    topic.publish(b'{"id": "A-2"}')
    topic.publish(order("A-3", "nobody"))
    topic.publish(order("A-4"))
    await follow(shop)
    assert texts(shop) == ["Order A-4"]
    unreadable, unmapped, unknown = await dead(shop)
    assert (unreadable.reason, unreadable.place) == ("unreadable_record", "orders/0/0")
    assert unmapped.reason == "mapping_failed"
    assert "map.recipients: column 6: there is no field `customer`" in unmapped.detail
    assert (unknown.reason, unknown.origin) == ("unknown_reference", "orders")
    assert "There is no user 'nobody'" in unknown.detail
    assert b"nobody" not in unknown.sealed


async def test_a_dead_letter_is_done_again_once_its_reason_is_gone(shop, topic):
    """As the source is set up by then; one that is refused again says why."""
    topic.publish(order("A-1", "zoe"))
    await follow(shop)
    (one,) = await dead(shop)
    assert (await shop.services.sources.retry(one)).reason == "unknown_reference"
    await shop.put_user("zoe")
    assert await shop.services.sources.retry(one) is None
    assert await shop.services.sources.dead.discard(shop.tenant, [one.seq]) == 1
    await shop.until_idle()
    assert texts(shop) == ["Order A-1"]
    assert await dead(shop) == []


async def test_a_source_with_too_many_dead_letters_is_not_read_on(shop, topic, monkeypatch):
    """So a wrong expression does not make a dead letter of every record; it says so."""
    monkeypatch.setattr(dead_records, "MOST", 2)
    topic.publish(b"1")
    topic.publish(b"2")
    await follow(shop)
    await shop.pass_time(LAG_EVERY_S)
    topic.publish(order("A-1"))
    await shop.pass_time(LAG_EVERY_S)
    assert texts(shop) == []
    assert "dead letters of the source wait" in (await reading(shop)).trouble
    await shop.services.sources.dead.discard(shop.tenant, [one.seq for one in await dead(shop)])
    await shop.pass_time(30)
    assert texts(shop) == ["Order A-1"]
    assert (await reading(shop)).trouble == ""


async def test_a_crash_repeats_records_and_sends_nothing_twice(tmp_path, topic):
    """The position was not stored, so they come again, and are recognised by their places."""
    async with engine(tmp_path, sources={"memory": topic.plugin()}) as one:
        await one.create_setup(workflow("shipped"))
        await one.put_user("ada")
        for number in range(5):
            topic.publish(order(f"A-{number}"))
        moved = one.ledger.readings.move

        async def lost(worker, place, to):
            if to.position.get("0") == "4":
                await asyncio.Event().wait()
            return await moved(worker, place, to)

        one.ledger.readings.move = lost  # type: ignore[method-assign]
        await follow(one)
        await one.until_idle()
        sent = len(one.provider.effects)
        assert sent == 5
        await one.kill()
        one.ledger.readings.move = moved  # type: ignore[method-assign]
        again = Engine(tmp_path, one.clock, one.provider, 2)
        again.sources = one.sources
        await again.work_on(one.ledger.store)

        async def repeated() -> bool:
            return again.services.stats().get("source_records.repeated") == 5

        assert await again.until(repeated)
        assert len(one.provider.effects) == sent
        await again.leave()


async def test_one_process_reads_a_source_until_it_is_dead(tmp_path, topic):
    """Then another one goes on where it stood, and the records of the dead one are not sent twice."""
    async with engine(tmp_path, sources={"memory": topic.plugin()}) as one:
        await one.create_setup(workflow("shipped"))
        await one.put_user("ada")
        await follow(one)
        other = Engine(tmp_path, one.clock, one.provider, 2)
        other.sources = one.sources
        await other.work_on(one.ledger.store)
        topic.publish(order("A-1"))
        await one.pass_time(TAKE_EVERY_S)
        assert texts(one) == ["Order A-1"]
        assert other.services.sources.records.total() == 0
        await one.kill()
        topic.publish(order("A-2"))

        async def sent() -> bool:
            return texts(one) == ["Order A-1", "Order A-2"]

        assert await other.until(sent)
        assert other.services.stats()["source_records.started"] == 1
        await other.leave()


async def test_a_full_queue_holds_the_source_up(shop, topic):
    """Nothing more is fetched, nothing is lost, and it goes on when there is room."""
    submit, full = shop.services.sources._submit, [True]

    async def submitted(tenant, submissions):
        if full[0]:
            raise Busy("The lane is full.")
        return await submit(tenant, submissions)

    shop.services.sources._submit = submitted
    topic.publish(order("A-1"))
    await follow(shop)
    assert (await reading(shop)).trouble == "The lane is full."
    assert shop.services.sources.loops.trouble == "orders: The lane is full."
    full[0] = False
    await shop.pass_time(2)
    assert texts(shop) == ["Order A-1"]
    assert shop.services.sources.loops.trouble == ""


async def test_a_server_that_is_away_is_asked_again(shop, topic):
    """The reason is shown meanwhile."""
    topic.trouble = "the server is away"
    topic.publish(order("A-1"))
    await follow(shop)
    assert (await reading(shop)).trouble == "the server is away"
    topic.trouble = ""
    await shop.pass_time(10)
    assert texts(shop) == ["Order A-1"]


async def test_a_rewound_source_does_what_was_not_done(shop, topic):
    """What started something is passed over, unless it is to be sent again."""
    topic.publish(order("A-1"))
    await follow(shop)
    rewind = shop.services.sources.rewind
    await rewind(shop.tenant, "orders", StartAt.EARLIEST, repeat=False)
    await shop.pass_time(5)
    assert texts(shop) == ["Order A-1"]
    await rewind(shop.tenant, "orders", StartAt.EARLIEST, repeat=True)
    await shop.pass_time(5)
    assert texts(shop) == ["Order A-1", "Order A-1"]


async def test_what_waits_is_counted(shop, topic):
    """In the position and in the metrics of the process that reads."""
    topic.publish(order("A-1"))
    await follow(shop)
    topic.publish(order("A-2"))
    await shop.pass_time(LAG_EVERY_S + 1)
    assert (await reading(shop)).lag == 0
    assert shop.services.stats()["source_lag.1/orders"] == 0


async def test_an_expression_tells_repeats(shop, topic):
    """The same order in two records starts the workflow once."""
    for number in (1, 2):
        topic.publish(order("A-1", attempt=number))
    await follow(shop, replace(SOURCE, dedupe="data.id"))
    assert texts(shop) == ["Order A-1"]


async def test_a_cloudevent_maps_itself(shop, topic):
    """Its type starts the workflows that listen; structured or binary, once for each id."""
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop",
        "type": "order.shipped",
        "data": {"customer": "ada", "text": "Hello"},
    }
    source = replace(SOURCE, format="cloudevents", map=RecordMap())
    topic.publish(json.dumps(event).encode())
    topic.publish(json.dumps(event).encode())
    headers = {"ce_specversion": "1.0", "ce_id": "e-2", "ce_source": "/shop", "ce_type": "order.shipped"}
    topic.publish(b'{"customer": "ada", "text": "Binary"}', headers=headers)
    topic.publish(json.dumps({**event, "id": "e-3", "type": "clarion.message.sent"}).encode())
    topic.publish(json.dumps({**event, "specversion": "0.3"}).encode())
    await follow(shop, source)
    assert texts(shop) == ["Binary", "Hello"]
    assert [one.reason for one in await dead(shop)] == ["mapping_failed", "unreadable_record"]


async def test_a_deleted_source_leaves_no_position(shop, topic):
    """Another one of the same name begins anew."""
    topic.publish(order("A-1"))
    await follow(shop)
    await shop.services.sources.delete(shop.tenant, "orders")
    await shop.pass_time(LOOK_EVERY_S)
    assert await shop.ledger.readings.of(shop.tenant, ReadingKind.SOURCE) == {}
    place = ReadingPlace(tenant=shop.tenant, kind=ReadingKind.SOURCE, key="orders")
    assert await shop.ledger.readings.take(shop.pipeline.lease.worker, place) is not None


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"map": RecordMap(recipients="data.customer")}, "#/map", "give `workflow` or `type`"),
        ({"map": RecordMap(workflow="'shipped'")}, "#/map/recipients", "nothing says who"),
        (
            {"map": RecordMap(workflow="shipped", recipients="data.id")},
            "#/map/workflow",
            "column 1: nothing is called `shipped`",
        ),
        ({"when": "dota.x"}, "#/when", "did you mean `data`?"),
        ({"dedupe": "/a~b"}, "#/dedupe", "'~' is written '~0'"),
    ],
)
def test_a_source_that_cannot_work_is_refused(change, place, said):
    """With the field, and the place in its expression."""
    from clarion.flow.intake.record_mapping import RecordMapping

    with pytest.raises(InvalidInput) as wrong:
        RecordMapping(replace(SOURCE, **change))
    assert (wrong.value.pointer, said in wrong.value.detail) == (place, True)

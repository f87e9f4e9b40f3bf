"""Sources on a whole engine: every record starts its workflow, is passed over, or waits as a dead letter."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from clarion.errors import Busy, InvalidInput
from clarion.model.ids import Instant
from clarion.model.reading import DeadRecordFilter, Reading, ReadingKind
from clarion.model.setup import EventMatch
from clarion.model.source import RecordMap, Source, StartAt
from clarion.ports.source import Position, SourcePlugin
from clarion.services import dead_records
from clarion.services.reading_loops import LOOK_EVERY_S, TAKE_EVERY_S
from clarion.services.sources import LAG_EVERY_S
from clarion.testing.memory_topic import MemoryReader, MemoryTopic
from tests.architecture.source_tree import ROOT
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


async def readings(shop: Engine) -> Mapping[str, Reading]:
    """How far it is, by partition."""
    return (await shop.ledger.readings.of(shop.tenant, ReadingKind.SOURCE))["orders"]


async def troubles(shop: Engine) -> set[str]:
    """Why it cannot be read."""
    return {one.trouble for one in (await readings(shop)).values()}


async def dead(shop: Engine):
    """What waits for a person, oldest first."""
    return list(await shop.ledger.dead_records.page(shop.tenant, ANY, None, 100))[::-1]


class QueueReader(MemoryReader):
    """The topic as a queue: its server keeps no positions."""

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        await super().seek(to)
        return {}

    async def lag(self) -> Mapping[str, int | None]:
        return {"": None}


@contextlib.asynccontextmanager
async def two_shops(
    directory: Path, topic: MemoryTopic, plugin: SourcePlugin | None = None
) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two processes on one store; the first one reads already, the second one is there since now."""
    async with engine(directory, sources={"memory": plugin or topic.plugin()}) as one:
        await one.create_setup(workflow("shipped"))
        await one.put_user("ada")
        await follow(one)
        other = Engine(directory, one.clock, one.provider, 2)
        other.sources = one.sources
        await other.work_on(one.ledger.store)
        yield one, other
        await other.leave()


async def shared(shop: Engine) -> dict[int | None, set[str]]:
    """Who reads which partitions."""
    found: dict[int | None, set[str]] = {}
    for partition, one in (await readings(shop)).items():
        found.setdefault(one.reader, set()).add(partition)
    return found


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
    assert {partition: one.position for partition, one in (await readings(shop)).items()} == {
        "0": {"0": "1"},
        "1": {"1": "-1"},
    }
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
    assert (await readings(shop))["0"].position == {"0": "0"}
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
    (trouble,) = await troubles(shop)
    assert "dead letters of the source wait" in trouble
    await shop.services.sources.dead.discard(shop.tenant, [one.seq for one in await dead(shop)])
    await shop.pass_time(30)
    assert texts(shop) == ["Order A-1"]
    assert await troubles(shop) == {""}


async def test_a_crash_repeats_records_and_sends_nothing_twice(tmp_path, topic):
    """The position was not stored, so they come again, and are recognised by their places."""
    async with engine(tmp_path, sources={"memory": topic.plugin()}) as one:
        await one.create_setup(workflow("shipped"))
        await one.put_user("ada")
        for number in range(5):
            topic.publish(order(f"A-{number}"))
        moved = one.ledger.readings.move

        async def lost(worker, place, to):
            if "0" in to and to["0"].position.get("0") == "4":
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


async def test_processes_share_the_partitions_until_one_is_dead(tmp_path, topic):
    """The second one takes over half of them; when one ends, the other reads all on from where it stood."""
    async with two_shops(tmp_path, topic) as (one, other):
        assert await shared(one) == {1: {"0", "1"}}
        await one.pass_time(LAG_EVERY_S)
        halves = await shared(one)
        assert sorted(map(sorted, halves.values())) == [["0"], ["1"]]
        for number in range(6):
            topic.publish(order(f"A-{number}"), key="ab"[number % 2])
        await one.pass_time(LAG_EVERY_S)
        assert len(texts(one)) == 6
        for shop in (one, other):
            assert shop.services.stats()["source_records.started"] == 3, "each reads its own partition"
            assert shop.services.stats().get("source_records.repeated", 0) == 0
        await one.kill()
        topic.publish(order("B-1"), key="a")
        topic.publish(order("B-2"), key="b")

        async def sent() -> bool:
            return len(texts(one)) == 8

        assert await other.until(sent)
        (last,) = await shared(other)
        assert last in halves
        assert await shared(other) == {last: {"0", "1"}}


async def test_the_late_position_of_a_process_that_lost_a_partition_is_refused(tmp_path, topic):
    """It held a batch while the partition was taken over: the other one repeats it, and nothing is sent twice."""
    async with two_shops(tmp_path, topic) as (one, other):
        submit, go = one.services.sources._submit, asyncio.Event()

        async def slowly(tenant, submissions):
            answers = await submit(tenant, submissions)
            await go.wait()
            return answers

        one.services.sources._submit = slowly
        for number in range(4):
            topic.publish(order(f"A-{number}"), key="ab"[number % 2])
        await one.pass_time(TAKE_EVERY_S + 1)
        over = next(partition for partition, reading in (await readings(one)).items() if reading.reader != 1)
        assert (await readings(one))[over].position == {over: "1"}, "the other one is through"
        assert other.services.stats()["source_records.repeated"] == 2
        moved = (await readings(one))[over]
        topic.publish(order("B"), key="ab"[topic.publish(order("C"), key="b").partition == over])
        await one.pass_time(1)
        go.set()
        await one.pass_time(LAG_EVERY_S)
        assert (await readings(one))[over].fence == moved.fence
        assert (await readings(one))[over].reader == moved.reader
        assert texts(one) == [f"Order {name}" for name in ("A-0", "A-1", "A-2", "A-3", "B", "C")]


async def test_a_process_that_cannot_reach_the_server_takes_nothing_over(tmp_path, topic):
    """Who reads goes on with all partitions."""
    async with two_shops(tmp_path, topic) as (one, other):
        away = MemoryTopic()
        away.trouble = "the server is away"
        other.services.sources.kinds = {"memory": away.plugin()}
        await one.pass_time(30)
        assert await shared(one) == {1: {"0", "1"}}
        assert other.services.sources.loops.trouble == "orders: the server is away"
        topic.publish(order("A-1"), key="a")
        topic.publish(order("A-2"), key="b")
        await one.pass_time(1)
        assert texts(one) == ["Order A-1", "Order A-2"]


async def test_every_process_reads_a_queue_that_hands_its_records_out(tmp_path, topic):
    """Each has a seat; that of a dead one is taken by the next."""
    plugin = replace(
        topic.plugin(), competing=True, rewinds=False, open=lambda config, tools: QueueReader(topic, tools)
    )
    async with two_shops(tmp_path, topic, plugin) as (one, other):
        await one.pass_time(TAKE_EVERY_S)
        assert await shared(one) == {1: {"1"}, 2: {"2"}}
        await one.kill()
        third = Engine(tmp_path, one.clock, one.provider, 3)
        third.sources = one.sources
        await third.work_on(one.ledger.store)

        async def seated() -> bool:
            return (await shared(other)).get(3) == {"1"}

        assert await other.until(seated)
        await third.leave()


async def test_new_partitions_are_read_from_their_oldest_record(shop, topic):
    """Also those of a source that began with what came from then on."""
    topic.publish(order("old"))
    await follow(shop, replace(SOURCE, start_at=StartAt.LATEST))
    topic.partitions += ([],)
    topic.partitions[2].append(replace(topic.publish(order("A-0")), partition="2", value=order("new")))
    await shop.pass_time(LAG_EVERY_S + 1)
    assert texts(shop) == ["Order A-0", "Order new"]
    assert (await readings(shop))["2"].position == {"2": "1"}


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
    assert await troubles(shop) == {"The lane is full."}
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
    assert await troubles(shop) == {"the server is away"}
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
    assert [one.lag for one in (await readings(shop)).values()] == [0, 0]
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


async def test_a_change_of_a_row_is_mapped_as_the_page_says(shop, topic):
    """A record of Debezium starts its workflow when the row comes to be shipped, and once."""
    page = (ROOT / "docs/how-to/use-your-own-topic.md").read_text(encoding="utf-8")
    blocks = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    document = next(one for one in blocks if "payload" in one.get("when", ""))

    def change(op: str, before: str | None, after: str | None) -> bytes:
        rows = [one and {"id": 7, "customer_id": "ada", "status": one} for one in (before, after)]
        return json.dumps({"schema": {}, "payload": {"op": op, "before": rows[0], "after": rows[1]}}).encode()

    for one in (("c", None, "new"), ("u", "new", "shipped"), ("u", "new", "shipped"), ("d", "shipped", None)):
        topic.publish(change(*one))
    mapped = RecordMap(
        workflow="'shipped'",
        recipients=document["map"]["recipients"],
        data="{'text': 'Order ' + string(data.payload.after.id)}",
    )
    await follow(shop, replace(SOURCE, when=document["when"], dedupe=document["dedupe"], map=mapped))
    assert texts(shop) == ["Order 7"]
    assert [one.detail for one in await dead(shop)] == []
    assert shop.services.stats()["source_records.passed_over"] == 2


async def test_a_deleted_source_leaves_no_position(shop, topic):
    """Another one of the same name begins anew."""
    topic.publish(order("A-1"))
    await follow(shop)
    await shop.services.sources.delete(shop.tenant, "orders")
    await shop.pass_time(LOOK_EVERY_S)
    assert await shop.ledger.readings.of(shop.tenant, ReadingKind.SOURCE) == {}


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

"""What a device is told, from its first frame to its last."""

import asyncio

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.gateway import GatewayLimits, Rules
from clarion.model.ids import id_text
from clarion.model.inbox import InboxChange
from tests.gateway import Connection, Phone, Town, settled, told, truth


def follow(connection: Connection, phone: Phone | None = None) -> Phone:
    phone = phone or Phone()
    phone.plug_in(connection)
    phone.listen()
    return phone


def types(connection: Connection) -> list[str]:
    return [frame["type"] for frame in connection.frames]


# ── the first frame ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_device_gets_the_full_state(town: Town):
    """Newest items first, exact counters, and the position from which to go on."""
    anna = town.users.add("anna")
    town.store(anna, "first", "second")
    await town.engagement.mark(anna.no, "seen", [next(iter(town.inboxes.everything(anna.no)))])
    (frame,) = (await town.connect(anna)).frames
    assert [item["title"] for item in frame["items"]] == ["second", "first"]
    assert frame["counts"] == {"unseen": 1, "unread": 2, "total": 2}
    assert {key: frame[key] for key in ("type", "epoch", "offset", "recovered", "ping_s")} == {
        "type": "connected",
        "epoch": anna.inbox_epoch,
        "offset": 3,
        "recovered": False,
        "ping_s": 25,
    }


async def test_an_item_carries_all_a_client_shows(town: Town):
    """Content, origin and times, the times in RFC 3339."""
    anna = town.users.add("anna")
    content = (
        b'{"channel":"in_app","title":"T","body":"B","url":"https://x.example","data":{"n":[1]},'
        b'"actions":[{"label":"Track","url":"https://t.example"}]}'
    )
    town.inboxes.deliver(anna, [town.vault.seal(anna.key, content)], town.clock.now())
    (item,) = (await town.connect(anna)).frames[0]["items"]
    assert item == {
        "id": id_text(next(iter(town.inboxes.everything(anna.no)))),
        "offset": 1,
        "title": "T",
        "body": "B",
        "url": "https://x.example",
        "actions": [{"label": "Track", "url": "https://t.example"}],
        "data": {"n": [1]},
        "workflow": "order-shipped",
        "category": "orders",
        "created_at": "2026-01-05T12:00:00.000Z",
        "seen_at": None,
        "read_at": None,
        "archived_at": None,
        "snoozed_until": None,
    }


async def test_a_full_state_has_the_newest_unarchived_items_only(build):
    """The rest is a page away in the API; the counters know all of them."""
    town = build(GatewayLimits(session=Rules(snapshot=2)))
    anna = town.users.add("anna")
    change = town.store(anna, "a", "b", "c", "d")
    await town.engagement.mark(anna.no, "archived", [change.items[3].message_id])
    (frame,) = (await town.connect(anna)).frames
    assert [item["title"] for item in frame["items"]] == ["c", "b"]
    assert frame["counts"]["total"] == 3


async def test_a_device_that_comes_back_gets_exactly_what_it_missed(town: Town):
    """New items and changed ones, each once in its latest state, offsets ascending; archived ones too."""
    anna = town.users.add("anna")
    change = town.store(anna, "a", "b", "c")
    phone = follow(first := await town.connect(anna))
    first.hang_up()
    town.deliver(anna, "d")
    await town.engagement.mark(anna.no, "seen", [change.items[0].message_id])
    await town.engagement.mark(anna.no, "archived", [change.items[0].message_id])
    follow(again := await town.connect(anna, epoch=phone.epoch, offset=phone.offset), phone)
    assert again.frames[0]["recovered"] is True
    assert [(item["title"], item["offset"]) for item in again.frames[0]["items"]] == [("d", 4), ("a", 6)]
    assert told(phone) == truth(town.inboxes, anna)


async def test_a_device_that_missed_nothing_gets_an_empty_replay(town: Town):
    """It is up to date, and told so."""
    anna = town.users.add("anna")
    town.store(anna, "a")
    (frame,) = (await town.connect(anna, epoch=anna.inbox_epoch, offset=1)).frames
    assert (frame["recovered"], frame["items"], frame["offset"]) == (True, [], 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"epoch": "somebody-else's", "offset": 1},
        {"epoch": "epoch-1", "offset": 99},
        {"epoch": "epoch-1", "offset": -1},
        {"epoch": "epoch-1", "offset": "x"},
        {"epoch": "epoch-1", "offset": "9" * 5000},
        {"epoch": "epoch-1"},
        {"offset": 1},
    ],
)
async def test_a_device_that_cannot_be_replayed_starts_over(town: Town, asked):
    """A foreign epoch, an offset from the future or none at all: the full state, marked as such."""
    anna = town.users.add("anna")
    town.store(anna, "a", "b")
    (frame,) = (await town.connect(anna, **asked)).frames
    assert (frame["recovered"], len(frame["items"])) == (False, 2)


async def test_a_replay_is_whole_or_not_at_all(build):
    """One item over the limit, and the client gets the full state instead of a part of the changes."""
    town = build(GatewayLimits(session=Rules(replay=3)))
    anna = town.users.add("anna")
    town.store(anna, "a", "b", "c", "d")
    (within,) = (await town.connect(anna, epoch=anna.inbox_epoch, offset=1)).frames
    (beyond,) = (await town.connect(anna, epoch=anna.inbox_epoch, offset=0)).frames
    assert (within["recovered"], [item["title"] for item in within["items"]]) == (True, ["b", "c", "d"])
    assert (beyond["recovered"], len(beyond["items"])) == (False, 4)


async def test_a_change_while_the_state_is_read_is_told_once(town: Town, monkeypatch):
    """Committed before, during or after the read, published early or late: the client ends with all of it, once."""
    anna = town.users.add("anna")
    town.store(anna, "before")
    page = town.inboxes.page
    late = []

    async def slow_page(*args, **kwargs):
        town.deliver(anna, "committed and published before the read")
        items = await page(*args, **kwargs)
        town.deliver(anna, "committed and published after the read")
        late.append(town.store(anna, "committed during the read, published late"))
        await asyncio.sleep(0)
        return items

    monkeypatch.setattr(town.inboxes, "page", slow_page)
    connection = await town.connect(anna)
    town.fanout.publish(late)
    phone = follow(connection)
    assert told(phone) == truth(town.inboxes, anna)
    assert len(connection.frames) == 1
    assert connection.frames[0]["offset"] == 4


# ── live ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_delivery_reaches_all_devices_of_its_user_and_nobody_else(town: Town):
    """With the counters after it, and where it starts, so that a client can see a gap."""
    anna, bob = town.users.add("anna"), town.users.add("bob")
    phone, laptop, other = await town.connect(anna), await town.connect(anna), await town.connect(bob)
    town.deliver(anna, "hello")
    assert phone.frames[1:] == laptop.frames[1:]
    (frame,) = phone.frames[1:]
    assert (frame["type"], frame["from"], frame["offset"]) == ("items", 0, 1)
    assert [item["title"] for item in frame["items"]] == ["hello"]
    assert frame["counts"] == {"unseen": 1, "unread": 1, "total": 1}
    assert types(other) == ["connected"]


async def test_what_one_device_reads_is_read_on_all(town: Town):
    """The mark is stored, told to every device, and answered to the one that asked."""
    anna = town.users.add("anna")
    item = town.store(anna, "hello").items[0]
    phone, laptop = await town.connect(anna), await town.connect(anna)
    phone.say(type="mark", ref="r1", action="read", ids=[id_text(item.message_id)])
    await settled()
    assert types(laptop) == ["connected", "items"]
    assert laptop.frames[1]["counts"] == {"unseen": 0, "unread": 0, "total": 1}
    assert laptop.frames[1]["items"][0]["read_at"] == "2026-01-05T12:00:00.000Z"
    assert phone.frames[1:] == [laptop.frames[1], {"type": "ok", "ref": "r1"}]


async def test_marking_what_is_marked_is_fine(town: Town):
    """The command is answered; as nothing changed, nobody is told anything."""
    anna = town.users.add("anna")
    phone = await town.connect(anna)
    phone.say(type="mark", ref="1", action="seen", filter={})
    await settled()
    assert phone.frames[1:] == [{"type": "ok", "ref": "1"}]


async def test_nobody_marks_the_items_of_another(town: Town):
    """Ids of another user's items are as good as unknown."""
    anna, bob = town.users.add("anna"), town.users.add("bob")
    item = town.store(bob, "private").items[0]
    phone = await town.connect(anna)
    phone.say(type="mark", ref="1", action="archived", ids=[id_text(item.message_id)])
    await settled()
    assert town.inboxes.everything(bob.no)[item.message_id].archived_at is None


async def test_a_mark_that_cannot_be_stored_is_an_error_for_that_command_only(town: Town, monkeypatch):
    """The client may try again; the connection lives on."""
    anna = town.users.add("anna")
    town.store(anna, "hello")
    phone = await town.connect(anna)

    async def full(*args):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(town.inboxes, "mark", full)
    phone.say(type="mark", ref="1", action="seen", filter={})
    phone.say(type="ping")
    await settled()
    assert phone.frames[1:] == [
        {"type": "error", "ref": "1", "code": "unavailable", "detail": "the disk is full"},
        {"type": "pong"},
    ]


async def test_publications_may_come_late_twice_or_out_of_order(town: Town):
    """The ledger is the truth: a gap is filled from it, what is known is dropped."""
    anna = town.users.add("anna")
    phone = follow(connection := await town.connect(anna))
    first, second, third = (town.store(anna, title) for title in "abc")
    town.fanout.publish([third])
    await settled()
    town.fanout.publish([first])
    town.fanout.publish([second, third])
    phone.listen()
    assert told(phone) == truth(town.inboxes, anna)
    assert types(connection) == ["connected", "items"]


async def test_a_publication_that_was_lost_is_made_up_for_by_the_next(town: Town):
    """Or by the next device that connects."""
    anna = town.users.add("anna")
    phone = follow(await town.connect(anna))
    town.store(anna, "lost on the way")
    await town.connect(anna)
    phone.listen()
    assert told(phone) == truth(town.inboxes, anna)


async def test_a_publication_that_is_late_is_in_the_replay_of_a_device_that_comes_back(town: Town):
    """What is committed is told, whether or not the fan-out has said so already; all devices move together."""
    anna = town.users.add("anna")
    there = await town.connect(anna)
    late = town.store(anna, "committed")
    back = await town.connect(anna, epoch=anna.inbox_epoch, offset=0)
    assert [frame["offset"] for frame in back.frames] == [1]
    assert [frame["offset"] for frame in there.frames] == [0, 1]
    town.fanout.publish([late])
    assert (len(back.frames), len(there.frames)) == (1, 2)


async def test_a_commit_between_two_reads_is_told_by_its_own_change(town: Town, monkeypatch):
    """The store commits on another thread: items beyond the head that was read are left to their publication."""
    anna = town.users.add("anna")
    old, _ = town.store(anna, "old", "another").items
    phone = follow(connection := await town.connect(anna))
    change = town.store(anna, "new")
    since = town.inboxes.since
    moved: list[InboxChange] = []

    async def overtaken(*args):
        if not moved:
            change = await town.inboxes.mark(anna.no, "seen", [old.message_id], town.clock.now())
            assert change is not None
            moved.append(change)
        return await since(*args)

    monkeypatch.setattr(town.inboxes, "since", overtaken)
    bare = type(change)(tenant=change.tenant, user=change.user, items=change.items)
    town.fanout.publish([bare])
    await settled()
    phone.listen()
    assert phone.offset == 3
    assert [frame["offset"] for frame in connection.frames] == [2, 3]
    town.fanout.publish(moved)
    phone.listen()
    assert phone.offset == 4
    assert told(phone) == truth(town.inboxes, anna)


async def test_counters_are_read_where_a_change_does_not_carry_them(town: Town):
    """A fan-out that strips them, or a store that does not know them, costs a read and nothing else."""
    anna = town.users.add("anna")
    connection = await town.connect(anna)
    change = town.store(anna, "hello")
    bare = type(change)(tenant=change.tenant, user=change.user, items=change.items)
    town.fanout.publish([bare])
    await settled()
    assert connection.frames[1]["counts"] == {"unseen": 1, "unread": 1, "total": 1}


async def test_a_store_that_went_back_ends_the_feed(town: Town):
    """The inbox was replaced by an older one: clients come back, and start over."""
    anna = town.users.add("anna")
    town.store(anna, "a", "b")
    connection = await town.connect(anna)
    town.inboxes.forget(anna.no)
    change = town.store(anna, "older")
    town.fanout.publish([type(change)(tenant=anna.tenant, user=anna.no, items=(_moved(change.items[0], 9),))])
    await settled()
    assert connection.close_code == 4004
    follow(again := await town.connect(anna, epoch=anna.inbox_epoch, offset=2))
    assert again.frames[0]["recovered"] is False


async def test_one_damaged_item_does_not_hide_the_others(town: Town):
    """It is shown without content; the rest of the inbox is as it should be."""
    anna = town.users.add("anna")
    live = await town.connect(anna)
    damaged = [b"not sealed", town.vault.seal(anna.key, b"not JSON")]
    town.fanout.publish([town.inboxes.deliver(anna, damaged, town.clock.now()), town.store(anna, "fine")])
    again = await town.connect(anna)
    assert [item["title"] for frame in live.frames[1:] for item in frame["items"]] == ["", "", "fine"]
    assert [item["title"] for item in again.frames[0]["items"]] == ["fine", "", ""]


async def test_one_failing_inbox_does_not_silence_the_others(town: Town, monkeypatch):
    """Its devices are told to come back; everybody else in the publication is served."""
    anna, bob = town.users.add("anna"), town.users.add("bob")
    failing, fine = await town.connect(anna), await town.connect(bob)
    head = town.inboxes.head

    def broken(user):
        if user == anna.no:
            raise ZeroDivisionError
        return head(user)

    monkeypatch.setattr(town.inboxes, "head", broken)
    town.fanout.publish([_moved_change(town.store(bob, "hidden"), anna), town.store(bob, "hello")])
    await settled()
    assert failing.close_code == 4004
    assert types(fine) == ["connected", "items"]


async def test_content_still_in_memory_is_not_opened_again(town: Town):
    """A change that carries its content is shown as it is."""
    anna = town.users.add("anna")
    live = await town.connect(anna)
    change = town.inboxes.deliver(anna, [b"never opened"], town.clock.now(), [b'{"title":"fresh"}'])
    town.fanout.publish([change])
    assert live.frames[1]["items"][0]["title"] == "fresh"


def _moved_change(change, user):
    items = tuple(msgspec.structs.replace(item, user=user.no, offset=7) for item in change.items)
    return InboxChange(tenant=user.tenant, user=user.no, items=items)


def _moved(item, offset):
    return msgspec.structs.replace(item, offset=offset)


# ── slow clients ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_pauses_gets_everything_in_order(town: Town):
    """What comes while the buffer is full waits, and goes out when there is room."""
    anna = town.users.add("anna")
    phone = follow(connection := await town.connect(anna))
    connection.stop_reading()
    for title in "abcde":
        town.deliver(anna, title)
    connection.read_on()
    await settled()
    town.deliver(anna, "f")
    phone.listen()
    assert told(phone) == truth(town.inboxes, anna)
    assert len(connection.frames) == 7


async def test_a_client_that_does_not_read_is_told_to_come_back(build):
    """4002, and its reconnect replays what was dropped."""
    town = build(GatewayLimits(session=Rules(pending_frames=3)))
    anna = town.users.add("anna")
    phone = follow(connection := await town.connect(anna))
    connection.stop_reading()
    for title in "abcdefgh":
        town.deliver(anna, title)
    connection.read_on()
    await settled()
    assert (connection.close_code, connection.over) == (4002, True)
    phone.listen()
    follow(again := await town.connect(anna, epoch=phone.epoch, offset=phone.offset), phone)
    assert again.frames[0]["recovered"] is True
    assert told(phone) == truth(town.inboxes, anna)
    assert town.gateway.stats()["closed_slow_consumer"] == 1


async def test_a_client_that_breaks_the_protocol_and_does_not_read_still_learns_why(town: Town):
    """The error frame blocks, the code follows it when there is room."""
    connection = await town.connect(town.users.add("anna"))
    connection.stop_reading()
    connection.say_raw("nonsense")
    await settled()
    connection.read_on()
    await settled()
    assert types(connection) == ["connected", "error"]
    assert connection.close_code == 4503


async def test_a_write_that_is_never_answered_does_not_outlive_its_connection(town: Town):
    """No task is left behind."""
    anna = town.users.add("anna")
    before = asyncio.all_tasks()
    connection = await town.connect(anna)
    connection.stop_reading()
    town.deliver(anna, "hello")
    connection.vanish()
    await settled()
    assert connection.over
    assert asyncio.all_tasks() == before


async def test_a_slow_device_does_not_slow_the_others(town: Town):
    """Each has its own buffer."""
    anna = town.users.add("anna")
    slow, fast = await town.connect(anna), await town.connect(anna)
    slow.stop_reading()
    town.deliver(anna, "hello")
    assert types(fast) == ["connected", "items"]


async def test_a_client_that_never_reads_again_is_cut(build):
    """It does not take its close code either: after some seconds the socket is freed."""
    town = build(GatewayLimits(session=Rules(pending_frames=1)))
    anna = town.users.add("anna")
    connection = await town.connect(anna)
    connection.stop_reading()
    for title in "abc":
        town.deliver(anna, title)
    await town.pass_time(40)
    assert connection.aborted
    assert connection.over
    assert town.gateway.stats()["connections"] == 0


# ── coming and going ──────────────────────────────────────────────────────────────────────────────────────


async def test_who_hangs_up_is_forgotten_at_once(town: Town):
    """Nothing of a connection stays behind."""
    anna = town.users.add("anna")
    connection = await town.connect(anna)
    connection.hang_up()
    await settled()
    town.deliver(anna, "hello")
    assert connection.over
    stats = town.gateway.stats()
    assert (stats["connections"], stats["users"], stats["closed_by_client"]) == (0, 0, 1)


async def test_who_hangs_up_before_the_first_frame_is_forgotten_too(town: Town, monkeypatch):
    """Even while the state is being read."""
    anna = town.users.add("anna")
    gate = asyncio.Event()

    async def page(*args, **kwargs):
        await gate.wait()
        return []

    monkeypatch.setattr(town.inboxes, "page", page)
    connection = await town.connect(anna)
    connection.hang_up()
    town.deliver(anna, "hello")
    gate.set()
    await settled()
    assert connection.over
    assert town.gateway.stats()["connections"] == 0


async def test_a_store_that_is_closing_does_not_break_the_server(town: Town, monkeypatch):
    """The client is told to come back, before or after it was accepted."""
    anna = town.users.add("anna")

    async def page(*args, **kwargs):
        raise Unavailable("closing")

    monkeypatch.setattr(town.inboxes, "page", page)
    assert (await town.connect(anna)).close_code == 4004

    async def head(*args):
        raise Unavailable("closing")

    monkeypatch.setattr(town.inboxes, "head", head)
    assert (await town.connect(anna)).status == 503


async def test_an_expired_token_ends_the_connection(town: Town):
    """4501: get a new token, then come back."""
    anna = town.users.add("anna")
    connection = await town.connect(anna, token=town.tokens.mint(anna, ttl_s=60))
    await town.pass_time(58)
    assert not connection.over
    await town.pass_time(4)
    assert (connection.close_code, connection.over) == (4501, True)


async def test_silence_is_broken_by_pings(town: Town):
    """A client that hears nothing for longer than `ping_s` knows that the line is dead."""
    connection = await town.connect(town.users.add("anna"))
    await town.pass_time(60)
    assert types(connection)[1:] in (["ping"] * 2, ["ping"] * 3)


async def test_a_client_that_stops_answering_is_closed(town: Town):
    """4003, for clients that have shown they answer pings."""
    connection = await town.connect(town.users.add("anna"))
    connection.say(type="pong")
    await town.pass_time(62)
    assert connection.close_code == 4003


async def test_a_deleted_user_is_disconnected_at_once(town: Town):
    """Whoever deletes says so, and all devices are told not to come back."""
    anna = town.users.add("anna")
    phone, laptop = await town.connect(anna), await town.connect(anna)
    await town.users.delete(anna.tenant, anna.id)
    town.engagement.forget(anna.tenant, anna.no)
    await settled()
    assert [phone.close_code, laptop.close_code] == [4504, 4504]
    assert (await town.connect(anna)).status == 410


async def test_a_user_deleted_without_a_word_is_noticed(town: Town):
    """Within one ping interval, by looking."""
    anna, bob = town.users.add("anna"), town.users.add("bob")
    gone, stays = await town.connect(anna), await town.connect(bob)
    await town.users.delete(anna.tenant, anna.id)
    await town.pass_time(27)
    assert (gone.close_code, stays.close_code) == (4504, None)


async def test_a_user_may_have_so_many_connections(build):
    """The next one is refused until another has gone."""
    town = build(GatewayLimits(connections_per_user=2))
    anna, bob = town.users.add("anna"), town.users.add("bob")
    first, _ = await town.connect(anna), await town.connect(anna)
    assert (await town.connect(anna)).status == 429
    assert types(await town.connect(bob)) == ["connected"]
    first.hang_up()
    assert types(await town.connect(anna)) == ["connected"]


async def test_a_tenant_and_the_process_may_have_so_many_connections(build):
    """Over it, newcomers are told to try later."""
    for limits in (GatewayLimits(connections_per_tenant=1), GatewayLimits(connections=1)):
        town = build(limits)
        await town.connect(town.users.add("anna"))
        refused = await town.connect(town.users.add("bob"))
        assert refused.status == 503
        assert (b"retry-after", b"5") in refused.events[0]["headers"]
        town.connections[0].hang_up()
        assert types(await town.connect(town.users.add("carol"))) == ["connected"]


async def test_a_shutdown_tells_everyone_to_come_back(town: Town):
    """4001 to all, and nobody new is let in."""
    devices = [await town.connect(town.users.add(f"user-{n}")) for n in range(250)]
    closing = asyncio.get_running_loop().create_task(town.gateway.close(1.0))
    for _ in range(5):
        await settled()
        town.clock.advance(0.01)
    await closing
    assert {device.close_code for device in devices} == {4001}
    assert town.gateway.stats()["connections"] == 0
    assert (await town.connect(town.users.add("late"))).status == 503

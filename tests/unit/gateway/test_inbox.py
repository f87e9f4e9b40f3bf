"""What a device is told, from its first frame to its last."""

import asyncio

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.gateway import GatewayLimits, Rules
from clarion.model.ids import id_text
from clarion.model.inbox import InboxChange
from tests.gateway import Connection, GatewayServer, InboxClient, screen_of, settled, truth


def follow(connection: Connection, inbox_client: InboxClient | None = None) -> InboxClient:
    inbox_client = inbox_client or InboxClient()
    inbox_client.attach(connection)
    inbox_client.listen()
    return inbox_client


def types(connection: Connection) -> list[str]:
    return [frame["type"] for frame in connection.frames]


# ── the first frame ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_device_gets_the_full_state(server: GatewayServer):
    """Newest items first, exact counters, and the position from which to go on."""
    anna = server.users.add("anna")
    server.store(anna, "first", "second")
    await server.inbox_actions.mark(
        anna.tenant, anna.no, "seen", [next(iter(server.inboxes.everything(anna.no)))]
    )
    (frame,) = (await server.connect(anna)).frames
    assert [item["title"] for item in frame["items"]] == ["second", "first"]
    assert frame["counts"] == {"unseen": 1, "unread": 2, "total": 2}
    assert {key: frame[key] for key in ("type", "epoch", "offset", "recovered", "ping_s")} == {
        "type": "connected",
        "epoch": anna.inbox_epoch,
        "offset": 3,
        "recovered": False,
        "ping_s": 25,
    }


async def test_an_item_carries_all_a_client_shows(server: GatewayServer):
    """Content, origin and times, the times in RFC 3339."""
    anna = server.users.add("anna")
    content = (
        b'{"channel":"in_app","title":"T","body":"B","url":"https://x.example","data":{"n":[1]},'
        b'"actions":[{"label":"Track","url":"https://t.example"}]}'
    )
    server.inboxes.deliver(anna, [server.vault.seal(anna.key, content)], server.clock.now())
    (item,) = (await server.connect(anna)).frames[0]["items"]
    assert item == {
        "id": id_text(next(iter(server.inboxes.everything(anna.no)))),
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
        "withdrawn": False,
    }


async def test_a_full_state_has_the_newest_unarchived_items_only(build):
    """The rest is a page away in the API; the counters know all of them."""
    server = build(GatewayLimits(session=Rules(snapshot=2)))
    anna = server.users.add("anna")
    change = server.store(anna, "a", "b", "c", "d")
    await server.inbox_actions.mark(anna.tenant, anna.no, "archived", [change.items[3].message_id])
    (frame,) = (await server.connect(anna)).frames
    assert [item["title"] for item in frame["items"]] == ["c", "b"]
    assert frame["counts"]["total"] == 3


async def test_a_device_that_comes_back_gets_exactly_what_it_missed(server: GatewayServer):
    """New items and changed ones, each once in its latest state, offsets ascending; archived ones too."""
    anna = server.users.add("anna")
    change = server.store(anna, "a", "b", "c")
    inbox_client = follow(first := await server.connect(anna))
    first.hang_up()
    server.deliver(anna, "d")
    await server.inbox_actions.mark(anna.tenant, anna.no, "seen", [change.items[0].message_id])
    await server.inbox_actions.mark(anna.tenant, anna.no, "archived", [change.items[0].message_id])
    follow(
        again := await server.connect(anna, epoch=inbox_client.epoch, offset=inbox_client.offset),
        inbox_client,
    )
    assert again.frames[0]["recovered"] is True
    assert [(item["title"], item["offset"]) for item in again.frames[0]["items"]] == [("d", 4), ("a", 6)]
    assert screen_of(inbox_client) == truth(server.inboxes, anna)


async def test_a_device_that_missed_nothing_gets_an_empty_replay(server: GatewayServer):
    """It is up to date, and told so."""
    anna = server.users.add("anna")
    server.store(anna, "a")
    (frame,) = (await server.connect(anna, epoch=anna.inbox_epoch, offset=1)).frames
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
async def test_a_device_that_cannot_be_replayed_starts_over(server: GatewayServer, asked):
    """A foreign epoch, an offset from the future or none at all: the full state, marked as such."""
    anna = server.users.add("anna")
    server.store(anna, "a", "b")
    (frame,) = (await server.connect(anna, **asked)).frames
    assert (frame["recovered"], len(frame["items"])) == (False, 2)


async def test_a_replay_is_whole_or_not_at_all(build):
    """One item over the limit, and the client gets the full state instead of a part of the changes."""
    server = build(GatewayLimits(session=Rules(replay=3)))
    anna = server.users.add("anna")
    server.store(anna, "a", "b", "c", "d")
    (within,) = (await server.connect(anna, epoch=anna.inbox_epoch, offset=1)).frames
    (beyond,) = (await server.connect(anna, epoch=anna.inbox_epoch, offset=0)).frames
    assert (within["recovered"], [item["title"] for item in within["items"]]) == (True, ["b", "c", "d"])
    assert (beyond["recovered"], len(beyond["items"])) == (False, 4)


async def test_a_change_while_the_state_is_read_is_told_once(server: GatewayServer, monkeypatch):
    """Committed before, during or after the read, published early or late: the client ends with all of it, once."""
    anna = server.users.add("anna")
    server.store(anna, "before")
    page = server.inboxes.page
    late = []

    async def slow_page(*args, **kwargs):
        server.deliver(anna, "committed and published before the read")
        items = await page(*args, **kwargs)
        server.deliver(anna, "committed and published after the read")
        late.append(server.store(anna, "committed during the read, published late"))
        await asyncio.sleep(0)
        return items

    monkeypatch.setattr(server.inboxes, "page", slow_page)
    connection = await server.connect(anna)
    server.fanout.publish(late)
    inbox_client = follow(connection)
    assert screen_of(inbox_client) == truth(server.inboxes, anna)
    assert len(connection.frames) == 1
    assert connection.frames[0]["offset"] == 4


# ── live ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_delivery_reaches_all_devices_of_its_user_and_nobody_else(server: GatewayServer):
    """With the counters after it, and where it starts, so that a client can see a gap."""
    anna, bob = server.users.add("anna"), server.users.add("bob")
    inbox_client, laptop, other = (
        await server.connect(anna),
        await server.connect(anna),
        await server.connect(bob),
    )
    server.deliver(anna, "hello")
    assert inbox_client.frames[1:] == laptop.frames[1:]
    (frame,) = inbox_client.frames[1:]
    assert (frame["type"], frame["from"], frame["offset"]) == ("items", 0, 1)
    assert [item["title"] for item in frame["items"]] == ["hello"]
    assert frame["counts"] == {"unseen": 1, "unread": 1, "total": 1}
    assert types(other) == ["connected"]


async def test_what_one_device_reads_is_read_on_all(server: GatewayServer):
    """The mark is stored, told to every device, and answered to the one that asked."""
    anna = server.users.add("anna")
    item = server.store(anna, "hello").items[0]
    inbox_client, laptop = await server.connect(anna), await server.connect(anna)
    inbox_client.say(type="mark", ref="r1", action="read", ids=[id_text(item.message_id)])
    await settled()
    assert types(laptop) == ["connected", "items"]
    assert laptop.frames[1]["counts"] == {"unseen": 0, "unread": 0, "total": 1}
    assert laptop.frames[1]["items"][0]["read_at"] == "2026-01-05T12:00:00.000Z"
    assert inbox_client.frames[1:] == [laptop.frames[1], {"type": "ok", "ref": "r1"}]


async def test_marking_what_is_marked_is_fine(server: GatewayServer):
    """The command is answered; as nothing changed, nobody is told anything."""
    anna = server.users.add("anna")
    inbox_client = await server.connect(anna)
    inbox_client.say(type="mark", ref="1", action="seen", filter={})
    await settled()
    assert inbox_client.frames[1:] == [{"type": "ok", "ref": "1"}]


async def test_nobody_marks_the_items_of_another(server: GatewayServer):
    """Ids of another user's items are as good as unknown."""
    anna, bob = server.users.add("anna"), server.users.add("bob")
    item = server.store(bob, "private").items[0]
    inbox_client = await server.connect(anna)
    inbox_client.say(type="mark", ref="1", action="archived", ids=[id_text(item.message_id)])
    await settled()
    assert server.inboxes.everything(bob.no)[item.message_id].archived_at is None


async def test_a_mark_that_cannot_be_stored_is_an_error_for_that_command_only(
    server: GatewayServer, monkeypatch
):
    """The client may try again; the connection lives on."""
    anna = server.users.add("anna")
    server.store(anna, "hello")
    inbox_client = await server.connect(anna)

    async def full(*args, **_):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(server.inboxes, "mark", full)
    inbox_client.say(type="mark", ref="1", action="seen", filter={})
    inbox_client.say(type="ping")
    await settled()
    assert inbox_client.frames[1:] == [
        {"type": "error", "ref": "1", "code": "unavailable", "detail": "the disk is full"},
        {"type": "pong"},
    ]


async def test_publications_may_come_late_twice_or_out_of_order(server: GatewayServer):
    """The ledger is the truth: a gap is filled from it, what is known is dropped."""
    anna = server.users.add("anna")
    inbox_client = follow(connection := await server.connect(anna))
    first, second, third = (server.store(anna, title) for title in "abc")
    server.fanout.publish([third])
    await settled()
    server.fanout.publish([first])
    server.fanout.publish([second, third])
    inbox_client.listen()
    assert screen_of(inbox_client) == truth(server.inboxes, anna)
    assert types(connection) == ["connected", "items"]


async def test_a_publication_that_was_lost_is_made_up_for_by_the_next(server: GatewayServer):
    """Or by the next device that connects."""
    anna = server.users.add("anna")
    inbox_client = follow(await server.connect(anna))
    server.store(anna, "lost on the way")
    await server.connect(anna)
    inbox_client.listen()
    assert screen_of(inbox_client) == truth(server.inboxes, anna)


async def test_what_is_said_to_be_lost_is_looked_up_for_everybody_who_is_connected(server: GatewayServer):
    """Without the next change, and nothing is told twice."""
    anna, ben = server.users.add("anna"), server.users.add("ben")
    inbox_client, connection = follow(await server.connect(anna)), await server.connect(ben)
    server.store(anna, "lost on the way")
    for _ in range(2):
        server.memory_fanout.missed()
        await settled()
    inbox_client.listen()
    assert screen_of(inbox_client) == truth(server.inboxes, anna)
    assert types(connection) == ["connected"]


async def test_a_publication_that_is_late_is_in_the_replay_of_a_device_that_comes_back(server: GatewayServer):
    """What is committed is told, whether or not the fan-out has said so already; all devices move together."""
    anna = server.users.add("anna")
    there = await server.connect(anna)
    late = server.store(anna, "committed")
    back = await server.connect(anna, epoch=anna.inbox_epoch, offset=0)
    assert [frame["offset"] for frame in back.frames] == [1]
    assert [frame["offset"] for frame in there.frames] == [0, 1]
    server.fanout.publish([late])
    assert (len(back.frames), len(there.frames)) == (1, 2)


async def test_a_commit_between_two_reads_is_told_by_its_own_change(server: GatewayServer, monkeypatch):
    """The store commits on another thread: items beyond the head that was read are left to their publication."""
    anna = server.users.add("anna")
    old, _ = server.store(anna, "old", "another").items
    inbox_client = follow(connection := await server.connect(anna))
    change = server.store(anna, "new")
    since = server.inboxes.since
    moved: list[InboxChange] = []

    async def overtaken(*args):
        if not moved:
            change = await server.inboxes.mark(anna.no, "seen", [old.message_id], server.clock.now())
            assert change is not None
            moved.append(change)
        return await since(*args)

    monkeypatch.setattr(server.inboxes, "since", overtaken)
    bare = type(change)(tenant=change.tenant, user=change.user, items=change.items)
    server.fanout.publish([bare])
    await settled()
    inbox_client.listen()
    assert inbox_client.offset == 3
    assert [frame["offset"] for frame in connection.frames] == [2, 3]
    server.fanout.publish(moved)
    inbox_client.listen()
    assert inbox_client.offset == 4
    assert screen_of(inbox_client) == truth(server.inboxes, anna)


async def test_counters_are_read_where_a_change_does_not_carry_them(server: GatewayServer):
    """A fan-out that strips them, or a store that does not know them, costs a read and nothing else."""
    anna = server.users.add("anna")
    connection = await server.connect(anna)
    change = server.store(anna, "hello")
    bare = type(change)(tenant=change.tenant, user=change.user, items=change.items)
    server.fanout.publish([bare])
    await settled()
    assert connection.frames[1]["counts"] == {"unseen": 1, "unread": 1, "total": 1}


async def test_a_store_that_went_back_ends_the_stream(server: GatewayServer):
    """The inbox was replaced by an older one: clients come back, and start over."""
    anna = server.users.add("anna")
    server.store(anna, "a", "b")
    connection = await server.connect(anna)
    server.inboxes.forget(anna.no)
    change = server.store(anna, "older")
    server.fanout.publish(
        [type(change)(tenant=anna.tenant, user=anna.no, items=(_moved(change.items[0], 9),))]
    )
    await settled()
    assert connection.close_code == 4004
    follow(again := await server.connect(anna, epoch=anna.inbox_epoch, offset=2))
    assert again.frames[0]["recovered"] is False


async def test_one_damaged_item_does_not_hide_the_others(server: GatewayServer):
    """It is shown without content; the rest of the inbox is as it should be."""
    anna = server.users.add("anna")
    live = await server.connect(anna)
    damaged = [b"not sealed", server.vault.seal(anna.key, b"not JSON")]
    server.fanout.publish(
        [server.inboxes.deliver(anna, damaged, server.clock.now()), server.store(anna, "fine")]
    )
    again = await server.connect(anna)
    assert [item["title"] for frame in live.frames[1:] for item in frame["items"]] == ["", "", "fine"]
    assert [item["title"] for item in again.frames[0]["items"]] == ["fine", "", ""]


async def test_one_failing_inbox_does_not_silence_the_others(server: GatewayServer, monkeypatch):
    """Its devices are told to come back; everybody else in the publication is served."""
    anna, bob = server.users.add("anna"), server.users.add("bob")
    failing, fine = await server.connect(anna), await server.connect(bob)
    head = server.inboxes.head

    def broken(user):
        if user == anna.no:
            raise ZeroDivisionError
        return head(user)

    monkeypatch.setattr(server.inboxes, "head", broken)
    server.fanout.publish([_moved_change(server.store(bob, "hidden"), anna), server.store(bob, "hello")])
    await settled()
    assert failing.close_code == 4004
    assert types(fine) == ["connected", "items"]


async def test_content_still_in_memory_is_not_opened_again(server: GatewayServer):
    """A change that carries its content is shown as it is."""
    anna = server.users.add("anna")
    live = await server.connect(anna)
    change = server.inboxes.deliver(anna, [b"never opened"], server.clock.now(), [b'{"title":"fresh"}'])
    server.fanout.publish([change])
    assert live.frames[1]["items"][0]["title"] == "fresh"


def _moved_change(change, user):
    items = tuple(msgspec.structs.replace(item, user=user.no, offset=7) for item in change.items)
    return InboxChange(tenant=user.tenant, user=user.no, items=items)


def _moved(item, offset):
    return msgspec.structs.replace(item, offset=offset)


# ── slow clients ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_pauses_gets_everything_in_order(server: GatewayServer):
    """What comes while the buffer is full waits, and goes out when there is room."""
    anna = server.users.add("anna")
    inbox_client = follow(connection := await server.connect(anna))
    connection.stop_reading()
    for title in "abcde":
        server.deliver(anna, title)
    connection.read_on()
    await settled()
    server.deliver(anna, "f")
    inbox_client.listen()
    assert screen_of(inbox_client) == truth(server.inboxes, anna)
    assert len(connection.frames) == 7


async def test_a_client_that_does_not_read_is_told_to_come_back(build):
    """4002, and its reconnect replays what was dropped."""
    server = build(GatewayLimits(session=Rules(pending_frames=3)))
    anna = server.users.add("anna")
    inbox_client = follow(connection := await server.connect(anna))
    connection.stop_reading()
    for title in "abcdefgh":
        server.deliver(anna, title)
    connection.read_on()
    await settled()
    assert (connection.close_code, connection.over) == (4002, True)
    inbox_client.listen()
    follow(
        again := await server.connect(anna, epoch=inbox_client.epoch, offset=inbox_client.offset),
        inbox_client,
    )
    assert again.frames[0]["recovered"] is True
    assert screen_of(inbox_client) == truth(server.inboxes, anna)
    assert server.gateway.stats()["closed_slow_consumer"] == 1


async def test_a_client_that_breaks_the_protocol_and_does_not_read_still_learns_why(server: GatewayServer):
    """The error frame blocks, the code follows it when there is room."""
    connection = await server.connect(server.users.add("anna"))
    connection.stop_reading()
    connection.say_raw("nonsense")
    await settled()
    connection.read_on()
    await settled()
    assert types(connection) == ["connected", "error"]
    assert connection.close_code == 4503


async def test_a_write_that_is_never_answered_does_not_outlive_its_connection(server: GatewayServer):
    """No task is left behind."""
    anna = server.users.add("anna")
    before = asyncio.all_tasks()
    connection = await server.connect(anna)
    connection.stop_reading()
    server.deliver(anna, "hello")
    connection.vanish()
    await settled()
    assert connection.over
    assert asyncio.all_tasks() == before


async def test_a_slow_device_does_not_slow_the_others(server: GatewayServer):
    """Each has its own buffer."""
    anna = server.users.add("anna")
    slow, fast = await server.connect(anna), await server.connect(anna)
    slow.stop_reading()
    server.deliver(anna, "hello")
    assert types(fast) == ["connected", "items"]


async def test_a_client_that_never_reads_again_is_cut(build):
    """It does not take its close code either: after some seconds the socket is freed."""
    server = build(GatewayLimits(session=Rules(pending_frames=1)))
    anna = server.users.add("anna")
    connection = await server.connect(anna)
    connection.stop_reading()
    for title in "abc":
        server.deliver(anna, title)
    await server.pass_time(40)
    assert connection.aborted
    assert connection.over
    assert server.gateway.stats()["connections"] == 0


# ── coming and going ──────────────────────────────────────────────────────────────────────────────────────


async def test_who_hangs_up_is_forgotten_at_once(server: GatewayServer):
    """Nothing of a connection stays behind."""
    anna = server.users.add("anna")
    connection = await server.connect(anna)
    connection.hang_up()
    await settled()
    server.deliver(anna, "hello")
    assert connection.over
    stats = server.gateway.stats()
    assert (stats["connections"], stats["users"], stats["closed_by_client"]) == (0, 0, 1)


async def test_who_hangs_up_before_the_first_frame_is_forgotten_too(server: GatewayServer, monkeypatch):
    """Even while the state is being read."""
    anna = server.users.add("anna")
    gate = asyncio.Event()

    async def page(*args, **kwargs):
        await gate.wait()
        return []

    monkeypatch.setattr(server.inboxes, "page", page)
    connection = await server.connect(anna)
    connection.hang_up()
    server.deliver(anna, "hello")
    gate.set()
    await settled()
    assert connection.over
    assert server.gateway.stats()["connections"] == 0


async def test_a_store_that_is_closing_does_not_break_the_server(server: GatewayServer, monkeypatch):
    """The client is told to come back, before or after it was accepted."""
    anna = server.users.add("anna")

    async def page(*args, **kwargs):
        raise Unavailable("closing")

    monkeypatch.setattr(server.inboxes, "page", page)
    assert (await server.connect(anna)).close_code == 4004

    async def head(*args):
        raise Unavailable("closing")

    monkeypatch.setattr(server.inboxes, "head", head)
    assert (await server.connect(anna)).status == 503


async def test_an_expired_token_ends_the_connection(server: GatewayServer):
    """4501: get a new token, then come back."""
    anna = server.users.add("anna")
    connection = await server.connect(anna, token=server.tokens.mint(anna, ttl_s=60))
    await server.pass_time(58)
    assert not connection.over
    await server.pass_time(4)
    assert (connection.close_code, connection.over) == (4501, True)


async def test_silence_is_broken_by_pings(server: GatewayServer):
    """A client that hears nothing for longer than `ping_s` knows that the line is dead."""
    connection = await server.connect(server.users.add("anna"))
    await server.pass_time(60)
    assert types(connection)[1:] in (["ping"] * 2, ["ping"] * 3)


async def test_a_client_that_stops_answering_is_closed(server: GatewayServer):
    """4003, for clients that have shown they answer pings."""
    connection = await server.connect(server.users.add("anna"))
    connection.say(type="pong")
    await server.pass_time(62)
    assert connection.close_code == 4003


async def test_a_deleted_user_is_disconnected_at_once(server: GatewayServer):
    """Whoever deletes says so, and all devices are told not to come back."""
    anna = server.users.add("anna")
    inbox_client, laptop = await server.connect(anna), await server.connect(anna)
    await server.users.delete(anna.tenant, anna.id)
    server.inbox_actions.forget(anna.tenant, anna.no)
    await settled()
    assert [inbox_client.close_code, laptop.close_code] == [4504, 4504]
    assert (await server.connect(anna)).status == 410


async def test_a_user_deleted_without_a_word_is_noticed(server: GatewayServer):
    """Within one ping interval, by looking."""
    anna, bob = server.users.add("anna"), server.users.add("bob")
    gone, stays = await server.connect(anna), await server.connect(bob)
    await server.users.delete(anna.tenant, anna.id)
    await server.pass_time(27)
    assert (gone.close_code, stays.close_code) == (4504, None)


async def test_a_user_may_have_so_many_connections(build):
    """The next one is refused until another has gone."""
    server = build(GatewayLimits(connections_per_user=2))
    anna, bob = server.users.add("anna"), server.users.add("bob")
    first, _ = await server.connect(anna), await server.connect(anna)
    assert (await server.connect(anna)).status == 429
    assert types(await server.connect(bob)) == ["connected"]
    first.hang_up()
    assert types(await server.connect(anna)) == ["connected"]


async def test_a_tenant_and_the_process_may_have_so_many_connections(build):
    """Over it, newcomers are told to try later."""
    for limits in (GatewayLimits(connections_per_tenant=1), GatewayLimits(connections=1)):
        server = build(limits)
        await server.connect(server.users.add("anna"))
        refused = await server.connect(server.users.add("bob"))
        assert refused.status == 503
        assert (b"retry-after", b"5") in refused.events[0]["headers"]
        server.connections[0].hang_up()
        assert types(await server.connect(server.users.add("carol"))) == ["connected"]


async def test_a_shutdown_tells_everyone_to_come_back(server: GatewayServer):
    """4001 to all, and nobody new is let in."""
    devices = [await server.connect(server.users.add(f"user-{n}")) for n in range(250)]
    closing = asyncio.get_running_loop().create_task(server.gateway.close(1.0))
    for _ in range(5):
        await settled()
        server.clock.advance(0.01)
    await closing
    assert {device.close_code for device in devices} == {4001}
    assert server.gateway.stats()["connections"] == 0
    assert (await server.connect(server.users.add("late"))).status == 503

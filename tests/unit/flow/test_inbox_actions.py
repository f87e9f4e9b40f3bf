"""Marking inbox items: stored once, told once, whoever marks."""

from collections.abc import Sequence

from clarion.model.ids import MessageId
from clarion.model.inbox import InboxChange, InboxFilter
from clarion.ports.fanout import Fanout
from clarion.services.inbox_actions import SLICE
from tests.gateway import GatewayServer


def listening(fanout: Fanout) -> list[InboxChange]:
    heard: list[InboxChange] = []
    fanout.subscribe(heard.extend)
    return heard


async def test_a_mark_is_stored_and_told_once():
    """What returns is stored, and exactly this change was published."""
    server = GatewayServer()
    anna = server.users.add("anna")
    (item,) = server.store(anna, "hello").items
    heard = listening(server.fanout)
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "read", [item.message_id]) == 1
    assert [change.items[0].message_id for change in heard] == [item.message_id]
    assert server.inboxes.everything(anna.no)[item.message_id].read_at == server.clock.now()


async def test_marking_what_is_marked_tells_nobody():
    """A repeat changes nothing, so there is nothing to tell."""
    server = GatewayServer()
    anna = server.users.add("anna")
    server.store(anna, "hello")
    await server.inbox_actions.mark(anna.tenant, anna.no, "seen", InboxFilter())
    heard = listening(server.fanout)
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "seen", InboxFilter()) == 0
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "read", [MessageId(b"?" * 16)]) == 0
    assert heard == []


async def test_a_large_inbox_is_marked_in_slices_that_others_get_between():
    """Each slice is told with exact counters; what arrives after the first is not marked."""
    server = GatewayServer()
    anna = server.users.add("anna")
    server.store(anna, *[f"item {n}" for n in range(2 * SLICE + 5)])
    heard: list[InboxChange] = []

    def hear(changes: Sequence[InboxChange]) -> None:
        heard.extend(changes)
        if len(heard) == 1:
            server.store(anna, "late")

    server.fanout.subscribe(hear)
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "read", InboxFilter()) == 2 * SLICE + 5
    assert [len(change.items) for change in heard] == [SLICE, SLICE, 5]
    assert [change.counts and change.counts.unread for change in heard] == [SLICE + 5, 6, 1]
    offsets = [item.offset for change in heard for item in change.items]
    assert offsets == sorted(offsets)
    (late,) = [item for item in server.inboxes.everything(anna.no).values() if item.read_at is None]
    assert late.offset == 3 * SLICE + 6


async def test_a_filter_marks_what_it_matches_and_nothing_else():
    """Unread ones, or the archive."""
    server = GatewayServer()
    anna = server.users.add("anna")
    first, *_ = server.store(anna, "a", "b", "c").items
    await server.inbox_actions.mark(anna.tenant, anna.no, "read", [first.message_id])
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "archived", InboxFilter(unread=True)) == 2
    assert await server.inbox_actions.mark(anna.tenant, anna.no, "unread", InboxFilter()) == 1
    assert (
        await server.inbox_actions.mark(anna.tenant, anna.no, "unarchived", InboxFilter(archived=True)) == 2
    )


async def test_a_deleted_users_devices_are_told_by_an_empty_change():
    """The change without items means: this inbox is gone."""
    server = GatewayServer()
    anna = server.users.add("anna")
    heard = listening(server.fanout)
    server.inbox_actions.forget(anna.tenant, anna.no)
    assert [(change.user, change.items) for change in heard] == [(anna.no, ())]

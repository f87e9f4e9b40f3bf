"""Marking inbox items: stored once, told once, whoever marks."""

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.flow.engagement import Engagement
from clarion.model.ids import MessageId
from clarion.model.inbox import InboxChange
from tests.gateway import Town


def listening(fanout: MemoryFanout) -> list[InboxChange]:
    heard: list[InboxChange] = []
    fanout.subscribe(heard.extend)
    return heard


async def test_a_mark_is_stored_and_told_once():
    """What returns is stored, and exactly this change was published."""
    town = Town()
    anna = town.users.add("anna")
    (item,) = town.store(anna, "hello").items
    heard = listening(town.fanout)
    change = await town.engagement.mark(anna.no, "read", [item.message_id])
    assert change is not None
    assert heard == [change]
    assert town.inboxes.everything(anna.no)[item.message_id].read_at == town.clock.now()


async def test_marking_what_is_marked_tells_nobody():
    """A repeat changes nothing, so there is nothing to tell."""
    town = Town()
    anna = town.users.add("anna")
    town.store(anna, "hello")
    await town.engagement.mark(anna.no, "seen", None)
    heard = listening(town.fanout)
    assert await town.engagement.mark(anna.no, "seen", None) is None
    assert await town.engagement.mark(anna.no, "read", [MessageId(b"?" * 16)]) is None
    assert heard == []


async def test_a_deleted_users_devices_are_told_by_an_empty_change():
    """The change without items means: this inbox is gone."""
    town = Town()
    anna = town.users.add("anna")
    heard = listening(town.fanout)
    Engagement(town.inboxes, town.fanout, town.clock).forget(anna.tenant, anna.no)
    assert [(change.user, change.items) for change in heard] == [(anna.no, ())]

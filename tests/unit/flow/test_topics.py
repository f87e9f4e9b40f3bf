"""Topics below one another: who gets what goes to one of them, and what holds for it."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.event import Group
from clarion.model.ids import NO_USER, UserNo
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient
from clarion.model.topic import Topic
from clarion.model.user import DefaultPreferences, Preferences, PreferenceSet
from tests.engine import Engine, engine, workflow

BERLIN = Recipient(topic="orders.eu.berlin")
OFF = PreferenceSet(channels={Channel.SMS: False})
ON = PreferenceSet(channels={Channel.SMS: True})


async def create(clarion: Engine, **subscriptions: str) -> None:
    """Users, each subscribed to one topic, and the topics of three levels."""
    await clarion.create_setup(workflow("w"))
    for key in ("orders", "orders.eu", "orders.eu.berlin", "orders.us"):
        await clarion.ledger.topics.put(clarion.tenant, Topic(key=key))
    for user, topic in subscriptions.items():
        person = await clarion.put_user(user)
        await clarion.ledger.topics.subscribe(clarion.tenant, topic, [person.no])


async def reached(clarion: Engine) -> dict[str, tuple[Status, Reason | None]]:
    """What became of the message of each user."""
    messages = (await clarion.messages()).values()
    names = await clarion.ledger.users.get([one.user for one in messages])
    found = {names[one.user].id: (one.status, one.reason) for one in messages}
    assert len(found) == len(messages)
    return found


async def test_who_is_subscribed_above_a_topic_gets_what_goes_to_it(store):
    """And nobody below or beside it; each once, however often they are subscribed."""
    async with engine(store) as clarion:
        await create(
            clarion, all="orders", eu="orders.eu", berlin="orders.eu.berlin", us="orders.us", twice="orders"
        )
        twice = (await clarion.ledger.users.find(clarion.tenant, ["twice"]))["twice"]
        await clarion.ledger.topics.subscribe(clarion.tenant, "orders.eu.berlin", [twice.no])
        await clarion.trigger("w", Recipient(topic="orders.eu"))
        await clarion.until_idle()
        assert (await reached(clarion)).keys() == {"all", "eu", "twice"}
        assert await clarion.pipeline.groups.subscribers(clarion.tenant, "orders.eu.berlin") == 4
        assert await clarion.pipeline.groups.subscribers(clarion.tenant, "orders.eu.paris") is None


async def test_pages_of_subscribers_meet_everybody_once(store):
    """In order of number, whatever the size of a page."""
    async with engine(store) as clarion:
        keys = ("orders", "orders.eu", "orders.eu.berlin")
        await create(clarion, **{f"u{n}": keys[n % 3] for n in range(7)})
        seen: list[UserNo] = []
        after = NO_USER
        while page := await clarion.pipeline.groups.page(clarion.tenant, Group(topic=keys[2]), after, 2):
            assert len(page) <= 2
            seen, after = [*seen, *page], page[-1]
        assert seen == sorted(set(seen))
        assert len(seen) == 7


async def test_a_choice_for_a_topic_holds_below_it_unless_one_is_made_there(store):
    """Of the user, and of the tenant for those who have not chosen."""
    async with engine(store) as clarion:
        await create(clarion, ada="orders", bob="orders", cem="orders", dee="orders")
        await clarion.put_user("ada", Preferences(topics={"orders": OFF}))
        await clarion.put_user("bob", Preferences(topics={"orders": OFF, "orders.eu": ON}))
        await clarion.put_user("cem", Preferences(topics={"orders.us": OFF}))

        def preset(tenant: Tenant) -> Tenant:
            return replace(tenant, preferences=DefaultPreferences(topics={"orders": ON, "orders.eu": OFF}))

        await clarion.ledger.setup.tenants.change(clarion.tenant, preset)
        await clarion.trigger("w", BERLIN)
        await clarion.until_idle()
        out = (Status.SUPPRESSED, Reason.OPTED_OUT)
        sent = (Status.SENT, None)
        assert await reached(clarion) == {"ada": out, "bob": sent, "cem": out, "dee": out}
